//! `azukari inspect FILE`: whatever the file is, as a person wants to read it. Nothing is judged
//! here; that is `azukari verify`.

use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;

use hpki::certificate::{Certificate, KeyUsage};
use hpki::crl::Crl;
use hpki::kind::DocumentKind;
use prescription::document::Parsed;
use prescription::{DispensingRecord, PrescriptionRecord};

/// Prints what the file is, or why it cannot be read.
pub(crate) fn run(file: &Path) -> ExitCode {
    let octets = match std::fs::read(file) {
        Ok(octets) => octets,
        Err(error) => {
            eprintln!("{} を読めません: {error} (cannot read)", file.display());
            return ExitCode::FAILURE;
        }
    };
    match show(&octets) {
        Ok(text) => {
            println!("{}", harmless(text.trim_end()));
            ExitCode::SUCCESS
        }
        Err(why) => {
            eprintln!("{}: {}", file.display(), harmless(&why));
            ExitCode::FAILURE
        }
    }
}

/// Names, roles and lines come from the file as they are; none of them may steer the terminal or
/// turn around what is read.
fn harmless(text: &str) -> String {
    let steers = |c: char| {
        (c.is_control() && c != '\n')
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
    };
    text.chars().map(|c| if steers(c) { '\u{fffd}' } else { c }).collect()
}

/// What these octets are, in words.
pub(crate) fn show(octets: &[u8]) -> Result<String, String> {
    let start = octets.strip_prefix(b"\xef\xbb\xbf").unwrap_or(octets);
    let text = start.trim_ascii_start();
    if text.starts_with(b"-----BEGIN CERTIFICATE") {
        return Certificate::from_pem(text).map(|c| certificate(&c)).map_err(|e| e.to_string());
    }
    if text.starts_with(b"-----BEGIN X509 CRL") {
        return Crl::from_pem_or_der(text).map(|list| crl(&list)).map_err(|e| e.to_string());
    }
    if octets.first() == Some(&0x30) {
        if let Ok(parsed) = Certificate::from_der(octets) {
            return Ok(certificate(&parsed));
        }
        return Crl::from_der(octets).map(|list| crl(&list)).map_err(|_| {
            "DER ですが、証明書でも失効リストでもありません (DER, but neither certificate nor CRL)".into()
        });
    }
    if text.starts_with(b"<") {
        return document(octets);
    }
    if text.starts_with(b"SJ1") {
        return PrescriptionRecord::parse(octets).map(|r| r.show_ja()).map_err(|e| e.to_string());
    }
    if text.starts_with(b"CJ1") {
        return DispensingRecord::parse(octets).map(|r| r.show_ja()).map_err(|e| e.to_string());
    }
    if text.starts_with(crate::journal::TITLE.as_bytes()) {
        return crate::journal::show(octets);
    }
    if text.starts_with(b"c2sp.org/tlog-proof@v1") {
        return crate::journal::show_proof(&String::from_utf8_lossy(octets));
    }
    Err("証明書・失効リスト・処方箋・調剤結果・署名記録のいずれでもありません \
         (not a certificate, CRL, prescription, dispensing document or journal)"
        .into())
}

fn line(out: &mut String, label: &str, value: &str) {
    let _ = writeln!(out, "  {label}: {value}");
}

/// What its key is for. hcRole does not tell: HPKI cards' authentication certificates carry it, too.
fn end_entity(c: &Certificate) -> &'static str {
    let usage = |what| c.key_usage().is_some_and(|usage| usage.contains(what));
    if usage(KeyUsage::NON_REPUDIATION) {
        "署名用証明書 (signing certificate)"
    } else if usage(KeyUsage::DIGITAL_SIGNATURE) {
        "認証用証明書 (authentication certificate)"
    } else {
        "証明書 (certificate)"
    }
}

fn certificate(c: &Certificate) -> String {
    let mut out = String::new();
    let what = if c.is_ca() {
        if c.subject() == c.issuer() {
            "ルート認証局証明書 (root CA)"
        } else {
            "認証局証明書 (CA)"
        }
    } else {
        end_entity(c)
    };
    let _ = writeln!(out, "{what}");
    line(&mut out, "名義 subject", &c.subject().to_string());
    if let Some(name) = c.name_ja() {
        line(&mut out, "氏名", name);
    }
    if let Some(name) = c.organization_ja() {
        line(&mut out, "所属", name);
    }
    match (c.qualification(), c.role()) {
        (Some(q), role) => {
            line(&mut out, "資格 hcRole", &format!("{} ({})", q.ja(), role.unwrap_or_default()));
        }
        (None, Some(role)) => line(&mut out, "資格 hcRole", &format!("{role} (表にない資格)")),
        (None, None) => {}
    }
    line(&mut out, "発行者 issuer", &c.issuer().to_string());
    line(&mut out, "番号 serial", &c.serial_hex());
    line(
        &mut out,
        "有効期間 validity",
        &format!("{} – {}", c.not_before().jst_text(), c.not_after().jst_text()),
    );
    if let Some(usage) = c.key_usage() {
        line(&mut out, "鍵用途 keyUsage", &usage.to_string());
    }
    for policy in c.policies() {
        line(&mut out, "ポリシ policy", &policy.to_string());
    }
    for url in c.crl_urls() {
        line(&mut out, "失効リスト CRL", url);
    }
    line(&mut out, "SHA-256", &hex::encode(c.sha256()));
    let _ = writeln!(out, "  拡張 extensions:");
    for extension in c.extensions() {
        let critical = if extension.critical { " (critical)" } else { "" };
        let _ = writeln!(out, "    {}{critical}", extension.oid);
    }
    out
}

fn crl(list: &Crl) -> String {
    let mut out = String::from("失効リスト (CRL)\n");
    line(&mut out, "発行者 issuer", &list.issuer().to_string());
    line(&mut out, "発行 this update", &list.this_update().jst_text());
    if let Some(next) = list.next_update() {
        line(&mut out, "次回 next update", &next.jst_text());
    }
    if let Some(number) = list.number() {
        line(&mut out, "番号 number", &number.to_string());
    }
    if let Some(idp) = list.idp()
        && idp.only_ca_certificates
    {
        line(&mut out, "対象 covers", "認証局証明書だけ (CA certificates only)");
    }
    line(&mut out, "件数 entries", &list.len().to_string());
    for (serial, revoked) in list.entries() {
        let _ = writeln!(
            out,
            "    {}  {}  {}",
            hex::encode(serial),
            revoked.at.jst_text(),
            revoked.reason.name()
        );
    }
    out
}

fn document(octets: &[u8]) -> Result<String, String> {
    let parsed = Parsed::parse(octets).map_err(|e| e.to_string())?;
    let mut out = format!("{} ({})\n", parsed.kind.ja(), parsed.kind.name());
    if let Some(id) = &parsed.prescription_id {
        line(&mut out, "処方箋 ID", id);
    }
    if let Some(id) = &parsed.dispensing_id {
        line(&mut out, "調剤結果 ID", id);
    }
    signatures(octets, parsed.kind, &mut out);
    let _ = writeln!(out, "\n{}", record(parsed.kind, &parsed.csv)?);
    if let Some(csv) = &parsed.prescription_csv {
        let _ = writeln!(
            out,
            "\n── 参照している処方箋 (the prescription inside) ──\n{}",
            record(DocumentKind::Prescription, csv)?
        );
    }
    Ok(out)
}

fn record(kind: DocumentKind, csv: &[u8]) -> Result<String, String> {
    match kind {
        DocumentKind::Prescription => PrescriptionRecord::parse(csv).map(|r| r.show_ja()),
        _ => DispensingRecord::parse(csv).map(|r| r.show_ja()),
    }
    .map_err(|e| e.to_string())
}

/// What each signature says of itself. Unverified, and said to be.
fn signatures(octets: &[u8], kind: DocumentKind, out: &mut String) {
    let found = match xades::signature::describe(octets, kind) {
        Ok(found) => found,
        Err(refusal) => {
            line(out, "署名 signature", &format!("{refusal}"));
            return;
        }
    };
    for signature in found {
        let _ = writeln!(out, "  署名 signature ({}):", signature.kind.ja());
        if let Ok(signer) = Certificate::from_der(&signature.certificate_der) {
            let _ = writeln!(out, "    署名者 signer: {}", signer.subject());
            if let Some(q) = signer.qualification() {
                let _ = writeln!(out, "    資格: {}", q.ja());
            }
        }
        let _ = writeln!(
            out,
            "    署名時刻（申告） claimed time: {}",
            signature.signing_time.jst_text()
        );
        let _ = writeln!(out, "    digest: {}", hex::encode(signature.digest));
    }
    let _ = writeln!(
        out,
        "    （検証はしていません。azukari verify を使ってください; not verified here）"
    );
}

#[cfg(test)]
mod tests {
    use super::harmless;

    #[test]
    fn a_file_cannot_steer_the_terminal_that_shows_it() {
        let shown = harmless("氏名: 架空\u{1b}[2J\u{202e}花子\r\n次");
        assert_eq!(shown, "氏名: 架空\u{fffd}[2J\u{fffd}花子\u{fffd}\n次");
    }
}
