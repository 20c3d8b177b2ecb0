//! How this room says no.

use hpki::refusal::Refuse;

macro_rules! refusals {
    ($($(#[$doc:meta])* $name:ident $(($field:ty))? $code:literal $text:literal;)*) => {
        /// The rules of key custody say no.
        #[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
        pub enum Refusal {
            $($(#[$doc])* #[error($text)] $name $(($field))?,)*
            /// The certificate cannot be used, or not now.
            #[error(transparent)]
            Certificate(#[from] hpki::Refusal),
            /// The approval or linking does not hold.
            #[error(transparent)]
            Approval(#[from] approval::Refusal),
            /// The device refuses the wrapped key.
            #[error(transparent)]
            Device(#[from] hsm::Refusal),
        }

        /// Every code that this room adds; it also passes on those of `hpki`, `approval`, `hsm`.
        pub const CODES: &[&str] = &[$($code,)*];

        impl Refuse for Refusal {
            fn code(&self) -> &'static str {
                match self {
                    $(Self::$name $((refusals!(@wild $field)))? => $code,)*
                    Self::Certificate(inner) => inner.code(),
                    Self::Approval(inner) => inner.code(),
                    Self::Device(inner) => inner.code(),
                }
            }
        }
    };
    (@wild $field:ty) => { _ };
}

refusals! {
    // ── the token ──
    /// Not a token of our form.
    TokenMalformed "token-malformed" "the token is not one of this platform";
    /// Signed by a key that is not pinned here.
    TokenKeyUnknown "token-key-unknown" "the token is signed by an unknown key";
    /// The signature does not verify.
    TokenSignatureWrong "token-signature-wrong" "the signature of the token is wrong";
    /// Another issuer.
    TokenWrongIssuer "token-wrong-issuer" "the token is from another issuer";
    /// For somebody else.
    TokenWrongAudience "token-wrong-audience" "the token is not for this service";
    /// Does not allow signing.
    TokenWrongScope "token-wrong-scope" "the token does not allow signing";
    /// Its time is over.
    TokenExpired "token-expired" "the token has expired";
    /// From the future, or living longer than 18 h.
    TokenTimesWrong "token-times-wrong" "the times in the token are wrong";
    /// Presented over a certificate other than the one it is bound to.
    TokenWrongCertificate "token-wrong-certificate" "the token is bound to another client certificate";
    /// Presented from another facility.
    TokenWrongFacility "token-wrong-facility" "the token belongs to another facility";
    /// Its owner, the facility or a revocation ended it.
    TokenEnded "token-ended" "the token was ended";

    // ── the budget ──
    /// No budget of this token was opened here.
    BudgetUnknown "budget-unknown" "no approval of this token is known here";
    /// All drawn.
    BudgetExhausted "budget-exhausted" "the approved number of signatures is used up";
    /// Too many within this hour.
    HourlyLimit "hourly-limit-reached" "the number of signatures for this hour is used up";
    /// The approval asks for more than the policy gives.
    AllowanceTooLarge "allowance-too-large" "more was approved than the policy allows";
    /// The approval is too old, or from the future, to open a budget.
    ApprovalTooOld "approval-too-old" "the approval is not fresh";
    /// The approval acknowledges a history of the key that the journal does not have.
    HistoryMismatch "history-mismatch" "the approval rests on another history of this key";
    /// The approval was given to another platform.
    ApprovalElsewhere "approval-elsewhere" "the approval was given to another platform";

    // ── what may be signed ──
    /// The token, the budget or the qualification does not allow this kind of document.
    KindNotAllowed "kind-not-allowed" "this kind of document may not be signed with this key or token";
    /// The platform's policy does not sign this kind of document.
    KindNotEnabled "kind-not-enabled" "this platform does not sign this kind of document";
    /// The policy asks for the owner's approval of each document of this kind.
    ApprovalNeeded "approval-needed" "each document of this kind needs its owner's approval";
    /// The platform composes what is signed of this kind, or the caller does: the other door.
    KindWrongDoor "kind-wrong-door" "this kind of document is signed through another interface";
    /// Something that concerns the key is being delivered; whether it may sign is not known.
    StatusUnknown "status-unknown" "the state of this key is being updated";
    /// Our clock is behind the journal.
    ClockUnsure "clock-unsure" "the platform's clock is behind its journal";

    // ── limits beside the budget's own ──
    /// Too many signatures with this token within this hour.
    TokenLimit "token-limit-reached" "this token has asked for too many signatures within the hour";
    /// Too many signatures from this facility within this hour.
    FacilityLimit "facility-limit-reached" "this facility has asked for too many signatures within the hour";

    // ── approval of each document ──
    /// None, or more than a thousand at once.
    BatchSize "batch-size-wrong" "a batch has between 1 and 1,000 documents";
    /// Nothing was prepared under this id, or not for this bearer.
    PreparedUnknown "prepared-unknown" "no documents were prepared under this number";
    /// Too many preparations wait for approval.
    PreparationsTooMany "preparations-too-many" "too many documents wait for approval already";
    /// What was prepared was not approved in time.
    PreparedExpired "prepared-expired" "the time to approve these documents is over";
    /// The approval is for other documents, another person or another place.
    ApprovalMismatch "approval-mismatch" "the approval is not for these documents";
    /// These documents were approved already, by another approval.
    ApprovalSpent "approval-spent" "these documents were approved already";

    /// What the owner decided by this approval was carried out already.
    DecisionSpent "decision-spent" "what was decided by this approval was carried out already";
    /// Not the owner alone has stopped the key: she cannot start it by herself.
    KeyStoppedByOthers "key-stopped-by-others" "the key is stopped by others than its owner as well";

    // ── signature activation data (CSC) ──
    /// The certificate of the connection is not one of a registered client.
    ClientUnknown "client-unknown" "this client is not registered for signing hashes";
    /// This client may have documents signed by their digests, but no hash that it composed itself.
    RawHashesNotAllowed "raw-hashes-not-allowed" "this client may not have hashes signed as they are";
    /// No such credential, or not one that this bearer may use through this client.
    CredentialUnknown "credential-unknown" "no such credential";
    /// No such signature activation data, or not this bearer's.
    SadUnknown "sad-unknown" "no such signature activation data";
    /// Sixty seconds are over.
    SadExpired "sad-expired" "the signature activation data has expired";
    /// More hashes than the number of signatures that was authorised.
    SadExhausted "sad-exhausted" "more signatures are asked for than were authorised";
    /// A hash that the owner did not approve.
    HashNotAuthorised "hash-not-authorised" "this hash was not authorised";
    /// Not SHA-256, or not as long as one.
    HashAlgorithm "hash-algorithm-not-allowed" "only SHA-256 hashes are signed";
    /// No such request for signatures, not this bearer's, or not kept any more.
    RequestUnknown "request-unknown" "no such request for signatures";
    /// What was authorised was not used within sixty seconds.
    ActivationExpired "activation-expired" "the authorisation was not used in time";

    // ── the key ──
    /// No such key.
    KeyUnknown "key-unknown" "no such kept key";
    /// This person already keeps a key for this qualification.
    KeyAlreadyKept "key-already-kept" "this person already has a kept key for this qualification";
    /// The key is in a state from which this cannot be done.
    KeyWrongState(&'static str) "key-wrong-state" "this cannot be done with a key that is {0}";
    /// The key was stopped.
    KeySuspended "key-suspended" "the key is stopped";
    /// The key was frozen after a failed self-check.
    KeyFrozen "key-frozen" "the key was frozen after a failed self-check";
    /// The certificate is for another key.
    CertificateOfAnotherKey "certificate-of-another-key" "the certificate is for another key";
    /// The certificate is not a signing certificate of the qualification that was ordered.
    CertificateNotForSigning(&'static str) "certificate-not-for-signing" "the certificate is not the ordered signing certificate: {0}";
    /// A row that carries authority does not bear our seal.
    SealBroken(&'static str) "seal-broken" "a sealed row ({0}) was changed outside this program";

    /// No such paper about this key.
    PaperUnknown "paper-unknown" "there is no such statement about this key";

    // ── a key that an authority hands over ──
    /// Nobody registered connects with this certificate.
    ImporterUnknown "importer-unknown" "no registered authority connects with this certificate";
    /// Another authority or certificate than the directive names.
    ImportNotAsDirected "import-not-as-directed" "the directive names another authority or certificate";
    /// Another authority signed the certificate.
    CertificateNotOfImporter "certificate-not-of-importer" "this authority did not issue the certificate";
    /// The directive does not name the record of the owner's consent.
    ConsentMissing "consent-missing" "the record of the owner's consent is not named";

    // ── officers and what they decide ──
    /// No officer has this number.
    OfficerUnknown "officer-unknown" "no such officer";
    /// She is an officer no more.
    OfficerDismissed "officer-dismissed" "this officer's authority has ended";
    /// Her office does not let her do this.
    OfficerRoleWrong "officer-role-wrong" "this office may not do that";
    /// Her signature does not verify over exactly this.
    OfficerSignatureWrong "officer-signature-wrong" "the officer's signature is wrong";
    /// She has confirmed it already; another officer is needed.
    OfficerAlreadyConfirmed "officer-already-confirmed" "this officer has confirmed it already";
    /// Her key is another officer's.
    OfficerAlreadyEnrolled "officer-already-enrolled" "this key is an officer's already";
    /// Neither Ed25519 nor P-256.
    OfficerKeyUnsupported "officer-key-unsupported" "an officer's key is Ed25519 or P-256";
    /// There are officers; they decide who becomes one.
    OfficersExist "officers-exist" "there are officers already";
    /// Fewer than two officers for security.
    OfficersTooFew "officers-too-few" "at least two officers for security are needed";
    /// No such directive.
    DirectiveUnknown "directive-unknown" "no such directive";
    /// Its time is over.
    DirectiveExpired "directive-expired" "the time of this directive is over";
    /// In the past, or more than a week ahead.
    DirectiveTimeWrong "directive-time-wrong" "a directive lasts a week at most";
    /// Carried out or withdrawn.
    DirectiveClosed "directive-closed" "this directive was carried out or withdrawn";
    /// Not two officers yet, or not the right ones.
    DirectiveNotConfirmed "directive-not-confirmed" "not enough officers have confirmed this directive";
    /// It orders something else.
    DirectiveOfAnotherAct "directive-of-another-act" "this directive orders something else";
    /// Somebody else confirmed or withdrew it at the same moment.
    DirectiveMoved "directive-moved" "the directive changed at the same moment";

    // ── the phone ──
    /// No linked phone has this credential or number here.
    BindingUnknown "binding-unknown" "this phone is not linked here";
    /// The linking was ended.
    BindingEnded "binding-ended" "the linking of this phone was ended";
    /// A phone is linked to this key, or this phone to another.
    AlreadyLinked "phone-already-linked" "a phone is already linked to this key, or this phone to another key";

    /// A card may not decide that beside a phone that is linked.
    PhoneNeeded "phone-needed" "this is approved on the linked phone, not by card";

    // ── the card ──
    /// No My Number Card is linked under this number here, or not to this key.
    CardUnknown "card-unknown" "this card is not linked here";
    /// The linking of the card was ended.
    CardEnded "card-ended" "the linking of this card was ended";
    /// A card is linked to this key, or this card to another.
    CardAlreadyLinked "card-already-linked" "a card is already linked to this key, or this card to another key";
    /// The card's certificate is of another holder than the kept key's, or of another qualification.
    CardOtherPerson "card-other-person" "the card is not that of the kept key's owner";

    // ── the order ──
    /// The number was used for another request.
    OrderReused "order-reused" "this order number was used for another request";
    /// The order is being worked on.
    OrderInProgress "order-in-progress" "this order is being worked on";
    /// The order was interrupted more than ten minutes ago.
    OrderInterrupted "order-interrupted" "this order was interrupted and can no longer be resumed";
    /// The order was answered more than 24 hours ago.
    OrderClosed(u64) "order-closed" "this order was answered and is closed; its outcome is journal entry {0}";
    /// No such order of this facility.
    OrderUnknown "order-unknown" "no such order";
    /// The activation was spent by somebody else.
    ActivationSpent "activation-spent" "this activation was already spent";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_listed_once_and_spelled_like_a_code() {
        let mut codes = CODES.to_vec();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), CODES.len());
        assert!(codes.iter().all(|c| c.bytes().all(|b| b.is_ascii_lowercase() || b == b'-')));
        assert!(CODES.contains(&Refusal::OrderClosed(7).code()));
        assert!(CODES.contains(&Refusal::SealBroken("custody_key").code()));
    }
}
