//! What travelled, out of what the taps heard: who spoke to whom, in words, and the content with
//! its secrets left out. Lines that nobody learns from (polling, revocation lists) are passed over.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use town::people::PHARMACY;

use crate::http::tap::Heard;
use crate::pages::demo::{Place, Text, Travel};

/// What stands where a secret stood.
const MASK: &str = "●●●";
/// Members whose text is a secret: QR secrets, tokens. Cookies are not heard at all.
const SECRETS: [&str; 3] = ["secret", "token", "access_token"];
/// Members that hold a text in base64, worth reading.
const PACKED: [&str; 4] = ["csv", "document", "prescription", "signature"];
/// A longer text is shortened, unless it is read below.
const LONG: usize = 96;

/// Which profession's facility stands in the step.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Hospital,
    Pharmacy,
}

impl Side {
    fn ehr(self) -> Place {
        match self {
            Self::Hospital => Place::Ehr,
            Self::Pharmacy => Place::PharmacyEhr,
        }
    }
}

/// What went into the key device and came out of it, read off the signed document.
pub(super) struct Sealed {
    pub(super) dtbsr: [u8; 32],
    pub(super) value: Vec<u8>,
}

/// The messages of one step. `side` is the facility whose EHR spoke to the service.
pub(super) fn told(heard: &[Heard], side: Side, sealed: Option<&Sealed>) -> Vec<Travel> {
    let mut told = Vec::new();
    for (index, message) in heard.iter().enumerate() {
        if is_polling(heard, index) {
            continue;
        }
        let Some(label) = label(message) else { continue };
        let (from, to) = ends(message, side);
        told.push(Travel {
            from,
            to,
            label,
            content_type: if message.body.is_empty() { "HTTP" } else { "application/json" }.into(),
            content: content(message),
            // Of a question without a body, its path is what travelled.
            size: match (message.body.len(), message.status) {
                (0, None) => message.path.len() as u64,
                (octets, _) => octets as u64,
            },
        });
        if let Some(sealed) = sealed
            && message.line.0 == "gateway"
            && message.path == wire::path::SIGNATURES
            && message.status.is_none()
        {
            told.extend(at_the_device(sealed));
        }
    }
    told
}

fn at_the_device(sealed: &Sealed) -> [Travel; 2] {
    [
        Travel {
            from: Place::Platform,
            to: Place::KeyDevice,
            label: Text::new("署名する値", "value to sign"),
            content_type: "SHA-256 (ds:SignedInfo)".into(),
            content: hex::encode(sealed.dtbsr),
            size: sealed.dtbsr.len() as u64,
        },
        Travel {
            from: Place::KeyDevice,
            to: Place::Platform,
            label: Text::new("署名値", "signature"),
            content_type: "RSA-2048 PKCS#1 v1.5".into(),
            content: hex::encode(&sealed.value),
            size: sealed.value.len() as u64,
        },
    ]
}

/// How many octets reached the platform from a facility, and whether this text was among them,
/// plainly or in base64.
pub(super) fn reached_platform(heard: &[Heard], record: &[u8]) -> (usize, bool) {
    let packed = STANDARD.encode(record).into_bytes();
    let to_platform = heard.iter().filter(|message| {
        message.status.is_none() && ["gateway", "phone"].contains(&message.line.0)
    });
    to_platform.fold((0, false), |(octets, found), message| {
        let holds = |part: &[u8]| {
            !part.is_empty() && message.body.windows(part.len()).any(|window| window == part)
        };
        (octets + message.body.len(), found || holds(record) || holds(&packed))
    })
}

/// A question about an authentication that was not over yet, or the answer that says so.
fn is_polling(heard: &[Heard], index: usize) -> bool {
    let message = &heard[index];
    let asks = message.method == "GET"
        && (message.path.contains("/authentication/") || message.path.contains("/ceremonies/"));
    if !asks {
        return false;
    }
    let answer = match message.status {
        Some(_) => Some(message),
        None => heard[index..].iter().find(|other| {
            other.status.is_some() && other.line == message.line && other.path == message.path
        }),
    };
    let state = answer.and_then(|answer| serde_json::from_slice::<Value>(&answer.body).ok());
    state.is_none_or(|state| state["state"] != "released")
}

fn ends(message: &Heard, side: Side) -> (Place, Place) {
    let (who, facility) = message.line;
    let there = facility == PHARMACY.code;
    let gateway = if there { Place::PharmacyGateway } else { Place::Gateway };
    let (asks, answers) = match who {
        "ehr" => (if there { Place::PharmacyEhr } else { Place::Ehr }, gateway),
        "gateway" => (gateway, Place::Platform),
        "phone" => (Place::Phone, Place::Platform),
        _ => (side.ehr(), Place::Service),
    };
    if message.status.is_none() { (asks, answers) } else { (answers, asks) }
}

/// A message in a few words; `None` for what the page does not tell.
fn label(message: &Heard) -> Option<Text> {
    let asked = message.status.is_none();
    if message.status.is_some_and(|status| status != 200) {
        return Some(Text::new("断り（理由と対処）", "a refusal, with advice"));
    }
    let either = |ask: (&str, &str), answer: (&str, &str)| {
        let (ja, en) = if asked { ask } else { answer };
        Some(Text::new(ja, en))
    };
    let path = message.path.as_str();
    let get = message.method == "GET";
    match message.line.0 {
        "ehr" if path.ends_with("/number") => {
            either(("3桁の数字", "the three digits"), ("認証できた・期限", "authenticated, until"))
        }
        "ehr" if path.ends_with("/authentication") => {
            either(("認証を始める", "begin"), ("QRコードの中身", "what the QR says"))
        }
        "ehr" if path.contains("/authentication/") && get => {
            either(("終わりましたか", "is it done?"), ("認証できた・期限", "authenticated, until"))
        }
        "ehr" if path == "/v1/prescriptions" => {
            either(("処方箋の記録", "the record"), ("署名済み処方箋", "signed prescription"))
        }
        "ehr" if path == "/v1/dispensings" => either(
            ("処方箋と調剤の記録", "prescription, record"),
            ("署名済み調剤結果", "signed result"),
        ),
        "gateway" if path == wire::path::CEREMONIES => {
            either(("端末と希望", "terminal, wishes"), ("認証の番号とQR", "ceremony and QR"))
        }
        "gateway" if path.ends_with("/number") => {
            either(("3桁の数字", "the three digits"), ("数字が合った", "the digits match"))
        }
        "gateway" if path.contains("/ceremonies/") && get => {
            either(("終わりましたか", "is it done?"), ("18時間のトークン", "token for 18 h"))
        }
        "gateway" if path == wire::path::SIGNATURES => {
            either(("ダイジェストだけ", "digest only"), ("署名と記録の証明", "signature, proof"))
        }
        "gateway" if path.starts_with("/v1/consistency") => either(
            ("記録簿は続いていますか", "does the journal go on?"),
            ("続いている証明", "proof that it does"),
        ),
        "phone" if path == wire::path::SESSION_CLAIM => {
            either(("QRを読み取った", "QR scanned"), ("施設・端末・内容", "place and contents"))
        }
        "phone" if path == wire::path::SESSION_APPROVE => either(
            ("本人が承認（署名）", "approved and signed"),
            ("承認を確認", "approval verified"),
        ),
        "phone" if path == wire::path::SESSION_REFUSE => {
            either(("本人が拒否", "refused"), ("終わりました", "ended"))
        }
        "service" if path == "/v1/prescriptions" => either(
            ("署名済み処方箋", "signed prescription"),
            ("処方箋ID・引換番号", "ID, exchange number"),
        ),
        "service" if get => {
            either(("引換番号", "exchange number"), ("登録済み処方箋", "prescription"))
        }
        "service" => {
            either(("署名済み調剤結果", "signed result"), ("二つの署名を確認", "both verified"))
        }
        _ => None,
    }
}

/// The message as text: its first line, whether a token went with it, and its body.
fn content(message: &Heard) -> String {
    let mut text = match message.status {
        None => format!("{} {}\n", message.method, message.path),
        Some(status) => format!("HTTP {status}\n"),
    };
    if message.bearer {
        let _ = writeln!(text, "Authorization: Bearer {MASK}");
    }
    if message.body.is_empty() {
        return text;
    }
    text.push('\n');
    match serde_json::from_slice::<Value>(&message.body) {
        Ok(mut value) => {
            let mut unpacked = Vec::new();
            tidy(&mut value, &mut unpacked);
            let _ = write!(text, "{value:#}");
            for (member, plain) in unpacked {
                let _ = write!(text, "\n\n──── {member} ────\n{plain}");
            }
        }
        Err(_) => text.push_str(&String::from_utf8_lossy(&message.body)),
    }
    text
}

/// Masks secrets, and takes out long texts that are better read by themselves.
fn tidy(value: &mut Value, unpacked: &mut Vec<(String, String)>) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| tidy(item, unpacked)),
        Value::Object(members) => {
            for (name, member) in members.iter_mut() {
                let Value::String(text) = member else {
                    tidy(member, unpacked);
                    continue;
                };
                if SECRETS.contains(&name.as_str()) {
                    *text = MASK.to_owned();
                } else if name == "qr" {
                    let shown = text.rfind('.').and_then(|at| text.get(..=at)).unwrap_or_default();
                    *text = format!("{shown}{MASK}");
                } else if PACKED.contains(&name.as_str())
                    && let Some(plain) =
                        STANDARD.decode(&*text).ok().and_then(|it| String::from_utf8(it).ok())
                {
                    unpacked.push((format!("{name} (base64 →)"), plain));
                    shorten(text);
                } else if name == "value"
                    && let Ok(digest) = STANDARD.decode(&*text)
                    && digest.len() == 32
                {
                    // The page shows digests in hexadecimal; here is the same one.
                    unpacked.push(("digest (base64 → hex)".into(), hex::encode(digest)));
                } else if text.contains('\n') {
                    unpacked.push((name.clone(), text.clone()));
                    shorten(text);
                } else if text.len() > LONG {
                    shorten(text);
                }
            }
        }
        _ => {}
    }
}

fn shorten(text: &mut String) {
    let count = text.chars().count();
    let head: String = text.chars().take_while(|c| *c != '\n').take(40).collect();
    *text = format!("{head}… ({count})");
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn heard(
        line: &'static str,
        method: &str,
        path: &str,
        status: Option<u16>,
        body: &Value,
    ) -> Heard {
        Heard {
            line: (line, "1319990001"),
            method: method.into(),
            path: path.into(),
            bearer: status.is_none(),
            status,
            body: body.to_string().into_bytes(),
        }
    }

    #[test]
    fn no_secret_is_told() {
        let bodies = json!({
            "secret": "SECRET1", "token": {"token": "SECRET3", "until": 1},
            "qr": "https://localhost:1/q#1.0f1e.SECRET4", "list": [{"access_token": "SECRET5"}],
        });
        let told = told(
            &[heard("phone", "POST", wire::path::SESSION_CLAIM, None, &bodies)],
            Side::Hospital,
            None,
        );
        assert!(!told[0].content.contains("SECRET"), "{}", told[0].content);
        assert!(told[0].content.contains("#1.0f1e.●●●"));
        assert!(told[0].content.contains("Authorization: Bearer ●●●\n"));
    }

    #[test]
    fn a_record_in_base64_is_unpacked_and_waiting_is_not_told() {
        let csv = STANDARD.encode("SJ1\n5,,架空　花子\n");
        let path = "/v1/staff/D0001/authentication/01";
        let told = told(
            &[
                heard("ehr", "GET", path, None, &json!({})),
                heard("ehr", "GET", path, Some(200), &json!({"state": "claimed"})),
                heard("gateway", "GET", "/repository/jma.crl", None, &json!({})),
                heard("ehr", "POST", "/v1/prescriptions", None, &json!({"csv": csv})),
            ],
            Side::Hospital,
            None,
        );
        assert_eq!(told.len(), 1);
        assert!(told[0].content.contains("5,,架空　花子"));
        assert_eq!((told[0].from, told[0].to), (Place::Ehr, Place::Gateway));
    }

    #[test]
    fn a_record_that_reached_the_platform_would_be_seen() {
        let csv = STANDARD.encode("SJ1\n");
        let to = |line, body: Value| heard(line, "POST", "/v1/signatures", None, &body);
        assert!(!reached_platform(&[to("ehr", json!({"csv": csv}))], b"SJ1\n").1);
        assert!(reached_platform(&[to("gateway", json!({"csv": csv}))], b"SJ1\n").1);
    }
}
