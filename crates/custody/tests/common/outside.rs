//! An authority outside, whose tool is openssl: it signs certificates and makes subscribers' keys.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::Path;
use std::process::Command;

use hpki::Certificate;
use hpki::name::DistinguishedName;
use hpki::oid;
use hpki::profile::signing_jma::SigningJma;
use hpki::profile::{Issuer, PolicyStatement, ToBeSigned, Validity};
use hpki::qualification::Qualification;
use hpki::sign::SignatureAlgorithm;
use hpki::time::Timestamp;
use hsm::{OaepDigest, Package};

pub fn openssl(arguments: &[&str]) -> Vec<u8> {
    let output = Command::new("openssl").args(arguments).output();
    let output = output.expect("openssl is missing: run ./test, which installs the judges");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

fn path(folder: &Path, name: &str) -> String {
    folder.join(name).display().to_string()
}

/// The authority and its files.
pub struct Outside {
    folder: tempfile::TempDir,
    pub authority: Certificate,
}

impl Outside {
    pub fn found() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (key, pem) = (path(folder.path(), "ca.key"), path(folder.path(), "ca.pem"));
        openssl(&[
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-keyout",
            &key,
            "-out",
            &pem,
            "-subj",
            "/C=JP/O=TEST Outside CA",
            "-days",
            "30",
            "-sha256",
        ]);
        let authority = Certificate::from_pem(&std::fs::read(pem).unwrap()).unwrap();
        Self { folder, authority }
    }

    pub fn file(&self, name: &str) -> String {
        path(self.folder.path(), name)
    }

    /// Makes a subscriber's key; gives its public half.
    pub fn make_key(&self, name: &str) -> Vec<u8> {
        let (pem, der) = (self.file(name), self.file(&format!("{name}.p8")));
        openssl(&[
            "genpkey",
            "-algorithm",
            "RSA",
            "-pkeyopt",
            "rsa_keygen_bits:2048",
            "-out",
            &pem,
        ]);
        openssl(&["pkcs8", "-topk8", "-nocrypt", "-in", &pem, "-outform", "DER", "-out", &der]);
        openssl(&["pkey", "-in", &pem, "-pubout", "-outform", "DER"])
    }

    /// A certificate in the JMA layout, signed by the authority.
    pub fn certify(
        &self,
        spki: &[u8],
        qualification: Qualification,
        now: Timestamp,
    ) -> Certificate {
        self.sign(&self.prepare(spki, qualification, now))
    }

    pub fn prepare(&self, spki: &[u8], qualification: Qualification, now: Timestamp) -> ToBeSigned {
        let issuer = Issuer {
            name: self.authority.subject().clone(),
            key_id: vec![1; 20],
            certificate_issuer: DistinguishedName::builder()
                .country("JP")
                .organization("TEST")
                .build()
                .unwrap(),
            certificate_serial: vec![1],
            algorithm: SignatureAlgorithm::RsaSha256,
        };
        let policy =
            PolicyStatement { oid: oid::POLICY_SIGNING, cps: "http://ca.test.example/".into() };
        SigningJma {
            serial: &[0x12],
            issuer: &issuer,
            name_romaji: "KAKU Hanako",
            subject_serial: "TEST000002",
            qualification,
            validity: Validity::years_from_day(now, 5),
            spki_der: spki,
            policy: &policy,
            crl_url: "http://ca.test.example/crl.crl",
        }
        .prepare()
        .unwrap()
    }

    pub fn sign(&self, prepared: &ToBeSigned) -> Certificate {
        let (tbs, out) = (self.file("tbs"), self.file("sig"));
        std::fs::write(&tbs, prepared.der()).unwrap();
        openssl(&["dgst", "-sha256", "-sign", &self.file("ca.key"), "-out", &out, &tbs]);
        Certificate::from_der(&prepared.assemble(&std::fs::read(out).unwrap())).unwrap()
    }

    /// Wraps a key to the platform's import key.
    pub fn wrap(&self, name: &str, import_key: &[u8], digest: OaepDigest) -> Package {
        let (to, aes) = (self.file("import.der"), self.file("aes"));
        let (wrapped_aes, wrapped_key) = (self.file("aes.w"), self.file("key.w"));
        std::fs::write(&to, import_key).unwrap();
        openssl(&["rand", "-out", &aes, "32"]);
        let hash = match digest {
            OaepDigest::Sha1 => "sha1",
            OaepDigest::Sha256 => "sha256",
        };
        openssl(&[
            "pkeyutl",
            "-encrypt",
            "-pubin",
            "-keyform",
            "DER",
            "-inkey",
            &to,
            "-in",
            &aes,
            "-out",
            &wrapped_aes,
            "-pkeyopt",
            "rsa_padding_mode:oaep",
            "-pkeyopt",
            &format!("rsa_oaep_md:{hash}"),
            "-pkeyopt",
            &format!("rsa_mgf1_md:{hash}"),
        ]);
        let secret = hex::encode(std::fs::read(&aes).unwrap());
        openssl(&[
            "enc",
            "-id-aes256-wrap-pad",
            "-K",
            &secret,
            "-iv",
            "A65959A6",
            "-in",
            &self.file(&format!("{name}.p8")),
            "-out",
            &wrapped_key,
        ]);
        Package {
            digest,
            wrapped_aes: std::fs::read(wrapped_aes).unwrap(),
            wrapped_key: std::fs::read(wrapped_key).unwrap(),
        }
    }
}
