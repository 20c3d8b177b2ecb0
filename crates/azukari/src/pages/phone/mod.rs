//! The pages that a phone opens. The server sends one document with every screen of a flow in both
//! languages; its script shows one after the other. So a change of language loses nothing, and no
//! text that people read stands in a script but what a browser itself refused.

use std::fmt;

use askama::Template;
use askama::filters::HtmlSafe;
use hpki::kind::DocumentKind;
use wire::token::base64url_encode;

use super::Lang;

/// A text in both languages, each marked as such: the language of the document decides which is
/// seen. Texts are ours, written in templates: they are HTML.
pub(crate) struct Both<'a>(&'a str, &'a str);

impl fmt::Display for Both<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<span lang=\"ja\">{}</span><span lang=\"en\">{}</span>", self.0, self.1)
    }
}

impl HtmlSafe for Both<'_> {}

/// Writes texts into templates: `{{ t.of("日本語", "English") }}`.
pub(crate) struct Texts;

impl Texts {
    #[allow(clippy::unused_self, reason = "templates call methods of what they are given")]
    pub(crate) fn of<'a>(&self, ja: &'a str, en: &'a str) -> Both<'a> {
        Both(ja, en)
    }
}

/// `/r`: registering a phone with the sheet that came by post.
#[derive(Template)]
#[template(path = "phone/link.html")]
struct Link {
    lang: Lang,
    t: Texts,
}

/// `/q`: approving what a terminal asks.
#[derive(Template)]
#[template(path = "phone/session.html")]
struct Session {
    lang: Lang,
    t: Texts,
    kinds: &'static [DocumentKind],
}

/// The page that a terminal's QR code opens.
pub(crate) fn session(lang: Lang) -> askama::Result<String> {
    Session { lang, t: Texts, kinds: &DocumentKind::ALL }.render()
}

/// `/t` of a gateway: what a terminal shows while somebody authenticates or approves.
#[derive(Template)]
#[template(path = "phone/terminal.html")]
struct Terminal {
    lang: Lang,
    t: Texts,
    kinds: &'static [DocumentKind],
}

/// The page that the EHR opens on a terminal.
pub(crate) fn terminal(lang: Lang) -> askama::Result<String> {
    Terminal { lang, t: Texts, kinds: &DocumentKind::ALL }.render()
}

/// `/c` of a gateway: the PIN of a card in its reader.
#[derive(Template)]
#[template(path = "phone/pin.html")]
struct Pin {
    lang: Lang,
    t: Texts,
    kinds: &'static [DocumentKind],
}

/// The page on which somebody types her card's PIN.
pub(crate) fn pin(lang: Lang) -> askama::Result<String> {
    Pin { lang, t: Texts, kinds: &DocumentKind::ALL }.render()
}

/// The page that a sheet's QR code opens.
pub(crate) fn link(lang: Lang) -> askama::Result<String> {
    Link { lang, t: Texts }.render()
}

/// `/oauth/authorize`: a login elsewhere, in the browser that logs in.
#[derive(Template)]
#[template(path = "phone/login.html")]
struct Login<'a> {
    lang: Lang,
    t: Texts,
    login: &'a str,
}

/// The page to which a service leads its user.
pub(crate) fn login(lang: Lang, login: &str) -> askama::Result<String> {
    Login { lang, t: Texts, login }.render()
}

/// A login that cannot even be answered to the service.
#[derive(Template)]
#[template(path = "phone/login_refused.html")]
struct LoginRefused<'a> {
    lang: Lang,
    t: Texts,
    code: &'a str,
    title_ja: &'a str,
    title_en: &'a str,
    advice_ja: &'a str,
    advice_en: &'a str,
}

/// The page that says so.
pub(crate) fn login_refused(
    lang: Lang,
    text: Option<&wire::refusal::Text>,
    code: &str,
) -> askama::Result<String> {
    let said = |of: fn(&wire::refusal::Text) -> &'static str| text.map_or(code, of);
    LoginRefused {
        lang,
        t: Texts,
        code,
        title_ja: said(|text| text.title_ja),
        title_en: said(|text| text.title_en),
        advice_ja: said(|text| text.advice_ja),
        advice_en: said(|text| text.advice_en),
    }
    .render()
}

/// `/desk`: the authority's desk.
#[derive(Template)]
#[template(path = "phone/desk.html")]
struct Desk {
    lang: Lang,
    t: Texts,
}

/// The page of the desk, and of those who are invited to it.
pub(crate) fn desk(lang: Lang) -> askama::Result<String> {
    Desk { lang, t: Texts }.render()
}

/// `/me`: the owner's page.
#[derive(Template)]
#[template(path = "phone/holder.html")]
struct Holder {
    lang: Lang,
    t: Texts,
}

/// The owner's page (デジタル資格証).
pub(crate) fn holder(lang: Lang) -> askama::Result<String> {
    Holder { lang, t: Texts }.render()
}

/// `/n`: a new phone takes the place of another.
#[derive(Template)]
#[template(path = "phone/change.html")]
struct Change {
    lang: Lang,
    t: Texts,
}

/// The page that the QR code on the old phone opens.
pub(crate) fn change(lang: Lang) -> askama::Result<String> {
    Change { lang, t: Texts }.render()
}

/// An edition of the terms, as the page lists it.
struct Agreed {
    name: String,
    from: &'static str,
    ja: &'static str,
    en: &'static str,
}

/// `/terms`: every edition.
#[derive(Template)]
#[template(path = "phone/terms.html")]
struct Terms {
    lang: Lang,
    t: Texts,
    editions: Vec<Agreed>,
}

/// The page of the terms, the edition in force first.
pub(crate) fn terms(lang: Lang) -> askama::Result<String> {
    let editions = super::terms::EDITIONS.iter().rev().map(|edition| Agreed {
        name: base64url_encode(&edition.hash()),
        from: edition.from,
        ja: edition.ja,
        en: edition.en,
    });
    Terms { lang, t: Texts, editions: editions.collect() }.render()
}

/// `/v`: somebody else's card.
#[derive(Template)]
#[template(path = "phone/card.html")]
struct Card {
    lang: Lang,
    t: Texts,
}

/// The page that the QR code on a card opens.
pub(crate) fn card(lang: Lang) -> askama::Result<String> {
    Card { lang, t: Texts }.render()
}
