//! Founding a town in an empty folder: the key ceremony, the people's certificates, the
//! facilities' client certificates, and the configuration files with which platform and gateways
//! are then opened like any others.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use aws_lc_rs::encoding::{AsDer as _, PublicKeyX509Der};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use ca::{
    CeremonyPlan, FacilityOrder, Organization, ServerOrder, SigningAuthority, SigningOrder,
    Subscriber,
};
use custody::{Consent, Purpose};
use hpki::certificate::Certificate;
use hpki::encoding::sha256;
use hpki::id::{KeyId, PersonId};
use hpki::sign::Random;
use hpki::time::Timestamp;
use hsm::{SystemRandom, UnsealSecret};
use town::people::{Authority, FACILITIES, Facility, NEWCOMERS, PEOPLE, Person};

use super::timeline::Timeline;
use super::{DemoArguments, papers};
use crate::clock::now;
use crate::config::{PlatformConfig, WitnessConfig};
use crate::flows;
use crate::platform::{Platform, open};
use crate::runtime::Stop;
use crate::witness;

/// A person of the town, certified.
#[derive(Clone)]
pub(crate) struct Citizen {
    pub(crate) person: &'static Person,
    pub(crate) id: PersonId,
    pub(crate) key: KeyId,
    pub(crate) certificate: Certificate,
    pub(crate) sheet: String,
}

/// A founded town: what stands in its folder.
pub(crate) struct Founded {
    pub(crate) home: PathBuf,
    pub(crate) url: String,
    pub(crate) citizens: Vec<Citizen>,
    /// Who has a sheet and no phone yet.
    pub(crate) newcomers: Vec<Citizen>,
    /// Who is invited to the authority's desk, and where she becomes its officer.
    pub(crate) desk: Vec<(&'static str, String)>,
}

impl Founded {
    /// The configuration file of the platform.
    pub(crate) fn platform_config(&self) -> PathBuf {
        self.home.join("platform.toml")
    }

    /// The configuration file of a facility's gateway.
    pub(crate) fn gateway_config(&self, facility: &Facility) -> PathBuf {
        self.home.join(format!("gateway-{}.toml", facility.code))
    }
}

/// Who will sit at the authority's desk: two, since some acts take two.
const DESK: [&str; 2] = ["窓口 係子（試験）", "見本 係郎（試験）"];

/// Where the town's lists would be published: a name that exists nowhere.
const REPOSITORY: &str = "http://repository.test-azukari.example.jp";

/// Founds a town in `home`, which must be empty; `platform` is where it will listen.
pub(crate) async fn found(
    home: &Path,
    platform: SocketAddr,
    gateways: &[(&'static Facility, SocketAddr)],
    witnesses: &[(&'static str, SocketAddr)],
    arguments: &DemoArguments,
    timeline: &mut Timeline,
) -> Result<Founded, Stop> {
    let (own_record, postgres) = (arguments.input.is_some(), arguments.postgres.as_deref());
    let url = format!("https://localhost:{}", platform.port());
    std::fs::create_dir_all(home.join("tls"))?;
    let unseal = UnsealSecret::random(&SystemRandom);
    unseal.to_file(&home.join("unseal.secret"))?;
    let mut text = platform_toml(platform, &url, postgres);
    for (authority, at) in witnesses {
        std::fs::write(home.join(witness_file(authority)), witness_toml(authority, *at))?;
        let key = witness::init(&WitnessConfig::load(&home.join(witness_file(authority)))?)?;
        std::fs::write(home.join(format!("witness-{authority}.vkey")), format!("{key}\n"))?;
        let _ = write!(
            text,
            "\n[[platform.witness]]\nkey = \"witness-{authority}.vkey\"\nurl = \"http://{at}\"\n"
        );
    }
    if let Ok(device) = std::fs::read_to_string(home.join(super::softhsm::DEVICE)) {
        text.push_str(&device);
    }
    std::fs::write(home.join("platform.toml"), text)?;
    let config = PlatformConfig::load(&home.join("platform.toml"))?;
    let officers = UnsealSecret::random(&SystemRandom);
    officers.to_file(&home.join("security-officers.secret"))?;
    hsm::prepare_token(&config.device, &officers, &unseal)?;
    hsm::create(&config.device, &unseal)?;

    let rooms = open::open(config).await?;
    let plan = CeremonyPlan {
        title: "試験の町の鍵の儀式 (key ceremony of a test town)".into(),
        present: vec!["試験 一郎（立会い TEST）".into(), "試験 二郎（立会い TEST）".into()],
    };
    let transcript = rooms.ca.ceremony(&plan, now()).await?;
    std::fs::write(home.join("ceremony.txt"), transcript.text())?;
    timeline.done(
        "認証局",
        "鍵の儀式: ルートと三つの署名用認証局、失効リスト",
        "key ceremony: root, three signing CAs, their lists",
        "TEST MHLW HPKI Root CA V2 → 日医 (JMA)・日薬 (JPA)・MEDIS",
    );
    papers::authorities(&rooms, home).await?;
    tls_files(&rooms, home).await?;
    timeline.done(
        "認証局",
        "医療機関との通信用の証明書",
        "TLS certificates of platform and facilities",
        FACILITIES.map(|facility| facility.name_ja).join("、"),
    );

    let (mut citizens, mut newcomers) = (Vec::new(), Vec::new());
    let coming = if arguments.newcomers { &NEWCOMERS[..] } else { &[] };
    for person in PEOPLE.into_iter().chain(coming.iter().copied()) {
        let citizen = certify(&rooms, person, Purpose::Prescription).await?;
        timeline.done(
            &person.display_ja(),
            "鍵を鍵装置の中で作り、資格を証明",
            "key made inside the device, certified",
            format!(
                "{}  {}  {}",
                citizen.certificate.subject(),
                person.qualification.ja(),
                layout(person.authority)
            ),
        );
        if super::cards::has_one(person) {
            super::cards::make(&rooms, home, &citizen).await?;
            timeline.done(
                &person.display_ja(),
                "HPKI カードを作る（署名用と認証用、鍵はカードの中）",
                "HPKI card made, its two keys inside it",
                "",
            );
        }
        if NEWCOMERS.contains(&person) { &mut newcomers } else { &mut citizens }.push(citizen);
    }
    let mut desk = Vec::new();
    if arguments.newcomers {
        for name in DESK {
            desk.push((name, rooms.authn.invite(name, now()).await?.url));
        }
    }
    let staff = [&citizens[..], &newcomers[..]].concat();
    for (facility, listen) in gateways {
        let mut text = gateway_toml(facility, *listen, &url, &staff, own_record);
        text.push_str(&cards_toml(facility, arguments));
        if !witnesses.is_empty() {
            let counted: Vec<String> =
                witnesses.iter().map(|(by, _)| format!("\"witness-{by}.vkey\"")).collect();
            let log = "log_key = \"log.vkey\"\n";
            let more = format!("{log}witnesses = [{}]\n", counted.join(", "));
            text = text.replacen(log, &more, 1);
        }
        std::fs::write(home.join(format!("gateway-{}.toml", facility.code)), text)?;
        let mut secret = [0; 32];
        SystemRandom.fill(&mut secret);
        crate::files::private(
            &home.join(format!("ehr-{}.key", facility.code)),
            &hex::encode(secret),
        )?;
    }
    std::fs::write(home.join("log.vkey"), format!("{}\n", rooms.ledger.verify_key()))?;
    Ok(Founded { home: home.to_owned(), url, citizens, newcomers, desk })
}

/// The readers at this facility: the town's own in this process, or one of the operating system's.
fn cards_toml(facility: &Facility, arguments: &DemoArguments) -> String {
    let written = |readers: &str| format!("\n[gateway.cards]\n{readers}\nsigning = true\n");
    match super::rack::reader_of(facility) {
        Some(name) if arguments.reader && cfg!(feature = "pcsc") => {
            written(&format!("readers = true\nonly = [{name:?}]"))
        }
        // Elsewhere the chip is not at hand: a process has the readers that it is given.
        Some(_) if !arguments.reader && !arguments.separate => written("readers = false"),
        _ => String::new(),
    }
}

pub(super) fn layout(authority: Authority) -> &'static str {
    match authority {
        Authority::Jma => "日医の様式 (JMA layout)",
        Authority::Jpa => "日薬の様式 (JPA layout)",
        Authority::Medis => "MEDIS の様式 (MEDIS layout)",
    }
}

/// The authority that certifies this person.
fn authority_of(person: &Person) -> SigningAuthority {
    match person.authority {
        Authority::Jma => SigningAuthority::Jma,
        Authority::Jpa => SigningAuthority::Jpa,
        Authority::Medis => SigningAuthority::Medis,
    }
}

/// What her certificates say of her.
pub(crate) fn subscriber(person: &Person, id: PersonId, valid_from: Timestamp) -> Subscriber {
    Subscriber {
        authority: authority_of(person),
        person: id,
        name_romaji: person.romaji.to_owned(),
        name_ja: person.name_ja.to_owned(),
        organization: Some(Organization {
            romaji: person.workplace().name_en.to_owned(),
            ja: person.workplace().name_ja.to_owned(),
        }),
        subject_serial: person.display_id.to_owned(),
        qualification: person.qualification,
        valid_from,
    }
}

pub(super) async fn certify(
    rooms: &Platform,
    person: &'static Person,
    purpose: Purpose,
) -> Result<Citizen, Stop> {
    let id = PersonId::random(&SystemRandom);
    let at = now();
    let record = format!("{} は署名鍵を預けることを自ら選びました（試験）", person.display_ja());
    let certified = flows::certify::certify(
        rooms,
        id,
        (person.qualification, purpose),
        Consent { document: sha256(record.as_bytes()) },
        |key, spki_der| SigningOrder { subscriber: subscriber(person, id, at), key, spki_der },
        at,
    )
    .await?;
    let photo = town::portrait::portrait(person).map(ca::Photo::read).transpose()?;
    let face = ca::Face { name: person.name_ja.to_owned(), photo };
    rooms.ca.file_face(certified.key, face, at).await?;
    let sheet = rooms
        .authn
        .issue_sheet(
            authn::Enrolled {
                person: id,
                key: certified.key,
                display_id: person.display_id.to_owned(),
                birth_date: person.birth_date.to_owned(),
            },
            at,
        )
        .await?;
    Ok(Citizen {
        person,
        id,
        key: certified.key,
        certificate: certified.certificate,
        sheet: sheet.url,
    })
}

/// The platform's server certificate, each facility's client certificate, the facility CA.
async fn tls_files(rooms: &Platform, home: &Path) -> Result<(), Stop> {
    let tls = home.join("tls");
    let authority = rooms.ca.authority(ca::Authority::Facility).await?;
    std::fs::write(tls.join("facility-ca.pem"), authority.pem())?;
    let (key, spki_der) = p256()?;
    let order = ServerOrder {
        name: "試験の町の基盤 (TEST platform)".into(),
        dns_names: vec!["localhost".into()],
        addresses: vec![IpAddr::V4(Ipv4Addr::LOCALHOST)],
        spki_der,
    };
    let certificate = rooms.ca.issue_tls_server(&order, now()).await?;
    std::fs::write(tls.join("platform.pem"), certificate.pem())?;
    crate::files::private(&tls.join("platform.key"), &key)?;
    for facility in FACILITIES {
        let (key, spki_der) = p256()?;
        let order = FacilityOrder {
            code: facility.code.parse()?,
            name: facility.name_ja.to_owned(),
            gateway: facility.gateway.to_owned(),
            spki_der,
        };
        let certificate = rooms.ca.issue_facility(&order, now()).await?;
        std::fs::write(tls.join(format!("{}.pem", facility.code)), certificate.pem())?;
        crate::files::private(&tls.join(format!("{}.key", facility.code)), &key)?;
    }
    Ok(())
}

/// A TLS key: PEM of PKCS#8, and the public half.
fn p256() -> Result<(String, Vec<u8>), Stop> {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING)?;
    let private = pair.to_pkcs8v1()?;
    let public: PublicKeyX509Der<'_> = pair.public_key().as_der()?;
    Ok((pem("PRIVATE KEY", private.as_ref()), public.as_ref().to_vec()))
}

fn pem(label: &str, der: &[u8]) -> String {
    use base64::Engine as _;
    let body = base64::engine::general_purpose::STANDARD.encode(der);
    let mut text = format!("-----BEGIN {label}-----\n");
    for line in body.as_bytes().chunks(64) {
        text.push_str(&String::from_utf8_lossy(line));
        text.push('\n');
    }
    let _ = writeln!(text, "-----END {label}-----");
    text
}

fn platform_toml(listen: SocketAddr, url: &str, postgres: Option<&str>) -> String {
    let store = postgres.map_or_else(String::new, |url| format!("\n[store]\npostgres = {url:?}\n"));
    format!(
        r#"# 試験の町の基盤 (platform of a test town)
[platform]
folder = "platform"
listen = "{listen}"
url = "{url}"
rp_id = "localhost"
origins = ["{url}"]
tls_certificate = "tls/platform.pem"
tls_key = "tls/platform.key"
facility_ca = "tls/facility-ca.pem"
unseal_secret = "unseal.secret"
policy_arm = 3
repository = "{REPOSITORY}"
test_anchors = true
contact = "試験の町の認証局窓口（架空） 000-0000-0000"
token_hours = 18
signatures_per_budget = 300
signatures_per_hour = 100
signatures_per_token_and_hour = 2000
signatures_per_facility_and_hour = 20000
{store}"#
    )
}

/// The configuration file of the witness that an authority runs.
pub(crate) fn witness_file(authority: &str) -> String {
    format!("witness-{authority}.toml")
}

fn witness_toml(authority: &str, listen: SocketAddr) -> String {
    format!(
        r#"# 試験の町の立会人 (a witness of a test town)
[witness]
folder = "witness-{authority}"
listen = "{listen}"
name = "witness.{authority}.test-azukari.example.jp"
unseal_secret = "witness-{authority}.secret"
log_keys = ["log.vkey"]
"#
    )
}

fn gateway_toml(
    facility: &Facility,
    listen: SocketAddr,
    url: &str,
    citizens: &[Citizen],
    own_record: bool,
) -> String {
    let code = facility.code;
    let mut text = format!(
        r#"# {name}（試験の町）の医療機関側 (gateway of a test facility)
[gateway]
folder = "gateway-{code}"
listen = "{listen}"
facility = "{code}"
facility_name = "{name}"
gateway_id = "{gateway}"
platform = "{url}"
platform_ca = "tls/facility-ca.pem"
certificate = "tls/{code}.pem"
key = "tls/{code}.key"
log_key = "log.vkey"
anchor = "root.pem"
authorities = [
  "ca-jma.pem", "ca-jpa.pem", "ca-medis.pem", "ca-jma-auth.pem", "ca-jpa-auth.pem", "ca-medis-auth.pem",
]
policy_arm = 3
test_anchors = true
ehr_key = "ehr-{code}.key"
signatures_per_authentication = 300
hours_per_authentication = 18
"#,
        name = facility.name_ja,
        gateway = facility.gateway,
    );
    for staff in facility.staff {
        if let Some(citizen) = citizens.iter().find(|c| c.person.slug == staff.person) {
            let kinds: Vec<String> =
                citizen.person.kinds().iter().map(|kind| format!("\"{kind}\"")).collect();
            let _ = write!(
                text,
                "\n[[gateway.staff]]\nid = \"{}\"\nname = \"{}\"\nperson = \"{}\"\nkinds = [{}]\n",
                staff.id,
                citizen.person.display_ja(),
                citizen.id,
                kinds.join(", ")
            );
            // A visitor's own record names a physician whom the town does not know.
            if !own_record {
                let _ = writeln!(text, "name_in_records = \"{}\"", citizen.person.name_ja);
            }
        }
    }
    for terminal in facility.terminals {
        let _ = write!(
            text,
            "\n[[gateway.terminal]]\nid = \"{}\"\nlabel = \"{}\"\n",
            terminal.id, terminal.label
        );
    }
    text
}
