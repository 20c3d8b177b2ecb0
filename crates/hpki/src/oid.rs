//! Object identifiers. The arm of the certificate policy is configuration, not a constant: which
//! arm is production and which is test is inferred, so a verifier is told the set it accepts.

pub use const_oid::ObjectIdentifier;

const fn oid(text: &str) -> ObjectIdentifier {
    ObjectIdentifier::new_unwrap(text)
}

/// Signing policy that all known signing CAs and production certificates carry (arm `.3.1`).
pub const POLICY_SIGNING: ObjectIdentifier = oid("1.2.392.100495.1.5.1.1.3.1");
/// Signing policy seen in published test certificates (arm `.0.1`).
pub const POLICY_SIGNING_TEST: ObjectIdentifier = oid("1.2.392.100495.1.5.1.1.0.1");
/// Policy of personal authentication certificates (arm `.3.1` of the authentication branch).
pub const POLICY_AUTHENTICATION: ObjectIdentifier = oid("1.2.392.100495.1.5.1.2.3.1");
/// `anyPolicy` (RFC 5280 §4.2.1.4).
pub const ANY_POLICY: ObjectIdentifier = oid("2.5.29.32.0");
/// Policy qualifier: certification practice statement by URI.
pub const QUALIFIER_CPS: ObjectIdentifier = oid("1.3.6.1.5.5.7.2.1");

/// The attribute in `subjectDirectoryAttributes` that holds hcRole (ISO 17090):
/// `id-hcpki-at-healthcareactor`.
pub const HEALTHCARE_ACTOR: ObjectIdentifier = oid("1.0.17090.0.1");
/// The coding scheme of the Japanese role names inside hcRole. Not an extension.
pub const ROLE_CODING_SCHEME: ObjectIdentifier = oid("1.2.392.100495.1.6.1.1");

/// countryName
pub const COUNTRY: ObjectIdentifier = oid("2.5.4.6");
/// organizationName
pub const ORGANIZATION: ObjectIdentifier = oid("2.5.4.10");
/// organizationalUnitName
pub const ORGANIZATIONAL_UNIT: ObjectIdentifier = oid("2.5.4.11");
/// commonName
pub const COMMON_NAME: ObjectIdentifier = oid("2.5.4.3");
/// serialNumber (of a subject, not of a certificate)
pub const SERIAL_NUMBER: ObjectIdentifier = oid("2.5.4.5");

/// subjectDirectoryAttributes
pub const SUBJECT_DIRECTORY_ATTRIBUTES: ObjectIdentifier = oid("2.5.29.9");
/// subjectKeyIdentifier
pub const SUBJECT_KEY_IDENTIFIER: ObjectIdentifier = oid("2.5.29.14");
/// keyUsage
pub const KEY_USAGE: ObjectIdentifier = oid("2.5.29.15");
/// subjectAltName
pub const SUBJECT_ALT_NAME: ObjectIdentifier = oid("2.5.29.17");
/// basicConstraints
pub const BASIC_CONSTRAINTS: ObjectIdentifier = oid("2.5.29.19");
/// cRLNumber
pub const CRL_NUMBER: ObjectIdentifier = oid("2.5.29.20");
/// reasonCode of a CRL entry
pub const CRL_REASON: ObjectIdentifier = oid("2.5.29.21");
/// issuingDistributionPoint
pub const ISSUING_DISTRIBUTION_POINT: ObjectIdentifier = oid("2.5.29.28");
/// nameConstraints
pub const NAME_CONSTRAINTS: ObjectIdentifier = oid("2.5.29.30");
/// cRLDistributionPoints
pub const CRL_DISTRIBUTION_POINTS: ObjectIdentifier = oid("2.5.29.31");
/// certificatePolicies
pub const CERTIFICATE_POLICIES: ObjectIdentifier = oid("2.5.29.32");
/// policyMappings
pub const POLICY_MAPPINGS: ObjectIdentifier = oid("2.5.29.33");
/// authorityKeyIdentifier
pub const AUTHORITY_KEY_IDENTIFIER: ObjectIdentifier = oid("2.5.29.35");
/// policyConstraints
pub const POLICY_CONSTRAINTS: ObjectIdentifier = oid("2.5.29.36");
/// extKeyUsage
pub const EXTENDED_KEY_USAGE: ObjectIdentifier = oid("2.5.29.37");
/// inhibitAnyPolicy
pub const INHIBIT_ANY_POLICY: ObjectIdentifier = oid("2.5.29.54");

/// Extended key usage: TLS server
pub const SERVER_AUTH: ObjectIdentifier = oid("1.3.6.1.5.5.7.3.1");
/// Extended key usage: TLS client
pub const CLIENT_AUTH: ObjectIdentifier = oid("1.3.6.1.5.5.7.3.2");

/// Extended key usage: answering for an authority about its certificates (RFC 6960 §4.2.2.2)
pub const OCSP_SIGNING: ObjectIdentifier = oid("1.3.6.1.5.5.7.3.9");
/// id-pkix-ocsp-basic: the kind of an answer
pub const OCSP_BASIC: ObjectIdentifier = oid("1.3.6.1.5.5.7.48.1.1");
/// id-pkix-ocsp-nonce
pub const OCSP_NONCE: ObjectIdentifier = oid("1.3.6.1.5.5.7.48.1.2");
/// id-pkix-ocsp-nocheck: a responder's certificate whose own status need not be asked
pub const OCSP_NO_CHECK: ObjectIdentifier = oid("1.3.6.1.5.5.7.48.1.5");

/// sha256WithRSAEncryption
pub const RSA_SHA256: ObjectIdentifier = oid("1.2.840.113549.1.1.11");
/// sha384WithRSAEncryption
pub const RSA_SHA384: ObjectIdentifier = oid("1.2.840.113549.1.1.12");
/// sha512WithRSAEncryption
pub const RSA_SHA512: ObjectIdentifier = oid("1.2.840.113549.1.1.13");
/// ecdsa-with-SHA256
pub const ECDSA_SHA256: ObjectIdentifier = oid("1.2.840.10045.4.3.2");
/// ecdsa-with-SHA384
pub const ECDSA_SHA384: ObjectIdentifier = oid("1.2.840.10045.4.3.3");
/// Ed25519, as key and as signature algorithm
pub const ED25519: ObjectIdentifier = oid("1.3.101.112");
/// rsaEncryption
pub const RSA_KEY: ObjectIdentifier = oid("1.2.840.113549.1.1.1");
/// id-ecPublicKey
pub const EC_KEY: ObjectIdentifier = oid("1.2.840.10045.2.1");
/// The curve P-256
pub const P256: ObjectIdentifier = oid("1.2.840.10045.3.1.7");
/// The curve P-384
pub const P384: ObjectIdentifier = oid("1.3.132.0.34");
