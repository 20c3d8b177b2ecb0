//! A sandbox of the prescription management service (電子処方箋管理サービス): a state machine in
//! memory, without network and without a clock.
//!
//! It decides what the real service decides as far as published documents show: verify the
//! signature, give a prescription ID and an exchange number (引換番号), add its own unsigned
//! elements by splicing, hand the document to the pharmacy that names the number, take one signed
//! dispensing result for it. It does not yet time-stamp (levels T, XL, A) and keeps nothing after
//! the process ends.
//!
//! Rules that hold here:
//! - A document that is handed in again, octet for octet, gets the same answer and no second
//!   number: whoever lost the answer may simply ask again.
//! - What the physician or the pharmacist signed leaves this room as the same octets.
//! - A prescription is dispensed once.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use hpki::certificate::Certificate;
use hpki::crl::Crl;
use hpki::encoding::{Digest32, sha256};
use hpki::kind::DocumentKind;
use hpki::oid::ObjectIdentifier;
use hpki::path::Anchor;
use hpki::refusal::Refuse;
use hpki::sign::Random;
use hpki::time::Timestamp;
use prescription::document::{self, Conversion, Parsed};
use prescription::{DispensingRecord, PrescriptionRecord};
use serde::{Deserialize, Serialize};
use verifier::{Evidence, Report, Verdict};

use crate::Refusal;

/// The most prescriptions held; six digits must stay easy to draw.
const MAX_HELD: usize = 100_000;

/// What the service trusts when it verifies. The caller renews the lists; a stale one makes the
/// service refuse rather than guess.
#[derive(Debug, Clone)]
pub struct Trust {
    /// Pinned roots. Each must say TEST in its name.
    pub anchors: Vec<Anchor>,
    /// The certification authorities below them.
    pub intermediates: Vec<Certificate>,
    /// Their revocation lists.
    pub crls: Vec<Crl>,
    /// Accepted certificate policies.
    pub policies: Vec<ObjectIdentifier>,
}

/// A prescription ID: a UUID, as in published documents.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PrescriptionId(uuid::Uuid);

impl PrescriptionId {
    fn draw(random: &dyn Random) -> Self {
        let mut octets = [0; 16];
        random.fill(&mut octets);
        Self(uuid::Builder::from_random_bytes(octets).into_uuid())
    }
}

impl fmt::Display for PrescriptionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.hyphenated())
    }
}

impl FromStr for PrescriptionId {
    type Err = Refusal;
    fn from_str(text: &str) -> Result<Self, Refusal> {
        uuid::Uuid::parse_str(text).map(Self).map_err(|_| Refusal::PrescriptionUnknown)
    }
}

impl TryFrom<String> for PrescriptionId {
    type Error = Refusal;
    fn try_from(text: String) -> Result<Self, Refusal> {
        text.parse()
    }
}

impl From<PrescriptionId> for String {
    fn from(id: PrescriptionId) -> Self {
        id.to_string()
    }
}

/// The number the patient carries to the pharmacy (引換番号).
///
/// Our reading: six decimal digits, unique among the prescriptions that this sandbox holds. In
/// reality the patient's insurance number goes with it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ExchangeNumber(String);

impl ExchangeNumber {
    fn draw(random: &dyn Random) -> Self {
        let mut octets = [0; 8];
        random.fill(&mut octets);
        Self(format!("{:06}", u64::from_be_bytes(octets) % 1_000_000))
    }

    /// The six digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ExchangeNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for ExchangeNumber {
    type Err = Refusal;
    fn from_str(text: &str) -> Result<Self, Refusal> {
        if text.len() == 6 && text.bytes().all(|octet| octet.is_ascii_digit()) {
            Ok(Self(text.to_owned()))
        } else {
            Err(Refusal::ExchangeNumberMalformed)
        }
    }
}

impl TryFrom<String> for ExchangeNumber {
    type Error = Refusal;
    fn try_from(text: String) -> Result<Self, Refusal> {
        text.parse()
    }
}

impl From<ExchangeNumber> for String {
    fn from(number: ExchangeNumber) -> Self {
        number.0
    }
}

/// The service's answer to a signed prescription.
#[derive(Debug, Clone)]
pub struct Accepted {
    /// The ID given to it.
    pub prescription_id: PrescriptionId,
    /// The number for the patient.
    pub exchange_number: ExchangeNumber,
    /// The document with the service's additions.
    pub document: Vec<u8>,
    /// What the service's verifier found.
    pub report: Report,
}

/// The service's answer to a signed dispensing result.
#[derive(Debug, Clone)]
pub struct Dispensed {
    /// Which prescription is now dispensed.
    pub prescription_id: PrescriptionId,
    /// The document with the service's additions.
    pub document: Vec<u8>,
    /// What the service's verifier found, for both signatures.
    pub report: Report,
}

/// A prescription the service holds, and what became of it.
struct Held {
    accepted: Accepted,
    dispensed: Option<(Digest32, Dispensed)>,
}

/// The service.
pub struct Service {
    trust: Trust,
    held: BTreeMap<PrescriptionId, Held>,
    numbers: BTreeMap<ExchangeNumber, PrescriptionId>,
    handed_in: BTreeMap<Digest32, PrescriptionId>,
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service").field("held", &self.held.len()).finish_non_exhaustive()
    }
}

impl Service {
    /// Opens the service. Refuses an anchor whose name does not say TEST: the town must not run
    /// where a real root is configured.
    pub fn open(trust: Trust) -> Result<Self, Refusal> {
        refuse_real_anchors(&trust.anchors)?;
        Ok(Self {
            trust,
            held: BTreeMap::new(),
            numbers: BTreeMap::new(),
            handed_in: BTreeMap::new(),
        })
    }

    /// Takes newer revocation lists.
    pub fn renew_lists(&mut self, crls: Vec<Crl>) {
        self.trust.crls = crls;
    }

    /// How many prescriptions are held, and how many of them are dispensed.
    pub fn counts(&self) -> (usize, usize) {
        (self.held.len(), self.held.values().filter(|held| held.dispensed.is_some()).count())
    }

    /// Takes a signed prescription from a hospital.
    pub fn accept_prescription(
        &mut self,
        document: &[u8],
        now: Timestamp,
        random: &dyn Random,
    ) -> Result<Accepted, Refusal> {
        let handed_in = sha256(document);
        if let Some(held) = self.handed_in.get(&handed_in).and_then(|id| self.held.get(id)) {
            return Ok(held.accepted.clone());
        }
        if self.held.len() >= MAX_HELD {
            return Err(Refusal::ServiceFull);
        }
        let parsed = read(document, DocumentKind::Prescription)?;
        if parsed.prescription_id.is_some() {
            return Err(Refusal::ServiceAlreadyNumbered);
        }
        let record = PrescriptionRecord::parse(&parsed.csv).map_err(unreadable)?;
        if let Some((last_day, Some(_))) = record.expires()
            && last_day < now.jst_day().as_str()
        {
            return Err(Refusal::ServicePrescriptionExpired(last_day.to_owned()));
        }
        let report = self.judge(document, now)?;

        let id = PrescriptionId::draw(random);
        let number = self.fresh_number(random);
        let document = document::register_prescription(
            document,
            &id.to_string(),
            &conversions(record.groups().iter().flat_map(|group| {
                group.drugs.iter().map(|drug| (drug.line, drug.code_type, drug.code))
            })),
        )
        .map_err(unreadable)?;
        let accepted = Accepted {
            prescription_id: id.clone(),
            exchange_number: number.clone(),
            document,
            report,
        };
        self.numbers.insert(number, id.clone());
        self.handed_in.insert(handed_in, id.clone());
        self.held.insert(id, Held { accepted: accepted.clone(), dispensed: None });
        Ok(accepted)
    }

    /// Hands the registered prescription to the pharmacy that names its exchange number.
    pub fn fetch(&self, number: &ExchangeNumber) -> Result<&Accepted, Refusal> {
        let id = self.numbers.get(number).ok_or(Refusal::ExchangeNumberUnknown)?;
        let held = self.held.get(id).ok_or(Refusal::PrescriptionUnknown)?;
        if held.dispensed.is_some() {
            return Err(Refusal::PrescriptionAlreadyDispensed);
        }
        Ok(&held.accepted)
    }

    /// Takes a signed dispensing result from a pharmacy. Both signatures are verified, and the
    /// prescription inside must be the registered one, octet for octet.
    pub fn accept_dispensing(
        &mut self,
        document: &[u8],
        now: Timestamp,
    ) -> Result<Dispensed, Refusal> {
        let handed_in = sha256(document);
        let parsed = read(document, DocumentKind::Dispensing)?;
        let record = DispensingRecord::parse(&parsed.csv).map_err(unreadable)?;
        let id: PrescriptionId =
            parsed.prescription_id.as_deref().ok_or(Refusal::PrescriptionUnknown)?.parse()?;
        if record.prescription_id() != id.to_string() {
            return Err(Refusal::DispensingNamesAnother);
        }
        let held = self.held.get(&id).ok_or(Refusal::PrescriptionUnknown)?;
        if let Some((before, dispensed)) = &held.dispensed {
            return if *before == handed_in {
                Ok(dispensed.clone())
            } else {
                Err(Refusal::PrescriptionAlreadyDispensed)
            };
        }
        let registered = prescription_octets(&held.accepted.document);
        if registered.is_none() || registered != prescription_octets(document) {
            return Err(Refusal::PrescriptionDiffers);
        }
        let report = self.judge(document, now)?;
        let lines = record.drugs().iter().map(|drug| (drug.line, drug.code_type, drug.code));
        let document =
            document::register_dispensing(document, &conversions(lines)).map_err(unreadable)?;
        let dispensed = Dispensed { prescription_id: id.clone(), document, report };
        if let Some(held) = self.held.get_mut(&id) {
            held.dispensed = Some((handed_in, dispensed.clone()));
        }
        Ok(dispensed)
    }

    fn judge(&self, document: &[u8], now: Timestamp) -> Result<Report, Refusal> {
        let report = verifier::verify(
            document,
            &Evidence {
                anchors: &self.trust.anchors,
                intermediates: &self.trust.intermediates,
                crls: Some(&self.trust.crls),
                at: now,
                policies: self.trust.policies.clone(),
            },
        );
        let (code, message) = report.refusal().map_or_else(
            || ("signature-missing".to_owned(), "no signature was judged".to_owned()),
            |refusal| (refusal.code.clone(), refusal.message.clone()),
        );
        match report.verdict {
            Verdict::Valid => Ok(report),
            Verdict::Invalid => Err(Refusal::ServiceSignatureInvalid { code, message }),
            Verdict::CannotTell => Err(Refusal::ServiceSignatureUndetermined { code, message }),
        }
    }

    fn fresh_number(&self, random: &dyn Random) -> ExchangeNumber {
        // At most a tenth of all numbers are taken (MAX_HELD), so this ends at once; a source of
        // randomness that always says the same is walked away from.
        let mut number = ExchangeNumber::draw(random);
        while self.numbers.contains_key(&number) {
            let next = number.0.parse::<u64>().unwrap_or(0) + 1;
            number = ExchangeNumber(format!("{:06}", next % 1_000_000));
        }
        number
    }
}

fn refuse_real_anchors(anchors: &[Anchor]) -> Result<(), Refusal> {
    for anchor in anchors {
        let name = anchor.certificate.subject().to_string();
        if !name.contains("TEST") {
            return Err(Refusal::ServiceAnchorNotTest(name));
        }
    }
    Ok(())
}

fn unreadable(refusal: prescription::Refusal) -> Refusal {
    Refusal::ServiceDocumentUnreadable {
        code: refusal.code().to_owned(),
        message: refusal.to_string(),
    }
}

fn read(document: &[u8], kind: DocumentKind) -> Result<Parsed, Refusal> {
    let parsed = Parsed::parse(document).map_err(unreadable)?;
    if parsed.kind == kind { Ok(parsed) } else { Err(Refusal::ServiceWrongKind) }
}

/// The octets between the tags of `Prescription`, or of `ReferencePrescription` in a dispensing
/// result. [`Parsed::parse`] has read the document before, so it is bounded and of known shape.
fn prescription_octets(document: &[u8]) -> Option<&[u8]> {
    let text = std::str::from_utf8(document).ok()?;
    let tree = roxmltree::Document::parse(text).ok()?;
    let child = |of: roxmltree::Node<'_, '_>, name| {
        of.children().find(|node| node.has_tag_name(name)).map(|node| node.id())
    };
    let root = tree.root_element();
    let holder = child(root, "Prescription").or_else(|| {
        let dispensing = tree.get_node(child(root, "Dispensing")?)?;
        child(dispensing, "ReferencePrescription")
    })?;
    let holder = tree.get_node(holder)?;
    let (first, last) = (holder.first_child()?, holder.last_child()?);
    document.get(first.range().start..last.range().end)
}

/// The real service converts drug codes between lists. The sandbox has no drug master, so it gives
/// back the receipt-computer code (type 2) that the record has.
fn conversions<'a>(drugs: impl Iterator<Item = (usize, &'a str, &'a str)>) -> Vec<Conversion> {
    drugs
        .filter(|(_, code_type, code)| *code_type == "2" && !code.is_empty())
        .map(|(line, _, code)| Conversion {
            csv_line: line,
            code: code.to_owned(),
            re_code: Some(code.to_owned()),
            yj_code: None,
        })
        .collect()
}
