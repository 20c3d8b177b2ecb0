//! 鍵の受け入れ: a key that a registered authority made is taken over.
//!
//! Four things must come together: a directive, prepared by one officer and released by another,
//! that names owner and certificate; the authority's own connection; the key wrapped to our device;
//! and a certificate of that authority whose public key the device finds to be the key's. The
//! authority gets a receipt that anybody can verify.

use std::sync::{Arc, PoisonError};

use hpki::Certificate;
use hpki::encoding::{Digest32, Statement, sha256};
use hpki::id::{DirectiveId, KeyId, PersonId};
use hpki::policy;
use hpki::qualification::Qualification;
use hpki::time::Timestamp;
use hsm::{OaepDigest, Package};
use ledger::{Event, Failed, Fault, Note, Record};
use serde::{Deserialize, Serialize};

use crate::directive::{Act, Confirmation};
use crate::end::{Paper, keep};
use crate::key::{KeyRow, KeyState, Purpose};
use crate::life::signing_certificate;
use crate::refusal::Refusal;
use crate::room::Custody;
use crate::{Failed as Bad, refused};

/// An authority from which keys are taken over.
#[derive(Debug, Clone)]
pub struct Importer {
    /// Its name in directives.
    pub name: String,
    /// SHA-256 of the client certificate with which it connects.
    pub x5t: Digest32,
    /// The certificate of the authority that signs subscribers' certificates.
    pub authority: Certificate,
}

/// A key that was taken over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imported {
    /// Its number here.
    pub key: KeyId,
    /// The authority's receipt ([`ImportReceipt`]).
    pub receipt: Paper,
}

/// What the authority keeps: which key arrived, from which package, by whose decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImportReceipt {
    /// 1.
    pub v: u32,
    /// `key-imported`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The platform.
    pub platform: String,
    /// Who handed it over.
    pub authority: String,
    /// The key's number here.
    pub key: KeyId,
    /// Whose.
    pub owner: PersonId,
    /// For which qualification.
    pub role: String,
    /// What it is for.
    pub purpose: Purpose,
    /// SHA-256 of the public key that the device found, in hexadecimal.
    pub spki_sha256: String,
    /// SHA-256 of the certificate.
    pub certificate_sha256: String,
    /// SHA-256 of the record of the owner's consent.
    pub consent: String,
    /// `H("azukari/package/v1"; digest, wrapped AES key, wrapped key)`: which package it was.
    pub package: String,
    /// When.
    pub imported: Timestamp,
    /// The directive by which.
    pub directive: DirectiveId,
    /// Who prepared and who released it.
    pub officers: Vec<Confirmation>,
}

fn package_hash(package: &Package) -> Digest32 {
    Statement::new("azukari/package/v1")
        .text(match package.digest {
            OaepDigest::Sha1 => "sha1",
            OaepDigest::Sha256 => "sha256",
        })
        .octets_field(&package.wrapped_aes)
        .octets_field(&package.wrapped_key)
        .digest()
}

impl Custody {
    /// Replaces the registered authorities.
    pub fn pin_importers(&self, importers: Vec<Importer>) {
        *self.0.importers.write().unwrap_or_else(PoisonError::into_inner) = importers;
    }

    /// The key to which authorities wrap what they hand over: RSA, DER SubjectPublicKeyInfo. Only
    /// for a registered authority.
    ///
    /// Refused: `importer-unknown`.
    pub fn import_key(&self, x5t: &Digest32) -> Result<Vec<u8>, Bad> {
        self.importer(x5t)?;
        self.0.room.import_key()
    }

    fn importer(&self, x5t: &Digest32) -> Result<Importer, Bad> {
        let importers = self.0.importers.read().unwrap_or_else(PoisonError::into_inner);
        match importers.iter().find(|importer| importer.x5t == *x5t) {
            Some(importer) => Ok(importer.clone()),
            None => refused(Refusal::ImporterUnknown),
        }
    }

    /// Takes over a key. It enters its life as certified; [`Custody::hold`] takes it into keeping.
    ///
    /// Refused: `importer-unknown`; what a directive is refused for;
    /// `import-not-as-directed` (another authority or certificate than the directive names),
    /// `certificate-not-for-signing`, `certificate-not-of-importer`, what is wrong with the
    /// certificate's time; `consent-missing`; `import-broken`, `import-key-mismatch`, `import-unsupported` (the
    /// device); `key-already-kept`.
    pub async fn import(
        &self,
        directive: DirectiveId,
        x5t: &Digest32,
        package: &Package,
        certificate: &Certificate,
        now: Timestamp,
    ) -> Result<Imported, Bad> {
        let inner = &*self.0;
        let importer = self.importer(x5t)?;
        let ready = inner.ready(directive, now).await?;
        let Act::Import { authority, person, role, purpose, consent, certificate: named } =
            ready.directive.act.clone()
        else {
            return refused(Refusal::DirectiveOfAnotherAct);
        };
        if authority != importer.name || named != hex::encode(certificate.sha256()) {
            return refused(Refusal::ImportNotAsDirected);
        }
        let Some(qualification) = Qualification::from_role(&role) else {
            return refused(Refusal::CertificateNotForSigning("its qualification"));
        };
        signing_certificate(certificate, qualification).map_err(Failed::Refused)?;
        issued_by(certificate, &importer.authority, now).map_err(Failed::Refused)?;
        let consent: Digest32 = hex::decode(&consent)
            .ok()
            .and_then(|octets| octets.try_into().ok())
            .ok_or(Failed::Refused(Refusal::ConsentMissing))?;

        let key = KeyId::random(&*inner.random);
        let spki = certificate.spki_der();
        let made = inner.room.import(package, spki, key, person, purpose.policy(), now)?;
        let receipt = ImportReceipt {
            v: 1,
            kind: "key-imported".into(),
            platform: inner.config.issuer.clone(),
            authority: importer.name.clone(),
            key,
            owner: person,
            role,
            purpose,
            spki_sha256: hex::encode(sha256(&made.spki_der)),
            certificate_sha256: named,
            consent: hex::encode(consent),
            package: hex::encode(package_hash(package)),
            imported: now,
            directive,
            officers: ready.directive.confirmations.clone(),
        };
        let words = serde_json::to_string(&receipt)
            .map_err(|error| Fault::Misuse(format!("a receipt cannot be written: {error}")))?;
        let mut row = KeyRow {
            id: key,
            owner: person,
            qualification,
            purpose,
            state: KeyState::Certified,
            reason: String::new(),
            spki: made.spki_der,
            wrapped: made.wrapped,
            proof: made.proof,
            created: now,
            consent,
            origin: importer.name,
            certificate: Some(certificate.der().to_vec()),
            ended: None,
            not_after: Some(certificate.not_after()),
            seal: Vec::new(),
        };
        row.seal = inner.room.seal(&row.statement())?.to_vec();
        let mut record = Record::of_key(Event::KeyImported, key, now);
        record.person = Some(person);
        record.evidence = Some(sha256(words.as_bytes()));
        let work = Arc::new((row, record, ready, words.clone()));
        // Dying before this commit leaves nothing: the authority still has the key and tries again.
        let (_, proven) = inner
            .ledger
            .record(move |tx| {
                let (row, record, ready, words) = &*work;
                ready.close(tx)?;
                if !row.insert(tx)? {
                    return Err(Failed::Refused(Refusal::KeyAlreadyKept));
                }
                keep(tx, row.id, "import", words)?;
                Ok(((), Note(record.clone())))
            })
            .await?;
        let receipt = Paper { words, index: proven.index(), proof: proven.proof() };
        Ok(Imported { key, receipt })
    }

    /// The receipt of an import, again.
    pub async fn import_receipt(&self, key: KeyId) -> Result<Paper, Bad> {
        self.0.paper(key, "import").await
    }
}

/// Whether the authority signed this certificate, and it is in force.
fn issued_by(
    certificate: &Certificate,
    authority: &Certificate,
    now: Timestamp,
) -> Result<(), Refusal> {
    let algorithm = policy::in_certificates(certificate.signature_algorithm(), now)?;
    let signed =
        policy::verify(algorithm, authority.spki_der(), certificate.tbs(), certificate.signature());
    if certificate.issuer() != authority.subject() || signed.is_err() {
        return Err(Refusal::CertificateNotOfImporter);
    }
    if !certificate.is_valid_at(now) {
        return Err(Refusal::CertificateNotForSigning("its time"));
    }
    Ok(())
}
