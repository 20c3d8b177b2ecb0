//! 署名形式: canonical XML, what is signed, and how a signature is written and read (XAdES).
//!
//! This room decides which octets a prescription signature covers, and whether a signature found
//! in a document covers exactly those octets at exactly the right place. It is pure, and refuses to
//! know who signs: certificate paths, qualifications and revocation belong to `verifier`.
//!
//! Nothing from outside reaches the XML parser before [`parse`] has bounded it with one linear
//! pass. Nothing here ever re-serialises a document: [`splice`] inserts octets between octets.
//!
//! Start reading at [`compose`] (writing a signature), [`signature`] (checking one) and
//! [`c14n`] (the octets between them). Letters and certificates that programs bring through the CSC
//! interface are signed in another form: [`cades`].
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod base64_text;
pub mod c14n;
pub mod cades;
pub mod compose;
pub mod document;
pub mod place;
mod plain;
mod prescan;
mod refusal;
pub mod signature;
pub mod splice;

pub use document::{Document, Node, parse};
pub use refusal::{CODES, Refusal};

use hpki::encoding::{Digest32, sha256};

/// The XML-DSig namespace.
pub const DS: &str = "http://www.w3.org/2000/09/xmldsig#";
/// The XAdES 1.3.2 namespace (ETSI EN 319 132-1).
pub const XADES: &str = "http://uri.etsi.org/01903/v1.3.2#";
/// The XAdES 1.4.1 namespace, in which the service adds validation data.
pub const XADES141: &str = "http://uri.etsi.org/01903/v1.4.1#";

/// What the first reference of a prescription signature digests: inclusive C14N 1.0, without
/// comments, of the element whose `id` this is; SHA-256.
///
/// # Errors
/// The document is not acceptable XML, or no element has this `id` (`reference-unresolved`).
pub fn reference_digest(document: &[u8], id: &str) -> Result<Digest32, Refusal> {
    let document = parse(document)?;
    let node = document.by_id(id).ok_or(Refusal::ReferenceUnresolved)?;
    Ok(sha256(&c14n::canonicalize(&document, Some(node), c14n::Method::Inclusive10, &[])))
}
