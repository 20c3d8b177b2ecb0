//! What is signed with: a platform in a folder and persons with kept key, certificate, linked phone
//! and an approval at the ceilings. Everything goes through the rooms and flows that serve
//! requests; nothing is written past them.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use approval::{LinkStatement, SessionStatement};
use authn::{Enrolled, Place};
use ca::{Organization, SigningAuthority, SigningOrder, Subscriber};
use custody::{Consent, Purpose};
use hpki::certificate::Certificate;
use hpki::encoding::sha256;
use hpki::id::{KeyId, PersonId};
use hpki::policy::VerifyingKey;
use hpki::qualification::Qualification;
use hpki::sign::SignatureAlgorithm;
use hsm::SystemRandom;
use indicatif::ProgressBar;
use ledger::tlog::VerifyKey;
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use town::people::{Facility, HOSPITAL};
use wire::token::base64url_encode;
use wire::{
    LinkBirthRequest, LinkFinishRequest, LinkOpenRequest, SessionApproveRequest,
    SessionClaimRequest, StartRequest, Terminal,
};
use xades::compose::Signer;

use super::phone::{Phone, octets, scan};
use super::show;
use super::signing::{Account, Signing};
use crate::clock::now;
use crate::config::PlatformConfig;
use crate::demo::timeline::Timeline;
use crate::demo::{DemoArguments, Keys, softhsm};
use crate::flows;
use crate::platform::{Platform, open};
use crate::runtime::Stop;

/// The facility from which the load comes.
pub(super) const FACILITY: &Facility = &HOSPITAL;
/// Where phones believe the platform to be: fixed, so that a kept folder can be opened on any port.
pub(super) const URL: &str = "https://localhost:443";
/// The ceiling of one approval, and of one hour.
pub(super) const CEILING: u64 = 2_000;
/// All phones ask from this machine.
const REQUESTS: u64 = 10_000_000;
const BIRTH_DATE: &str = "19800102";
/// Persons prepared at the same time: enough to keep the device's threads busy.
const AT_ONCE: usize = 16;

/// A person who can sign now, and what her signatures are checked with.
pub(super) struct Signatory {
    pub(super) person: PersonId,
    pub(super) key: KeyId,
    pub(super) token: String,
    pub(super) certificate: Vec<u8>,
    pub(super) signer: Signer,
    pub(super) verifying: VerifyingKey,
    /// What she may sign as hashes, once asked for.
    pub(super) account: Account,
}

/// A prepared platform, closed again.
pub(super) struct Estate {
    pub(super) config: PathBuf,
    pub(super) tls: PathBuf,
    pub(super) log: VerifyKey,
    pub(super) signatories: Arc<Vec<Signatory>>,
}

impl Estate {
    /// A certificate such as answers bring.
    pub(super) fn certificate(&self) -> Result<&[u8], Stop> {
        let first = self.signatories.first().ok_or("署名する人がいません (nobody signs)")?;
        Ok(&first.certificate)
    }
}

/// A prepared person as kept in the folder.
#[derive(Clone, Serialize, Deserialize)]
struct Prepared {
    person: PersonId,
    key: KeyId,
    certificate: String,
    phone: String,
    device: String,
}

/// Prepares `keys` persons, or takes up those that the folder has, and opens everybody's session.
/// Without `audit` the platform will not look at all keys in the background.
pub(super) async fn prepare(
    folder: &Path,
    keys: usize,
    listen: SocketAddr,
    device: Keys,
    signing: Signing,
    audit: bool,
) -> Result<Estate, Stop> {
    let (home, file) = (folder.join("platform"), folder.join(signing.persons()));
    let mut persons: Vec<Prepared> = if file.exists() {
        if softhsm::chosen(&home) != (device == Keys::Softhsm) {
            return Err(format!(
                "{} の鍵は別の装置にあります。別の --folder を指定してください (these keys are in the other device: choose another folder)",
                home.display()
            )
            .into());
        }
        serde_json::from_slice(&std::fs::read(&file)?)?
    } else {
        if folder.join(signing.other().persons()).exists() {
            return Err(format!(
                "{} の鍵は別の用途のものです。別の --folder を指定してください (these keys are for the other purpose: choose another folder)",
                home.display()
            )
            .into());
        }
        if home.exists() {
            return Err(format!(
                "{} は作りかけです。消すか、別の --folder を指定してください (half prepared: remove it or choose another folder)",
                home.display()
            )
            .into());
        }
        if device == Keys::Softhsm {
            std::fs::create_dir_all(&home)?;
            softhsm::choose(&home)?;
        }
        let anywhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 443));
        let mut quiet = Timeline::begin(true);
        crate::demo::prepare::found(
            &home,
            anywhere,
            &[],
            &[],
            &DemoArguments::default(),
            &mut quiet,
        )
        .await?;
        signing.configure(&home.join("platform.toml"))?;
        Vec::new()
    };
    let config = home.join("platform.toml");
    configure(&config, listen, audit)?;
    let platform = Arc::new(open::open(PlatformConfig::load(&config)?).await?);

    let missing = keys.saturating_sub(persons.len());
    if missing > 0 {
        let bar = show::bar(missing, "預かり鍵・証明書・電話 (kept keys, certificates, phones)");
        let first = persons.len();
        let work = (first..first + missing)
            .map(|number| enrol(Arc::clone(&platform), number, signing.purpose()));
        persons.extend(all(work, &bar).await?);
        crate::files::private(&file, &serde_json::to_string(&persons)?)?;
    }
    persons.truncate(keys);
    // What a phone's linking left undelivered for a moment.
    flows::deliver::all(&platform, now()).await?;

    let bar = show::bar(keys, "本人認証 (approvals)");
    let tls = home.join("tls");
    let file = tls.join(format!("{}.pem", FACILITY.code));
    let place = Place {
        facility: FACILITY.code.parse()?,
        name: FACILITY.name_ja.to_owned(),
        x5t: Certificate::from_pem(&std::fs::read(file)?)?.sha256(),
    };
    let work = persons
        .into_iter()
        .map(|person| approve(Arc::clone(&platform), place.clone(), person, signing));
    let signatories = Arc::new(all(work, &bar).await?);
    let log = platform.ledger.verify_key().clone();
    Ok(Estate { config, tls, log, signatories })
}

/// A prepared person with her phone, who authenticates.
pub(super) struct Person {
    pub(super) id: PersonId,
    pub(super) device: String,
    pub(super) phone: Phone,
}

/// The persons that the folder has.
pub(super) fn persons(folder: &Path, keys: usize, signing: Signing) -> Result<Vec<Person>, Stop> {
    let kept = std::fs::read(folder.join(signing.persons()))?;
    let prepared: Vec<Prepared> = serde_json::from_slice(&kept)?;
    let persons = prepared.into_iter().take(keys).map(|prepared| {
        let phone = Phone::kept(&octets(&prepared.phone)?, URL)?;
        Ok(Person { id: prepared.person, device: prepared.device, phone })
    });
    persons.collect()
}

/// Runs the work, a few at a time.
async fn all<T: Send + 'static>(
    work: impl Iterator<Item = impl Future<Output = Result<T, Stop>> + Send + 'static>,
    bar: &ProgressBar,
) -> Result<Vec<T>, Stop> {
    let places = Arc::new(Semaphore::new(AT_ONCE));
    let mut tasks = JoinSet::new();
    for one in work {
        let places = Arc::clone(&places);
        tasks.spawn(async move {
            let _place = places.acquire().await?;
            one.await
        });
    }
    let mut done = Vec::new();
    while let Some(ended) = tasks.join_next().await {
        done.push(ended??);
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(done)
}

/// The platform's configuration for this run: where it listens, and the ceilings.
fn configure(file: &Path, listen: SocketAddr, audit: bool) -> Result<(), Stop> {
    let mut text = String::new();
    for line in std::fs::read_to_string(file)?.lines() {
        let line = match line.split(" = ").next() {
            Some("listen") => format!(
                "listen = \"{listen}\"\naudit_after_start = {audit}\n\
                 requests_per_minute_and_address = {REQUESTS}\n\
                 requests_per_minute_and_person = {REQUESTS}"
            ),
            Some(key @ ("signatures_per_budget" | "signatures_per_hour")) => {
                format!("{key} = {CEILING}")
            }
            Some(key @ "signatures_per_token_and_hour") => {
                format!("{key} = {}", custody::TOKEN_CEILING)
            }
            Some(key @ "signatures_per_facility_and_hour") => {
                format!("{key} = {}", custody::FACILITY_CEILING)
            }
            Some(
                "audit_after_start"
                | "requests_per_minute_and_address"
                | "requests_per_minute_and_person",
            ) => continue,
            _ => line.to_owned(),
        };
        text.push_str(&line);
        text.push('\n');
    }
    Ok(std::fs::write(file, text)?)
}

/// Kept key, certificate, sheet, linked phone.
async fn enrol(platform: Arc<Platform>, number: usize, purpose: Purpose) -> Result<Prepared, Stop> {
    let (person, at) = (PersonId::random(&SystemRandom), now());
    let display_id = format!("TEST9{number:06}");
    let qualification = Qualification::MedicalDoctor;
    let consent = Consent { document: sha256(b"azukari bench") };
    let order = |key, spki_der| SigningOrder {
        subscriber: Subscriber {
            authority: SigningAuthority::Medis,
            person,
            name_romaji: format!("Bench{number:06} TEST"),
            name_ja: "計測\u{3000}試験".to_owned(),
            organization: Some(Organization {
                romaji: FACILITY.name_en.to_owned(),
                ja: FACILITY.name_ja.to_owned(),
            }),
            subject_serial: display_id.clone(),
            qualification,
            valid_from: at,
        },
        key,
        spki_der,
    };
    let made_for = (qualification, purpose);
    let certified =
        flows::certify::certify(&platform, person, made_for, consent, order, at).await?;
    let key = certified.key;
    let birth_date = BIRTH_DATE.to_owned();
    let enrolled = Enrolled { person, key, display_id, birth_date: birth_date.clone() };
    let (sheet, secret) = scan(&platform.authn.issue_sheet(enrolled, at).await?.url)?;

    let opened = platform.authn.open(&LinkOpenRequest { sheet, secret }, None, now()).await?;
    let session = opened.session;
    let birth = LinkBirthRequest { session: session.clone(), birth_date };
    let shown: LinkStatement =
        serde_json::from_value(platform.authn.birth(&birth, now()).await?.statement)?;
    let (phone, kept) = Phone::new(URL)?;
    let credential = phone.create(&shown.challenge())?;
    let finish = LinkFinishRequest { session, credential, label: None };
    let (_, device) = flows::link_phone::finish(&platform, &finish, None, now()).await?;
    Ok(Prepared {
        person,
        key,
        certificate: base64url_encode(certified.certificate.der()),
        phone: base64url_encode(&kept),
        device,
    })
}

/// The morning's approval, at the ceilings.
async fn approve(
    platform: Arc<Platform>,
    place: Place,
    prepared: Prepared,
    signing: Signing,
) -> Result<Signatory, Stop> {
    let x5t = place.x5t;
    let terminal = FACILITY.terminals[0];
    let request = StartRequest {
        terminal: Terminal { id: terminal.id.into(), label: terminal.label.into() },
        expected_person: Some(prepared.person),
        kinds: vec![signing.kind()],
        count: CEILING,
        hours: 18,
    };
    let started = platform.authn.start(place, request, now()).await?;
    let (ceremony, secret) = scan(&started.qr)?;
    let claim = SessionClaimRequest { ceremony: ceremony.clone(), secret };
    let claimed = platform.authn.claim(&claim, Some(&prepared.device), now()).await?;
    let shown: SessionStatement = serde_json::from_value(claimed.statement)?;
    let phone = Phone::kept(&octets(&prepared.phone)?, URL)?;
    let credential = phone.get(&shown.challenge())?;
    let approval = SessionApproveRequest { ceremony, credential };
    let approved = flows::open_session::approve(&platform, &approval, now()).await?;
    if let Some(number) = &approved.number {
        platform.authn.number(started.ceremony, x5t, number, now()).await?;
    }
    let state = flows::open_session::state(&platform, started.ceremony, x5t, now()).await?;
    let token = state.token.ok_or("トークンが出ません (no token was released)")?.token;

    let der = octets(&prepared.certificate)?;
    let certificate = Certificate::from_der(&der)?;
    Ok(Signatory {
        person: prepared.person,
        key: prepared.key,
        token,
        signer: Signer::new(&der),
        verifying: VerifyingKey::new(SignatureAlgorithm::RsaSha256, certificate.spki_der())?,
        certificate: der,
        account: Account::default(),
    })
}
