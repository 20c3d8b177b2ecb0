//! Pages that people see. This module holds what is shown – view structs, templates, one
//! stylesheet, one script – and decides nothing: what is true comes in as a `State`, what a visitor
//! does goes out as a small JSON request.
//!
//! Japanese first, English by a switch. No outside resource: every page is served with [`CSP`].

pub(crate) mod demo;
mod diagram;
mod paper;

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
    match path.trim_start_matches('/').trim_start_matches("assets/") {
        "demo.css" => {
            Some(("text/css; charset=utf-8", include_bytes!("../../assets/demo.css").as_slice()))
        }
        "demo.js" => Some((
            "text/javascript; charset=utf-8",
            include_bytes!("../../assets/demo.js").as_slice(),
        )),
        "icon.svg" => Some(("image/svg+xml", include_bytes!("../../assets/icon.svg").as_slice())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_known_files_are_served() {
        assert!(asset("/assets/demo.css").is_some_and(|(kind, _)| kind.starts_with("text/css")));
        assert!(asset("demo.js").is_some());
        assert!(asset("/assets/icon.svg").is_some());
        assert!(asset("/assets/../Cargo.toml").is_none());
        assert!(asset("/assets/").is_none());
    }
}
