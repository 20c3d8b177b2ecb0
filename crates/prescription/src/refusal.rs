//! What this room says no to.

use hpki::refusal::Refuse;

/// A record or document that is not what it has to be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The record has no line at all.
    #[error("the record is empty")]
    RecordEmpty,
    /// The record is larger than this room reads.
    #[error("the record has {octets} octets; at most {limit} are read")]
    RecordTooLarge {
        /// Octets handed in.
        octets: usize,
        /// The most that is read.
        limit: usize,
    },
    /// The record begins with a UTF-8 byte order mark, which would become part of what is signed.
    #[error("the record begins with a byte order mark")]
    RecordBom,
    /// The record is not UTF-8.
    #[error("the record is not UTF-8 (octet {at})")]
    RecordNotUtf8 {
        /// Octets that were still right.
        at: usize,
    },
    /// A line ends with carriage return and line feed, or a carriage return stands alone.
    #[error("line {line} contains a carriage return; lines end with a line feed alone")]
    RecordCarriageReturn {
        /// Line, from 1.
        line: usize,
    },
    /// A NUL or another control character stands in the record.
    #[error("line {line} contains the control character U+{code:04X}")]
    RecordControlCharacter {
        /// Line, from 1.
        line: usize,
        /// Its code point.
        code: u32,
    },
    /// More lines than a prescription has.
    #[error("the record has more than {limit} lines")]
    RecordTooManyLines {
        /// The most that is read.
        limit: usize,
    },
    /// A line longer than this room reads.
    #[error("line {line} is longer than {limit} octets")]
    RecordLineTooLong {
        /// Line, from 1.
        line: usize,
        /// The most that is read, in octets.
        limit: usize,
    },
    /// A line that does not begin with a record number, is blank, or has too many fields.
    #[error("line {line} is not a record: {why}")]
    RecordLineMalformed {
        /// Line, from 1.
        line: usize,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The first line does not name the kind of record expected here.
    #[error("the first line is not {expected}")]
    RecordWrongKind {
        /// What the first line had to begin with.
        expected: &'static str,
    },
    /// A record that must be there is not, or has nothing in it.
    #[error("record {number} ({what}) is missing")]
    RecordMissing {
        /// The record number.
        number: u16,
        /// What it holds, in Japanese.
        what: &'static str,
    },
    /// A record that must stand once stands again.
    #[error("record {number} stands again in line {line}")]
    RecordRepeated {
        /// The record number.
        number: u16,
        /// Line, from 1.
        line: usize,
    },
    /// A usage or drug record before any RP group, or a drug's supplement before any drug.
    #[error("record {number} in line {line} stands before the group or drug it belongs to")]
    RecordMisplaced {
        /// The record number.
        number: u16,
        /// Line, from 1.
        line: usize,
    },
    /// The XML itself was refused.
    #[error(transparent)]
    Xml(xades::Refusal),
    /// Well-formed XML, but not a prescription or dispensing document.
    #[error("not an e-prescription document: {0}")]
    DocumentMalformed(&'static str),
    /// A document of one kind where the other is needed.
    #[error("this is not a {expected} document")]
    DocumentWrongKind {
        /// The kind that was needed.
        expected: hpki::kind::DocumentKind,
    },
    /// An ancestor of the signed part carries a namespace declaration or attribute that would
    /// change the octets that are signed once the part stands elsewhere.
    #[error("{0} carries a namespace declaration or attribute that may not be there")]
    DocumentNamespacesWrong(&'static str),
    /// The document's content is not base64.
    #[error("the content of {0} is not base64")]
    DocumentContentNotBase64(&'static str),
    /// There is a signature already.
    #[error("the document is signed already")]
    DocumentAlreadySigned,
    /// There is no signature yet.
    #[error("the document is not signed")]
    DocumentNotSigned,
    /// The service has added its identifiers already.
    #[error("the document is registered already")]
    DocumentAlreadyRegistered,
    /// The service has not given this prescription an identifier.
    #[error("the prescription has no prescription ID yet")]
    DocumentNotRegistered,
    /// The dispensing record names another prescription.
    #[error("the dispensing record names the prescription {named}, the prescription is {given}")]
    PrescriptionIdMismatch {
        /// What record 7 says.
        named: String,
        /// What the registered prescription says.
        given: String,
    },
    /// Not a UUID in its usual form.
    #[error("{0} is not a UUID of 36 characters")]
    IdentifierMalformed(&'static str),
    /// What was handed in to be placed is not one `ds:Signature` of this kind.
    #[error("what is to be placed is not one ds:Signature with Id {0:?}")]
    SignatureElementWrong(&'static str),
}

/// Every code of this room.
pub const CODES: &[&str] = &[
    "record-empty",
    "record-too-large",
    "record-bom",
    "record-not-utf8",
    "record-carriage-return",
    "record-control-character",
    "record-too-many-lines",
    "record-line-too-long",
    "record-line-malformed",
    "record-wrong-kind",
    "record-missing",
    "record-repeated",
    "record-misplaced",
    "document-malformed",
    "document-wrong-kind",
    "document-namespaces-wrong",
    "document-content-not-base64",
    "document-already-signed",
    "document-not-signed",
    "document-already-registered",
    "document-not-registered",
    "prescription-id-mismatch",
    "identifier-malformed",
    "signature-element-wrong",
];

impl Refuse for Refusal {
    fn code(&self) -> &'static str {
        match self {
            Self::RecordEmpty => "record-empty",
            Self::RecordTooLarge { .. } => "record-too-large",
            Self::RecordBom => "record-bom",
            Self::RecordNotUtf8 { .. } => "record-not-utf8",
            Self::RecordCarriageReturn { .. } => "record-carriage-return",
            Self::RecordControlCharacter { .. } => "record-control-character",
            Self::RecordTooManyLines { .. } => "record-too-many-lines",
            Self::RecordLineTooLong { .. } => "record-line-too-long",
            Self::RecordLineMalformed { .. } => "record-line-malformed",
            Self::RecordWrongKind { .. } => "record-wrong-kind",
            Self::RecordMissing { .. } => "record-missing",
            Self::RecordRepeated { .. } => "record-repeated",
            Self::RecordMisplaced { .. } => "record-misplaced",
            Self::Xml(refusal) => refusal.code(),
            Self::DocumentMalformed(_) => "document-malformed",
            Self::DocumentWrongKind { .. } => "document-wrong-kind",
            Self::DocumentNamespacesWrong(_) => "document-namespaces-wrong",
            Self::DocumentContentNotBase64(_) => "document-content-not-base64",
            Self::DocumentAlreadySigned => "document-already-signed",
            Self::DocumentNotSigned => "document-not-signed",
            Self::DocumentAlreadyRegistered => "document-already-registered",
            Self::DocumentNotRegistered => "document-not-registered",
            Self::PrescriptionIdMismatch { .. } => "prescription-id-mismatch",
            Self::IdentifierMalformed(_) => "identifier-malformed",
            Self::SignatureElementWrong(_) => "signature-element-wrong",
        }
    }
}

impl From<xades::Refusal> for Refusal {
    fn from(refusal: xades::Refusal) -> Self {
        Self::Xml(refusal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_of_this_room_has_its_code_in_the_list_once() {
        let all = [
            Refusal::RecordEmpty,
            Refusal::RecordTooLarge { octets: 2, limit: 1 },
            Refusal::RecordBom,
            Refusal::RecordNotUtf8 { at: 0 },
            Refusal::RecordCarriageReturn { line: 1 },
            Refusal::RecordControlCharacter { line: 1, code: 0 },
            Refusal::RecordTooManyLines { limit: 1 },
            Refusal::RecordLineTooLong { line: 1, limit: 1 },
            Refusal::RecordLineMalformed { line: 1, why: "" },
            Refusal::RecordWrongKind { expected: "SJ1" },
            Refusal::RecordMissing { number: 1, what: "" },
            Refusal::RecordRepeated { number: 1, line: 1 },
            Refusal::RecordMisplaced { number: 201, line: 1 },
            Refusal::DocumentMalformed(""),
            Refusal::DocumentWrongKind { expected: hpki::kind::DocumentKind::Prescription },
            Refusal::DocumentNamespacesWrong(""),
            Refusal::DocumentContentNotBase64(""),
            Refusal::DocumentAlreadySigned,
            Refusal::DocumentNotSigned,
            Refusal::DocumentAlreadyRegistered,
            Refusal::DocumentNotRegistered,
            Refusal::PrescriptionIdMismatch { named: String::new(), given: String::new() },
            Refusal::IdentifierMalformed(""),
            Refusal::SignatureElementWrong(""),
        ];
        let codes: Vec<&str> = all.iter().map(Refuse::code).collect();
        assert_eq!(codes, CODES);
    }
}
