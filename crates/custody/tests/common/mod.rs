//! A small house for the tests: a real vault and a real ledger in a folder, one physician with a
//! linked phone, one hospital.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../../../ledger/tests/common/engine.rs"]
pub mod engine;
pub mod misused;
pub mod office;
pub mod outside;

use std::path::Path;
use std::sync::Arc;

use approval::evidence::AssertionEvidence;
use approval::simulator::Phone;
use approval::{
    Approval, DocumentsStatement, LinkEvidence, LinkStatement, Proof, RelyingParty,
    RestartStatement, SessionStatement, Statement, StopStatement,
};
use custody::{
    Budget, Client, Consent, Custody, CustodyConfig, Failed, Fresh, Limits, Peer, Policy, Prepared,
    Purpose, Rule, SignOrder, Signed, TokenKey,
};
use hpki::Certificate;
use hpki::id::{
    BindingId, CeremonyId, FacilityCode, KeyId, OrderNumber, PersonId, SessionId, SheetId, TokenId,
};
use hpki::kind::DocumentKind;
use hpki::name::DistinguishedName;
use hpki::oid;
use hpki::profile::signing_jma::SigningJma;
use hpki::profile::{Issuer, PolicyStatement, ToBeSigned, Validity};
use hpki::qualification::Qualification;
use hpki::refusal::Refuse;
use hpki::sign::{Random, SignatureAlgorithm};
use hpki::time::Timestamp;
use hsm::anomaly::{Anomalies, Anomaly};
use hsm::{DeviceConfig, SystemRandom, TokenDesk, UnsealSecret};
use ledger::{Break, Faults, Ledger, Opening, Options};
use wire::token::{Allowance, Claims, Confirmation, Header, base64url_encode};

pub const ISSUER: &str = "https://platform.test";
pub const AUDIENCE: &str = "urn:azukari:custody";
pub const ORIGIN: &str = "http://localhost";
pub const NOW: Timestamp = Timestamp::from_seconds(1_795_237_200);

pub fn rp() -> RelyingParty {
    RelyingParty { rp_id: "localhost".into(), origins: vec![ORIGIN.into()] }
}

/// The platform as it runs; drop it and open the folder again to restart it.
pub struct House {
    pub custody: Custody,
    pub ledger: Ledger,
    pub tokens: TokenDesk,
    pub anomalies: Anomalies,
    pub faults: Faults,
    _ca: hsm::CaDesk,
}

/// The key device of the house in this folder.
pub fn device(folder: &Path) -> DeviceConfig {
    hsm::testing::device(&folder.join("vault"))
}

pub fn found(folder: &Path) -> House {
    let unseal = UnsealSecret::random(&SystemRandom);
    unseal.to_file(&folder.join("unseal")).unwrap();
    hsm::testing::found(&folder.join("vault"), &unseal);
    open(folder)
}

pub fn open(folder: &Path) -> House {
    open_with(folder, Limits::default())
}

pub fn open_with(folder: &Path, limits: Limits) -> House {
    open_as(folder, limits, Policy::default(), Vec::new())
}

/// The policy with one kind under another rule.
pub fn policy(kind: DocumentKind, rule: Rule) -> Policy {
    let mut policy = Policy::default();
    policy.set(kind, rule);
    policy
}

/// The hospital's own program, registered for referral letters.
pub fn client() -> Client {
    Client {
        id: "letters".parse().unwrap(),
        x5t: hospital().x5t,
        kinds: vec![DocumentKind::Referral],
        raw_hashes: true,
    }
}

/// A house where registered programs have referral letters signed under this rule.
pub fn open_for_letters(folder: &Path, rule: Rule) -> House {
    open_as(folder, Limits::default(), policy(DocumentKind::Referral, rule), vec![client()])
}

/// The desks alone. A house that was just left lets go of its device when its last thread has ended.
pub fn desks(folder: &Path, anomalies: &Anomalies) -> hsm::Desks {
    let unseal = UnsealSecret::from_file(&folder.join("unseal")).unwrap();
    loop {
        match hsm::open_failing(&device(folder), &unseal, 2, anomalies.clone()) {
            Err(hsm::Failed::Refused(hsm::Refusal::VaultInUse(_))) => std::thread::yield_now(),
            opened => return opened.unwrap(),
        }
    }
}

pub fn open_as(folder: &Path, limits: Limits, policy: Policy, clients: Vec<Client>) -> House {
    let anomalies = Anomalies::none();
    let desks = desks(folder, &anomalies);
    let (log, streams) = desks.log.split();
    let faults = Faults::new();
    let opening = Opening {
        place: engine::place(&folder.join("ledger")),
        migrations: custody::MIGRATIONS,
        log,
        streams,
        random: Arc::new(SystemRandom),
        origin: "log.azukari.example/test".to_owned(),
        now: NOW,
    };
    let options = Options { faults: Some(faults.clone()), ..Options::default() };
    let ledger = Ledger::open_with(opening, options).unwrap();
    let config = CustodyConfig {
        issuer: ISSUER.into(),
        audience: AUDIENCE.into(),
        rp: rp(),
        limits,
        policy,
        clients,
        token_keys: token_keys(&desks.token),
        loaded_keys: 16,
    };
    let custody = Custody::new(ledger.clone(), desks.subscriber, Arc::new(SystemRandom), config);
    House { custody, ledger, tokens: desks.token, anomalies, faults, _ca: desks.ca }
}

pub fn token_keys(desk: &TokenDesk) -> Vec<TokenKey> {
    let keys = desk.published();
    keys.into_iter().map(|key| TokenKey { kid: key.kid, x: key.x, y: key.y }).collect()
}

/// A person with a kept key and a linked phone.
pub struct Member {
    pub person: PersonId,
    pub key: KeyId,
    pub binding: BindingId,
    pub phone: Phone,
}

pub fn consent() -> Consent {
    Consent { document: [7; 32] }
}

/// A certificate in the JMA layout for this key. Custody does not judge the authority's signature,
/// so there is none worth the name.
pub fn certificate(spki: &[u8], qualification: Qualification, validity: Validity) -> Certificate {
    assembled(&to_be_signed(spki, qualification, validity))
}

pub fn assembled(prepared: &ToBeSigned) -> Certificate {
    Certificate::from_der(&prepared.assemble(&[0x5a; 256])).unwrap()
}

pub fn to_be_signed(spki: &[u8], qualification: Qualification, validity: Validity) -> ToBeSigned {
    let name = DistinguishedName::builder().country("JP").organization("TEST CA").build().unwrap();
    let issuer = Issuer {
        name: name.clone(),
        key_id: vec![1; 20],
        certificate_issuer: name,
        certificate_serial: vec![1],
        algorithm: SignatureAlgorithm::RsaSha256,
    };
    let policy =
        PolicyStatement { oid: oid::POLICY_SIGNING, cps: "http://ca.test.example/cps/".into() };
    SigningJma {
        serial: &[0x11],
        issuer: &issuer,
        name_romaji: "KAKU Taro",
        subject_serial: "TEST000001",
        qualification,
        validity,
        spki_der: spki,
        policy: &policy,
        crl_url: "http://ca.test.example/crl/jma.crl",
    }
    .prepare()
    .unwrap()
}

pub fn person(number: u8) -> PersonId {
    PersonId::from_octets([number; 16])
}

pub async fn enrol(house: &House, number: u8, qualification: Qualification) -> Member {
    enrol_for(house, number, qualification, Purpose::Prescription).await
}

pub async fn enrol_for(
    house: &House,
    number: u8,
    qualification: Qualification,
    purpose: Purpose,
) -> Member {
    let person = person(number);
    let custody = &house.custody;
    let Fresh { key, spki_der } =
        custody.generate(person, qualification, purpose, consent(), NOW).await.unwrap();
    let validity = Validity::years_from_day(NOW, 5);
    custody.certify(key, &certificate(&spki_der, qualification, validity), NOW).await.unwrap();
    custody.hold(key, NOW).await.unwrap();
    let mut member = Member {
        person,
        key,
        binding: BindingId::from_octets([number; 16]),
        phone: Phone::new("localhost", ORIGIN, &[number; 20]),
    };
    custody.accept_binding(&link(&mut member), NOW).await.unwrap();
    member
}

pub async fn physician(house: &House) -> Member {
    enrol(house, 1, Qualification::MedicalDoctor).await
}

pub fn link(member: &mut Member) -> LinkEvidence {
    let statement = LinkStatement {
        issuer: ISSUER.into(),
        rp_id: "localhost".into(),
        sheet: SheetId::from_octets([1; 16]),
        session: SessionId::from_octets([2; 16]),
        nonce: [3; 32],
        person: member.person,
        key: member.key,
        terms_hash: [4; 32],
    };
    let registration = member.phone.create(&statement.challenge(), b"handle");
    LinkEvidence {
        statement,
        registration,
        user_handle: b"handle".to_vec(),
        binding: member.binding,
        linked: NOW,
    }
}

pub fn hospital() -> Peer {
    Peer { x5t: [0xaa; 32], facility: "1310000001".parse().unwrap() }
}

pub fn other_hospital() -> Peer {
    Peer { x5t: [0xbb; 32], facility: "1310000002".parse().unwrap() }
}

pub fn nonce() -> [u8; 32] {
    let mut nonce = [0; 32];
    SystemRandom.fill(&mut nonce);
    nonce
}

/// What the phone is shown in the morning.
pub async fn session(house: &House, member: &Member, kinds: &[DocumentKind]) -> SessionStatement {
    let head = house.ledger.stream_head(member.key.stream()).await.unwrap();
    let peer = hospital();
    SessionStatement {
        issuer: ISSUER.into(),
        rp_id: "localhost".into(),
        ceremony: CeremonyId::from_octets([9; 16]),
        nonce: nonce(),
        facility_id: peer.facility,
        facility_name: "架空病院".into(),
        x5t_s256: peer.x5t,
        terminal_id: "t1".into(),
        terminal_label: "第1診察室".into(),
        person: member.person,
        key: member.key,
        kinds: kinds.to_vec(),
        max_count: 300,
        not_before: NOW,
        not_after: NOW.plus(64_800),
        head_seq: head.map_or(0, |head| head.seq),
        head_commitment: head.map(|head| head.commitment),
    }
}

pub fn approve(member: &Member, statement: SessionStatement) -> Approval {
    approve_said(member, Statement::Session(statement))
}

pub fn approve_said(member: &Member, statement: Statement) -> Approval {
    let response = member.phone.get(&statement.challenge());
    Approval {
        statement,
        proof: Proof::Phone(AssertionEvidence {
            credential_id: response.credential_id,
            client_data_json: response.client_data_json,
            authenticator_data: response.authenticator_data,
            signature: response.signature,
            user_handle: response.user_handle,
            cose: member.phone.cose(),
        }),
        binding: member.binding,
        approved: NOW,
        number_confirmed: true,
    }
}

/// The phone approves what was prepared, as the terminal at this place shows it.
pub fn documents(prepared: &Prepared, peer: &Peer) -> DocumentsStatement {
    DocumentsStatement {
        issuer: ISSUER.into(),
        rp_id: "localhost".into(),
        ceremony: CeremonyId::from_octets([9; 16]),
        nonce: nonce(),
        facility_id: peer.facility.clone(),
        facility_name: "架空病院".into(),
        x5t_s256: peer.x5t,
        terminal_id: "t1".into(),
        terminal_label: "第1診察室".into(),
        person: prepared.person,
        key: prepared.key,
        kinds: prepared.kinds.clone(),
        count: u32::try_from(prepared.documents.len()).unwrap(),
        root: prepared.root,
        not_after: prepared.until,
    }
}

pub fn approve_documents(member: &Member, statement: DocumentsStatement) -> Approval {
    approve_said(member, Statement::Documents(statement))
}

/// The phone approves that its owner's key be stopped.
pub fn approve_stop(member: &Member) -> Approval {
    approve_said(
        member,
        Statement::Stop(StopStatement {
            issuer: ISSUER.into(),
            rp_id: "localhost".into(),
            nonce: nonce(),
            person: member.person,
            key: member.key,
        }),
    )
}

/// The phone approves that its owner's key, which she had stopped, be started again.
pub fn approve_restart(member: &Member) -> Approval {
    approve_said(
        member,
        Statement::Restart(RestartStatement {
            issuer: ISSUER.into(),
            rp_id: "localhost".into(),
            nonce: nonce(),
            person: member.person,
            key: member.key,
        }),
    )
}

pub const PRESCRIPTION: [DocumentKind; 1] = [DocumentKind::Prescription];

pub async fn morning(house: &House, member: &Member) -> Budget {
    let statement = session(house, member, &PRESCRIPTION).await;
    house.custody.open_budget(&approve(member, statement), NOW).await.unwrap()
}

pub fn claims(budget: &Budget) -> Claims {
    Claims {
        iss: ISSUER.into(),
        aud: AUDIENCE.into(),
        sub: budget.person,
        client_id: budget.facility.as_str().into(),
        iat: NOW,
        exp: budget.until,
        auth_time: NOW,
        jti: TokenId::from_octets([5; 16]),
        scope: "sign".into(),
        acr: "urn:azukari:acr:phone".into(),
        amr: vec!["hwk".into(), "user".into()],
        cnf: Confirmation::of(&budget.x5t),
        allowance: Allowance {
            facility: budget.facility.clone(),
            budget: budget.id,
            grant: base64url_encode(&budget.grant),
            kinds: budget.kinds.clone(),
        },
    }
}

pub fn mint(house: &House, claims: &Claims) -> String {
    let key = house.tokens.current();
    let header = Header { typ: "at+jwt".into(), alg: "ES256".into(), kid: key.kid().to_owned() };
    let input = wire::token::signing_input(&header, claims);
    let signature = key.sign(input.as_bytes()).unwrap();
    wire::token::compact(&input, &signature)
}

pub fn token(house: &House, budget: &Budget) -> String {
    mint(house, &claims(budget))
}

pub fn number() -> OrderNumber {
    OrderNumber::new(NOW.seconds() * 1000, &SystemRandom)
}

pub fn order(digest: u8) -> SignOrder {
    SignOrder { number: number(), kind: DocumentKind::Prescription, digest: [digest; 32] }
}

/// Every way in which a step of the store can break. On SoftHSM2, which takes longer for all it
/// does, the two deaths; `crash.rs` walks through all of them there too.
pub fn every_way() -> Vec<Break> {
    match hsm::testing::on_softhsm() {
        true => vec![Break::DieBefore, Break::DieAfter],
        false => every_way_on_every_device(),
    }
}

pub fn every_way_on_every_device() -> Vec<Break> {
    Break::ALL.into_iter().chain(Break::HANGS).collect()
}

/// Every way in which a call of the key device can break: it fails before it acts, after it acted,
/// or hangs until the process ends.
pub const DEVICE_BREAKS: [Anomaly; 3] = [Anomaly::FailAfter, Anomaly::FailBefore, Anomaly::Hang];

/// What comes of it. Where a call of the device hangs, the process ends: what the device says after
/// that is heard by nobody, and nothing is committed any more.
pub async fn or_the_devices_end<T: Send + 'static>(
    house: &House,
    work: impl Future<Output = T> + Send + 'static,
) -> T {
    let working = tokio::spawn(work);
    while !working.is_finished() {
        if house.anomalies.hanging() {
            house.faults.end();
            house.anomalies.release();
            break;
        }
        tokio::task::yield_now().await;
    }
    working.await.unwrap()
}

/// Runs this file's other tests (those whose name has one of the words in it, if any is given) again
/// on SoftHSM2 over SQLite. `signing.rs` runs there over PostgreSQL as well.
pub fn again_on_softhsm(words: &[&str]) {
    if !engine::on_postgres() {
        hsm::testing::again_on_softhsm("on_softhsm_too", words, &["on_postgresql_too"]);
    }
}

/// What comes of it. Where a step never comes back, the process ends instead: whoever waits is told
/// nothing, and what was not committed never will be.
pub async fn or_the_end<T>(faults: &Faults, work: impl Future<Output = T>) -> T {
    let mut work = std::pin::pin!(work);
    let hangs = async {
        while !faults.hanging() {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        biased;
        done = &mut work => return done,
        () = hangs => {}
    }
    faults.end();
    work.await
}

/// What was refused, by its code.
pub fn code<T>(result: Result<T, Failed>) -> &'static str {
    match result {
        Err(ledger::Failed::Refused(refusal)) => refusal.code(),
        Err(ledger::Failed::Fault(fault)) => panic!("not refused but broken: {fault}"),
        Ok(_) => panic!("not refused"),
    }
}

pub fn is_fault<T>(result: &Result<T, Failed>) -> bool {
    matches!(result, Err(ledger::Failed::Fault(_)))
}

pub async fn balanced(house: &House) -> custody::Books {
    let books = house.custody.books().await.unwrap();
    assert!(books.balance(), "{books:?}");
    books
}

/// The value of a signature, out of its element.
pub fn value(signed: &Signed) -> String {
    let (_, rest) = signed.signature.split_once("-SignatureValue\">").unwrap();
    rest.split_once('<').unwrap().0.to_owned()
}

/// Does something to the tables behind custody's back.
pub async fn by_sql(house: &House, sql: &'static str, values: Vec<ledger::Value>) -> u64 {
    house
        .ledger
        .write(move |tx| Ok::<_, ledger::Failed<std::convert::Infallible>>(tx.exec(sql, &values)?))
        .await
        .unwrap()
}

pub fn facility() -> FacilityCode {
    hospital().facility
}
