//! Authenticator data: what the authenticator saw (§6.1).

use hpki::encoding::{Digest32, sha256};

use super::{Profile, RelyingParty, cbor};
use crate::refusal::Refusal;

/// User present.
pub const UP: u8 = 0x01;
/// User verified.
pub const UV: u8 = 0x04;
/// Backup eligible.
pub const BE: u8 = 0x08;
/// Backed up.
pub const BS: u8 = 0x10;
/// Attested credential data follow.
pub const AT: u8 = 0x40;
/// Extension data follow.
pub const ED: u8 = 0x80;

const MALFORMED: Refusal = Refusal::WebauthnMalformed("authenticatorData");
/// §4: a credential identifier has at most 1,023 octets.
const LONGEST_ID: usize = 1023;

/// Authenticator data, taken apart.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct AuthData<'a> {
    pub(crate) rp_id_hash: Digest32,
    pub(crate) flags: u8,
    pub(crate) sign_count: u32,
    pub(crate) attested: Option<Attested<'a>>,
}

/// Attested credential data (§6.5.1).
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Attested<'a> {
    pub(crate) aaguid: [u8; 16],
    pub(crate) id: &'a [u8],
    pub(crate) cose: &'a [u8],
}

impl<'a> AuthData<'a> {
    /// Takes it apart; nothing may be left over.
    pub(crate) fn parse(octets: &'a [u8]) -> Result<Self, Refusal> {
        if octets.len() > cbor::LARGEST {
            return Err(MALFORMED);
        }
        let (&rp_id_hash, rest) = octets.split_first_chunk::<32>().ok_or(MALFORMED)?;
        let (&flags, rest) = rest.split_first().ok_or(MALFORMED)?;
        let (&count, mut rest) = rest.split_first_chunk::<4>().ok_or(MALFORMED)?;
        let mut attested = None;
        if flags & AT != 0 {
            let (&aaguid, after) = rest.split_first_chunk::<16>().ok_or(MALFORMED)?;
            let (&length, after) = after.split_first_chunk::<2>().ok_or(MALFORMED)?;
            let length = usize::from(u16::from_be_bytes(length));
            if length == 0 || length > LONGEST_ID {
                return Err(MALFORMED);
            }
            let (id, after) = after.split_at_checked(length).ok_or(MALFORMED)?;
            let (_, left) = cbor::first(after)?;
            let cose = &after[..after.len() - left.len()];
            attested = Some(Attested { aaguid, id, cose });
            rest = left;
        }
        if flags & ED != 0 {
            let (extensions, left) = cbor::first(rest)?;
            if extensions.as_map().is_none() {
                return Err(MALFORMED);
            }
            rest = left;
        }
        if !rest.is_empty() {
            return Err(MALFORMED);
        }
        Ok(Self { rp_id_hash, flags, sign_count: u32::from_be_bytes(count), attested })
    }

    /// Whether a flag is set.
    pub(crate) fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// Judges what registration and assertion have in common.
    pub(crate) fn judge(&self, rp: &RelyingParty, profile: Profile) -> Result<(), Refusal> {
        if self.rp_id_hash != sha256(rp.rp_id.as_bytes()) {
            return Err(Refusal::RpIdWrong);
        }
        if !self.has(UP) {
            return Err(Refusal::UserNotPresent);
        }
        if profile.user_verified && !self.has(UV) {
            return Err(Refusal::UserNotVerified);
        }
        if self.has(BS) && !self.has(BE) {
            return Err(Refusal::BackupFlagsWrong);
        }
        Ok(())
    }
}
