//! A light phone: one ES256 credential, answering as a browser would. It can be put into a file,
//! which the town's phones cannot, so prepared persons approve again in the next run.

use aws_lc_rs::encoding::{AsBigEndian as _, EcPublicKeyUncompressedBin};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use hpki::encoding::{Digest32, sha256};
use serde_json::{Value, json};
use wire::token::{base64url_decode, base64url_encode};

use crate::runtime::Stop;

/// User present, user verified (WebAuthn Level 3 §6.1).
const PRESENT_AND_VERIFIED: u8 = 0x05;
/// Attested credential data follows.
const ATTESTED: u8 = 0x40;

pub(super) struct Phone {
    key: EcdsaKeyPair,
    origin: String,
    relying_party: Digest32,
}

impl Phone {
    /// A new phone, and its key to be kept.
    pub(super) fn new(origin: &str) -> Result<(Self, Vec<u8>), Stop> {
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING)?;
        let kept = key.to_pkcs8v1()?.as_ref().to_vec();
        Ok((Self::with(key, origin), kept))
    }

    /// The phone whose key was kept.
    pub(super) fn kept(pkcs8: &[u8], origin: &str) -> Result<Self, Stop> {
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, pkcs8)?;
        Ok(Self::with(key, origin))
    }

    fn with(key: EcdsaKeyPair, origin: &str) -> Self {
        Self { key, origin: origin.to_owned(), relying_party: sha256(b"localhost") }
    }

    /// x and y of the public key.
    fn point(&self) -> Result<[u8; 64], Stop> {
        let point: EcPublicKeyUncompressedBin<'_> = self.key.public_key().as_be_bytes()?;
        Ok(point.as_ref().get(1..).unwrap_or_default().try_into()?)
    }

    /// The credential is named after its key.
    fn credential(&self) -> Result<Digest32, Stop> {
        Ok(sha256(&self.point()?))
    }

    /// `navigator.credentials.create()` with attestation `none`.
    pub(super) fn create(&self, challenge: &Digest32) -> Result<Value, Stop> {
        let (point, credential) = (self.point()?, self.credential()?);
        let mut data = self.data(PRESENT_AND_VERIFIED | ATTESTED);
        data.extend_from_slice(&[0; 16]);
        data.extend_from_slice(&[0, 32]);
        data.extend_from_slice(&credential);
        // COSE_Key: {1: 2, 3: -7, -1: 1, -2: x, -3: y} (RFC 9053 §7.1)
        data.extend_from_slice(&[0xa5, 0x01, 0x02, 0x03, 0x26, 0x20, 0x01, 0x21, 0x58, 0x20]);
        data.extend_from_slice(&point[..32]);
        data.extend_from_slice(&[0x22, 0x58, 0x20]);
        data.extend_from_slice(&point[32..]);
        // {"fmt": "none", "attStmt": {}, "authData": data}
        let mut object = b"\xa3\x63fmt\x64none\x67attStmt\xa0\x68authData\x58".to_vec();
        object.push(u8::try_from(data.len())?);
        object.extend_from_slice(&data);
        Ok(answer(
            &credential,
            &json!({
                "clientDataJSON": base64url_encode(&self.client_data("webauthn.create", challenge)),
                "attestationObject": base64url_encode(&object),
                "transports": ["internal"],
            }),
        ))
    }

    /// `navigator.credentials.get()`.
    pub(super) fn get(&self, challenge: &Digest32) -> Result<Value, Stop> {
        let client_data = self.client_data("webauthn.get", challenge);
        let data = self.data(PRESENT_AND_VERIFIED);
        let signed = [data.as_slice(), &sha256(&client_data)].concat();
        let signature = self.key.sign(&SystemRandom::new(), &signed)?;
        Ok(answer(
            &self.credential()?,
            &json!({
                "clientDataJSON": base64url_encode(&client_data),
                "authenticatorData": base64url_encode(&data),
                "signature": base64url_encode(signature.as_ref()),
            }),
        ))
    }

    fn client_data(&self, call: &str, challenge: &Digest32) -> Vec<u8> {
        let (challenge, origin) = (base64url_encode(challenge), &self.origin);
        format!(r#"{{"type":"{call}","challenge":"{challenge}","origin":"{origin}"}}"#).into_bytes()
    }

    /// The counter stays 0, as with synced passkeys.
    fn data(&self, flags: u8) -> Vec<u8> {
        let mut data = self.relying_party.to_vec();
        data.push(flags);
        data.extend_from_slice(&[0; 4]);
        data
    }
}

fn answer(credential: &Digest32, response: &Value) -> Value {
    let id = base64url_encode(credential);
    json!({
        "id": id, "rawId": id, "type": "public-key",
        "response": response,
        "clientExtensionResults": {},
    })
}

/// The secret part and the identifier of a QR text `…#1.<identifier>.<secret>`.
pub(super) fn scan(qr: &str) -> Result<(String, String), Stop> {
    let fragment = qr.split_once("#1.").and_then(|(_, fragment)| fragment.split_once('.'));
    let (id, secret) = fragment.ok_or("QR を読めません (not one of our QR texts)")?;
    Ok((id.to_owned(), secret.to_owned()))
}

/// Octets kept as base64url in a file.
pub(super) fn octets(text: &str) -> Result<Vec<u8>, Stop> {
    Ok(base64url_decode(text).ok_or("base64url ではありません (a kept file is damaged)")?)
}
