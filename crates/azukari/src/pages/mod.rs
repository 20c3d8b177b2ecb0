//! Pages that people see. This module holds what is shown – view structs, templates, one
//! stylesheet, one script – and decides nothing: what is true comes in as a `State`, what a visitor
//! does goes out as a small JSON request.
//!
//! Japanese first, English by a switch. No outside resource: every page is served with [`CSP`].

pub(crate) mod demo;
pub(crate) mod demo_cards;
mod diagram;
mod paper;
pub(crate) mod phone;
pub(crate) mod qr;
pub(crate) mod terms;

/// The Content-Security-Policy of every page: our own script and stylesheet, nothing inline,
/// nothing from elsewhere.
pub(crate) const CSP: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; \
    frame-ancestors 'none'";

/// The languages of the pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lang {
    /// 日本語
    Ja,
    /// English
    En,
}

impl Lang {
    /// Reads `?lang=`; anything but `en` is Japanese.
    pub(crate) fn from_query(lang: Option<&str>) -> Self {
        if lang == Some("en") { Self::En } else { Self::Ja }
    }

    /// The tag for `<html lang>`.
    pub(crate) fn tag(self) -> &'static str {
        match self {
            Self::Ja => "ja",
            Self::En => "en",
        }
    }

    /// The language that a page's switch leads to.
    pub(crate) fn other(self) -> Self {
        match self {
            Self::Ja => Self::En,
            Self::En => Self::Ja,
        }
    }

    /// What this language calls itself.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ja => "日本語",
            Self::En => "English",
        }
    }

    /// Whichever of the two texts is in this language.
    pub(crate) fn of<'a>(&self, ja: &'a str, en: &'a str) -> &'a str {
        match self {
            Self::Ja => ja,
            Self::En => en,
        }
    }
}

/// The content type and octets of a static file under `/assets/`, by its name.
pub(crate) fn asset(path: &str) -> Option<(&'static str, &'static [u8])> {
    let name = path.trim_start_matches('/').trim_start_matches("assets/");
    let (_, octets) = FILES.iter().find(|(known, _)| *known == name)?;
    let kind = match name.rsplit('.').next() {
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("webmanifest") => "application/manifest+json",
        _ => "text/plain; charset=utf-8",
    };
    Some((kind, octets))
}

macro_rules! files {
    ($($name:literal),* $(,)?) => {
        /// Every file under `/assets/`.
        const FILES: &[(&str, &[u8])] =
            &[$(($name, include_bytes!(concat!("../../assets/", $name)))),*];
    };
}

files!(
    "demo.css",
    "demo.js",
    "icon.svg",
    "phone/ask.js",
    "phone/card.js",
    "phone/change.js",
    "phone/desk.css",
    "phone/desk.js",
    "phone/holder.css",
    "phone/holder.js",
    "phone/link.js",
    "phone/login.js",
    "phone/me.webmanifest",
    "phone/page.js",
    "phone/passkey.js",
    "phone/phone.css",
    "phone/pin.js",
    "phone/scan.js",
    "phone/services.js",
    "phone/session.js",
    "phone/statement.js",
    "phone/sw.js",
    "phone/terminal.css",
    "phone/terminal.js",
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_known_files_are_served() {
        assert!(asset("/assets/demo.css").is_some_and(|(kind, _)| kind.starts_with("text/css")));
        assert!(asset("demo.js").is_some());
        assert!(asset("/assets/icon.svg").is_some_and(|(kind, _)| kind == "image/svg+xml"));
        assert!(
            asset("phone/page.js").is_some_and(|(kind, _)| kind.starts_with("text/javascript"))
        );
        assert!(asset("/assets/../Cargo.toml").is_none());
        assert!(asset("/assets/").is_none());
    }
}
