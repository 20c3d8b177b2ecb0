//! Everything that this room says no to.

use hpki::refusal::Refuse;

macro_rules! refusals {
    ($($(#[$doc:meta])* $name:ident $code:literal $text:literal;)*) => {
        /// Why a document or a signature is refused. One variant per distinct wrong thing.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
        pub enum Refusal {
            $($(#[$doc])* #[error($text)] $name,)*
        }

        /// Every code of this room.
        pub const CODES: &[&str] = &[$($code,)*];

        impl Refuse for Refusal {
            fn code(&self) -> &'static str {
                match self { $(Self::$name => $code,)* }
            }
        }

        #[cfg(test)]
        const ALL: &[Refusal] = &[$(Refusal::$name,)*];
    };
}

refusals! {
    /// More than 4 MiB.
    XmlTooLarge "xml-too-large" "the document is larger than 4 MiB";
    /// Elements nested more than 64 deep.
    XmlTooDeep "xml-too-deep" "elements are nested more than 64 deep";
    /// More than 100,000 pieces of markup or 200,000 equals signs.
    XmlTooManyNodes "xml-too-many-nodes" "the document has too many elements";
    /// More than 32 attributes on one element.
    XmlTooManyAttributes "xml-too-many-attributes" "an element has more than 32 attributes";
    /// More than 16 namespace declarations on one element, or 32 in force at one place.
    XmlTooManyNamespaces "xml-too-many-namespaces" "too many namespace declarations";
    /// Octets that are not UTF-8, or another declared encoding.
    XmlNotUtf8 "xml-not-utf8" "the document is not UTF-8";
    /// A document type declaration.
    XmlDtd "xml-dtd" "the document has a document type declaration";
    /// A document type declaration that declares entities.
    XmlEntities "xml-entities" "the document declares entities";
    /// Not well-formed, or not namespace-well-formed.
    XmlMalformed "xml-malformed" "the document is not well-formed XML";
    /// Two elements with the same id.
    IdDuplicate "id-duplicate" "two elements have the same id";
    /// One id spelled `id` here and `Id` or `ID` there, or two on one element.
    IdAmbiguous "id-ambiguous" "an id is written in two different id attributes";
    /// The document is not of the shape that holds this kind of signature.
    DocumentShapeWrong "document-shape-wrong" "the document is neither a prescription nor a dispensing result";
    /// A splice named a place that is not there, or not once.
    PlaceUnknown "place-unknown" "the document has no such single place";
    /// No signature at all.
    SignatureMissing "signature-missing" "the document has no signature";
    /// More signatures than the profile allows.
    SignatureMany "signature-many" "the document has more signatures than its kind allows";
    /// A signature, but not where it belongs.
    SignatureMisplaced "signature-misplaced" "the signature is not where it belongs";
    /// The signature was made for another kind of document.
    SignatureOtherKind "signature-other-kind" "the signature was made for another kind of document";
    /// Elements or attributes that the profile does not have.
    SignatureStructureWrong "signature-structure-wrong" "the signature does not follow the profile";
    /// Fewer than three references.
    ReferenceMissing "reference-missing" "the signature has fewer than three references";
    /// More than three references.
    ReferenceExtra "reference-extra" "the signature has more than three references";
    /// A reference to an id that no element has, or to something outside the document.
    ReferenceUnresolved "reference-unresolved" "a reference points to nothing in this document";
    /// A reference to an element other than the one that belongs there.
    ReferenceWrongElement "reference-wrong-element" "a reference points to another element than it must";
    /// A reference of the wrong Type.
    ReferenceTypeWrong "reference-type-wrong" "a reference has the wrong type";
    /// A transform outside the profile.
    TransformNotAllowed "transform-not-allowed" "a transform is not allowed";
    /// SignedInfo is canonicalised otherwise than by exclusive C14N.
    CanonicalizationNotAllowed "canonicalization-not-allowed" "the canonicalization method is not allowed";
    /// SHA-1, as digest or inside the signature algorithm.
    Sha1NotAllowed "sha1-not-allowed" "SHA-1 is not allowed";
    /// A keyed hash instead of a signature.
    HmacNotAllowed "hmac-not-allowed" "HMAC is not a signature";
    /// A digest other than SHA-256.
    DigestAlgorithmNotAllowed "digest-algorithm-not-allowed" "the digest algorithm is not allowed";
    /// A signature algorithm other than RSA with SHA-256.
    SignatureAlgorithmNotAllowed "signature-algorithm-not-allowed" "the signature algorithm is not allowed";
    /// The signed content was changed.
    DigestMismatch "digest-mismatch" "the signed document was changed after signing";
    /// The key information was changed.
    KeyInfoDigestMismatch "key-info-digest-mismatch" "the key information was changed after signing";
    /// The signed properties were changed.
    SignedPropertiesDigestMismatch "signed-properties-digest-mismatch" "the signed properties were changed after signing";
    /// The signature value does not verify.
    SignatureValueWrong "signature-value-wrong" "the signature value does not verify";
    /// SigningCertificateV2 names another certificate.
    SigningCertificateMismatch "signing-certificate-mismatch" "the signing certificate is not the one that was signed over";
    /// KeyInfo is not exactly one certificate.
    KeyInfoWrong "key-info-wrong" "the key information is not exactly one certificate";
    /// The certificate in KeyInfo cannot be read.
    SignerCertificateMalformed "signer-certificate-malformed" "the signer's certificate cannot be read";
    /// SignedProperties are not SigningTime and SigningCertificateV2.
    SignedPropertiesWrong "signed-properties-wrong" "the signed properties do not follow the profile";
    /// An unsigned property that XAdES does not know.
    UnsignedPropertiesWrong "unsigned-properties-wrong" "an unsigned property is not known to XAdES";
    /// Comments, processing instructions or loose white space inside what is signed.
    SignedPartNotPlain "signed-part-not-plain" "what is signed is not written plainly";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_listed_once() {
        for refusal in ALL {
            assert_eq!(CODES.iter().filter(|code| **code == refusal.code()).count(), 1);
        }
        assert_eq!(CODES.len(), ALL.len());
    }
}
