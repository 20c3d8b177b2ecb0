//! What an owner decides about her own key from her phone, without an institution or a desk: to stop
//! it and to start it again, that her phone is lost, that another phone takes its place, that an
//! entry of the journal was not her doing; and that she wants to see all this.

use hpki::encoding::{Digest32, Statement as Encoded};
use hpki::id::{KeyId, PersonId, SheetId};
use hpki::time::Timestamp;
use serde::{Deserialize, Serialize};

/// A decision that needs nothing but who takes it and about which key.
macro_rules! about_her_key {
    ($($(#[$doc:meta])* $name:ident $domain:literal)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(rename_all = "camelCase", deny_unknown_fields)]
        pub struct $name {
            /// The platform, as in tokens.
            pub issuer: String,
            /// The relying party of the credential.
            pub rp_id: String,
            /// Fresh for this decision: nobody takes it twice by one approval.
            #[serde(with = "crate::b64")]
            pub nonce: [u8; 32],
            /// Who decides.
            pub person: PersonId,
            /// About which kept key.
            pub key: KeyId,
        }

        impl $name {
            /// `H(domain; issuer, rpId, nonce, person, key)`.
            pub fn challenge(&self) -> Digest32 {
                Encoded::new($domain)
                    .text(&self.issuer)
                    .text(&self.rp_id)
                    .octets_field(&self.nonce)
                    .octets_field(self.person.octets())
                    .octets_field(self.key.octets())
                    .digest()
            }
        }
    )*};
}

about_her_key! {
    /// Stopping her own key (`azukari/approve/stop/v1`). It gives no reason: none is asked of an owner.
    StopStatement "azukari/approve/stop/v1"
    /// Starting her own key again, which she herself had stopped (`azukari/approve/restart/v1`).
    RestartStatement "azukari/approve/restart/v1"
    /// Her phone is lost, or not hers alone any more: it is unlinked (`azukari/approve/loss/v1`).
    LossStatement "azukari/approve/loss/v1"
    /// A new sheet by which another phone can be linked, on the screen at which her card was read
    /// (`azukari/approve/sheet/v1`). The phone that is linked now, if one is, is hers no more.
    SheetStatement "azukari/approve/sheet/v1"
    /// Her My Number Card is linked no more (`azukari/approve/unlink-card/v1`).
    UnlinkCardStatement "azukari/approve/unlink-card/v1"
}

/// "This was not me": an owner disowns one entry of the journal about her key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DisputeStatement {
    /// The platform, as in tokens.
    pub issuer: String,
    /// The relying party of the credential.
    pub rp_id: String,
    /// Fresh for this decision.
    #[serde(with = "crate::b64")]
    pub nonce: [u8; 32],
    /// Who disowns it.
    pub person: PersonId,
    /// The kept key that it is about.
    pub key: KeyId,
    /// Where the entry stands in the journal.
    pub index: u64,
    /// What the entry commits to, so that it is this one and no other.
    #[serde(with = "crate::b64")]
    pub commitment: Digest32,
}

impl DisputeStatement {
    /// `H("azukari/approve/dispute/v1"; issuer, rpId, nonce, person, key, index, commitment)`.
    pub fn challenge(&self) -> Digest32 {
        Encoded::new("azukari/approve/dispute/v1")
            .text(&self.issuer)
            .text(&self.rp_id)
            .octets_field(&self.nonce)
            .octets_field(self.person.octets())
            .octets_field(self.key.octets())
            .number(self.index)
            .octets_field(&self.commitment)
            .digest()
    }
}

/// Another phone takes the place of the one that approves this.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ChangeStatement {
    /// The platform, as in tokens.
    pub issuer: String,
    /// The relying party of the credential.
    pub rp_id: String,
    /// Fresh for this decision.
    #[serde(with = "crate::b64")]
    pub nonce: [u8; 32],
    /// Whose phone it becomes.
    pub person: PersonId,
    /// For which kept key.
    pub key: KeyId,
    /// The sheet on the old phone's screen by which the new one was reached.
    pub sheet: SheetId,
    /// The new phone's credential: [`crate::binding_commitment`].
    #[serde(with = "crate::b64")]
    pub credential: Digest32,
}

impl ChangeStatement {
    /// `H("azukari/approve/change/v1"; issuer, rpId, nonce, person, key, sheet, credential)`.
    pub fn challenge(&self) -> Digest32 {
        Encoded::new("azukari/approve/change/v1")
            .text(&self.issuer)
            .text(&self.rp_id)
            .octets_field(&self.nonce)
            .octets_field(self.person.octets())
            .octets_field(self.key.octets())
            .octets_field(self.sheet.octets())
            .octets_field(&self.credential)
            .digest()
    }

    /// What both phones show, so that the owner sees that they speak of the same new phone.
    pub fn short_code(&self) -> String {
        crate::statement::short_code(&self.credential)
    }
}

/// A My Number Card is linked, by a means by which its holder is known already. The card itself signs
/// the same challenge: so whoever links it has it, and knows its PIN.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LinkCardStatement {
    /// The platform, as in tokens.
    pub issuer: String,
    /// The relying party of the credential.
    pub rp_id: String,
    /// Fresh for this linking.
    #[serde(with = "crate::b64")]
    pub nonce: [u8; 32],
    /// Whose card it becomes.
    pub person: PersonId,
    /// For which kept key.
    pub key: KeyId,
    /// The card's authentication certificate: [`crate::card_commitment`].
    #[serde(with = "crate::b64")]
    pub card: Digest32,
}

impl LinkCardStatement {
    /// `H("azukari/approve/link-card/v1"; issuer, rpId, nonce, person, key, card)`.
    pub fn challenge(&self) -> Digest32 {
        Encoded::new("azukari/approve/link-card/v1")
            .text(&self.issuer)
            .text(&self.rp_id)
            .octets_field(&self.nonce)
            .octets_field(self.person.octets())
            .octets_field(self.key.octets())
            .octets_field(&self.card)
            .digest()
    }
}

/// Looking at her own page. It decides nothing about the key, so custody never hears of it; it is
/// kept and journalled, so that she sees when somebody looked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SigninStatement {
    /// The platform, as in tokens.
    pub issuer: String,
    /// The relying party of the credential.
    pub rp_id: String,
    /// Fresh for this sign-in.
    #[serde(with = "crate::b64")]
    pub nonce: [u8; 32],
    /// Who is asked; absent where the browser is not known and the passkey itself has to say.
    pub person: Option<PersonId>,
    /// About which kept key; absent with the person.
    pub key: Option<KeyId>,
    /// When it was asked.
    pub at: Timestamp,
}

impl SigninStatement {
    /// `H("azukari/approve/signin/v1"; issuer, rpId, nonce, person, key, at)`.
    pub fn challenge(&self) -> Digest32 {
        Encoded::new("azukari/approve/signin/v1")
            .text(&self.issuer)
            .text(&self.rp_id)
            .octets_field(&self.nonce)
            .optional(self.person.as_ref().map(|id| id.octets().as_slice()))
            .optional(self.key.as_ref().map(|id| id.octets().as_slice()))
            .time(self.at)
            .digest()
    }
}

#[cfg(test)]
#[path = "owners_tests.rs"]
mod tests;
