//! `--csc`: the town also has people whose keys sign hashes, and a program that brings them.
//!
//! One of them has a phone and a ready token; the other has only his registration sheet, so that an
//! outside program can be his phone and approve documents itself. Nobody who signs prescriptions
//! has such a key.

use std::io::Write as _;
use std::path::Path;

use custody::Purpose;
use hpki::kind::{DocumentKind, Form};
use serde_json::{Value, json};
use town::people::{SANDBOX, WRITERS};
use town::phone::Phone;
use wire::csc::CredentialId;

use super::manifest::token_for;
use super::prepare::{Citizen, Founded, certify, layout};
use super::timeline::Timeline;
use super::town::Town;
use super::walk::link;
use crate::config::PlatformConfig;
use crate::platform::open;
use crate::runtime::Stop;

/// What they sign: every kind whose hash a program brings.
fn kinds() -> Vec<DocumentKind> {
    DocumentKind::ALL.into_iter().filter(|kind| kind.form() == Form::Hash).collect()
}

/// Switches the kinds on, registers the program, and certifies the people.
pub(super) async fn found(
    founded: &Founded,
    timeline: &mut Timeline,
) -> Result<Vec<Citizen>, Stop> {
    let file = founded.platform_config();
    let lines = format!(
        r#"
# 診断書・証明書は一日一回の認証で、紹介状は一通ごとの承認で。
[[kind]]
name = "statement"
enabled = true
approval = "session"

[[kind]]
name = "referral"
enabled = true
approval = "document"

# 開発者用施設の文書作成ソフト。接続の証明書は施設のものを使います。
[[client]]
id = "letters"
name = "文書作成ソフト（TEST）"
certificate = "tls/{}.pem"
kinds = ["statement", "referral"]
# signHash も（pyHanko などは、ハッシュを自分で作ります）。何のハッシュかは、この相手を信じることになります。
raw_hashes = true

# 同じソフトが OAuth でトークンを受け取る (CSC API v2 §8.4)。
[[relying_party]]
id = "letters"
name = "文書作成ソフト（TEST）"
redirects = ["http://127.0.0.1/callback"]
scopes = ["service"]
kinds = ["statement"]
"#,
        SANDBOX.code
    );
    std::fs::OpenOptions::new().append(true).open(&file)?.write_all(lines.as_bytes())?;
    let rooms = open::open(PlatformConfig::load(&file)?).await?;
    let mut writers = Vec::new();
    for person in WRITERS {
        let citizen = certify(&rooms, person, Purpose::Hash).await?;
        timeline.done(
            &person.display_ja(),
            "紹介状・診断書のための鍵を作り、資格を証明",
            "a key for letters and certificates, certified",
            format!(
                "{}  {}  {}",
                citizen.certificate.subject(),
                person.qualification.ja(),
                layout(person.authority)
            ),
        );
        writers.push(citizen);
    }
    Ok(writers)
}

/// The first links a phone; the other keeps his sheet.
pub(super) async fn link_first(town: &mut Town, writers: Vec<Citizen>) -> Result<(), Stop> {
    for citizen in writers {
        let mut phone = None;
        if town.writers.is_empty() {
            let label = format!("{}の電話", citizen.person.display_ja());
            let mut hers = Phone::new(&label, &town.founded.url)?;
            link(&town.platform, &mut hers, &citizen.sheet, citizen.person).await?;
            phone = Some(hers);
        }
        town.writers.push((citizen, phone));
    }
    Ok(())
}

/// The part of `demo.json` that a client of the CSC interface needs; null without `--csc`.
pub(super) async fn manifest(town: &mut Town, out: &Path) -> Result<Value, Stop> {
    if town.writers.is_empty() {
        return Ok(Value::Null);
    }
    let facility = town.founded.client(Some(&SANDBOX))?;
    let platform = town.platform.clone();
    let mut persons = Vec::new();
    for (citizen, phone) in &mut town.writers {
        let person = citizen.person;
        let certificate = out.join(format!("{}.pem", person.slug));
        std::fs::write(&certificate, citizen.certificate.pem())?;
        let credentials: serde_json::Map<String, Value> = kinds()
            .into_iter()
            .map(|kind| {
                let id = CredentialId { key: citizen.key, kind };
                (kind.to_string(), Value::String(id.to_string()))
            })
            .collect();
        let mut described = json!({
            "name": person.display_ja(),
            "name_romaji": person.romaji,
            "qualification": person.qualification.role(),
            "person_id": citizen.id,
            "certificate": certificate,
            "credentials": credentials,
        });
        match phone {
            Some(phone) => {
                let token = token_for(&facility, &platform, citizen, phone, kinds()).await?;
                described["access_token"] = token["token"].clone();
                described["until"] = token["until"].clone();
            }
            None => {
                described["sheet"] = Value::String(citizen.sheet.clone());
                described["birth_date"] = person.birth_date.into();
            }
        }
        persons.push(described);
    }
    Ok(json!({ "url": town.founded.url, "client": "letters", "persons": persons }))
}
