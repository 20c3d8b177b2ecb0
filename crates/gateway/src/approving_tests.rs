//! What is compared, and with what.

use super::*;

const LABEL: &str = "第１診察室";

fn asked() -> (Asked, DocumentsStatement) {
    let asked = Asked {
        ceremony: CeremonyId::from_octets([1; 16]),
        staff: "dr-1".parse().unwrap(),
        terminal: "t1".parse().unwrap(),
        person: PersonId::from_octets([2; 16]),
        key: KeyId::from_octets([3; 16]),
        kinds: vec![DocumentKind::Dispensing, DocumentKind::Prescription],
        count: 3,
        root: [4; 32],
        not_after: Timestamp::from_seconds(1_000),
    };
    let statement = DocumentsStatement {
        issuer: "https://platform.test".into(),
        rp_id: "platform.test".into(),
        ceremony: asked.ceremony,
        nonce: [5; 32],
        facility_id: "1319999901".parse().unwrap(),
        facility_name: "架空総合病院（TEST）".into(),
        x5t_s256: [6; 32],
        terminal_id: "t1".into(),
        terminal_label: LABEL.into(),
        person: asked.person,
        key: asked.key,
        kinds: vec![DocumentKind::Prescription, DocumentKind::Dispensing],
        count: 3,
        root: asked.root,
        not_after: asked.not_after,
    };
    (asked, statement)
}

#[test]
fn whatever_the_phone_signs_that_was_not_asked_here_is_seen() {
    let facility: FacilityCode = "1319999901".parse().unwrap();
    let compared = |change: &dyn Fn(&mut DocumentsStatement)| {
        let (asked, mut statement) = asked();
        change(&mut statement);
        asked.compare(&statement, &facility, &[6; 32], LABEL)
    };
    assert_eq!(compared(&|_| ()), Ok(()));
    let differs = |what| Err(Refusal::StatementDiffers(what));
    assert_eq!(compared(&|s| s.root[0] ^= 1), differs("root"));
    assert_eq!(compared(&|s| s.count = 4), differs("count"));
    assert_eq!(compared(&|s| s.kinds.truncate(1)), differs("kinds"));
    assert_eq!(compared(&|s| s.ceremony = CeremonyId::from_octets([9; 16])), differs("ceremony"));
    assert_eq!(compared(&|s| s.facility_id = "1319999902".parse().unwrap()), differs("facility"));
    assert_eq!(compared(&|s| s.x5t_s256[0] ^= 1), differs("certificate"));
    assert_eq!(compared(&|s| s.terminal_id.push('x')), differs("terminal"));
    assert_eq!(compared(&|s| s.terminal_label.push('x')), differs("terminal"));
    assert_eq!(compared(&|s| s.person = PersonId::from_octets([9; 16])), differs("person"));
    assert_eq!(compared(&|s| s.key = KeyId::from_octets([9; 16])), differs("key"));
    assert_eq!(compared(&|s| s.not_after = s.not_after.plus(1)), differs("time"));
}

#[test]
fn the_root_is_computed_from_our_own_documents() {
    let now = Timestamp::from_seconds(1_800_000_000);
    let order = |n: u8| Order {
        number: OrderNumber::new(1_000 + u64::from(n), &Counted(n)),
        staff: "dr-1".parse().unwrap(),
        person: PersonId::from_octets([2; 16]),
        key: KeyId::from_octets([3; 16]),
        kind: DocumentKind::Prescription,
        digest: [n; 32],
        created: now,
        document: Vec::new(),
        approval: None,
        batch: None,
    };
    let certificate = include_bytes!("../tests/certificate.der").to_vec();
    let answer = |orders: &[Order]| ApprovalAnswer {
        ceremony: CeremonyId::from_octets([1; 16]),
        qr: String::new(),
        until: now.plus(60),
        not_after: now.plus(180),
        certificate: wire::Base64(certificate.clone()),
        documents: orders
            .iter()
            .map(|order| wire::PreparedAnswer {
                order: order.number,
                signing_time: now,
                mark: "0a1b2c3d".into(),
            })
            .collect(),
    };
    let orders = [order(1), order(2)];
    let good = answer(&orders);
    let own = own_root(&orders, &good, now).unwrap();
    // The platform cannot have another document approved under our orders.
    let mut swapped = [order(1), order(2)];
    swapped[1].digest = [9; 32];
    assert_ne!(own_root(&swapped, &good, now).unwrap(), own);
    let code = |change: &dyn Fn(&mut ApprovalAnswer)| {
        let mut answer = answer(&orders);
        change(&mut answer);
        own_root(&orders, &answer, now).map_err(|refusal| refusal.code())
    };
    assert_eq!(code(&|_| ()), Ok(own));
    assert_ne!(code(&|a| a.documents[0].mark = "00000000".into()), Ok(own));
    assert_ne!(code(&|a| a.documents[0].signing_time = now.plus(1)), Ok(own));
    assert_eq!(code(&|a| a.documents.truncate(1)), Err("answer-malformed"));
    assert_eq!(code(&|a| a.documents.reverse()), Err("answer-wrong-order"));
    assert_eq!(code(&|a| a.documents[1].mark = "xyz".into()), Err("answer-malformed"));
    assert_eq!(code(&|a| a.certificate.0.truncate(9)), Err("answer-malformed"));
    assert_eq!(code(&|a| a.not_after = now.plus(3_600)), Err("answer-malformed"));
    let old = now.minus(121);
    assert_eq!(code(&|a| a.documents[0].signing_time = old), Err("clock-off"));
}

struct Counted(u8);

impl hpki::sign::Random for Counted {
    fn fill(&self, buffer: &mut [u8]) {
        buffer.fill(self.0);
    }
}
