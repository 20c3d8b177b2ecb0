//! What can happen that the journal tells of.

use std::fmt;
use std::str::FromStr;

macro_rules! events {
    ($($(#[$doc:meta])* $variant:ident = $name:literal $ja:literal,)*) => {
        /// What happened. The names are part of every commitment and never change.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Event { $($(#[$doc])* $variant,)* }

        impl Event {
            /// Every event.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The name that stands in the journal.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// What people are told that happened.
            pub const fn ja(self) -> &'static str {
                match self { $(Self::$variant => $ja,)* }
            }
        }
    };
}

events! {
    /// A subscriber's key is about to sign.
    SignatureIntended = "signature.intended" "署名の予告",
    /// It signed; the outcome names the hash of the signature.
    SignatureMade = "signature.made" "署名",
    /// It did not, or nobody knows: no signature of this intention was or will be handed out.
    SignatureInterrupted = "signature.interrupted" "署名の中断（署名は渡っていません）",
    /// A CA key is about to sign a certificate.
    CertificateIntended = "certificate.intended" "証明書発行の予告",
    /// The certificate exists.
    CertificateIssued = "certificate.issued" "証明書の発行",
    /// The certificate was not made.
    CertificateInterrupted = "certificate.interrupted" "証明書発行の中断",
    /// A certificate was revoked.
    CertificateRevoked = "certificate.revoked" "証明書の失効",
    /// A CA key is about to sign a revocation list.
    CrlIntended = "crl.intended" "失効リストの予告",
    /// The list exists.
    CrlIssued = "crl.issued" "失効リストの発行",
    /// The list was not made.
    CrlInterrupted = "crl.interrupted" "失効リストの中断",
    /// Name and photograph of a card's face were filed; the evidence hash is that of both.
    FaceFiled = "face.filed" "券面（氏名・写真）の登録",
    /// A subscriber's key was generated inside the device.
    KeyGenerated = "key.generated" "鍵の生成",
    /// A certificate was matched to the key.
    KeyCertified = "key.certified" "鍵の証明",
    /// The key is kept and can be activated.
    KeyHeld = "key.held" "鍵の預かり",
    /// The key was suspended: it signs nothing.
    KeySuspended = "key.suspended" "鍵の停止",
    /// The suspension was lifted.
    KeyResumed = "key.resumed" "鍵の再開",
    /// The key was frozen because a self-check failed.
    KeyFrozen = "key.frozen" "鍵の凍結",
    /// The key was destroyed.
    KeyDestroyed = "key.destroyed" "鍵の廃棄",
    /// A certification authority handed over a key that it had made; the evidence hash is that of
    /// the package.
    KeyImported = "key.imported" "鍵の受け入れ",
    /// An officer was enrolled.
    OfficerEnrolled = "officer.enrolled" "担当者の登録",
    /// An officer's authority ended.
    OfficerDismissed = "officer.dismissed" "担当者の解任",
    /// Somebody was invited to become an officer of the authority's desk.
    OfficerInvited = "officer.invited" "窓口係の招き",
    /// An officer of the desk signed in.
    DeskOpened = "desk.opened" "窓口係の入室",
    /// An officer of the desk looked at a holder's means and sessions.
    DeskLooked = "desk.looked" "窓口係の閲覧",
    /// An officer of the desk approved an act; the evidence hash is that of her approval.
    DeskDecided = "desk.decided" "窓口の決定",
    /// A directive was opened; the evidence hash is that of what it orders.
    DirectiveOpened = "directive.opened" "指図の起案",
    /// An officer confirmed a directive.
    DirectiveConfirmed = "directive.confirmed" "指図の確認",
    /// A directive was carried out or withdrawn.
    DirectiveClosed = "directive.closed" "指図の完了または取下げ",
    /// Something unusual that a person should look at; the evidence hash is that of what it says.
    AlarmRaised = "alarm.raised" "警報",
    /// An initial-registration sheet was issued.
    SheetIssued = "sheet.issued" "初期登録用紙の発行",
    /// A phone showed the secret of a sheet.
    SheetOpened = "sheet.opened" "登録用紙のQRコードの読み取り",
    /// A birth date was given for a sheet; whether it was right is not told before this stands here.
    SheetTried = "sheet.tried" "登録用紙への生年月日の入力",
    /// The fifth wrong birth date: the sheet links nothing any more.
    SheetLocked = "sheet.locked" "登録用紙の使用停止（5回の誤り）",
    /// A phone was linked to a person and key.
    PhoneLinked = "phone.linked" "電話の登録",
    /// The linking of a phone ended.
    PhoneUnlinked = "phone.unlinked" "電話の登録の終了",
    /// A My Number Card was linked to a person and key.
    CardLinked = "card.linked" "マイナンバーカードの紐付け",
    /// The linking of a My Number Card ended.
    CardUnlinked = "card.unlinked" "マイナンバーカードの紐付けの終了",
    /// An approval opened a budget.
    BudgetOpened = "budget.opened" "承認（当日の署名）",
    /// The owner approved exactly these documents.
    DocumentsApproved = "documents.approved" "承認（文書ごと）",
    /// The owner said no on her phone.
    ApprovalRefused = "approval.refused" "電話での拒否",
    /// A budget ended before its time.
    BudgetEnded = "budget.ended" "承認の終了",
    /// The owner looked at her page.
    OwnerSignedIn = "owner.signed-in" "本人のページへのサインイン",
    /// The owner told another service who she is; the evidence hash is that of her approval.
    LoginApproved = "login.approved" "他のサービスへのログイン",
    /// The owner took back what a service may know of her.
    ConsentEnded = "consent.ended" "サービスへの同意の取り消し",
    /// The owner said of an entry that it was not her doing; the evidence hash is that of her word.
    EntryDisputed = "entry.disputed" "「自分ではない」との申し出",
    /// Officers were appointed: shares of an unseal secret were made; the evidence hash is that of
    /// the transcript, as in all that officers do.
    OfficersAppointed = "officers.appointed" "担当者の任命",
    /// Officers opened the key device.
    DeviceUnsealed = "device.unsealed" "鍵装置の開封",
    /// A backup was made.
    BackupMade = "backup.made" "控えの作成",
    /// The platform was restored from a backup.
    BackupRestored = "backup.restored" "控えからの復元",
    /// The device's keys were replaced and every kept key wrapped anew.
    DeviceRotated = "device.rotated" "鍵装置の鍵の更新",
    /// The device's keys were moved to a second device.
    DeviceTransferred = "device.transferred" "鍵装置の引越し",
    /// A key ceremony of a certification authority began.
    CeremonyBegun = "ceremony.begun" "鍵の儀式の開始",
    /// A CA key was generated in a ceremony.
    CeremonyKeyGenerated = "ceremony.key-generated" "鍵の儀式での鍵の生成",
    /// A key ceremony ended; the evidence hash is that of its transcript.
    CeremonyEnded = "ceremony.ended" "鍵の儀式の終了",
}

impl Event {
    /// Whether this announces an act that follows (and must be closed by an outcome).
    pub const fn is_intention(self) -> bool {
        matches!(self, Self::SignatureIntended | Self::CertificateIntended | Self::CrlIntended)
    }

    /// Whether this closes an intention.
    pub const fn is_outcome(self) -> bool {
        matches!(
            self,
            Self::SignatureMade
                | Self::SignatureInterrupted
                | Self::CertificateIssued
                | Self::CertificateInterrupted
                | Self::CrlIssued
                | Self::CrlInterrupted
        )
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that no event has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no event is called {0:?}")]
pub struct UnknownEvent(pub String);

impl FromStr for Event {
    type Err = UnknownEvent;
    fn from_str(text: &str) -> Result<Self, UnknownEvent> {
        Self::ALL
            .iter()
            .copied()
            .find(|event| event.name() == text)
            .ok_or_else(|| UnknownEvent(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_is_found_by_its_name_and_no_name_is_used_twice() {
        for event in Event::ALL {
            assert_eq!(event.name().parse(), Ok(*event));
            assert!(!(event.is_intention() && event.is_outcome()));
        }
    }
}
