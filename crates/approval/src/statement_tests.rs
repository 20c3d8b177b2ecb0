//! Statements and their challenges.

use super::*;

pub(crate) fn link() -> LinkStatement {
    LinkStatement {
        issuer: "https://platform.test".into(),
        rp_id: "localhost".into(),
        sheet: SheetId::from_octets([1; 16]),
        session: SessionId::from_octets([2; 16]),
        nonce: [3; 32],
        person: PersonId::from_octets([4; 16]),
        key: KeyId::from_octets([5; 16]),
        terms_hash: [6; 32],
    }
}

pub(crate) fn session() -> SessionStatement {
    SessionStatement {
        issuer: "https://platform.test".into(),
        rp_id: "localhost".into(),
        ceremony: CeremonyId::from_octets([1; 16]),
        nonce: [2; 32],
        facility_id: "1310000001".parse().unwrap(),
        facility_name: "テスト病院".into(),
        x5t_s256: [3; 32],
        terminal_id: "t1".into(),
        terminal_label: "第1診察室".into(),
        person: PersonId::from_octets([4; 16]),
        key: KeyId::from_octets([5; 16]),
        kinds: vec![DocumentKind::Prescription, DocumentKind::Dispensing],
        max_count: 300,
        not_before: Timestamp::from_seconds(1_000),
        not_after: Timestamp::from_seconds(65_800),
        head_seq: 7,
        head_commitment: Some([8; 32]),
    }
}

pub(crate) fn documents() -> DocumentsStatement {
    DocumentsStatement {
        issuer: "https://platform.test".into(),
        rp_id: "localhost".into(),
        ceremony: CeremonyId::from_octets([1; 16]),
        nonce: [2; 32],
        facility_id: "1310000001".parse().unwrap(),
        facility_name: "テスト病院".into(),
        x5t_s256: [3; 32],
        terminal_id: "t1".into(),
        terminal_label: "第1診察室".into(),
        person: PersonId::from_octets([4; 16]),
        key: KeyId::from_octets([5; 16]),
        kinds: vec![DocumentKind::Prescription],
        count: 3,
        root: root(&batch()),
        not_after: Timestamp::from_seconds(1_180),
    }
}

const SHA256: &str = "2.16.840.1.101.3.4.2.1";

/// Three prescriptions.
fn batch() -> Vec<Digest32> {
    (0..3_u8)
        .map(|n| {
            document_commitment(
                DocumentKind::Prescription,
                SHA256,
                &[0x10 + n; 32],
                &[0x20 + n; 32],
            )
        })
        .collect()
}

#[test]
fn the_vectors_of_an_independent_script_are_reproduced() {
    let vectors: serde_json::Value =
        serde_json::from_str(include_str!("../tests/vectors/documents.json")).unwrap();
    let text = |name: &str| vectors[name].as_str().unwrap().to_owned();
    let list = |name: &str| -> Vec<String> {
        let all = vectors[name].as_array().unwrap().iter();
        all.map(|one| one.as_str().unwrap().to_owned()).collect()
    };
    let hex = |all: &[Digest32]| all.iter().map(hex::encode).collect::<Vec<_>>();
    assert_eq!(hex(&batch()), list("commitments"));
    assert_eq!(hex::encode(root(&batch())), text("root"));
    assert_eq!(hex(&path(&batch(), 0)), list("path_of_first"));
    assert_eq!(hex(&path(&batch(), 2)), list("path_of_last"));
    assert_eq!(documents().short_code(), text("short_code"));
    assert_eq!(hex::encode(documents().challenge()), text("challenge"));
    assert_eq!(hex::encode(link().challenge()), text("link_challenge"));
    assert_eq!(hex::encode(session().challenge()), text("session_challenge"));
}

#[test]
fn each_field_of_an_approval_of_documents_is_in_its_challenge() {
    let base = documents();
    let changes: [fn(&mut DocumentsStatement); 15] = [
        |s| s.issuer.push('x'),
        |s| s.rp_id.push('x'),
        |s| s.ceremony = CeremonyId::from_octets([9; 16]),
        |s| s.nonce[0] ^= 1,
        |s| s.facility_id = "1310000002".parse().unwrap(),
        |s| s.facility_name.push('x'),
        |s| s.x5t_s256[0] ^= 1,
        |s| s.terminal_id.push('x'),
        |s| s.terminal_label.push('x'),
        |s| s.person = PersonId::from_octets([9; 16]),
        |s| s.key = KeyId::from_octets([9; 16]),
        |s| s.kinds = vec![DocumentKind::Dispensing],
        |s| s.count += 1,
        |s| s.root[31] ^= 1,
        |s| s.not_after = s.not_after.plus(1),
    ];
    for change in changes {
        let mut other = base.clone();
        change(&mut other);
        assert_ne!(other.challenge(), base.challenge());
    }
}

#[test]
fn each_part_of_a_document_is_in_its_commitment() {
    let base = document_commitment(DocumentKind::Prescription, SHA256, &[1; 32], &[2; 32]);
    for other in [
        document_commitment(DocumentKind::Dispensing, SHA256, &[1; 32], &[2; 32]),
        document_commitment(
            DocumentKind::Prescription,
            "2.16.840.1.101.3.4.2.2",
            &[1; 32],
            &[2; 32],
        ),
        document_commitment(DocumentKind::Prescription, SHA256, &[9; 32], &[2; 32]),
        document_commitment(DocumentKind::Prescription, SHA256, &[1; 32], &[9; 32]),
        document_commitment(DocumentKind::Prescription, SHA256, &[1; 33], &[2; 31]),
    ] {
        assert_ne!(other, base);
    }
}

#[test]
fn a_document_belongs_to_its_batch_at_its_place_and_to_no_other() {
    let (all, whole) = (batch(), root(&batch()));
    for (index, commitment) in all.iter().enumerate() {
        let proof = path(&all, index);
        let at = index as u64;
        assert!(belongs(commitment, at, 3, &proof, &whole));
        assert!(!belongs(commitment, (at + 1) % 3, 3, &proof, &whole));
        assert!(!belongs(commitment, at, 3, &proof, &root(&all[..2])));
        assert!(!belongs(&[7; 32], at, 3, &proof, &whole));
    }
    // The order of the batch is approved too.
    let turned: Vec<_> = all.iter().rev().copied().collect();
    assert_ne!(root(&turned), whole);
}

#[test]
fn the_short_code_is_base32_of_the_first_forty_bits() {
    // RFC 4648 §10: "fooba" is MZXW6YTB.
    let mut root = [0xff; 32];
    root[..5].copy_from_slice(b"fooba");
    assert_eq!(short_code(&root), "MZXW6YTB");
}

#[test]
fn each_field_of_a_link_is_in_its_challenge() {
    let base = link();
    let changes: [fn(&mut LinkStatement); 8] = [
        |s| s.issuer.push('x'),
        |s| s.rp_id.push('x'),
        |s| s.sheet = SheetId::from_octets([9; 16]),
        |s| s.session = SessionId::from_octets([9; 16]),
        |s| s.nonce[0] ^= 1,
        |s| s.person = PersonId::from_octets([9; 16]),
        |s| s.key = KeyId::from_octets([9; 16]),
        |s| s.terms_hash[31] ^= 1,
    ];
    for change in changes {
        let mut other = base.clone();
        change(&mut other);
        assert_ne!(other.challenge(), base.challenge());
    }
}

#[test]
fn each_field_of_a_session_is_in_its_challenge() {
    let base = session();
    let changes: [fn(&mut SessionStatement); 17] = [
        |s| s.issuer.push('x'),
        |s| s.rp_id.push('x'),
        |s| s.ceremony = CeremonyId::from_octets([9; 16]),
        |s| s.nonce[0] ^= 1,
        |s| s.facility_id = "1310000002".parse().unwrap(),
        |s| s.facility_name.push('x'),
        |s| s.x5t_s256[0] ^= 1,
        |s| s.terminal_id.push('x'),
        |s| s.terminal_label.push('x'),
        |s| s.person = PersonId::from_octets([9; 16]),
        |s| s.key = KeyId::from_octets([9; 16]),
        |s| s.kinds.truncate(1),
        |s| s.max_count += 1,
        |s| s.not_before = s.not_before.plus(1),
        |s| s.not_after = s.not_after.plus(1),
        |s| s.head_seq += 1,
        |s| s.head_commitment = None,
    ];
    for change in changes {
        let mut other = base.clone();
        change(&mut other);
        assert_ne!(other.challenge(), base.challenge());
    }
}

#[test]
fn the_order_of_kinds_does_not_matter() {
    let mut other = session();
    other.kinds.reverse();
    assert_eq!(other.challenge(), session().challenge());
}

#[test]
fn a_statement_survives_json_and_unknown_or_doubled_members_do_not() {
    let documents = Statement::Documents(documents());
    let text = serde_json::to_string(&documents).unwrap();
    assert_eq!(serde_json::from_str::<Statement>(&text).unwrap(), documents);
    let statement = Statement::Session(session());
    let text = serde_json::to_string(&statement).unwrap();
    assert_eq!(serde_json::from_str::<Statement>(&text).unwrap(), statement);
    let extra = text.replacen('{', r#"{"extra":1,"#, 1);
    assert!(serde_json::from_str::<Statement>(&extra).is_err());
    let doubled = text.replacen('{', r#"{"maxCount":301,"#, 1);
    assert!(serde_json::from_str::<Statement>(&doubled).is_err());
}
