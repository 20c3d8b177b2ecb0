//! `demo.json`: everything that an outside program needs to walk the whole way by itself.
//!
//! It describes the developers' facility of the town, in which both the physician and the
//! pharmacist work: one client certificate, one gateway, and for each person a ready access token
//! bound to that certificate.

use std::path::Path;

use hpki::kind::DocumentKind;
use serde_json::{Value, json};
use town::people::SANDBOX;
use town::phone::Phone;
use wire::{CeremonyState, NumberRequest, StartAnswer, StartRequest, Terminal};

use super::home::Home;
use super::papers;
use super::prepare::Citizen;
use super::rack::Rack;
use super::town::{Resident, Town};
use super::walk::{StepFailed, approve, call, claim};
use crate::http::client::Client;
use crate::journal::mine::Mine;
use crate::runtime::Stop;

/// Authenticates everybody at the developers' facility and writes `demo.json` last, whole: a
/// program that waits for the file finds everything ready.
pub(crate) async fn write(town: &mut Town, home: &Home, page: Option<&str>) -> Result<(), Stop> {
    let Some(out) = &home.out else { return Ok(()) };
    let out = out.canonicalize()?;
    papers::copy(&town.founded.home, &out)?;
    let door = town.door(&SANDBOX)?;
    let facility = town.founded.client(Some(&SANDBOX))?;
    let platform = town.platform.clone();
    let mut persons = Vec::new();
    for resident in &mut town.residents {
        let person = resident.citizen.person;
        let Some(staff) = SANDBOX.staff_id(person) else { continue };
        door.authenticate(&platform, &mut resident.phone, person).await?;
        let token = token(&facility, &platform, resident).await?;
        let certificate = out.join(format!("{}.pem", person.slug));
        std::fs::write(&certificate, resident.citizen.certificate.pem())?;
        let history = out.join(format!("history-{}.json", person.slug));
        if let Some(mine) = Mine::of(&town.founded.url, &resident.phone) {
            mine.keep(&history)?;
        }
        persons.push(json!({
            "name": person.display_ja(),
            "name_romaji": person.romaji,
            "qualification": person.qualification.role(),
            "qualification_ja": person.qualification.ja(),
            "staff": staff,
            "person_id": resident.citizen.id,
            "credential_id": resident.citizen.key,
            "certificate": certificate,
            "history": history,
            "access_token": token["token"],
            "kinds": token["kinds"],
            "until": token["until"],
        }));
    }
    let newcomers: Vec<_> =
        town.founded.newcomers.iter().map(|one| newcomer(one, &out)).collect::<Result<_, _>>()?;
    let desk: Vec<_> = town.founded.desk.iter().map(invited).collect();
    let csc = super::letters::manifest(town, &out).await?;
    let (readers, cards) = town.rack.as_ref().map(in_readers).unzip();
    let openapi = out.join("openapi.json");
    std::fs::write(&openapi, crate::openapi::json())?;
    let home = town.founded.home.canonicalize()?;
    let tls = home.join("tls");
    let in_out = |name: &str| out.join(name);
    let authorities = ["ca-jma.pem", "ca-jpa.pem", "ca-medis.pem"].map(in_out);
    let manifest = json!({
        "about": "試験の町 (a test town). 鍵・証明書・トークンはすべて架空です。",
        "platform": town.founded.url,
        "gateway": door.url,
        "gateway_key": door.ehr_key,
        "prescription_service": town.service_url,
        "network": town.network_url,
        "oidc": super::network::manifest(&home),
        "page": page,
        "ca_file": tls.join("facility-ca.pem"),
        "openapi": openapi,
        "log_key": home.join("log.vkey"),
        "anchor": in_out("root.pem"),
        "authorities": authorities,
        "crl_folder": in_out("crl"),
        "facility": {
            "code": SANDBOX.code,
            "name": SANDBOX.name_ja,
            "terminal": SANDBOX.terminals[0].id,
            "client_certificate": tls.join(format!("{}.pem", SANDBOX.code)),
            "client_key": tls.join(format!("{}.key", SANDBOX.code)),
        },
        "persons": persons,
        "newcomers": newcomers,
        "desk": desk,
        "csc": csc,
        "readers": readers,
        "cards": cards,
    });
    place(&out, &manifest)
}

/// Somebody with a sheet and no phone: what the post brought her, and what she knows.
fn newcomer(citizen: &Citizen, out: &Path) -> Result<Value, Stop> {
    let person = citizen.person;
    let certificate = out.join(format!("{}.pem", person.slug));
    std::fs::write(&certificate, citizen.certificate.pem())?;
    Ok(json!({
        "name": person.display_ja(),
        "display_id": person.display_id,
        "birth_date": person.birth_date,
        "sheet": citizen.sheet,
        "staff": SANDBOX.staff_id(person),
        "person_id": citizen.id,
        "certificate": certificate,
    }))
}

/// The readers of this machine, and the cards for them.
fn in_readers(rack: &Rack) -> (Value, Value) {
    let readers: Vec<_> = rack.readers().iter().map(|reader| reader.name).collect();
    let cards = rack.cards().iter().map(|card| {
        json!({
            "id": card.id(),
            "holder": card.holder.display_ja(),
            "file": card.file,
            "pin": card.kind.pin(),
            "reader": card.reader(),
        })
    });
    (json!(readers), cards.collect())
}

/// Somebody who is invited to the authority's desk.
fn invited((name, invitation): &(&'static str, String)) -> Value {
    json!({ "name": name, "invitation": invitation })
}

/// Writes beside and renames, so that nobody reads half a file. It holds ready tokens: owner only.
fn place(out: &Path, manifest: &Value) -> Result<(), Stop> {
    let beside = out.join(".demo.json.new");
    crate::files::private(&beside, &format!("{manifest:#}\n"))?;
    std::fs::rename(beside, out.join("demo.json"))?;
    Ok(())
}

/// A token of this person over the developers' client certificate, taken as a gateway takes it.
pub(crate) async fn token(
    facility: &Client,
    platform: &Client,
    resident: &mut Resident,
) -> Result<Value, StepFailed> {
    let Resident { citizen, phone } = resident;
    let kinds = DocumentKind::COMPOSED
        .into_iter()
        .filter(|kind| kind.may_be_signed_by(citizen.person.qualification))
        .collect();
    token_for(facility, platform, citizen, phone, kinds).await
}

/// The same, for these kinds of document.
pub(super) async fn token_for(
    facility: &Client,
    platform: &Client,
    citizen: &Citizen,
    phone: &mut Phone,
    kinds: Vec<DocumentKind>,
) -> Result<Value, StepFailed> {
    let terminal = SANDBOX.terminals[0];
    let start = StartRequest {
        terminal: Terminal { id: terminal.id.to_owned(), label: terminal.label.to_owned() },
        expected_person: Some(citizen.id),
        kinds,
        count: 300,
        hours: 18,
    };
    let start = serde_json::to_value(&start).unwrap_or_default();
    let begun: StartAnswer =
        call(facility, "POST", wire::path::CEREMONIES, None, Some(&start)).await?;
    let claimed = claim(platform, phone, &begun.qr).await?;
    let number = approve(platform, phone, &claimed).await?;
    let at = wire::path::CEREMONY.replace("{ceremony}", &begun.ceremony.to_string());
    if let Some(number) = number {
        let number = serde_json::to_value(NumberRequest { number }).unwrap_or_default();
        let path = format!("{at}/number");
        let _: Value = call(facility, "POST", &path, None, Some(&number)).await?;
    }
    for _ in 0..200 {
        let state: CeremonyState = call(facility, "GET", &at, None, None).await?;
        if let Some(token) = state.token {
            return Ok(serde_json::to_value(token).unwrap_or_default());
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    Err(StepFailed::Odd("the token was not released".into()))
}
