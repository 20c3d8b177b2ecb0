//! Every reason that a report can give, with its words in Japanese and English.

use hpki::refusal::Refuse;
use serde::Serialize;

/// Why a document or a signature is not valid.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Reason {
    /// The stable code.
    pub code: String,
    /// What is wrong, in English, with the particulars.
    pub message: String,
    /// What is wrong, in Japanese.
    pub message_ja: String,
}

impl Reason {
    pub(crate) fn of(refusal: &impl Refuse) -> Self {
        let code = refusal.code();
        Self {
            code: code.to_owned(),
            message: refusal.to_string(),
            message_ja: ja(code).unwrap_or("検証できませんでした。").to_owned(),
        }
    }
}

/// The codes that this room adds to those of `hpki` and `xades`.
pub const CODES: &[&str] = &[
    "qualification-missing",
    "qualification-not-allowed",
    "log-key-missing",
    "binding-proof-wrong",
    "binding-not-a-linking",
    "binding-other-person",
    "binding-other-key",
    "binding-other-phone",
    "card-other-holder",
    "activation-signature-wrong",
    "signed-info-other",
    "outcome-proof-wrong",
    "outcome-not-a-signature",
    "outcome-other-hash",
    "outcome-other-signature",
    "outcome-not-as-approved",
    "outcome-other-approval",
    "root-missing",
    "linked-later",
    "approval-over",
];

/// What a code means, in Japanese; `None` for a code that no report gives.
pub fn ja(code: &str) -> Option<&'static str> {
    TABLE.iter().find(|(known, _)| *known == code).map(|(_, text)| *text)
}

#[rustfmt::skip]
static TABLE: &[(&str, &str)] = &[
    ("xml-too-large", "文書が 4 MiB を超えています。"),
    ("xml-too-deep", "要素の入れ子が深すぎます。"),
    ("xml-too-many-nodes", "文書の要素が多すぎます。"),
    ("xml-too-many-attributes", "一つの要素の属性が多すぎます。"),
    ("xml-too-many-namespaces", "名前空間宣言が多すぎます。"),
    ("xml-not-utf8", "文書が UTF-8 ではありません。"),
    ("xml-dtd", "文書型宣言 (DTD) を含む文書は受け付けません。"),
    ("xml-entities", "実体宣言を含む文書は受け付けません。"),
    ("xml-malformed", "XML として正しくありません。"),
    ("id-duplicate", "同じ id を持つ要素が二つあります。"),
    ("id-ambiguous", "id の書き方が紛らわしく、どの要素か決まりません。"),
    ("document-shape-wrong", "電子処方箋でも調剤結果でもない文書です。"),
    ("place-unknown", "文書に必要な箇所がありません。"),
    ("signature-missing", "署名がありません。"),
    ("signature-many", "署名の数が多すぎます。"),
    ("signature-misplaced", "署名があるべき場所にありません。"),
    ("signature-other-kind", "別の種類の文書のために作られた署名です。"),
    ("signature-structure-wrong", "署名の構造が規定の形ではありません。"),
    ("reference-missing", "署名の参照が足りません。"),
    ("reference-extra", "署名の参照が多すぎます。"),
    ("reference-unresolved", "署名の参照先が文書の中にありません。"),
    ("reference-wrong-element", "署名の参照先が規定の要素ではありません。"),
    ("reference-type-wrong", "署名の参照の型が規定と違います。"),
    ("transform-not-allowed", "認められていない変換が使われています。"),
    ("canonicalization-not-allowed", "認められていない正規化方式です。"),
    ("sha1-not-allowed", "SHA-1 は認められません。"),
    ("hmac-not-allowed", "HMAC は電子署名ではありません。"),
    ("digest-algorithm-not-allowed", "認められていないハッシュ方式です。"),
    ("signature-algorithm-not-allowed", "認められていない署名方式です。"),
    ("digest-mismatch", "署名の後に文書が変更されています。"),
    ("key-info-digest-mismatch", "署名の後に鍵情報が変更されています。"),
    ("signed-properties-digest-mismatch", "署名の後に署名属性が変更されています。"),
    ("signature-value-wrong", "署名値が正しくありません。"),
    ("signing-certificate-mismatch", "署名対象の証明書と添付の証明書が違います。"),
    ("key-info-wrong", "鍵情報が証明書一枚ではありません。"),
    ("signer-certificate-malformed", "署名者の証明書を読み取れません。"),
    ("signed-properties-wrong", "署名属性が規定の形ではありません。"),
    ("unsigned-properties-wrong", "XAdES にない非署名属性があります。"),
    ("signed-part-not-plain", "署名対象の中にコメントなど紛らわしい書き方があります。"),
    ("certificate-malformed", "証明書を読み取れません。"),
    ("certificate-expired", "証明書の有効期間が過ぎています。"),
    ("certificate-not-yet-valid", "証明書の有効期間がまだ始まっていません。"),
    ("certificate-revoked", "証明書は失効しています。"),
    ("issuer-unknown", "信頼する認証局につながらない証明書です。"),
    ("anchor-mismatch", "同じ名前の別の認証局の証明書です。"),
    ("certificate-signature-wrong", "証明書の署名が正しくありません。"),
    ("policy-not-allowed", "認められた証明書ポリシの証明書ではありません。"),
    ("key-usage-wrong", "署名用の証明書ではありません。"),
    ("path-too-long", "証明書の連鎖が長すぎます。"),
    ("not-a-ca", "認証局でないものが発行した証明書です。"),
    ("critical-extension-unknown", "証明書に未知の必須拡張があります。"),
    ("name-constraints-unsupported", "名前制約のある証明書には対応していません。"),
    ("policy-mapping-unsupported", "ポリシマッピングのある証明書には対応していません。"),
    ("policy-constraints-unsupported", "ポリシ制約のある証明書には対応していません。"),
    ("algorithm-not-allowed", "証明書に認められていない方式または鍵長が使われています。"),
    ("crl-missing", "必要な失効リストがないため判断できません。"),
    ("crl-stale", "失効リストがその時点で有効でないため判断できません。"),
    ("crl-extension-unknown", "失効リストに未知の必須拡張があるため判断できません。"),
    ("crl-signature-wrong", "失効リストの署名が正しくありません。"),
    ("crl-malformed", "失効リストを読み取れません。"),
    ("ocsp-malformed", "認証局の応答を読み取れません。"),
    ("ocsp-refused", "認証局が証明書の有効性を答えなかったため判断できません。"),
    ("ocsp-other", "認証局の応答が別の証明書についてのものなので判断できません。"),
    ("ocsp-nonce-wrong", "認証局の応答がこの問い合わせへの答えではないため判断できません。"),
    ("ocsp-stale", "認証局の応答がその時点のものではないため判断できません。"),
    ("ocsp-responder-wrong", "認証局に代わって答えてよい相手の応答ではありません。"),
    ("ocsp-signature-wrong", "認証局の応答の署名が正しくありません。"),
    ("ocsp-certificate-unknown", "認証局がこの証明書を知らないと答えました。"),
    ("bundle-malformed", "証跡の形が規定と違います（余分な項目・重複・欠落を含む）。"),
    ("bundle-version-unknown", "知らない版または種類の証跡です。"),
    ("document-not-approved", "この文書は承認された文書の中にありません。"),
    ("means-wrong", "承認の手段が、問われているものと違います。"),
    ("card-malformed", "カードの証明書または署名を読み取れません。"),
    ("card-key-wrong", "カードの鍵が RSA 2048〜4096 ビットではありません。"),
    ("card-signature-wrong", "カードの署名が正しくありません。"),
    ("card-issuer-unknown", "カードの証明書が、信頼する認証局につながりません。"),
    ("card-not-for-authentication", "カードの証明書は本人認証用ではありません。"),
    ("card-expired", "カードの証明書の有効期間外です。"),
    ("card-revoked", "カードの証明書は失効しています。"),
    ("card-status-unknown", "カードの証明書が失効していないか確かめられません。"),
    ("card-unknown-to-issuer", "カードの発行元が、カードの証明書を知らないと答えました。"),
    ("card-certificate-wrong", "カードの証明書を受け付けられません。"),
    ("card-role-unknown", "カードの証明書に、知られた資格がありません。"),
    ("card-other", "紐付けられたカードとは別のカードです。"),
    ("challenge-mismatch", "電話が署名したのは別の内容です。"),
    ("webauthn-malformed", "電話の答えを読み取れません。"),
    ("webauthn-type-wrong", "電話の答えの種類が違います。"),
    ("origin-wrong", "別のサイトで作られた電話の答えです。"),
    ("rp-id-wrong", "別のサイトのための電話の鍵です。"),
    ("cross-origin", "よそのページの枠の中で作られた電話の答えです。"),
    ("user-not-present", "電話に誰も触れていません。"),
    ("user-not-verified", "電話が本人を確認していません。"),
    ("backup-flags-wrong", "電話の鍵の写しについての記載が矛盾しています。"),
    ("algorithm-unsupported", "電話の鍵の方式に対応していません。"),
    ("credential-key-wrong", "電話の公開鍵を受け付けられません。"),
    ("assertion-signature-wrong", "電話の署名が正しくありません。"),
    ("log-key-missing", "署名記録の検証鍵がないため判断できません。"),
    ("binding-proof-wrong", "電話の紐付けの証明が成り立ちません。"),
    ("binding-not-a-linking", "紐付けとして示された記録は、別の出来事の記録です。"),
    ("binding-other-person", "電話は別の人に紐付いています。"),
    ("binding-other-key", "電話は別の預かり鍵に紐付いています。"),
    ("binding-other-phone", "紐付いているのは別の電話またはカードです。"),
    ("card-other-holder", "カードの持ち主が、署名者と違います。"),
    ("activation-signature-wrong", "署名値がこの証明書とハッシュのものではありません。"),
    ("signed-info-other", "手元の文書は署名された文書ではありません。"),
    ("outcome-proof-wrong", "署名の記録の証明が成り立ちません。"),
    ("outcome-not-a-signature", "署名として示された記録は、別の出来事の記録です。"),
    ("outcome-other-hash", "署名記録は別のハッシュのものです。"),
    ("outcome-other-signature", "署名記録は別の署名のものです。"),
    ("outcome-not-as-approved", "署名記録の人・鍵・施設・種類が承認と違います。"),
    ("outcome-other-approval", "署名記録は別の承認による署名のものです。"),
    ("root-missing", "ルート証明書がないため、証明書の効力を判断できません。"),
    ("linked-later", "電話が紐付いたのは署名の後です。"),
    ("approval-over", "承認の期限を過ぎてから署名されています。"),
    ("qualification-missing", "証明書に資格の記載がありません。"),
    ("qualification-not-allowed", "この資格ではこの種類の文書に署名できません。"),
];

#[cfg(test)]
mod tests {
    use super::*;

    /// Codes of `hpki` that only issuing meets, and of `approval` that only the platform judges.
    const NEVER_REPORTED: [&str; 10] = [
        "name-malformed",
        "qualification-not-certifiable",
        "not-as-profiled",
        "counter-not-rising",
        "attestation-wrong",
        "attestation-missing",
        "authenticator-not-listed",
        "user-handle-wrong",
        "credential-unknown",
        "evidence-wrong",
    ];

    #[test]
    fn every_reason_has_japanese_words() {
        for code in xades::CODES.iter().chain(hpki::CODES).chain(approval::CODES).chain(CODES) {
            assert!(ja(code).is_some() != NEVER_REPORTED.contains(code), "{code}");
        }
        assert_eq!(CODES[2..], *crate::activation::CODES);
        let mut codes: Vec<_> = TABLE.iter().map(|(code, _)| code).collect();
        codes.sort();
        codes.dedup();
        assert_eq!(codes.len(), TABLE.len());
    }
}
