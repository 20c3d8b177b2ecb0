//! What the visitor can take along: the signed papers, and what a stranger needs to verify them.

use super::visit::Visit;
use crate::pages::demo::{FileLink, Text};

/// A file, by the name under which it is taken along.
pub(super) struct Taken {
    pub(super) content_type: &'static str,
    pub(super) octets: Vec<u8>,
}

/// Certificates and lists of the town's folder: name, place, what it is.
const PUBLISHED: [(&str, &str, &str, &str); 9] = [
    ("root.pem", "root.pem", "ルート証明書", "root certificate"),
    ("ca-jma.pem", "ca-jma.pem", "日本医師会の認証局（試験用）", "JMA's CA (TEST)"),
    ("ca-jpa.pem", "ca-jpa.pem", "日本薬剤師会の認証局（試験用）", "JPA's CA (TEST)"),
    ("ca-medis.pem", "ca-medis.pem", "MEDISの認証局（試験用）", "MEDIS's CA (TEST)"),
    ("rarl.crl", "crl/rarl.crl", "失効リスト（ルート）", "revocation list (root)"),
    ("sarl.crl", "crl/sarl.crl", "失効リスト（ルート）", "revocation list (root)"),
    ("jma.crl", "crl/jma.crl", "失効リスト（日本医師会）", "revocation list (JMA)"),
    ("jpa.crl", "crl/jpa.crl", "失効リスト（日本薬剤師会）", "revocation list (JPA)"),
    ("medis.crl", "crl/medis.crl", "失効リスト（MEDIS）", "revocation list (MEDIS)"),
];

/// The file of this name, if there is one now.
pub(super) fn take(visit: &Visit, name: &str) -> Option<Taken> {
    let xml = |document: &Option<Vec<u8>>| {
        document.clone().map(|octets| Taken { content_type: "application/xml", octets })
    };
    match name {
        "prescription.csv" => Some(Taken {
            content_type: "text/csv; charset=utf-8",
            octets: visit.csv().as_bytes().to_vec(),
        }),
        "prescription.xml" => xml(&visit.papers.prescription),
        "dispensing.xml" => xml(&visit.papers.dispensing),
        _ => {
            let (_, place, ..) = PUBLISHED.iter().find(|(known, ..)| *known == name)?;
            let octets = std::fs::read(visit.home.join(place)).ok()?;
            let content_type = if name.ends_with(".pem") {
                "application/x-pem-file"
            } else {
                "application/pkix-crl"
            };
            Some(Taken { content_type, octets })
        }
    }
}

/// Links to them, once there is something to verify.
pub(super) fn listed(visit: &Visit) -> Vec<FileLink> {
    if visit.papers.dispensing.is_none() {
        return Vec::new();
    }
    let papers = [
        ("dispensing.xml", "署名済み調剤結果（処方箋を含む）", "signed dispensing result"),
        ("prescription.xml", "署名済み処方箋", "signed prescription"),
        ("prescription.csv", "処方箋の記録", "the record"),
    ];
    let published = PUBLISHED.iter().map(|(name, _, ja, en)| (*name, *ja, *en));
    papers
        .into_iter()
        .chain(published)
        .filter_map(|(name, ja, en)| {
            Some(FileLink {
                name: name.to_owned(),
                href: format!("/files/{name}"),
                label: Text::new(ja, en),
                size: take(visit, name)?.octets.len() as u64,
            })
        })
        .collect()
}
