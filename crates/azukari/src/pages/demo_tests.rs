use super::*;

fn text(ja: &str, en: &str) -> Text {
    Text::new(ja, en)
}

const CSV: &str = "SJ1\n1,1,9990001,13,テスト架空病院\n2,100-0000,東京都架空区見本町１－１\n\
    3,03-0000-0001\n4,1,01,内科\n5,D0001,ｶｸｳ ﾊﾅｺ,架空　花子\n11,,仮名　健太,ｶﾒｲ ｹﾝﾀ\n12,1\n\
    13,19700707\n14,1\n21,1\n22,06999999\n23,見本,９９９,1,01\n51,20261121\n52,20261124\n62,1\n\
    81,1,,架空の患者・架空の薬品による試験用処方箋（TEST）\n101,1,1,内服,7\n\
    111,1,1,1013044400000000,１日３回毎食後服用\n\
    201,1,1,1,2,699999901,架空プラセボ錠５ｍｇ（試験用）,3,1,錠\n\
    201,1,2,1,2,699999902,架空胃薬カプセル１０ｍｇ（試験用）,3,1,カプセル\n101,2,5,外用,1\n\
    111,2,1,2B74000000000000,１日２回両肩に塗布\n\
    201,2,1,1,2,699999904,架空軟膏０．１％（試験用）,20,1,ｇ\n";

const DIGEST: &str = "5f1c0b7d93e04a5e8f2d6c7b1a9e3d4c5b6a79880f1e2d3c4b5a69788796a5b4";

fn refused(code: &str) -> Refused {
    Refused {
        code: code.to_owned(),
        title: text(
            "文書が署名の後で書き換えられています",
            "The document was changed after signing",
        ),
        advice: text(
            "この文書は使わず、発行元から受け取り直してください。",
            "Do not use this document; ask its issuer for it again.",
        ),
        reference: None,
    }
}

fn glance(role: Role, open: bool) -> Glance {
    let physician = role == Role::Physician;
    let of = |a: (&str, &str), b: (&str, &str)| {
        let (ja, en) = if physician { a } else { b };
        text(ja, en)
    };
    Glance {
        role,
        name: of(("架空 花子", "Hanako Kakuu"), ("見本 次郎", "Jiro Mihon")),
        qualification: of(("医師", "Physician"), ("薬剤師", "Pharmacist")),
        authority: of(("日本医師会（TEST）", "JMA (TEST)"), ("MEDIS（TEST）", "MEDIS (TEST)")),
        institution: of(
            ("テスト架空病院", "TEST Kakuu Hospital"),
            ("テスト見本薬局", "TEST Mihon Pharmacy"),
        ),
        terminal: of(("外来１診", "Outpatient room 1"), ("調剤台１", "Dispensing desk 1")),
        session: open.then(|| Session {
            until: text("2026年11月22日 07:42", "2026-11-22 07:42"),
            means: text("スマートフォン", "Phone"),
            left: 299,
        }),
    }
}

fn ceremony(role: Role, number: Option<&str>) -> Ceremony {
    let shown = glance(role, false);
    Ceremony {
        role,
        stage: if number.is_some() { CeremonyStage::Number } else { CeremonyStage::Asking },
        qr: "https://localhost:43117/q#1.0f1e2d3c4b5a69788796a5b4c3d2e1f0.Zm9vYmFyYmF6cXV4Zm9vYg"
            .into(),
        expires: text("13:43:00 まで有効", "valid until 13:43:00"),
        phone: PhoneScreen {
            owner: shown.name,
            institution: shown.institution,
            terminal: shown.terminal,
            kinds: vec![text("電子処方箋", "prescriptions")],
            count: 300,
            until: text("2026年11月22日 07:42", "2026-11-22 07:42"),
            number: number.map(str::to_owned),
        },
        tries_left: number.map(|_| 3),
    }
}

fn travel(from: Place, to: Place, ja: &str, en: &str, kind: &str, content: &str) -> Travel {
    Travel {
        from,
        to,
        label: text(ja, en),
        content_type: kind.to_owned(),
        content: content.to_owned(),
        size: content.len() as u64,
    }
}

fn signed(role: Role) -> Signed {
    let shown = glance(role, true);
    Signed {
        signer: shown.name,
        qualification: shown.qualification,
        time: text("2026年11月21日 13:44", "2026-11-21 13:44"),
        digest: DIGEST.into(),
        order: "0192f1d2-7c3a-7b11-8f0e-0123456789ab".into(),
        journal_index: 41,
        journal_size: 42,
        took_us: 4_870,
    }
}

fn verified(role: Role, refusal: Option<Refused>) -> Verified {
    let shown = glance(role, true);
    Verified {
        document: match role {
            Role::Physician => text("電子処方箋", "Prescription"),
            Role::Pharmacist => text("調剤結果", "Dispensing result"),
        },
        valid: refusal.is_none(),
        signer: shown.name,
        qualification: shown.qualification,
        authority: shown.authority,
        time: text("2026年11月21日 13:44", "2026-11-21 13:44"),
        level: Text::new("XAdES-BES", "XAdES-BES"),
        revocation: text("失効していません（13:40 時点のリスト）", "not revoked (list of 13:40)"),
        refusal,
    }
}

/// The state with this many steps done.
pub(crate) fn sample(done: usize) -> State {
    let status = |index: usize| match index.cmp(&done) {
        std::cmp::Ordering::Less => Status::Done,
        std::cmp::Ordering::Equal => Status::Ready,
        std::cmp::Ordering::Greater => Status::Waiting,
    };
    let sign_request = format!(
        "POST /v1/signatures\n\n{{\n  \"order\": \"0192f1d2-7c3a-7b11-8f0e-0123456789ab\",\n  \
         \"kind\": \"prescription\",\n  \"digest\": {{ \"algorithm\": \"sha256\", \"value\": \"{DIGEST}\" }}\n}}"
    );
    let travels = |id: StepId| match id {
        StepId::Authenticate => vec![
            travel(Place::Ehr, Place::Gateway, "認証を始める", "begin", "application/json", "{}"),
            travel(
                Place::Gateway,
                Place::Platform,
                "端末と希望",
                "terminal and wishes",
                "application/json",
                "{\"terminal\":{\"id\":\"opd-1\"}}",
            ),
            travel(
                Place::Phone,
                Place::Platform,
                "QRを読み取った",
                "QR scanned",
                "application/json",
                "{\"ceremony\":\"…\"}",
            ),
            travel(
                Place::Platform,
                Place::Phone,
                "施設・端末・内容",
                "place and contents",
                "application/json",
                "{\"statement\":{}}",
            ),
            travel(
                Place::Phone,
                Place::Platform,
                "生体認証による承認",
                "approval",
                "application/json (WebAuthn)",
                "{\"type\":\"public-key\"}",
            ),
            travel(
                Place::Platform,
                Place::Gateway,
                "18時間の証票",
                "token for 18 h",
                "application/at+jwt",
                "eyJ…",
            ),
        ],
        StepId::Prescribe => {
            vec![travel(Place::Ehr, Place::Gateway, "処方箋の記録", "the record", "text/csv", CSV)]
        }
        StepId::Sign => vec![
            travel(
                Place::Gateway,
                Place::Platform,
                "ダイジェストだけ",
                "digest only",
                "application/json",
                &sign_request,
            ),
            travel(
                Place::Platform,
                Place::KeyDevice,
                "署名する値",
                "what is signed",
                "SignedInfo",
                "<ds:SignedInfo>…",
            ),
            travel(Place::KeyDevice, Place::Platform, "署名値", "signature value", "RSA-2048", "…"),
            travel(
                Place::Platform,
                Place::Gateway,
                "署名と記録の証明",
                "signature and proof",
                "application/json",
                "{\"index\":41}",
            ),
            travel(
                Place::Gateway,
                Place::Service,
                "署名済み処方箋",
                "signed prescription",
                "application/xml",
                "<Document id=\"Document\">…</Document>",
            ),
            travel(
                Place::Service,
                Place::Gateway,
                "処方箋ID・引換番号",
                "ID and exchange number",
                "application/json",
                "{\"exchange_number\":\"480172\"}",
            ),
        ],
        StepId::Dispense => vec![
            travel(
                Place::PharmacyGateway,
                Place::Service,
                "引換番号",
                "exchange number",
                "application/json",
                "{\"exchange_number\":\"480172\"}",
            ),
            travel(
                Place::Service,
                Place::PharmacyGateway,
                "処方箋",
                "prescription",
                "application/xml",
                "<Document/>",
            ),
            travel(
                Place::PharmacyGateway,
                Place::Platform,
                "ダイジェストだけ",
                "digest only",
                "application/json",
                &sign_request,
            ),
            travel(
                Place::Platform,
                Place::PharmacyGateway,
                "署名と記録の証明",
                "signature and proof",
                "application/json",
                "{}",
            ),
            travel(
                Place::PharmacyGateway,
                Place::Service,
                "調剤結果",
                "dispensing result",
                "application/xml",
                "<Document/>",
            ),
        ],
        StepId::Verify => vec![travel(
            Place::Service,
            Place::Verifier,
            "調剤結果の文書",
            "the dispensing document",
            "application/xml",
            "<Document/>",
        )],
    };
    let summary = |id: StepId| match id {
        StepId::Authenticate => text(
            "医師 架空 花子が外来１診で認証しました。",
            "Dr Kakuu is authenticated in outpatient room 1.",
        ),
        StepId::Prescribe => text(
            "処方箋の記録（831バイト）ができました。病院の中にあります。",
            "The record (831 octets) is made. It is inside the hospital.",
        ),
        StepId::Sign => {
            text("署名し、管理サービスが受け付けました。", "Signed, and accepted by the service.")
        }
        StepId::Dispense => text(
            "調剤結果に署名し、登録しました。",
            "The dispensing result is signed and registered.",
        ),
        StepId::Verify => text("二つの署名を検証しました。", "Both signatures were verified."),
    };
    State {
        revision: done as u64,
        now: text("2026年11月21日 13:44", "2026-11-21 13:44 JST"),
        people: vec![glance(Role::Physician, done > 0), glance(Role::Pharmacist, done > 3)],
        ceremony: None,
        steps: StepId::ALL
            .into_iter()
            .enumerate()
            .map(|(index, id)| Step {
                id,
                status: status(index),
                title: Text::default(),
                summary: if index < done { summary(id) } else { Text::default() },
                travelled: if index < done { travels(id) } else { Vec::new() },
                took_ms: (index < done).then_some(12),
                refusal: None,
            })
            .collect(),
        csv: CSV.to_owned(),
        signed: (done > 2).then(|| signed(Role::Physician)),
        registered: (done > 2).then(|| Registered {
            prescription_id: "1439e0c5-0000-4000-8000-000000000001".into(),
            exchange_number: "480172".into(),
        }),
        dispensed: (done > 3).then(|| signed(Role::Pharmacist)),
        verification: (done > 4).then(|| Verification {
            valid: true,
            tampered: false,
            change: Text::default(),
            signatures: vec![verified(Role::Physician, None), verified(Role::Pharmacist, None)],
        }),
        readers: Vec::new(),
        cards: Vec::new(),
        files: if done > 4 {
            vec![FileLink {
                name: "dispensing.xml".into(),
                href: "/demo/files/dispensing.xml".into(),
                label: text("署名済みの調剤結果", "signed dispensing result"),
                size: 18_234,
            }]
        } else {
            Vec::new()
        },
    }
}

/// With an authentication open.
pub(crate) fn asking(role: Role, number: Option<&str>) -> State {
    let (done, index) = if role == Role::Physician { (0, 0) } else { (3, 3) };
    let mut state = sample(done);
    state.ceremony = Some(ceremony(role, number));
    state.steps[index].status = Status::Running;
    state
}

/// After one character was changed.
pub(crate) fn tampered() -> State {
    let mut state = sample(5);
    state.verification = Some(Verification {
        valid: false,
        tampered: true,
        change: text("薬品の数量「3」を「9」に", "the amount of a drug, 3 to 9"),
        signatures: vec![
            verified(Role::Physician, Some(refused("digest-mismatch"))),
            verified(Role::Pharmacist, Some(refused("digest-mismatch"))),
        ],
    });
    state
}

fn every_state() -> Vec<State> {
    let mut states: Vec<State> = (0..=5).map(sample).collect();
    states.extend([
        asking(Role::Physician, None),
        asking(Role::Physician, Some("407")),
        asking(Role::Pharmacist, None),
        tampered(),
    ]);
    states
}

#[test]
fn every_state_is_shown_in_both_languages_without_anything_inline() {
    for state in every_state() {
        for lang in [Lang::Ja, Lang::En] {
            let page = page(lang, &state).unwrap();
            assert!(page.contains(&format!("<html lang=\"{}\">", lang.tag())));
            assert!(!page.contains(" style="), "inline style");
            assert!(!page.contains(" onclick="), "inline script");
            assert_eq!(page.matches("<script").count(), 1);
            assert!(page.contains("<script src=\"/assets/demo.js\" defer></script>"));
            assert!(!page.contains("http://") || page.contains("/q#1."), "outside resource");
            for step in ["authenticate", "prescribe", "sign", "dispense", "verify"] {
                assert_eq!(page.matches(&format!("id=\"{step}\"")).count(), 1, "{step}");
            }
        }
    }
}

#[test]
fn what_a_record_says_cannot_become_markup() {
    let mut state = sample(1);
    state.csv = CSV.replace("架空プラセボ錠５ｍｇ（試験用）", "<script>alert(1)</script>");
    state.steps[0].travelled[0].content = "</pre><img src=x>".into();
    let page = page(Lang::Ja, &state).unwrap();
    assert!(!page.contains("<script>alert"));
    assert!(!page.contains("</pre><img"));
}

#[test]
fn the_phone_names_the_place_and_refusing_is_as_prominent_as_approving() {
    let page = page(Lang::Ja, &asking(Role::Physician, None)).unwrap();
    for shown in ["テスト架空病院", "外来１診", "電子処方箋", "300 件まで", "2026年11月22日 07:42"]
    {
        assert!(page.contains(shown), "{shown}");
    }
    let (refuse, approve) = (page.find("class=\"refuse\""), page.find("class=\"approve\""));
    assert!(refuse.is_some() && refuse < approve);
    assert!(page.contains("<svg class=\"qr\""));
}

#[test]
fn three_digits_are_typed_at_the_terminal_where_the_phone_shows_them() {
    let page = page(Lang::En, &asking(Role::Physician, Some("407"))).unwrap();
    assert!(page.contains("<p class=\"number\">407</p>"));
    assert!(page.contains("data-post=\"/demo/authenticate/number\""));
}

#[test]
fn a_refusal_says_what_happened_and_what_to_do_next() {
    let mut state = sample(2);
    state.steps[2].status = Status::Refused;
    state.steps[2].refusal = Some(refused("token-ended"));
    let page = page(Lang::Ja, &state).unwrap();
    assert!(page.contains("token-ended"));
    assert!(page.contains("発行元から受け取り直してください"));
}

#[test]
fn a_record_that_cannot_be_read_can_still_be_corrected() {
    let mut state = sample(1);
    state.csv = "SJ1\nhello\n".into();
    let page = page(Lang::Ja, &state).unwrap();
    assert!(page.contains("処方箋として読めません"));
    assert!(page.contains("SJ1\nhello"));
}

#[test]
fn a_state_survives_the_way_over_the_network() {
    for state in every_state() {
        let json = serde_json::to_string(&state).unwrap();
        assert_eq!(serde_json::from_str::<State>(&json).unwrap(), state);
    }
    assert!(serde_json::from_str::<StartRequest>("{\"who\":\"pharmacist\"}").is_ok());
    assert!(serde_json::from_str::<StartRequest>("{\"who\":\"nurse\"}").is_err());
    let request: PrescribeRequest = serde_json::from_str("{\"amounts\":{\"20\":\"6\"}}").unwrap();
    assert_eq!(request.amounts[&20], "6");
}
