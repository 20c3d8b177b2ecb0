//! Asking for signatures of documents: `signatures/signDoc`, by their digests alone.

use hpki::encoding::Digest32;
use serde::Deserialize;
use serde::de::IgnoredAny;
use utoipa::ToSchema;

use super::sign::{algorithm, later};
use super::{Later, digests};
use crate::csc::{Given, Named, RSA_SHA256, SHA256, SignatureFormat, Version, Wrong};

/// `signatures/signDoc`, version 2.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[schema(as = CscSignDocRequest, example = json!({"credentialID": "00112233445566778899aabbccddeeff.statement", "SAD": "…", "documentDigests": [{"hashes": ["sTOgwOm+474gFj0q0x1iSNspKqbcse4IeiqlDg/HWuI="], "hashAlgorithmOID": "2.16.840.1.101.3.4.2.1", "signature_format": "P", "conformance_level": "AdES-B-B", "signAlgo": "1.2.840.113549.1.1.1"}]}))]
pub struct SignDoc {
    /// Which credential; or, with `signatureQualifier` in its place, the caller's only one of it.
    #[serde(default, rename = "credentialID")]
    #[schema(value_type = Option<String>)]
    pub credential: Given<String>,
    /// `jp_hpki_<kind>`
    #[serde(default, rename = "signatureQualifier")]
    #[schema(value_type = Option<String>)]
    pub qualifier: Given<String>,
    /// What `credentials/authorize` gave.
    #[serde(default, rename = "SAD")]
    #[schema(value_type = String)]
    pub sad: Given<String>,
    /// Digests of documents, grouped by how they are to be signed.
    #[serde(default, rename = "documentDigests")]
    #[schema(value_type = Vec<DocumentDigests>)]
    pub digests: Given<Vec<DocumentDigests>>,
    /// Refused: documents stay where they are.
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>)]
    pub documents: Given<IgnoredAny>,
    /// `S` (if absent): the answer carries the signatures. `A`: it carries a `responseID`.
    #[serde(default, rename = "operationMode")]
    #[schema(value_type = Option<String>)]
    pub operation_mode: Given<String>,
    /// With `A`: for how many milliseconds the signatures are kept, at most 24 hours; an hour if
    /// absent.
    #[serde(default)]
    #[schema(value_type = Option<u64>)]
    pub validity_period: Given<i64>,
    /// With `A`: a registered address that is told when the signatures are there.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub response_uri: Given<String>,
    /// Whether revocation lists are wanted beside the signatures.
    #[serde(default, rename = "returnValidationInfo")]
    #[schema(value_type = Option<bool>)]
    pub validation_info: Given<bool>,
    /// Ignored.
    #[serde(default, rename = "clientData")]
    #[schema(value_type = Option<String>)]
    pub client_data: Given<String>,
}

/// Digests that are signed in the same way.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[schema(as = CscDocumentDigests)]
pub struct DocumentDigests {
    /// SHA-256 values in base64. One alone may stand without brackets, as in the specification's
    /// own example.
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    pub hashes: Given<OneOrMore>,
    /// `2.16.840.1.101.3.4.2.1` (SHA-256); required where `signAlgo` does not say it.
    #[serde(default, rename = "hashAlgorithmOID")]
    #[schema(value_type = Option<String>)]
    pub hash_algorithm: Given<String>,
    /// `C` (CAdES) or `P` (PAdES).
    #[serde(default)]
    #[schema(value_type = String)]
    pub signature_format: Given<String>,
    /// `AdES-B-B`.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub conformance_level: Given<String>,
    /// `1.2.840.113549.1.1.1` (RSA) or `1.2.840.113549.1.1.11` (RSA with SHA-256).
    #[serde(default, rename = "signAlgo")]
    #[schema(value_type = String)]
    pub sign_algorithm: Given<String>,
    /// Parameters of the algorithm; the ones here have none (or an ASN.1 NULL).
    #[serde(default, rename = "signAlgoParams")]
    #[schema(value_type = Option<String>)]
    pub parameters: Given<String>,
    /// None can be chosen.
    #[serde(default)]
    #[schema(value_type = Option<Vec<SignedProp>>)]
    pub signed_props: Given<Vec<SignedProp>>,
    /// `Detached` for CAdES, `Certification` or `Revision` for PAdES.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub signed_envelope_property: Given<String>,
}

/// A signed attribute that a caller would like.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[schema(as = CscSignedProp)]
pub struct SignedProp {
    /// Its name.
    #[serde(default)]
    pub attribute_name: String,
}

/// A list, or its only member.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum OneOrMore {
    /// The only member.
    One(String),
    /// The list.
    More(Vec<String>),
}

impl Named for OneOrMore {
    const NAME: &'static str = "array";
}

/// What `signatures/signDoc` asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignDocuments {
    /// Which credential.
    pub credential: Option<String>,
    /// By which qualifier, where it is named so; one of the two is there.
    pub qualifier: Option<String>,
    /// The SAD.
    pub sad: String,
    /// The digests, in order, and how each is signed.
    pub documents: Vec<(Digest32, SignatureFormat)>,
    /// `None`: the answer carries the signatures.
    pub later: Option<Later>,
    /// Whether revocation lists are wanted.
    pub validation_info: bool,
}

impl SignDoc {
    /// What it means.
    pub fn read(self) -> Result<SignDocuments, Wrong> {
        let sad = self.sad.required("SAD")?;
        let qualifier = self.qualifier.optional("signatureQualifier")?;
        let credential = match &qualifier {
            None => Some(self.credential.required("credentialID")?),
            Some(_) => self.credential.optional("credentialID")?,
        };
        let groups = match (self.digests, self.documents) {
            (Given::Is(groups), Given::Absent) if !groups.is_empty() => groups,
            (Given::Absent | Given::Is(_), Given::Absent) => return Err(Wrong::NoDocument),
            (Given::Odd, Given::Absent) => return Err(Wrong::DigestsOdd),
            // Not even looked at.
            (Given::Absent, _) => return Err(Wrong::DocumentsSent),
            (_, _) => return Err(Wrong::BothSent),
        };
        let mut documents = Vec::new();
        for group in groups {
            documents.extend(group.read()?);
        }
        Ok(SignDocuments {
            credential,
            qualifier,
            sad,
            documents,
            later: later(self.operation_mode, self.validity_period, self.response_uri)?,
            validation_info: self
                .validation_info
                .optional("returnValidationInfo")?
                .unwrap_or(false),
        })
    }
}

impl DocumentDigests {
    fn read(self) -> Result<Vec<(Digest32, SignatureFormat)>, Wrong> {
        let hashes = match self.hashes.required("hashes")? {
            OneOrMore::One(hash) => vec![hash],
            OneOrMore::More(hashes) => hashes,
        };
        let digests = digests(hashes).map_err(|wrong| match wrong {
            Wrong::HashNotBase64 => Wrong::HashesNotBase64,
            other => other,
        })?;
        let hash_algorithm = self.hash_algorithm.optional("hashAlgorithmOID")?;
        let sign_algorithm = self.sign_algorithm;
        let says_sha256 = matches!(&sign_algorithm, Given::Is(oid) if oid == RSA_SHA256);
        if says_sha256 && hash_algorithm.as_deref().is_some_and(|oid| oid != SHA256) {
            return Err(Wrong::HashContradicts);
        }
        algorithm(sign_algorithm, hash_algorithm, self.parameters, Version::V2)?;
        let format = self.signature_format.required("signature_format")?;
        let format = SignatureFormat::of(&format).ok_or(Wrong::Invalid("signature_format"))?;
        let level = self.conformance_level.optional("conformance_level")?;
        // The specification writes it in two ways.
        if level.is_some_and(|level| !level.eq_ignore_ascii_case("AdES-B-B")) {
            return Err(Wrong::Invalid("conformance_level"));
        }
        let props = self.signed_props.optional("signed_props")?.unwrap_or_default();
        if !props.is_empty() {
            return Err(Wrong::SignedProps(
                props.into_iter().map(|prop| prop.attribute_name).collect(),
            ));
        }
        let envelope = self.signed_envelope_property.optional("signed_envelope_property")?;
        if envelope.is_some_and(|envelope| !format.envelopes().contains(&envelope.as_str())) {
            return Err(Wrong::Invalid("signed_envelope_property"));
        }
        Ok(digests.into_iter().map(|digest| (digest, format)).collect())
    }
}
