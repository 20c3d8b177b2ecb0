//! The story of one prescription, told once.

use std::path::Path;

use serde_json::{Value, json};
use town::people::{HANAKO, HOSPITAL, JIRO, PHARMACY, Person};

use super::home::Home;
use super::papers;
use super::timeline::{Timeline, shown};
use super::town::Town;
use super::walk::{octets, register};
use crate::clock::now;
use crate::config::PlatformConfig;
use crate::platform::open;
use crate::runtime::Stop;

/// Tells the story and leaves its papers.
pub(crate) async fn tell(
    town: &mut Town,
    home: &Home,
    input: Option<&[u8]>,
    mut timeline: Timeline,
) -> Result<(), Stop> {
    let hospital = town.door(&HOSPITAL)?;
    let pharmacy = town.door(&PHARMACY)?;

    timeline.chapter("朝の本人認証", "authentication in the morning");
    let mut untils = Vec::new();
    for (person, door) in [(&HANAKO, &hospital), (&JIRO, &pharmacy)] {
        let state = authenticate(town, door, person).await?;
        let until = state["until"].as_u64().unwrap_or_default();
        let until = hpki::time::Timestamp::from_seconds(until);
        untils.push((person.slug, until));
        timeline.done(
            &person.display_ja(),
            &format!("{}で電話により認証", door.facility.name_ja),
            "authenticated by phone",
            format!("アクセストークンの有効期限は {} までです（300 件まで）", until.jst_ja()),
        );
    }

    timeline.chapter("処方", "prescribing");
    let csv = match input {
        Some(csv) => csv.to_vec(),
        None => town::ehr::prescription_csv(&HANAKO, &HOSPITAL, now()),
    };
    let signed = hospital.prescribe(&HANAKO, &csv).await?;
    timeline.done(
        &HANAKO.display_ja(),
        "処方箋に署名（基盤へ渡ったのはダイジェストだけ）",
        "prescription signed; only the digest travelled",
        format!(
            "注文 {}  署名記録 {} 番  残り {} 件",
            text(&signed.answer, "order"),
            signed.answer["index"],
            signed.answer["left"]
        ),
    );
    let registered = register(&town.service, "/v1/prescriptions", &signed.document).await?;
    let registered_document = octets(&registered, "document")?;
    timeline.done(
        "管理サービス",
        "検証して受け付け",
        "verified and registered",
        format!(
            "処方箋 ID {}  引換番号 {}",
            text(&registered, "prescription_id"),
            text(&registered, "exchange_number")
        ),
    );

    timeline.chapter("調剤", "dispensing");
    let number = text(&registered, "exchange_number");
    let path = format!("/v1/prescriptions/{number}");
    let fetched: Value = super::walk::call(&town.service, "GET", &path, None, None).await?;
    let prescription = octets(&fetched, "document")?;
    timeline.done(
        PHARMACY.name_ja,
        "引換番号で処方箋を受け取る",
        "prescription fetched by its exchange number",
        "",
    );
    let dispensing_csv = town::ehr::dispensing_csv(
        &csv,
        &text(&registered, "prescription_id"),
        &JIRO,
        &PHARMACY,
        now(),
    )?;
    let dispensed = pharmacy.dispense(&JIRO, &prescription, &dispensing_csv).await?;
    timeline.done(
        &JIRO.display_ja(),
        "処方箋を検証し、調剤結果に署名",
        "prescription verified, dispensing result signed",
        format!(
            "注文 {}  署名記録 {} 番",
            text(&dispensed.answer, "order"),
            dispensed.answer["index"]
        ),
    );
    let accepted = register(&town.service, "/v1/dispensings", &dispensed.document).await?;
    let dispensing_document = octets(&accepted, "document")?;
    timeline.done(
        "管理サービス",
        "二つの署名を検証して受け付け",
        "both signatures verified, registered",
        "",
    );

    let by_card = match town.running() {
        Some(_) => Some(sign_by_card(&hospital, &csv, &mut timeline).await?),
        None => None,
    };

    timeline.chapter("第三者の検証", "a stranger verifies");
    let trust = &town.founded.home;
    let mut verified = Vec::new();
    let mut papers =
        vec![("prescription.xml", &registered_document), ("dispensing.xml", &dispensing_document)];
    papers.extend(by_card.as_ref().map(|document| (BY_CARD, document)));
    for (name, document) in papers {
        let report = crate::verify::with_folder(document, trust, now())?;
        if report.verdict != verifier::Verdict::Valid {
            return Err(format!("{name}: {}", report.show_ja()).into());
        }
        let found = one_line(&report);
        timeline.done("検証", name, "verified with the pinned root and the CRLs", found);
        verified.push(report);
    }

    let total = timeline.total();
    if let Some(out) = &home.out {
        let report = json!({
            "town": { "platform": town.founded.url, "test_only": true },
            "steps": timeline.steps,
            "total_ms": total.as_secs_f64() * 1000.0,
            "sessions": untils.iter().map(|(who, until)| json!({
                "person": who, "until": until.rfc3339()
            })).collect::<Vec<_>>(),
            "prescription": {
                "order": signed.answer["order"],
                "journal_index": signed.answer["index"],
                "prescription_id": registered["prescription_id"],
                "exchange_number": registered["exchange_number"],
                "verification": verified[0],
            },
            "dispensing": {
                "order": dispensed.answer["order"],
                "journal_index": dispensed.answer["index"],
                "verification": verified[1],
            },
        });
        if let Some(document) = &by_card {
            std::fs::write(out.join(BY_CARD), document)?;
        }
        leave(town, out, &csv, &registered_document, &dispensing_document, &report).await?;
        println!("\n書類を {} に残しました (papers are in this folder)", out.display());
    }
    println!("全体で {} (in all)", shown(total));
    Ok(())
}

/// The paper that was signed with a card.
const BY_CARD: &str = "prescription-by-card.xml";

/// The same record, signed with the card in the hospital's reader.
async fn sign_by_card(
    hospital: &super::walk::Door,
    csv: &[u8],
    timeline: &mut Timeline,
) -> Result<Vec<u8>, Stop> {
    timeline.chapter("HPKI カード", "the HPKI card");
    let state = hospital.authenticate_by_card(&HANAKO, "hpki", super::cards::PIN).await?;
    let until = hpki::time::Timestamp::from_seconds(state["until"].as_u64().unwrap_or_default());
    timeline.done(
        &HANAKO.display_ja(),
        "電話の代わりに、リーダーの HPKI カードで認証",
        "authenticated with the card in the reader instead of the phone",
        format!("アクセストークンの有効期限は {} までです", until.jst_ja()),
    );
    let signed = hospital.prescribe_by_card(&HANAKO, csv, super::cards::PIN).await?;
    timeline.done(
        &HANAKO.display_ja(),
        "リーダーの HPKI カードで処方箋に署名（施設の外へは何も出ません）",
        "prescription signed with the card in the reader; nothing left the facility",
        format!("署名用の暗証番号は残り {} 回のまま", signed.answer["card"]["tries"]),
    );
    Ok(signed.document)
}

async fn authenticate(
    town: &mut Town,
    door: &super::walk::Door,
    person: &'static Person,
) -> Result<Value, Stop> {
    let platform = town.platform.clone();
    let resident = town
        .residents
        .iter_mut()
        .find(|resident| resident.citizen.person.slug == person.slug)
        .ok_or("nobody of that name lives here")?;
    Ok(door.authenticate(&platform, &mut resident.phone, person).await?)
}

fn text(answer: &Value, member: &str) -> String {
    answer[member].as_str().unwrap_or_default().to_owned()
}

fn one_line(report: &verifier::Report) -> String {
    let lines: Vec<String> = report
        .signatures
        .iter()
        .map(|signature| {
            let name = signature.person.as_ref().map_or("?", |person| person.name.as_str());
            format!(
                "{}  {}  {}",
                signature.kind.ja(),
                name,
                signature.qualification.as_ref().map_or("?", |q| q.ja)
            )
        })
        .collect();
    lines.join("\n")
}

/// Leaves the papers. The platform is closed first where it runs elsewhere, for its journal.
async fn leave(
    town: &mut Town,
    out: &Path,
    csv: &[u8],
    prescription: &[u8],
    dispensing: &[u8],
    report: &Value,
) -> Result<(), Stop> {
    papers::copy(&town.founded.home, out)?;
    for (file, person) in [("physician.pem", &HANAKO), ("pharmacist.pem", &JIRO)] {
        let citizen = town.founded.citizens.iter().find(|c| c.person.slug == person.slug);
        let citizen = citizen.ok_or("a citizen is missing")?;
        std::fs::write(out.join(file), citizen.certificate.pem())?;
    }
    std::fs::write(out.join("prescription.csv"), csv)?;
    std::fs::write(out.join("prescription.xml"), prescription)?;
    std::fs::write(out.join("dispensing.xml"), dispensing)?;
    std::fs::write(out.join("report.json"), format!("{report:#}\n"))?;
    let journal = match town.running() {
        Some(platform) => crate::journal::write_out(&platform.ledger).await?,
        None => {
            let file = town.founded.platform_config();
            town.close().await;
            let platform = open::open(PlatformConfig::load(&file)?).await?;
            crate::journal::write_out(&platform.ledger).await?
        }
    };
    std::fs::write(out.join("journal.txt"), journal)?;
    Ok(())
}
