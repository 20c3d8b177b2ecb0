//! Writing a signature in the profile of Japanese electronic prescriptions (XAdES-BES).
//!
//! What is signed is the exclusive canonical form of SignedInfo. That form does not depend on where
//! the signature is placed, because everything it uses is declared inside `ds:Signature`; so it can
//! be written down before the document that will carry it is known, and only a digest has to come
//! from the facility. A [`Recipe`] and the certificate rebuild the same octets at any later time.

use aws_lc_rs::digest::{Context, SHA256};
use hpki::encoding::{Digest32, sha256};
use hpki::kind::DocumentKind;
use hpki::time::Timestamp;

use crate::base64_text::{lines, push_lines};

/// All that has to be kept to write the same signature again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recipe {
    /// What is signed: names the signed element and the place of the signature.
    pub kind: DocumentKind,
    /// SHA-256 over the inclusive C14N 1.0 of the signed element
    /// ([`crate::reference_digest`]), as the facility computed it.
    pub digest: Digest32,
    /// The SigningTime to be claimed.
    pub signing_time: Timestamp,
    /// Four random octets, written `id<8 hex>-…`, that keep the ids of two signatures in one
    /// document apart.
    pub mark: [u8; 4],
}

/// What a signature says about its signer: prepared once for each certificate.
#[derive(Debug, Clone)]
pub struct Signer {
    certificate: String,
    certificate_digest: String,
}

impl Signer {
    /// Prepares the signer with this certificate (DER).
    pub fn new(certificate_der: &[u8]) -> Self {
        Self {
            certificate: lines(certificate_der),
            certificate_digest: lines(&sha256(certificate_der)),
        }
    }
}

/// A signature that lacks only its value.
#[derive(Debug, Clone)]
pub struct Draft {
    kind: DocumentKind,
    id: String,
    signed_info: String,
    dtbsr: Digest32,
    key_info: String,
    signed_properties: String,
}

const DS: &str = " xmlns:ds=\"http://www.w3.org/2000/09/xmldsig#\"";
const XADES: &str = " xmlns:xades=\"http://uri.etsi.org/01903/v1.3.2#\"";
const SHA256_METHOD: &str =
    " Algorithm=\"http://www.w3.org/2001/04/xmlenc#sha256\"></ds:DigestMethod>";
const EXCLUSIVE: &str = "<ds:Transforms><ds:Transform Algorithm=\"http://www.w3.org/2001/10/xml-exc-c14n#\">\
    </ds:Transform></ds:Transforms>";

/// Appends its parts; saves a temporary string for each of them.
macro_rules! push {
    ($out:expr, $($part:expr),+ $(,)?) => {{ $($out.push_str($part);)+ }};
}

fn hashed(parts: &[&str]) -> Digest32 {
    let mut context = Context::new(&SHA256);
    for part in parts {
        context.update(part.as_bytes());
    }
    let mut out = [0; 32];
    out.copy_from_slice(context.finish().as_ref());
    out
}

impl Draft {
    /// Writes SignedProperties, KeyInfo and SignedInfo.
    pub fn new(recipe: &Recipe, signer: &Signer) -> Self {
        let id = mark(recipe.mark);

        // Each part is kept as it stands in the document, without the declarations that it
        // inherits there; the canonical form has them behind its first name.
        let mut key_info = String::with_capacity(signer.certificate.len() + 160);
        push!(key_info, " Id=\"", &id, "-KeyInfo\"><ds:X509Data><ds:X509Certificate>");
        push!(key_info, &signer.certificate, "</ds:X509Certificate></ds:X509Data></ds:KeyInfo>");
        let key_info_digest = hashed(&["<ds:KeyInfo", DS, &key_info]);

        let time = recipe.signing_time.xsd_utc();
        let mut signed_properties = String::with_capacity(700);
        push!(
            signed_properties,
            " Id=\"",
            &id,
            "-SignedProperties\"><xades:SignedSignatureProperties>"
        );
        push!(signed_properties, "<xades:SigningTime>", &time, "</xades:SigningTime>");
        push!(signed_properties, "<xades:SigningCertificateV2><xades:Cert><xades:CertDigest>");
        let head = signed_properties.len();
        push!(signed_properties, "<ds:DigestMethod", SHA256_METHOD);
        push!(
            signed_properties,
            "<ds:DigestValue>",
            &signer.certificate_digest,
            "</ds:DigestValue>"
        );
        let tail = signed_properties.len();
        push!(signed_properties, "</xades:CertDigest></xades:Cert></xades:SigningCertificateV2>");
        push!(signed_properties, "</xades:SignedSignatureProperties></xades:SignedProperties>");
        let signed_properties_digest = hashed(&[
            "<xades:SignedProperties",
            XADES,
            &signed_properties[..head],
            // `ds` is first used here, so here the canonical form declares it, once for each.
            "<ds:DigestMethod",
            DS,
            SHA256_METHOD,
            "<ds:DigestValue",
            DS,
            ">",
            &signer.certificate_digest,
            "</ds:DigestValue>",
            &signed_properties[tail..],
        ]);

        let mut info = String::with_capacity(1900);
        push!(info, "<ds:SignedInfo", DS, " Id=\"", &id, "-SignedInfo\">");
        push!(
            info,
            "<ds:CanonicalizationMethod Algorithm=\"http://www.w3.org/2001/10/xml-exc-c14n#\"></ds:CanonicalizationMethod>"
        );
        push!(
            info,
            "<ds:SignatureMethod Algorithm=\"http://www.w3.org/2001/04/xmldsig-more#rsa-sha256\"></ds:SignatureMethod>"
        );
        push!(info, "<ds:Reference Id=\"", &id, "-Reference1-Detached\" URI=\"#");
        push!(info, recipe.kind.signed_id(), "\">");
        push_digest(&mut info, &recipe.digest);
        push!(
            info,
            "<ds:Reference Id=\"",
            &id,
            "-Reference2-KeyInfo\" URI=\"#",
            &id,
            "-KeyInfo\">"
        );
        push!(info, EXCLUSIVE);
        push_digest(&mut info, &key_info_digest);
        push!(info, "<ds:Reference Id=\"", &id, "-Reference3-SignedProperties\"");
        push!(info, " Type=\"http://uri.etsi.org/01903#SignedProperties\" URI=\"#", &id);
        push!(info, "-SignedProperties\">", EXCLUSIVE);
        push_digest(&mut info, &signed_properties_digest);
        push!(info, "</ds:SignedInfo>");

        let dtbsr = sha256(info.as_bytes());
        Self { kind: recipe.kind, id, signed_info: info, dtbsr, key_info, signed_properties }
    }

    /// The octets to be signed: the exclusive canonical form of SignedInfo.
    pub fn signed_info(&self) -> &[u8] {
        self.signed_info.as_bytes()
    }

    /// SHA-256 of the octets to be signed (DTBS/R).
    pub const fn dtbsr(&self) -> Digest32 {
        self.dtbsr
    }

    /// The whole `ds:Signature` element around this RSASSA-PKCS1-v1_5 value.
    pub fn finish(&self, signature: &[u8]) -> String {
        let place = self.kind.signature_id();
        let mut out = String::with_capacity(
            self.signed_info.len()
                + self.key_info.len()
                + self.signed_properties.len()
                + signature.len() * 3 / 2
                + 600,
        );
        push!(out, "<ds:Signature", DS, " Id=\"", place, "\"><ds:SignedInfo");
        push!(out, &self.signed_info["<ds:SignedInfo".len() + DS.len()..]);
        push!(out, "<ds:SignatureValue Id=\"", &self.id, "-SignatureValue\">");
        push_lines(&mut out, signature);
        push!(out, "</ds:SignatureValue><ds:KeyInfo", &self.key_info);
        push!(out, "<ds:Object><xades:QualifyingProperties", XADES, " Id=\"", &self.id);
        push!(out, "-QualifyingProperties\" Target=\"#", place, "\"><xades:SignedProperties");
        push!(out, &self.signed_properties);
        push!(out, "</xades:QualifyingProperties></ds:Object></ds:Signature>");
        out
    }
}

fn push_digest(out: &mut String, digest: &Digest32) {
    push!(out, "<ds:DigestMethod", SHA256_METHOD, "<ds:DigestValue>");
    push_lines(out, digest);
    push!(out, "</ds:DigestValue></ds:Reference>");
}

fn mark(mark: [u8; 4]) -> String {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let mut out = String::with_capacity(10);
    out.push_str("id");
    for octet in mark {
        out.push(char::from(HEX[usize::from(octet >> 4)]));
        out.push(char::from(HEX[usize::from(octet & 15)]));
    }
    out
}
