//! A phone in forty lines, for tests (feature `simulator`): it makes ES256 credentials and signs
//! assertions, and does on demand what a real one must not.

#![allow(clippy::expect_used, reason = "for tests only")]

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use ciborium::Value;
use hpki::encoding::sha256;

use crate::webauthn::auth_data::{AT, UP, UV};
use crate::{AssertionResponse, RegistrationResponse};

/// A phone with one credential. Change its fields to make it misbehave.
#[derive(Debug)]
pub struct Phone {
    key: EcdsaKeyPair,
    /// The relying party it believes in.
    pub rp_id: String,
    /// The page it believes to be on.
    pub origin: String,
    /// Its credential's identifier.
    pub credential_id: Vec<u8>,
    /// The user handle that it will name; set by [`Phone::create`].
    pub user_handle: Option<Vec<u8>>,
    /// Flags other than AT.
    pub flags: u8,
    /// The signature counter of its next answer; it does not rise by itself.
    pub counter: u32,
    /// What is put into clientDataJSON besides type, challenge and origin, e.g.
    /// `,"crossOrigin":true`.
    pub extra: String,
}

impl Phone {
    /// A phone for this relying party and origin.
    pub fn new(rp_id: &str, origin: &str, credential_id: &[u8]) -> Self {
        Self {
            key: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).expect("a key"),
            rp_id: rp_id.into(),
            origin: origin.into(),
            credential_id: credential_id.into(),
            user_handle: None,
            flags: UP | UV,
            counter: 0,
            extra: String::new(),
        }
    }

    /// `navigator.credentials.create()` with attestation `none`.
    pub fn create(&mut self, challenge: &[u8], user_handle: &[u8]) -> RegistrationResponse {
        self.user_handle = Some(user_handle.to_vec());
        let cose = self.cose();
        self.create_with("none", Value::Map(vec![]), challenge, &cose)
    }

    /// As [`Phone::create`], with a chosen attestation and public key.
    pub fn create_with(
        &self,
        format: &str,
        statement: Value,
        challenge: &[u8],
        cose: &[u8],
    ) -> RegistrationResponse {
        let mut data = self.data(self.flags | AT);
        data.extend_from_slice(&[0; 16]);
        let length = u16::try_from(self.credential_id.len()).expect("a short identifier");
        data.extend_from_slice(&length.to_be_bytes());
        data.extend_from_slice(&self.credential_id);
        data.extend_from_slice(cose);
        let object = Value::Map(vec![
            ("fmt".into(), format.into()),
            ("attStmt".into(), statement),
            ("authData".into(), Value::Bytes(data)),
        ]);
        RegistrationResponse {
            credential_id: self.credential_id.clone(),
            client_data_json: self.client_data("webauthn.create", challenge),
            attestation_object: cbor(&object),
        }
    }

    /// `navigator.credentials.get()`.
    pub fn get(&self, challenge: &[u8]) -> AssertionResponse {
        self.get_as("webauthn.get", challenge)
    }

    /// As [`Phone::get`], with a chosen type.
    pub fn get_as(&self, kind: &str, challenge: &[u8]) -> AssertionResponse {
        let client_data_json = self.client_data(kind, challenge);
        let authenticator_data = self.data(self.flags);
        let mut signed = authenticator_data.clone();
        signed.extend_from_slice(&sha256(&client_data_json));
        AssertionResponse {
            credential_id: self.credential_id.clone(),
            client_data_json,
            signature: self.sign(&signed),
            authenticator_data,
            user_handle: self.user_handle.clone(),
        }
    }

    /// Signs with the credential's key.
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.key.sign(&SystemRandom::new(), message).expect("a signature").as_ref().to_vec()
    }

    /// The public key as COSE_Key.
    pub fn cose(&self) -> Vec<u8> {
        let point = self.key.public_key().as_ref();
        cbor(&Value::Map(vec![
            (1.into(), 2.into()),
            (3.into(), (-7).into()),
            ((-1).into(), 1.into()),
            ((-2).into(), Value::Bytes(point[1..33].to_vec())),
            ((-3).into(), Value::Bytes(point[33..].to_vec())),
        ]))
    }

    fn client_data(&self, kind: &str, challenge: &[u8]) -> Vec<u8> {
        format!(
            r#"{{"type":"{kind}","challenge":"{}","origin":"{}"{}}}"#,
            crate::b64::encode(challenge),
            self.origin,
            self.extra
        )
        .into_bytes()
    }

    fn data(&self, flags: u8) -> Vec<u8> {
        let mut data = sha256(self.rp_id.as_bytes()).to_vec();
        data.push(flags);
        data.extend_from_slice(&self.counter.to_be_bytes());
        data
    }
}

/// The browser's JSON form of a registration.
pub fn registration_json(response: &RegistrationResponse) -> serde_json::Value {
    let id = crate::b64::encode(&response.credential_id);
    serde_json::json!({
        "id": id, "rawId": id, "type": "public-key",
        "response": {
            "clientDataJSON": crate::b64::encode(&response.client_data_json),
            "attestationObject": crate::b64::encode(&response.attestation_object),
            "transports": ["internal", "hybrid"],
        },
        "clientExtensionResults": {},
    })
}

/// The browser's JSON form of an assertion.
pub fn assertion_json(response: &AssertionResponse) -> serde_json::Value {
    let id = crate::b64::encode(&response.credential_id);
    serde_json::json!({
        "id": id, "rawId": id, "type": "public-key",
        "response": {
            "clientDataJSON": crate::b64::encode(&response.client_data_json),
            "authenticatorData": crate::b64::encode(&response.authenticator_data),
            "signature": crate::b64::encode(&response.signature),
            "userHandle": response.user_handle.as_ref().map(|handle| crate::b64::encode(handle)),
        },
        "clientExtensionResults": {},
    })
}

/// The octets of a CBOR value.
pub fn cbor(value: &Value) -> Vec<u8> {
    let mut octets = Vec::new();
    ciborium::into_writer(value, &mut octets).expect("memory");
    octets
}
