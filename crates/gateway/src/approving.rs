//! The owner's approval per document or batch, as the terminal sees it: a QR, eight characters that
//! the phone must show too (or her card in this host's reader, `by_card`), and then the signed documents.
//!
//! The gateway believes nothing about what is approved. It composes SignedInfo itself from its own
//! documents and what the platform says it composed from, computes the root over all of them, and
//! compares the statement that the phone signs field by field before it takes a signature. Beside
//! each document it keeps the evidence, judged as a stranger would judge it.
//!
//! Dying before the approval is committed here: the platform signs nothing, because nobody fetches
//! it. Dying after: the orders wait; asking again for the state goes on, and ten minutes later each
//! is only asked about, as every order is ([`Gateway::resume`]).

use approval::DocumentsStatement;
use approval::statement::{document_commitment, root, short_code};
use hpki::encoding::Digest32;
use hpki::id::{CeremonyId, FacilityCode, KeyId, OrderNumber, PersonId};
use hpki::kind::DocumentKind;
use hpki::refusal::Refuse as _;
use hpki::time::Timestamp;
use ledger::Failed;
use wire::{
    ApprovalAnswer, ApprovalRequest, ApprovalSignatures, ApprovalState, CeremonyStep, DigestValue,
    SignRequest, Terminal,
};
use xades::compose::{Draft, Recipe, Signer};

use crate::answer::{self, Believed, CLOCK_OFF_S};
use crate::batch::DocumentOutcome;
use crate::checkpoint::{get, unreachable};
use crate::config::Staff;
use crate::desk::{Gateway, Signed};
use crate::evidence;
use crate::names::{StaffId, TerminalId};
use crate::orders::Order;
use crate::platform::{Bearer, Call, Method, Platform};
use crate::refusal::Refusal;
use crate::sending::{never_answered, platform_says, read, stored_answer};
use crate::shelf::Kept;

/// The digest algorithm of every document here.
const SHA256_OID: &str = "2.16.840.1.101.3.4.2.1";
/// No more at once: the answer has to be read whole.
const MOST: usize = 300;
/// Custody lets what it composed be approved for this long.
const LONGEST_S: u64 = 180;

/// Something to be approved and signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Paper {
    /// A prescription record (CSV).
    Prescription(Vec<u8>),
    /// A dispensing record (CSV) over a registered prescription.
    Dispensing {
        /// The registered prescription, octet for octet.
        prescription: Vec<u8>,
        /// The record.
        csv: Vec<u8>,
    },
}

/// What the terminal shows while it waits for the phone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approving {
    /// Which.
    pub ceremony: CeremonyId,
    /// The text of the QR code.
    pub qr: String,
    /// Until when it can be claimed.
    pub until: Timestamp,
    /// The eight characters that the phone must show too: computed here, from our own documents.
    pub short_code: String,
    /// The kinds among the documents.
    pub kinds: Vec<DocumentKind>,
    /// How many.
    pub count: u32,
    /// Their order numbers, in the order of the papers.
    pub orders: Vec<OrderNumber>,
}

/// How far an approval is.
#[derive(Debug)]
pub struct ApprovingState {
    /// Where it stands; `Released` once the documents were signed.
    pub state: CeremonyStep,
    /// The eight characters.
    pub short_code: String,
    /// What became of each document, once released, in the order of the papers.
    pub documents: Vec<DocumentOutcome>,
}

/// An approval as it is kept here until its documents are signed.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) ceremony: CeremonyId,
    pub(crate) staff: StaffId,
    pub(crate) terminal: TerminalId,
    pub(crate) person: PersonId,
    pub(crate) key: KeyId,
    pub(crate) kinds: Vec<DocumentKind>,
    pub(crate) count: u32,
    pub(crate) root: Digest32,
    pub(crate) not_after: Timestamp,
}

impl Asked {
    /// Compares all that this gateway knows by itself with what the phone was asked to sign.
    pub(crate) fn compare(
        &self,
        statement: &DocumentsStatement,
        facility: &FacilityCode,
        x5t: &Digest32,
        label: &str,
    ) -> Result<(), Refusal> {
        let mut kinds = statement.kinds.clone();
        kinds.sort_unstable_by_key(|kind| kind.name());
        let differs = [
            (statement.root != self.root, "root"),
            (statement.count != self.count, "count"),
            (kinds != self.kinds, "kinds"),
            (statement.ceremony != self.ceremony, "ceremony"),
            (statement.facility_id != *facility, "facility"),
            (statement.x5t_s256 != *x5t, "certificate"),
            (statement.terminal_id != self.terminal.as_str(), "terminal"),
            (statement.terminal_label != label, "terminal"),
            (statement.person != self.person, "person"),
            (statement.key != self.key, "key"),
            (statement.not_after != self.not_after, "time"),
        ];
        match differs.iter().find(|(differs, _)| *differs) {
            Some((_, what)) => Err(Refusal::StatementDiffers(what)),
            None => Ok(()),
        }
    }
}

impl<P: Platform> Gateway<P> {
    /// Asks this staff member to approve exactly these documents on her phone.
    pub async fn ask_approval(
        &self,
        staff: &StaffId,
        terminal: &TerminalId,
        papers: &[Paper],
        now: Timestamp,
    ) -> Result<Approving, Failed<Refusal>> {
        let staff = self.staff(staff)?;
        let label = self.config.terminal(terminal);
        let label = label.ok_or(Failed::Refused(Refusal::TerminalUnknown))?;
        if !(1..=MOST).contains(&papers.len()) {
            return Err(Failed::Refused(Refusal::ApprovalSize(papers.len())));
        }
        let (orders, kept) = self.written(staff, papers, now).await?;
        self.watch.witnessed(&self.platform, now).await?;
        let request = ApprovalRequest {
            terminal: Terminal { id: terminal.to_string(), label: label.to_owned() },
            documents: orders
                .iter()
                .map(|order| SignRequest {
                    order: order.number,
                    kind: order.kind,
                    digest: DigestValue::sha256(&order.digest),
                })
                .collect(),
        };
        let body = serde_json::to_vec(&request)
            .map_err(|error| Failed::Refused(Refusal::AnswerMalformed(error.to_string())))?;
        let call = Call {
            method: Method::Post,
            path: wire::path::APPROVALS.to_owned(),
            token: Some(kept.bearer.clone()),
            body: Some(body),
        };
        let reply = self.platform.send(call).await.map_err(unreachable)?;
        let answer: ApprovalAnswer = match read(reply) {
            Ok(answer) => answer,
            Err(refusal) => {
                if self.token_is_dead(&refusal) {
                    self.shelf.forget(&staff.id, &kept.jti).await?;
                }
                return Err(Failed::Refused(refusal));
            }
        };
        let root = own_root(&orders, &answer, now).map_err(Failed::Refused)?;
        let mut kinds: Vec<DocumentKind> = orders.iter().map(|order| order.kind).collect();
        kinds.sort_unstable_by_key(|kind| kind.name());
        kinds.dedup();
        let asked = Asked {
            ceremony: answer.ceremony,
            staff: staff.id.clone(),
            terminal: terminal.clone(),
            person: kept.person,
            key: kept.key,
            kinds,
            // At most `MOST`.
            count: u32::try_from(orders.len()).unwrap_or(u32::MAX),
            root,
            not_after: answer.not_after,
        };
        self.orders.wait(&asked, &orders, &*self.random, now).await?;
        Ok(Approving {
            ceremony: answer.ceremony,
            qr: answer.qr,
            until: answer.until,
            short_code: short_code(&root),
            kinds: asked.kinds,
            count: asked.count,
            orders: orders.iter().map(|order| order.number).collect(),
        })
    }

    /// How far an approval is. Once the owner has approved, the documents are signed, verified and
    /// kept together with their evidence; asking again gives them again for a day.
    pub async fn approval(
        &self,
        staff: &StaffId,
        ceremony: CeremonyId,
        now: Timestamp,
    ) -> Result<ApprovingState, Failed<Refusal>> {
        let staff = self.staff(staff)?;
        let asked = self.asked_of(staff, ceremony).await?;
        let _turn = self.turns.take(ceremony).await;
        if self.orders.waiting(ceremony).await?.is_empty() {
            return self.released(&asked).await;
        }
        let path = wire::path::APPROVAL.replace("{ceremony}", &ceremony.to_string());
        let reply = self.platform.send(get(path)).await.map_err(unreachable)?;
        let found: ApprovalState = read(reply).map_err(Failed::Refused)?;
        if let Some(statement) = &found.statement
            && let Err(refusal) = self.judge(&asked, statement)
        {
            self.orders.refuse_waiting(ceremony, &refusal).await?;
            return Err(Failed::Refused(refusal));
        }
        let state = match (found.state, &found.statement) {
            (CeremonyStep::Approved, Some(_)) => {
                self.collect(staff, &asked, now).await?;
                return self.released(&asked).await;
            }
            (CeremonyStep::Approved, None) => {
                let why = "approved, but what?".to_owned();
                return Err(Failed::Refused(Refusal::AnswerMalformed(why)));
            }
            (CeremonyStep::Refused, _) => {
                self.orders.refuse_waiting(ceremony, &Refusal::ApprovalRefused).await?;
                CeremonyStep::Refused
            }
            (CeremonyStep::Expired, _) => {
                self.orders.refuse_waiting(ceremony, &Refusal::ApprovalExpired).await?;
                CeremonyStep::Expired
            }
            (state, _) => state,
        };
        Ok(ApprovingState { state, short_code: short_code(&asked.root), documents: Vec::new() })
    }

    /// The approval that was asked of this staff member.
    pub(crate) async fn asked_of(
        &self,
        staff: &Staff,
        ceremony: CeremonyId,
    ) -> Result<Asked, Failed<Refusal>> {
        let asked = self.orders.asked(ceremony).await?;
        let asked = asked.filter(|asked| asked.staff == staff.id);
        asked.ok_or(Failed::Refused(Refusal::CeremonyUnknown))
    }

    /// The evidence of an order that was approved by itself or in a batch (JSON, protocols §6).
    pub async fn evidence(&self, order: OrderNumber) -> Result<String, Failed<Refusal>> {
        self.orders.evidence(order).await
    }

    /// Each paper as an order with its unsigned document; and the token that allows them all.
    pub(crate) async fn written(
        &self,
        staff: &Staff,
        papers: &[Paper],
        now: Timestamp,
    ) -> Result<(Vec<Order>, Kept), Failed<Refusal>> {
        let mut orders = Vec::with_capacity(papers.len());
        let mut kept = None;
        for paper in papers {
            let (kind, document) = match paper {
                Paper::Prescription(csv) => {
                    (DocumentKind::Prescription, self.prescription(staff, csv)?)
                }
                Paper::Dispensing { prescription, csv } => {
                    (DocumentKind::Dispensing, self.dispensing(staff, prescription, csv, now)?)
                }
            };
            let token = self.token(staff, kind, now).await?;
            let digest = xades::reference_digest(&document, kind.signed_id())
                .map_err(|refusal| Failed::Refused(Refusal::Document(refusal.into())))?;
            orders.push(Order {
                number: OrderNumber::new(now.seconds().saturating_mul(1000), &*self.random),
                staff: staff.id.clone(),
                person: token.person,
                key: token.key,
                kind,
                digest,
                created: now,
                document,
                approval: None,
                batch: None,
            });
            kept = Some(token);
        }
        let kept = kept.ok_or(Failed::Refused(Refusal::ApprovalSize(0)))?;
        Ok((orders, kept))
    }

    /// The statement, if it says what was asked here and nothing else.
    pub(crate) fn judge(
        &self,
        asked: &Asked,
        statement: &serde_json::Value,
    ) -> Result<DocumentsStatement, Refusal> {
        let statement: DocumentsStatement = serde_json::from_value(statement.clone())
            .map_err(|error| Refusal::AnswerMalformed(format!("the statement: {error}")))?;
        let label = self.config.terminal(&asked.terminal).ok_or(Refusal::TerminalUnknown)?;
        asked.compare(&statement, &self.config.facility, &self.config.x5t, label)?;
        Ok(statement)
    }

    /// Has the approved documents signed and finishes each. One that cannot be finished now stays
    /// waiting; one that is wrong is closed.
    async fn collect(
        &self,
        staff: &Staff,
        asked: &Asked,
        now: Timestamp,
    ) -> Result<(), Failed<Refusal>> {
        let kept = self.shelf.take(staff, now).await?.ok_or(Failed::Refused(Refusal::NoToken))?;
        let path = wire::path::APPROVAL_SIGNATURES;
        let call = Call {
            method: Method::Post,
            path: path.replace("{ceremony}", &asked.ceremony.to_string()),
            token: Some(kept.bearer.clone()),
            body: Some(b"{}".to_vec()),
        };
        let reply = self.platform.send(call).await.map_err(unreachable)?;
        let signatures: ApprovalSignatures = match read(reply) {
            Ok(signatures) => signatures,
            Err(refusal) => {
                let found = self.ask_for_each(asked, &kept.bearer, &refusal, now).await?;
                return if found > 0 { Ok(()) } else { Err(Failed::Refused(refusal)) };
            }
        };
        for (item, order) in self.orders.waiting(asked.ceremony).await? {
            let outcome = signatures.documents.get(item);
            match outcome.map(|one| (&one.signed, &one.refused)) {
                Some((Some(answer), _)) => {
                    self.finish_approved(&order, asked, answer, now).await?;
                }
                Some((None, Some(problem))) => {
                    let (code, detail) = (problem.code.clone(), problem.detail.clone());
                    let refusal = Refusal::PlatformRefused { code, detail };
                    self.close_unless_signed(&order, asked, &kept.bearer, &refusal, now).await?;
                }
                _ => {
                    let refusal = Refusal::AnswerWrongOrder;
                    self.close_unless_signed(&order, asked, &kept.bearer, &refusal, now).await?;
                }
            }
        }
        Ok(())
    }

    /// The platform signs none of them any more: what it signed before is fetched, the rest closed.
    /// Gives how many were fetched.
    async fn ask_for_each(
        &self,
        asked: &Asked,
        bearer: &Bearer,
        refusal: &Refusal,
        now: Timestamp,
    ) -> Result<usize, Failed<Refusal>> {
        let mut found = 0;
        if matches!(refusal, Refusal::PlatformRefused { .. }) && !self.token_is_dead(refusal) {
            for (_, order) in self.orders.waiting(asked.ceremony).await? {
                let signed = self.close_unless_signed(&order, asked, bearer, refusal, now).await?;
                found += usize::from(signed);
            }
        }
        Ok(found)
    }

    /// Closes an order for this refusal, unless it can still be answered or was signed before: a
    /// signature that the journal holds is not thrown away because asking twice was refused. Whether
    /// it was signed.
    async fn close_unless_signed(
        &self,
        order: &Order,
        asked: &Asked,
        bearer: &Bearer,
        refusal: &Refusal,
        now: Timestamp,
    ) -> Result<bool, Failed<Refusal>> {
        if refusal.leaves_order_open() {
            return Ok(false);
        }
        let mut at = now;
        match stored_answer(&self.platform, order, Some(bearer), &mut at).await {
            Ok(answer) => {
                self.finish_approved(order, asked, &answer, now).await?;
                return Ok(true);
            }
            Err(said) if never_answered(&said) => {
                self.orders.refused(order.number, refusal).await?;
            }
            // Nobody knows yet.
            Err(_) => {}
        }
        Ok(false)
    }

    /// Believes an answer to an approved order, fetches and judges its evidence, and keeps both.
    pub(crate) async fn finish_approved(
        &self,
        order: &Order,
        asked: &Asked,
        answer: &wire::SignAnswer,
        now: Timestamp,
    ) -> Result<Signed, Failed<Refusal>> {
        let crls = self.crls();
        let crls = crls.as_deref().map(Vec::as_slice);
        let believed = match answer::believe(&self.config, order, answer, crls, now) {
            Ok(believed) => believed,
            Err(refusal) => return self.close(order, refusal).await,
        };
        self.watch.accept(&self.platform, &believed.checkpoint, &believed.note, now).await?;
        let path = wire::path::EVIDENCE.replace("{order}", &order.number.to_string());
        let reply = self.platform.send(get(path)).await.map_err(unreachable)?;
        let text = platform_says(reply).map_err(Failed::Refused)?;
        if let Err(refusal) = self.judge_evidence(&text, asked, &believed, crls) {
            return self.close(order, refusal).await;
        }
        let evidence = String::from_utf8(text).map_err(|_| {
            Failed::Refused(Refusal::EvidenceWrong("the evidence is not UTF-8".into()))
        })?;
        self.orders.approved(order.number, &believed.document, &evidence, &*self.random).await?;
        Ok(Signed::of(order, believed))
    }

    fn judge_evidence(
        &self,
        text: &[u8],
        asked: &Asked,
        believed: &Believed,
        crls: Option<&[hpki::Crl]>,
    ) -> Result<(), Refusal> {
        let wrong = |what: &str| Refusal::EvidenceWrong(what.to_owned());
        let report = evidence::judge(&self.config, text, crls);
        // In force then is what lists of then tell, and those at hand may be younger; a card's standing
        // was judged before it signed.
        if report.verdict == verifier::Verdict::Invalid
            || report.approved.verdict != verifier::Verdict::Valid
        {
            return Err(wrong(report.code().unwrap_or("cannot tell")));
        }
        let bundle =
            approval::Bundle::parse(text).map_err(|refusal| wrong(&refusal.to_string()))?;
        let label = self.config.terminal(&asked.terminal).ok_or(Refusal::TerminalUnknown)?;
        asked.compare(&bundle.statement, &self.config.facility, &self.config.x5t, label)?;
        if bundle.document.dtbsr != believed.dtbsr
            || hpki::encoding::sha256(&bundle.signature) != believed.value_hash
        {
            return Err(wrong("it is of another signature"));
        }
        Ok(())
    }

    async fn released(&self, asked: &Asked) -> Result<ApprovingState, Failed<Refusal>> {
        let documents = self.orders.outcomes(asked.ceremony).await?;
        let waiting = self.orders.waiting(asked.ceremony).await?;
        let none = documents.iter().all(|document| document.outcome.is_err());
        let ended = |refusals: &[Refusal]| {
            let is = |code: &String| refusals.iter().any(|refusal| refusal.code() == code);
            documents.iter().all(|document| document.outcome.as_ref().is_err_and(is))
        };
        let state = match (waiting.is_empty(), none) {
            (false, _) => CeremonyStep::Approved,
            (true, true) if ended(&[Refusal::ApprovalRefused]) => CeremonyStep::Refused,
            (true, true) if ended(&[Refusal::ApprovalExpired, Refusal::OrderExpired]) => {
                CeremonyStep::Expired
            }
            (true, _) => CeremonyStep::Released,
        };
        let documents = if state == CeremonyStep::Released { documents } else { Vec::new() };
        Ok(ApprovingState { state, short_code: short_code(&asked.root), documents })
    }
}

/// The root over what will be signed, computed from our own documents: only the time, the mark and
/// the certificate are the platform's word, and each ends up in what everybody verifies.
fn own_root(
    orders: &[Order],
    answer: &ApprovalAnswer,
    now: Timestamp,
) -> Result<Digest32, Refusal> {
    let malformed = |what: &str| Refusal::AnswerMalformed(what.to_owned());
    hpki::Certificate::from_der(&answer.certificate.0)
        .map_err(|refusal| Refusal::AnswerMalformed(refusal.to_string()))?;
    if answer.documents.len() != orders.len() {
        return Err(malformed("another number of documents"));
    }
    if answer.not_after > now.plus(LONGEST_S + CLOCK_OFF_S) {
        return Err(malformed("it could be approved for too long"));
    }
    let signer = Signer::new(&answer.certificate.0);
    let mut commitments = Vec::with_capacity(orders.len());
    for (order, prepared) in orders.iter().zip(&answer.documents) {
        if prepared.order != order.number {
            return Err(Refusal::AnswerWrongOrder);
        }
        let signing_time = prepared.signing_time;
        let difference = now.since(signing_time).max(signing_time.since(now));
        if difference > CLOCK_OFF_S {
            return Err(Refusal::ClockOff(difference));
        }
        let mut mark = [0; 4];
        hex::decode_to_slice(&prepared.mark, &mut mark).map_err(|_| malformed("a mark"))?;
        let recipe = Recipe { kind: order.kind, digest: order.digest, signing_time, mark };
        let dtbsr = Draft::new(&recipe, &signer).dtbsr();
        commitments.push(document_commitment(order.kind, SHA256_OID, &order.digest, &dtbsr));
    }
    Ok(root(&commitments))
}

#[cfg(test)]
#[path = "approving_tests.rs"]
mod tests;
