//! A phone of the town: a software authenticator (`passkey`) behind what a browser does, so that
//! the platform verifies exactly what a real phone would send.
//!
//! The browser's part – client data with the page's origin, the check that the origin may use the
//! relying party's credentials, user verification – is the library's; the phone adds the memory of
//! its cookies and the owner's will. For tests it can be told to misbehave in one way at a
//! time ([`Manner`]). Its keys are its own: randomness comes from the phone, not from our device.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hpki::encoding::{Digest32, sha256};
use passkey::authenticator::{Authenticator, UiHint, UserCheck, UserValidationMethod};
use passkey::client::{Client, DefaultClientData, DefaultClientDataWithCustomHash, WebauthnError};
use passkey::crypto::rust_crypto::RustCryptoBackend;
use passkey::types::ctap2::{Aaguid, Ctap2Error};
use passkey::types::webauthn::{
    AuthenticatorSelectionCriteria, PublicKeyCredentialCreationOptions,
    PublicKeyCredentialRequestOptions, UserVerificationRequirement,
};
use passkey::types::{Passkey, webauthn};
use serde_json::{Value, json};
use url::Url;

use crate::Refusal;

/// How the phone behaves at the next requests.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Manner {
    /// As a real phone in its owner's hand does.
    #[default]
    Proper,
    /// The owner says no.
    Refuses,
    /// The page runs at another origin than the phone tells the library: a phishing page with a
    /// browser that lets it.
    WrongOrigin(String),
    /// Answers without having verified its owner.
    NoUserVerification,
    /// The page runs in a frame of another site.
    InFrame,
    /// Answers another challenge than the one it was given (a replayed or swapped statement).
    OtherChallenge,
    /// Spoils its signature.
    BrokenSignature,
}

/// What stands in a QR code of the platform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scanned {
    /// An initial-registration sheet (`/r`).
    Sheet {
        /// The sheet's identifier.
        id: String,
        /// Its secret.
        secret: String,
    },
    /// A terminal's authentication request (`/q`).
    Ceremony {
        /// The ceremony's identifier.
        id: String,
        /// Its secret.
        secret: String,
    },
}

/// Someone's finger on the phone.
struct Finger {
    willing: Arc<AtomicBool>,
}

#[async_trait::async_trait]
impl UserValidationMethod for Finger {
    type PasskeyItem = Passkey;

    async fn check_user<'a>(
        &self,
        _hint: UiHint<'a, Passkey>,
        presence: bool,
        verification: bool,
    ) -> Result<UserCheck, Ctap2Error> {
        if self.willing.load(Ordering::SeqCst) {
            Ok(UserCheck { presence, verification })
        } else {
            Err(Ctap2Error::OperationDenied)
        }
    }

    fn is_presence_enabled(&self) -> bool {
        true
    }

    fn is_verification_enabled(&self) -> Option<bool> {
        Some(true)
    }
}

type Browser =
    Client<Option<Passkey>, Finger, RustCryptoBackend, public_suffix::PublicSuffixList, ()>;

/// One phone: at most one credential, one owner, the cookies of one site.
pub struct Phone {
    label: String,
    origin: Url,
    origin_text: String,
    browser: Browser,
    willing: Arc<AtomicBool>,
    manner: Manner,
    /// Asking changes them, and asking is not an act of the phone's owner.
    cookies: Mutex<BTreeMap<String, String>>,
    memory: Memory,
}

/// What the phone remembers of its owner's key, so that she can look for its history in the
/// journal without believing the platform.
#[derive(Clone, Default)]
pub struct Memory {
    /// The key of her stream.
    pub stream_key: Vec<u8>,
    /// Where her stream stood each time she approved: the number of its last entry, and the
    /// commitment of that. Her approval signed it.
    pub heads: Vec<(u64, Digest32)>,
}

impl std::fmt::Debug for Phone {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Phone")
            .field("label", &self.label)
            .field("origin", &self.origin_text)
            .field("linked", &self.is_linked())
            .finish_non_exhaustive()
    }
}

impl Phone {
    /// A new phone, called `label`, whose browser stands on a page of `origin`, e.g.
    /// `https://localhost:8443`. Refuses an origin that is no URL with a host name.
    pub fn new(label: &str, origin: &str) -> Result<Self, Refusal> {
        let url = Url::parse(origin).map_err(|why| Refusal::PhoneWrongSite(why.to_string()))?;
        // WebAuthn gives no credential to an IP address: it can be nobody's relying party ID.
        let Some(host) = url.domain() else {
            return Err(Refusal::PhoneWrongSite(format!("{origin} has no host name")));
        };
        // The library, once told to allow localhost, lets every origin claim it.
        let local = host == "localhost" || host.ends_with(".localhost");
        let willing = Arc::new(AtomicBool::new(true));
        let authenticator = Authenticator::new(
            Aaguid::new_empty(),
            None,
            Finger { willing: Arc::clone(&willing) },
            RustCryptoBackend,
        );
        Ok(Self {
            label: label.to_owned(),
            origin_text: url.origin().ascii_serialization(),
            origin: url,
            browser: Client::new(authenticator).allows_insecure_localhost(local),
            willing,
            manner: Manner::Proper,
            cookies: Mutex::default(),
            memory: Memory::default(),
        })
    }

    /// What the owner calls the phone.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// The origin its browser stands on.
    pub fn origin(&self) -> &str {
        &self.origin_text
    }

    /// Whether it holds a credential.
    pub fn is_linked(&self) -> bool {
        self.browser.authenticator().store().is_some()
    }

    fn jar(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, String>> {
        self.cookies.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The cookies that the platform left here, as they are sent back to it.
    pub fn cookies(&self) -> Option<String> {
        let pairs: Vec<_> =
            self.jar().iter().map(|(name, value)| format!("{name}={value}")).collect();
        (!pairs.is_empty()).then(|| pairs.join("; "))
    }

    /// Keeps what a `Set-Cookie` line says. Its attributes are for browsers that visit many sites;
    /// one without time to live is taken away.
    pub fn keep_cookie(&self, line: &str) {
        let mut parts = line.split(';').map(str::trim);
        let Some((name, value)) = parts.next().and_then(|pair| pair.split_once('=')) else {
            return;
        };
        if parts.any(|attribute| attribute.eq_ignore_ascii_case("max-age=0")) {
            self.jar().remove(name);
        } else {
            self.jar().insert(name.to_owned(), value.to_owned());
        }
    }

    /// What it remembers of its owner's key.
    pub fn memory(&self) -> &Memory {
        &self.memory
    }

    /// Keeps the key of its owner's stream.
    pub fn keep_stream_key(&mut self, key: Vec<u8>) {
        self.memory.stream_key = key;
    }

    /// Remembers where its owner's stream stood in the approval that was just signed.
    pub fn keep_head(&mut self, seq: u64, commitment: Digest32) {
        self.memory.heads.push((seq, commitment));
    }

    /// From now on behaves in this manner.
    pub fn behave(&mut self, manner: Manner) {
        self.willing.store(manner != Manner::Refuses, Ordering::SeqCst);
        self.manner = manner;
    }

    /// Reads a QR code. Refuses one that does not lead to the origin this phone stands on.
    pub fn scan(&self, text: &str) -> Result<Scanned, Refusal> {
        let url = Url::parse(text).map_err(|_| Refusal::PhoneQrUnreadable)?;
        if url.origin().ascii_serialization() != self.origin_text {
            return Err(Refusal::PhoneWrongSite(url.origin().ascii_serialization()));
        }
        let mut parts = url.fragment().unwrap_or_default().split('.');
        let (Some("1"), Some(id), Some(secret), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(Refusal::PhoneQrUnreadable);
        };
        let (id, secret) = (id.to_owned(), secret.to_owned());
        match url.path() {
            "/r" => Ok(Scanned::Sheet { id, secret }),
            "/q" => Ok(Scanned::Ceremony { id, secret }),
            _ => Err(Refusal::PhoneQrUnreadable),
        }
    }

    /// What `navigator.credentials.create(options)` answers on this phone, as
    /// RegistrationResponseJSON (WebAuthn Level 3 §5.1.8). `options` are
    /// PublicKeyCredentialCreationOptionsJSON, bare or under `publicKey`.
    pub fn create(&mut self, options: &Value) -> Result<Value, Refusal> {
        let mut options: PublicKeyCredentialCreationOptions = read(options)?;
        if self.manner == Manner::NoUserVerification {
            let criteria = options.authenticator_selection.take();
            options.authenticator_selection = Some(AuthenticatorSelectionCriteria {
                user_verification: UserVerificationRequirement::Discouraged,
                authenticator_attachment: None,
                resident_key: criteria.as_ref().and_then(|criteria| criteria.resident_key),
                require_resident_key: criteria.is_some_and(|it| it.require_resident_key),
            });
        }
        let forged = self.forged_client_data("webauthn.create", &options.challenge);
        let request = webauthn::CredentialCreationOptions { public_key: options };
        let made = match &forged {
            None => now(self.browser.register(&self.origin, request, DefaultClientData))?,
            Some(text) => {
                let hash = DefaultClientDataWithCustomHash(sha256(text.as_bytes()).to_vec());
                now(self.browser.register(&self.origin, request, hash))?
            }
        }
        .map_err(refused)?;
        let client_data =
            forged.map_or(made.response.client_data_json.to_vec(), String::into_bytes);
        Ok(json!({
            "id": made.id,
            "rawId": b64(&made.raw_id),
            "type": "public-key",
            "authenticatorAttachment": "platform",
            "response": {
                "clientDataJSON": b64(&client_data),
                "attestationObject": b64(&made.response.attestation_object),
                "authenticatorData": b64(&made.response.authenticator_data),
                "publicKey": made.response.public_key.as_ref().map(|key| b64(key)),
                "publicKeyAlgorithm": made.response.public_key_algorithm,
                "transports": ["internal", "hybrid"],
            },
            "clientExtensionResults": {},
        }))
    }

    /// What `navigator.credentials.get(options)` answers on this phone, as
    /// AuthenticationResponseJSON. `options` are PublicKeyCredentialRequestOptionsJSON, bare or
    /// under `publicKey`.
    pub fn get(&mut self, options: &Value) -> Result<Value, Refusal> {
        let mut options: PublicKeyCredentialRequestOptions = read(options)?;
        if self.manner == Manner::NoUserVerification {
            options.user_verification = UserVerificationRequirement::Discouraged;
        }
        let forged = self.forged_client_data("webauthn.get", &options.challenge);
        let request = webauthn::CredentialRequestOptions { public_key: options };
        let made = match &forged {
            None => now(self.browser.authenticate(&self.origin, request, DefaultClientData))?,
            Some(text) => {
                let hash = DefaultClientDataWithCustomHash(sha256(text.as_bytes()).to_vec());
                now(self.browser.authenticate(&self.origin, request, hash))?
            }
        }
        .map_err(refused)?;
        let client_data =
            forged.map_or(made.response.client_data_json.to_vec(), String::into_bytes);
        let mut signature = made.response.signature.to_vec();
        if self.manner == Manner::BrokenSignature
            && let Some(last) = signature.last_mut()
        {
            *last ^= 1;
        }
        Ok(json!({
            "id": made.id,
            "rawId": b64(&made.raw_id),
            "type": "public-key",
            "authenticatorAttachment": "platform",
            "response": {
                "clientDataJSON": b64(&client_data),
                "authenticatorData": b64(&made.response.authenticator_data),
                "signature": b64(&signature),
                "userHandle": made.response.user_handle.as_ref().map(|handle| b64(handle)),
            },
            "clientExtensionResults": {},
        }))
    }

    /// As [`Phone::get`], after comparing the challenge with that of the statement which the page
    /// showed to the owner: a page that shows one thing and has another signed gets nothing.
    pub fn approve(&mut self, shown: &Digest32, options: &Value) -> Result<Value, Refusal> {
        self.compare(shown, options)?;
        self.get(options)
    }

    /// As [`Phone::create`], after the same comparison.
    pub fn link(&mut self, shown: &Digest32, options: &Value) -> Result<Value, Refusal> {
        self.compare(shown, options)?;
        self.create(options)
    }

    fn compare(&self, shown: &Digest32, options: &Value) -> Result<(), Refusal> {
        let asked = bare(options).get("challenge").and_then(Value::as_str);
        if asked == Some(b64(shown).as_str()) {
            Ok(())
        } else {
            Err(Refusal::PhoneStatementDiffers)
        }
    }

    /// The client data of a dishonest browser, or `None` where the manner leaves them alone.
    fn forged_client_data(&self, ty: &str, challenge: &[u8]) -> Option<String> {
        let mut challenge = challenge.to_vec();
        let (mut origin, mut framed) = (self.origin_text.as_str(), false);
        match &self.manner {
            Manner::WrongOrigin(other) => origin = other,
            Manner::InFrame => framed = true,
            Manner::OtherChallenge => challenge = sha256(&challenge).to_vec(),
            Manner::Proper
            | Manner::Refuses
            | Manner::NoUserVerification
            | Manner::BrokenSignature => return None,
        }
        Some(format!(
            r#"{{"type":"{ty}","challenge":"{}","origin":"{origin}","crossOrigin":{framed}}}"#,
            b64(&challenge)
        ))
    }
}

fn b64(octets: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(octets)
}

fn bare(options: &Value) -> &Value {
    options.get("publicKey").unwrap_or(options)
}

fn read<T: serde::de::DeserializeOwned>(options: &Value) -> Result<T, Refusal> {
    serde_json::from_value(bare(options).clone())
        .map_err(|why| Refusal::PhoneOptionsUnreadable(why.to_string()))
}

fn refused(why: WebauthnError) -> Refusal {
    match why {
        WebauthnError::CredentialNotFound => Refusal::PhoneNotLinked,
        WebauthnError::AuthenticatorError(code)
            if code == u8::from(Ctap2Error::OperationDenied) =>
        {
            Refusal::PhoneOwnerRefused
        }
        WebauthnError::OriginMissingDomain
        | WebauthnError::OriginRpMissmatch
        | WebauthnError::UnprotectedOrigin
        | WebauthnError::InsecureLocalhostNotAllowed
        | WebauthnError::RequiresRelatedOriginsSupport
        | WebauthnError::InvalidRpId => Refusal::PhoneWrongSite(format!("{why:?}")),
        other => Refusal::PhoneFailed(format!("{other:?}")),
    }
}

/// Runs a future of the software authenticator, which waits for nothing: its store is memory and
/// its owner answers at once. So the phone needs no runtime.
fn now<F: Future>(future: F) -> Result<F::Output, Refusal> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Ok(output),
        Poll::Pending => Err(Refusal::PhoneFailed("it did not answer".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORIGIN: &str = "https://localhost:8443";

    fn creation(challenge: &Digest32) -> Value {
        json!({ "publicKey": {
            "rp": { "id": "localhost", "name": "Azukari TEST" },
            "user": { "id": b64(b"0123456789abcdef"), "name": "TEST100001", "displayName": "架空 花子" },
            "challenge": b64(challenge),
            "pubKeyCredParams": [
                { "type": "public-key", "alg": -7 },
                { "type": "public-key", "alg": -257 },
                { "type": "public-key", "alg": -8 },
            ],
            "authenticatorSelection": {
                "residentKey": "required",
                "requireResidentKey": true,
                "userVerification": "required",
            },
            "attestation": "none",
        }})
    }

    fn request(challenge: &Digest32, id: &Value) -> Value {
        json!({
            "challenge": b64(challenge),
            "rpId": "localhost",
            "allowCredentials": [{ "type": "public-key", "id": id }],
            "userVerification": "required",
        })
    }

    fn linked() -> (Phone, Value) {
        let mut phone = Phone::new("花子のスマートフォン", ORIGIN).unwrap();
        let challenge = sha256(b"link");
        let made = phone.link(&challenge, &creation(&challenge)).unwrap();
        let id = made["id"].clone();
        (phone, id)
    }

    fn octets(value: &Value) -> Vec<u8> {
        URL_SAFE_NO_PAD.decode(value.as_str().unwrap()).unwrap()
    }

    fn client_data(answer: &Value) -> Value {
        serde_json::from_slice(&octets(&answer["response"]["clientDataJSON"])).unwrap()
    }

    /// Whether the assertion verifies under the public key of the attestation.
    fn verifies(attestation: &Value, assertion: &Value) -> bool {
        let spki = octets(&attestation["response"]["publicKey"]);
        let mut message = octets(&assertion["response"]["authenticatorData"]);
        message.extend(sha256(&octets(&assertion["response"]["clientDataJSON"])));
        let key = aws_lc_rs::signature::UnparsedPublicKey::new(
            &aws_lc_rs::signature::ECDSA_P256_SHA256_ASN1,
            // The last 65 octets of a P-256 SubjectPublicKeyInfo are the uncompressed point.
            &spki[spki.len() - 65..],
        );
        key.verify(&message, &octets(&assertion["response"]["signature"])).is_ok()
    }

    #[test]
    fn a_linked_phone_answers_as_a_browser_does() {
        let mut phone = Phone::new("電話", ORIGIN).unwrap();
        let challenge = sha256(b"link");
        let made = phone.link(&challenge, &creation(&challenge)).unwrap();
        assert_eq!(client_data(&made)["type"], "webauthn.create");
        assert_eq!(client_data(&made)["origin"], ORIGIN);
        assert_eq!(client_data(&made)["crossOrigin"], false);

        let challenge = sha256(b"today");
        let answer = phone.approve(&challenge, &request(&challenge, &made["id"])).unwrap();
        assert_eq!(client_data(&answer)["challenge"], b64(&challenge));
        let data = octets(&answer["response"]["authenticatorData"]);
        assert_eq!(data[..32], sha256(b"localhost"));
        assert_eq!(data[32] & 0b101, 0b101, "user present and verified");
        assert_eq!(octets(&answer["response"]["userHandle"]), b"0123456789abcdef");
        assert!(verifies(&made, &answer));
    }

    #[test]
    fn a_statement_that_was_not_shown_is_not_signed() {
        let (mut phone, id) = linked();
        let refusal = phone.approve(&sha256(b"shown"), &request(&sha256(b"other"), &id));
        assert_eq!(refusal, Err(Refusal::PhoneStatementDiffers));
    }

    #[test]
    fn each_misbehaviour_shows_in_the_answer_and_nowhere_else() {
        let (mut phone, id) = linked();
        let challenge = sha256(b"today");
        let asked = request(&challenge, &id);

        phone.behave(Manner::WrongOrigin("https://evil.example".into()));
        assert_eq!(client_data(&phone.get(&asked).unwrap())["origin"], "https://evil.example");
        phone.behave(Manner::InFrame);
        assert_eq!(client_data(&phone.get(&asked).unwrap())["crossOrigin"], true);
        phone.behave(Manner::OtherChallenge);
        assert_ne!(client_data(&phone.get(&asked).unwrap())["challenge"], b64(&challenge));
        phone.behave(Manner::NoUserVerification);
        let data = octets(&phone.get(&asked).unwrap()["response"]["authenticatorData"]);
        assert_eq!(data[32] & 0b101, 0b001, "present, not verified");
        phone.behave(Manner::Refuses);
        assert_eq!(phone.get(&asked), Err(Refusal::PhoneOwnerRefused));
        phone.behave(Manner::Proper);
        assert!(phone.get(&asked).is_ok());
    }

    #[test]
    fn a_dishonest_answer_is_still_signed_by_the_phone_but_a_broken_one_is_not() {
        let mut phone = Phone::new("電話", ORIGIN).unwrap();
        let challenge = sha256(b"link");
        let made = phone.create(&creation(&challenge)).unwrap();
        let asked = request(&challenge, &made["id"]);
        phone.behave(Manner::WrongOrigin("https://evil.example".into()));
        assert!(verifies(&made, &phone.get(&asked).unwrap()));
        phone.behave(Manner::BrokenSignature);
        assert!(!verifies(&made, &phone.get(&asked).unwrap()));
    }

    #[test]
    fn an_unlinked_phone_and_a_strangers_site_get_nothing() {
        let mut phone = Phone::new("電話", ORIGIN).unwrap();
        let challenge = sha256(b"today");
        let asked = request(&challenge, &json!(b64(b"0123456789abcdef")));
        assert_eq!(phone.get(&asked), Err(Refusal::PhoneNotLinked));

        let (_, id) = linked();
        let mut elsewhere = Phone::new("電話", "https://hpki.example.com").unwrap();
        assert!(matches!(
            elsewhere.get(&request(&challenge, &id)),
            Err(Refusal::PhoneWrongSite(_))
        ));
        assert!(matches!(
            Phone::new("電話", "https://127.0.0.1:1"),
            Err(Refusal::PhoneWrongSite(_))
        ));
        assert!(matches!(
            phone.get(&json!({ "challenge": 7 })),
            Err(Refusal::PhoneOptionsUnreadable(_))
        ));
    }

    #[test]
    fn a_plain_http_page_on_localhost_is_a_secure_context() {
        let mut phone = Phone::new("電話", "http://localhost:8080").unwrap();
        let challenge = sha256(b"link");
        let made = phone.create(&creation(&challenge)).unwrap();
        assert_eq!(client_data(&made)["origin"], "http://localhost:8080");
    }

    #[test]
    fn only_the_platforms_own_qr_codes_are_followed() {
        let phone = Phone::new("電話", ORIGIN).unwrap();
        assert_eq!(
            phone.scan("https://localhost:8443/q#1.abc.def"),
            Ok(Scanned::Ceremony { id: "abc".into(), secret: "def".into() })
        );
        assert_eq!(
            phone.scan("https://localhost:8443/r#1.abc.def"),
            Ok(Scanned::Sheet { id: "abc".into(), secret: "def".into() })
        );
        for other in [
            "https://localhost:8443/q#2.abc.def",
            "https://localhost:8443/q#1.abc",
            "https://localhost:8443/q#1.a.b.c",
            "https://localhost:8443/x#1.abc.def",
            "hello",
        ] {
            assert_eq!(phone.scan(other), Err(Refusal::PhoneQrUnreadable), "{other}");
        }
        assert!(matches!(
            phone.scan("https://evil.example/q#1.abc.def"),
            Err(Refusal::PhoneWrongSite(_))
        ));
    }
}
