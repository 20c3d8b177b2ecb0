//! QR codes as shapes.

use std::fmt::Write as _;

use serde::Serialize;

/// A QR code: a square of `side` units, dark where the path is (SVG).
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Qr {
    pub(crate) side: usize,
    pub(crate) path: String,
}

impl Qr {
    /// The code of this text, with the quiet zone around it; nothing where it is too long.
    pub(crate) fn of(content: &str) -> Option<Self> {
        let code = qrcode::QrCode::with_error_correction_level(content, qrcode::EcLevel::M).ok()?;
        let (width, quiet) = (code.width(), 4);
        let mut path = String::new();
        for (row, modules) in code.to_colors().chunks(width).enumerate() {
            for (column, color) in modules.iter().enumerate() {
                if *color == qrcode::Color::Dark {
                    let _ = write!(path, "M{} {}h1v1h-1z", column + quiet, row + quiet);
                }
            }
        }
        Some(Self { side: width + 2 * quiet, path })
    }
}

/// The code in characters, for a terminal. An empty text where the content is too long.
pub(crate) fn text(content: &str) -> String {
    let code = qrcode::QrCode::with_error_correction_level(content, qrcode::EcLevel::M);
    code.map_or_else(
        |_| String::new(),
        |code| code.render::<qrcode::render::unicode::Dense1x2>().build(),
    )
}

/// The code as SVG without style attributes, which the policy of the pages forbids. An empty text
/// where the content is too long for a code.
pub(crate) fn svg(content: &str) -> String {
    let Some(Qr { side, path }) = Qr::of(content) else { return String::new() };
    format!(
        "<svg class=\"qr\" viewBox=\"0 0 {side} {side}\" role=\"img\" aria-label=\"QR\" \
         shape-rendering=\"crispEdges\"><path fill=\"#fff\" d=\"M0 0h{side}v{side}H0z\"/>\
         <path d=\"{path}\"/></svg>"
    )
}
