//! The key ceremony: eight keys, eight certificates, the first lists, one transcript.
//!
//! Every step looks at the books first, so a ceremony that was cut short is held to its end by
//! asking for it again. Only a key in the vault that the books never announced stops it: then the
//! books are older than the vault.

use std::fmt::Write;

use hpki::certificate::Certificate;
use hpki::encoding::{Digest32, Statement, sha256};
use hpki::id::StreamId;
use hpki::profile::root::{Root, TlsCa};
use hpki::profile::sub_ca::SubCa;
use hpki::profile::{Issuer, ToBeSigned, Validity};
use hpki::sign::{Sign, SignatureAlgorithm};
use hpki::time::Timestamp;
use hsm::CaAlgorithm;
use ledger::{Event, Note, Record};

use crate::Ca;
use crate::authority::Authority;
use crate::config::CaConfig;
use crate::lists::names;
use crate::making::Request;
use crate::refusal::{Failed, Refusal, by_vault};
use crate::tables;

const ROOT_YEARS: i32 = 30;
const SIGNING_YEARS: i32 = 20;
const TLS_YEARS: i32 = 10;
const HOUR: u64 = 3600;

/// What is planned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CeremonyPlan {
    /// What the ceremony is called in its transcript.
    pub title: String,
    /// Who is present.
    pub present: Vec<String>,
}

/// What happened, for people to sign and keep. Its digest stands in the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transcript {
    text: String,
}

impl Transcript {
    /// The text, in Japanese with English names.
    pub fn text(&self) -> &str {
        &self.text
    }
    /// The evidence hash in the journal's `ceremony.ended`.
    pub fn digest(&self) -> Digest32 {
        sha256(self.text.as_bytes())
    }
}

impl Ca {
    /// Holds the key ceremony: root, three signing and three authentication authorities, TLS
    /// authority, first lists. Held once; cut short, it is taken up again with the same plan and time.
    ///
    /// # Errors
    /// `ceremony-already-held`, `ceremony-key-stray`; or the device or the store failed.
    pub async fn ceremony(
        &self,
        plan: &CeremonyPlan,
        now: Timestamp,
    ) -> Result<Transcript, Failed> {
        let begun = self.begin(plan, now).await?;
        for authority in Authority::ALL {
            let spki = self.authority_key(authority, now).await?;
            let request = authority_request(authority, spki, begun, &self.config);
            self.make(request, now).await?;
        }
        // What an earlier, cut-short attempt announced is finished before anything is added.
        self.recover(now).await?;
        let listed = self.lists().await?;
        for authority in Authority::ALL {
            let all = names(authority).iter().all(|name| listed.iter().any(|(own, _)| own == name));
            if !all {
                self.issue_crls_of(authority, now).await?;
            }
        }
        let transcript = self.transcript(plan, begun).await?;
        let (text, digest) = (transcript.text.clone(), transcript.digest());
        self.ledger
            .record(move |tx| {
                tx.exec("UPDATE ca_ceremony SET transcript = $1 WHERE id = 1", &[(&text).into()])?;
                let stream = tables::authority(tx, Authority::Root)?.stream;
                let mut record = Record::new(Event::CeremonyEnded, stream, now);
                record.evidence = Some(digest);
                Ok::<_, Failed>(((), Note(record)))
            })
            .await?;
        Ok(transcript)
    }

    /// The transcript of the ceremony, once it was held.
    pub async fn ceremony_transcript(&self) -> Result<Option<Transcript>, Failed> {
        self.ledger
            .read(|tx| {
                let row = tx.query_opt("SELECT transcript FROM ca_ceremony", &[])?;
                let text = row.and_then(|row| row.opt_text(0).ok().flatten().map(str::to_owned));
                Ok(text.map(|text| Transcript { text }))
            })
            .await
    }

    /// When this ceremony began. The rows of the authorities come before their keys.
    async fn begin(&self, plan: &CeremonyPlan, now: Timestamp) -> Result<Timestamp, Failed> {
        let known = self.ledger.read(|tx| {
            let row = tx.query_opt("SELECT begun, transcript FROM ca_ceremony", &[])?;
            match row {
                Some(row) if row.opt_text(1)?.is_some() => {
                    Err(Failed::Refused(Refusal::CeremonyAlreadyHeld))
                }
                Some(row) => Ok(Some(row.time(0)?)),
                None => Ok(None),
            }
        });
        if let Some(begun) = known.await? {
            return Ok(begun);
        }
        let in_vault = self.desk.names().map_err(by_vault)?;
        for authority in Authority::ALL {
            if in_vault.iter().any(|name| name == authority.name()) {
                return Err(Failed::Refused(Refusal::CeremonyKeyStray(authority.name())));
            }
        }
        let streams =
            Authority::ALL.map(|authority| (authority, StreamId::random(self.random.as_ref())));
        let title = plan.title.clone();
        self.ledger
            .record(move |tx| {
                tx.exec(
                    "INSERT INTO ca_ceremony (id, plan, begun) VALUES (1, $1, $2)",
                    &[(&title).into(), now.into()],
                )?;
                for (authority, stream) in &streams {
                    tx.exec(
                        "INSERT INTO ca_authority (name, stream) VALUES ($1, $2)",
                        &[authority.name().into(), stream.into()],
                    )?;
                }
                let mut record = Record::new(Event::CeremonyBegun, streams[0].1, now);
                record.evidence = Some(sha256(title.as_bytes()));
                Ok::<_, Failed>(((), Note(record)))
            })
            .await?;
        Ok(now)
    }

    /// The public key of the authority; makes the key if the books do not know it yet.
    async fn authority_key(&self, authority: Authority, now: Timestamp) -> Result<Vec<u8>, Failed> {
        let row = self.ledger.read(move |tx| tables::authority(tx, authority)).await?;
        if let Some(spki) = row.spki {
            return Ok(spki);
        }
        let algorithm = match authority {
            Authority::Facility => CaAlgorithm::P256,
            Authority::Root | Authority::Signing(_) | Authority::Authentication(_) => {
                CaAlgorithm::Rsa2048
            }
        };
        let spki = match self.desk.generate(authority.name(), algorithm) {
            // Made just before we died, in this ceremony: its row was there before it.
            Err(hsm::Failed::Refused(hsm::Refusal::KeyExists(_))) => {
                self.desk.key(authority.name()).map_err(by_vault)?.spki_der().to_vec()
            }
            made => made.map_err(by_vault)?,
        };
        let stored = spki.clone();
        self.ledger
            .record(move |tx| {
                tx.exec(
                    "UPDATE ca_authority SET spki = $2 WHERE name = $1 AND spki IS NULL",
                    &[authority.name().into(), (&stored).into()],
                )?;
                let mut record = Record::new(Event::CeremonyKeyGenerated, row.stream, now);
                record.evidence = Some(sha256(&stored));
                Ok::<_, Failed>(((), Note(record)))
            })
            .await?;
        Ok(spki)
    }

    async fn transcript(
        &self,
        plan: &CeremonyPlan,
        begun: Timestamp,
    ) -> Result<Transcript, Failed> {
        let mut text = format!("鍵生成式 記録: {}\n開始: {}\n", plan.title, begun.jst_text());
        let _ = writeln!(text, "立会: {}", plan.present.join("、"));
        for (authority, certificate) in self.authorities().await? {
            let _ = write!(
                text,
                "\n{} ({})\n  主体者: {}\n  発行者: {}\n  証明書シリアル番号: {}\n  \
                 有効期間: {} – {}\n  公開鍵 SHA-256: {}\n  証明書 SHA-256: {}\n",
                authority.ja(),
                authority.name(),
                certificate.subject(),
                certificate.issuer(),
                certificate.serial_hex(),
                certificate.not_before().jst_text(),
                certificate.not_after().jst_text(),
                hex::encode(sha256(certificate.spki_der())),
                hex::encode(certificate.sha256()),
            );
        }
        for (name, list) in self.lists().await? {
            let _ = writeln!(
                text,
                "失効リスト {name}: 番号 {}, {} 発行, SHA-256 {}",
                list.number().unwrap_or(0),
                list.this_update().jst_text(),
                hex::encode(list.sha256()),
            );
        }
        Ok(Transcript { text })
    }
}

/// The certificate of an authority. Issuers begin before those they certify, and all of them before
/// the Japanese midnight at which the first subscriber may begin.
fn authority_request(
    authority: Authority,
    spki: Vec<u8>,
    begun: Timestamp,
    config: &std::sync::Arc<CaConfig>,
) -> Request {
    let order = Statement::new("azukari/ca/order/authority/v1")
        .text(authority.name())
        .octets_field(&spki)
        .time(begun)
        .digest();
    let issued_by = match authority {
        Authority::Root | Authority::Signing(_) | Authority::Authentication(_) => Authority::Root,
        Authority::Facility => Authority::Facility,
    };
    let config = config.clone();
    Request {
        authority: issued_by,
        order,
        key: None,
        person: None,
        makes: Some(authority),
        prepare: Box::new(move |serial, own| {
            prepare(authority, serial, own, &spki, begun.jst_midnight(), &config)
        }),
    }
}

fn prepare(
    authority: Authority,
    serial: &[u8],
    own: Option<&Certificate>,
    spki_der: &[u8],
    midnight: Timestamp,
    config: &CaConfig,
) -> Result<ToBeSigned, hpki::Refusal> {
    let name = config.name(authority)?;
    match authority {
        Authority::Root => Root {
            serial,
            name: &name,
            name_ja: &config.root_name_ja()?,
            validity: Validity::authority(midnight.minus(2 * HOUR), ROOT_YEARS),
            spki_der,
            algorithm: SignatureAlgorithm::RsaSha256,
            rarl_name: &config.root_list_name("rarl")?,
            rarl_url: &config.list_url("rarl"),
        }
        .prepare(),
        Authority::Signing(_) | Authority::Authentication(_) => {
            let root = own.ok_or(hpki::Refusal::NotAsProfiled("a root without a certificate"))?;
            SubCa {
                serial,
                issuer: &Issuer::of(root)?,
                name: &name,
                validity: Validity::authority(midnight.minus(HOUR), SIGNING_YEARS),
                spki_der,
                policy: &config.statement(config.authority_policy_of(authority)),
                sarl_name: &config.root_list_name("sarl")?,
                sarl_url: &config.list_url("sarl"),
            }
            .prepare()
        }
        Authority::Facility => TlsCa {
            serial,
            name: &name,
            validity: Validity::authority(midnight.minus(HOUR), TLS_YEARS),
            spki_der,
            algorithm: SignatureAlgorithm::EcdsaP256Sha256,
        }
        .prepare(),
    }
}
