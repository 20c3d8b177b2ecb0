//! How this room says no.

use hpki::refusal::Refuse;

use crate::provider::Wrong;

/// The rules say no, and someone can act.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No such sheet, or not its secret: the two look alike.
    #[error("no such sheet, or not its secret")]
    SheetUnknown,
    /// The fifth wrong birth date was given.
    #[error("the sheet is locked after five wrong birth dates")]
    SheetLocked,
    /// Older than three months.
    #[error("the sheet has expired")]
    SheetExpired,
    /// A newer sheet took its place.
    #[error("a newer sheet was issued; this one is void")]
    SheetRevoked,
    /// The certificate was revoked; a sheet leads nowhere.
    #[error("the certificate was revoked, and the sheet with it")]
    SheetVoid,
    /// Here a card has to order the sheet, and none ordered this one.
    #[error("a card has to order the sheet")]
    CardProofNeeded,
    /// The sitting is over, was ended by a newer one, or never was.
    #[error("the sitting is over; scan the sheet again")]
    SittingUnknown,
    /// Another birth date than the enrolled person's.
    #[error("the birth date is wrong; {left} tries are left")]
    BirthDateWrong {
        /// How many wrong dates the sheet still bears.
        left: u64,
    },
    /// Not eight digits that are a date. No try is counted.
    #[error("a birth date is eight digits, YYYYMMDD")]
    BirthDateMalformed,
    /// The phone answered before its owner gave the birth date.
    #[error("the birth date has not been given yet")]
    BirthDateMissing,
    /// The key already has a live phone, the phone's credential is in use, or the sheet was used.
    #[error("a phone is already linked")]
    PhoneAlreadyLinked,
    /// This very phone is linked to the sheet's key: there is nothing left to do.
    #[error("this phone is linked already, by this sheet's key")]
    PhoneLinkedHere,
    /// This phone is linked to another key: one certificate for each phone.
    #[error("this phone is linked to another key")]
    PhoneHoldsAnother,
    /// Names of phones are 1 to 64 characters of visible text.
    #[error("the phone's name must be 1 to 64 visible characters")]
    PhoneNameMalformed,
    /// The phone that scanned is not linked to anybody (any more).
    #[error("this phone is not linked")]
    PhoneNotLinked,
    /// The My Number Card in the reader is linked to nobody (any more).
    #[error("this card is not linked")]
    CardNotLinked,
    /// The card speaks for a key already, or the key has this card already.
    #[error("this card is linked already")]
    CardAlreadyLinked,
    /// This means may not do that: a My Number Card links no other, and not every card orders sheets.
    #[error("this cannot be done with this card")]
    CardActNotAllowed,
    /// Three sheets were made by card within a day.
    #[error("too many sheets were made by card today")]
    SheetsTooMany,
    /// She came to her page by card; this is approved on the phone.
    #[error("this is approved on the phone, and she came by card")]
    PhoneNeeded,
    /// No such ceremony, not its secret, or not the certificate that began it: all look alike.
    #[error("no such ceremony")]
    CeremonyUnknown,
    /// The QR was claimed before.
    #[error("the QR code was already used")]
    QrAlreadyUsed,
    /// The QR is older than 60 seconds.
    #[error("the QR code has expired")]
    QrExpired,
    /// Not approved, or the number not typed, in time.
    #[error("the ceremony has expired")]
    CeremonyExpired,
    /// Its owner said no.
    #[error("the owner of the phone refused")]
    CeremonyRefused,
    /// The ceremony is not at the step that was asked for.
    #[error("the ceremony is not at this step: {0}")]
    CeremonyOutOfStep(&'static str),
    /// Another person than the one who is logged in at the terminal.
    #[error("another person is expected at this terminal")]
    NotTheExpectedPerson,
    /// The digits on the phone were not carried to the terminal.
    #[error("the number shown on the phone was not typed at the terminal")]
    PlaceNotConfirmed,
    /// Wrong digits.
    #[error("the number is wrong; {left} tries are left")]
    NumberWrong {
        /// How many tries are left.
        left: u8,
    },
    /// More, or for longer, than may be allowed at all; or nothing.
    #[error("this allowance cannot be asked for: {0}")]
    AllowanceNotAllowed(&'static str),
    /// Terminal names are 1 to 64 characters of visible text.
    #[error("the terminal's {0} must be 1 to 64 visible characters")]
    TerminalMalformed(&'static str),
    /// Too often or too many at once.
    #[error("too many requests; wait a little")]
    SlowDown,
    /// A row was changed by someone who does not hold the device.
    #[error("the seal of {0} is broken")]
    SealBroken(&'static str),
    /// Not the key of the stream of this phone's key.
    #[error("this is not the key of the stream")]
    StreamKeyWrong,
    /// No such invitation, or not its secret: the two look alike.
    #[error("no such invitation, or not its secret")]
    InvitationUnknown,
    /// Somebody became an officer by it.
    #[error("the invitation was used")]
    InvitationUsed,
    /// Older than a day.
    #[error("the invitation has expired")]
    InvitationExpired,
    /// No passkey of an officer in office. That there never was one looks the same.
    #[error("this passkey is no officer's of the desk")]
    OfficerNotAtDesk,
    /// Nobody is signed in at the desk here, or not any more.
    #[error("nobody is signed in at the desk")]
    DeskClosed,
    /// The request does not carry what the page of this sign-in was given.
    #[error("the request does not come from the page of this sign-in")]
    DeskForged,
    /// The passkey is an officer's already.
    #[error("this passkey is an officer's already")]
    OfficerAlreadyEnrolled,
    /// Nobody in office has this number.
    #[error("no officer of the desk in office has this number")]
    OfficerUnknown,
    /// The name or the reason is not visible text of bounded length.
    #[error("the {0} must be visible text of bounded length")]
    DeskTextMalformed(&'static str),
    /// Nobody is known under this 本人ID or number.
    #[error("no holder is known under this number")]
    HolderUnknown,
    /// The same act waits for its second officer already.
    #[error("the same act is waiting for its second officer")]
    DeskOrderOpen,
    /// No such act waits for a second officer.
    #[error("no such act is waiting")]
    DeskOrderUnknown,
    /// The second officer came too late, or somebody was first.
    #[error("the act is closed")]
    DeskOrderClosed,
    /// The officer who opened it cannot be its second.
    #[error("this officer has approved it already")]
    OfficerAlreadyConfirmed,
    /// No such session.
    #[error("no such session")]
    SessionUnknown,
    /// Not signed in to the owner's page, or not any more.
    #[error("not signed in, or not any more")]
    SigninNeeded,
    /// No card shows this code, or not any more.
    #[error("no card shows this code, or not any more")]
    CardCodeUnknown,
    /// She has said already that this entry was not her doing.
    #[error("this entry was disowned already")]
    AlreadyDisputed,
    /// No such question was asked on this page, or it was answered; also after a restart.
    #[error("nobody was asked that, or it was answered")]
    QuestionUnknown,
    /// The question stood for two minutes.
    #[error("the question is too old")]
    QuestionExpired,
    /// No such change of phones goes on; also after a restart.
    #[error("no such change of phones goes on")]
    ChangeUnknown,
    /// A change of phones takes ten minutes at most.
    #[error("the change of phones took too long")]
    ChangeExpired,
    /// Another phone has scanned the code of the change.
    #[error("the code of the change was scanned already")]
    ChangeAlreadyOpened,
    /// A request to the provider (OAuth 2.0, OpenID Connect) is refused.
    #[error(transparent)]
    Provider(#[from] Wrong),
    /// The phone's answer was judged and refused.
    #[error(transparent)]
    Approval(#[from] approval::Refusal),
}

/// Every code of this room but the provider's ([`crate::provider::CODES`]); an answer of a phone is
/// refused with the codes of `approval`.
pub const CODES: &[&str] = &[
    "sheet-unknown",
    "sheet-locked",
    "sheet-expired",
    "sheet-revoked",
    "sheet-void",
    "card-proof-needed",
    "sitting-unknown",
    "birth-date-wrong",
    "birth-date-malformed",
    "birth-date-missing",
    "phone-already-linked",
    "phone-linked-here",
    "phone-holds-another",
    "phone-name-malformed",
    "phone-not-linked",
    "card-not-linked",
    "card-already-linked",
    "card-act-not-allowed",
    "sheets-too-many",
    "phone-needed",
    "ceremony-unknown",
    "qr-already-used",
    "qr-expired",
    "ceremony-expired",
    "ceremony-refused",
    "ceremony-out-of-step",
    "not-the-expected-person",
    "place-not-confirmed",
    "number-wrong",
    "allowance-not-allowed",
    "terminal-malformed",
    "slow-down",
    "seal-broken",
    "stream-key-wrong",
    "invitation-unknown",
    "invitation-used",
    "invitation-expired",
    "officer-not-at-desk",
    "desk-closed",
    "desk-forged",
    "officer-already-enrolled",
    "officer-unknown",
    "desk-text-malformed",
    "holder-unknown",
    "desk-order-open",
    "desk-order-unknown",
    "desk-order-closed",
    "officer-already-confirmed",
    "session-unknown",
    "signin-needed",
    "card-code-unknown",
    "already-disputed",
    "question-unknown",
    "question-expired",
    "change-unknown",
    "change-expired",
    "change-already-opened",
];

impl Refuse for Refusal {
    fn code(&self) -> &'static str {
        match self {
            Self::SheetUnknown => "sheet-unknown",
            Self::SheetLocked => "sheet-locked",
            Self::SheetExpired => "sheet-expired",
            Self::SheetRevoked => "sheet-revoked",
            Self::SheetVoid => "sheet-void",
            Self::CardProofNeeded => "card-proof-needed",
            Self::SittingUnknown => "sitting-unknown",
            Self::BirthDateWrong { .. } => "birth-date-wrong",
            Self::BirthDateMalformed => "birth-date-malformed",
            Self::BirthDateMissing => "birth-date-missing",
            Self::PhoneAlreadyLinked => "phone-already-linked",
            Self::PhoneLinkedHere => "phone-linked-here",
            Self::PhoneHoldsAnother => "phone-holds-another",
            Self::PhoneNameMalformed => "phone-name-malformed",
            Self::PhoneNotLinked => "phone-not-linked",
            Self::CardNotLinked => "card-not-linked",
            Self::CardAlreadyLinked => "card-already-linked",
            Self::CardActNotAllowed => "card-act-not-allowed",
            Self::SheetsTooMany => "sheets-too-many",
            Self::PhoneNeeded => "phone-needed",
            Self::CeremonyUnknown => "ceremony-unknown",
            Self::QrAlreadyUsed => "qr-already-used",
            Self::QrExpired => "qr-expired",
            Self::CeremonyExpired => "ceremony-expired",
            Self::CeremonyRefused => "ceremony-refused",
            Self::CeremonyOutOfStep(_) => "ceremony-out-of-step",
            Self::NotTheExpectedPerson => "not-the-expected-person",
            Self::PlaceNotConfirmed => "place-not-confirmed",
            Self::NumberWrong { .. } => "number-wrong",
            Self::AllowanceNotAllowed(_) => "allowance-not-allowed",
            Self::TerminalMalformed(_) => "terminal-malformed",
            Self::SlowDown => "slow-down",
            Self::SealBroken(_) => "seal-broken",
            Self::StreamKeyWrong => "stream-key-wrong",
            Self::InvitationUnknown => "invitation-unknown",
            Self::InvitationUsed => "invitation-used",
            Self::InvitationExpired => "invitation-expired",
            Self::OfficerNotAtDesk => "officer-not-at-desk",
            Self::DeskClosed => "desk-closed",
            Self::DeskForged => "desk-forged",
            Self::OfficerAlreadyEnrolled => "officer-already-enrolled",
            Self::OfficerUnknown => "officer-unknown",
            Self::DeskTextMalformed(_) => "desk-text-malformed",
            Self::HolderUnknown => "holder-unknown",
            Self::DeskOrderOpen => "desk-order-open",
            Self::DeskOrderUnknown => "desk-order-unknown",
            Self::DeskOrderClosed => "desk-order-closed",
            Self::OfficerAlreadyConfirmed => "officer-already-confirmed",
            Self::SessionUnknown => "session-unknown",
            Self::SigninNeeded => "signin-needed",
            Self::CardCodeUnknown => "card-code-unknown",
            Self::AlreadyDisputed => "already-disputed",
            Self::QuestionUnknown => "question-unknown",
            Self::QuestionExpired => "question-expired",
            Self::ChangeUnknown => "change-unknown",
            Self::ChangeExpired => "change-expired",
            Self::ChangeAlreadyOpened => "change-already-opened",
            Self::Provider(wrong) => wrong.code(),
            Self::Approval(refusal) => refusal.code(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_has_its_code_in_the_list_once() {
        let all = [
            Refusal::SheetUnknown,
            Refusal::SheetLocked,
            Refusal::SheetExpired,
            Refusal::SheetRevoked,
            Refusal::SheetVoid,
            Refusal::CardProofNeeded,
            Refusal::SittingUnknown,
            Refusal::BirthDateWrong { left: 1 },
            Refusal::BirthDateMalformed,
            Refusal::BirthDateMissing,
            Refusal::PhoneAlreadyLinked,
            Refusal::PhoneLinkedHere,
            Refusal::PhoneHoldsAnother,
            Refusal::PhoneNameMalformed,
            Refusal::PhoneNotLinked,
            Refusal::CardNotLinked,
            Refusal::CardAlreadyLinked,
            Refusal::CardActNotAllowed,
            Refusal::SheetsTooMany,
            Refusal::PhoneNeeded,
            Refusal::CeremonyUnknown,
            Refusal::QrAlreadyUsed,
            Refusal::QrExpired,
            Refusal::CeremonyExpired,
            Refusal::CeremonyRefused,
            Refusal::CeremonyOutOfStep(""),
            Refusal::NotTheExpectedPerson,
            Refusal::PlaceNotConfirmed,
            Refusal::NumberWrong { left: 1 },
            Refusal::AllowanceNotAllowed(""),
            Refusal::TerminalMalformed(""),
            Refusal::SlowDown,
            Refusal::SealBroken(""),
            Refusal::StreamKeyWrong,
            Refusal::InvitationUnknown,
            Refusal::InvitationUsed,
            Refusal::InvitationExpired,
            Refusal::OfficerNotAtDesk,
            Refusal::DeskClosed,
            Refusal::DeskForged,
            Refusal::OfficerAlreadyEnrolled,
            Refusal::OfficerUnknown,
            Refusal::DeskTextMalformed(""),
            Refusal::HolderUnknown,
            Refusal::DeskOrderOpen,
            Refusal::DeskOrderUnknown,
            Refusal::DeskOrderClosed,
            Refusal::OfficerAlreadyConfirmed,
            Refusal::SessionUnknown,
            Refusal::SigninNeeded,
            Refusal::CardCodeUnknown,
            Refusal::AlreadyDisputed,
            Refusal::QuestionUnknown,
            Refusal::QuestionExpired,
            Refusal::ChangeUnknown,
            Refusal::ChangeExpired,
            Refusal::ChangeAlreadyOpened,
        ];
        let codes: Vec<_> = all.iter().map(Refuse::code).collect();
        assert_eq!(codes, CODES);
        assert!(approval::CODES.contains(&Refusal::from(approval::Refusal::OriginWrong).code()));
    }
}
