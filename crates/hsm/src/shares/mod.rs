//! 分割片: an unseal secret in the hands of officers, any m of n of whom can put it together.
//!
//! Shamir's scheme octet by octet over GF(256): m shares give the secret, m−1 say nothing at all
//! about it ([`field`] has the arithmetic, [`split`] and [`Gathering`] the two directions). A
//! share is 50 octets:
//!
//! ```text
//! version and duty (4 bits each) ‖ set id 8 ‖ need ‖ of ‖ index ‖ value 32 ‖ check 6
//! check = first 6 octets of H("azukari/share/v1"; everything before)
//! ```
//!
//! The check tells a damaged share by itself, without a word about the others. Set id and index
//! tell a share of another set, and one handed in twice. A forged share with a good check is seen
//! only when the secret that comes out is not the set's ([`Set::check_value`]), and then nobody
//! learns which share it was.
//!
//! Two forms leave this room: four lines that a person prints and types ([`Share::to_lines`]), and
//! a file that only its owner can read, under the officer's passphrase ([`Share::lock`]).

mod field;
mod file;
mod lines;
mod refusal;
#[cfg(test)]
mod tests;

use std::fmt;

use hpki::encoding::{Digest32, Statement};
use hpki::sign::Random;
use zeroize::Zeroizing;

use crate::unseal::UnsealSecret;

pub use file::PASSPHRASE_MIN;
pub use refusal::{CODES, Failed, Refusal};

/// Shares needed where nobody says otherwise.
pub const NEED: u8 = 3;
/// Shares made where nobody says otherwise.
pub const OF: u8 = 5;
/// More officers than this are no ceremony any more.
pub const OF_MAX: u8 = 32;

const VERSION: u8 = 1;
/// Everything before the value.
const HEAD: usize = 12;
/// Everything before the check.
const BODY: usize = HEAD + 32;
const CHECK: usize = 6;
const WHOLE: usize = BODY + CHECK;

/// What a set of officers is for. The two sets are over secrets of their own: neither can do the
/// other's work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Duty {
    /// 鍵管理者: they open the device and restore it (the PIN of a PKCS#11 user).
    User,
    /// 保安管理者: with the others they rotate its keys and move them to a second device (the PIN
    /// of a PKCS#11 security officer).
    Security,
}

impl Duty {
    /// The name in files and commands.
    pub const fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Security => "so",
        }
    }

    /// What people call it.
    pub const fn ja(self) -> &'static str {
        match self {
            Self::User => "鍵管理者",
            Self::Security => "保安管理者",
        }
    }

    /// The duty of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::User, Self::Security].into_iter().find(|duty| duty.name() == name)
    }

    const fn octet(self) -> u8 {
        match self {
            Self::User => 1,
            Self::Security => 2,
        }
    }
}

impl fmt::Display for Duty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Which shares belong together: not secret, printed on each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Set {
    duty: Duty,
    id: [u8; 8],
    need: u8,
    of: u8,
}

impl Set {
    /// A new set. `need` is 2 to `of` (one officer alone is no control), `of` at most [`OF_MAX`].
    ///
    /// # Errors
    /// [`Refusal::QuorumNotAllowed`].
    pub fn new(duty: Duty, need: u8, of: u8, random: &dyn Random) -> Result<Self, Refusal> {
        let mut id = [0; 8];
        random.fill(&mut id);
        Self::from_parts(duty, id, need, of)
    }

    /// A set as a record tells it; refused as [`Set::new`] refuses.
    ///
    /// # Errors
    /// [`Refusal::QuorumNotAllowed`].
    pub const fn from_parts(duty: Duty, id: [u8; 8], need: u8, of: u8) -> Result<Self, Refusal> {
        if need < 2 || need > of || of > OF_MAX {
            return Err(Refusal::QuorumNotAllowed { need, of });
        }
        Ok(Self { duty, id, need, of })
    }

    /// Whose it is.
    pub const fn duty(&self) -> Duty {
        self.duty
    }
    /// Its random number.
    pub const fn id(&self) -> &[u8; 8] {
        &self.id
    }
    /// How many shares give the secret.
    pub const fn need(&self) -> u8 {
        self.need
    }
    /// How many shares there are.
    pub const fn of(&self) -> u8 {
        self.of
    }

    /// A value that only the set's own secret gives, safe to be kept in the open: 256 secret bits
    /// cannot be searched. It tells, where no device does, whether a gathered secret is the one.
    ///
    /// # Errors
    /// A device fault.
    pub fn check_value(&self, secret: &UnsealSecret) -> Result<Digest32, hpki::sign::DeviceFault> {
        let mut salt = [0; 32];
        salt[..8].copy_from_slice(&self.id);
        salt[8] = self.duty.octet();
        Ok(*secret.derive(&salt, b"azukari/share/check-value/v1")?)
    }
}

impl fmt::Display for Set {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for octet in self.id {
            write!(f, "{octet:02x}")?;
        }
        Ok(())
    }
}

/// One officer's part of an unseal secret. Zeroed when dropped.
pub struct Share {
    set: Set,
    index: u8,
    value: Zeroizing<[u8; 32]>,
}

impl fmt::Debug for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Share {} of {} {}", self.index, self.set.duty, self.set)
    }
}

impl Share {
    /// The set that it belongs to.
    pub const fn set(&self) -> Set {
        self.set
    }
    /// Its number in the set, from 1.
    pub const fn index(&self) -> u8 {
        self.index
    }

    fn octets(&self) -> Zeroizing<[u8; WHOLE]> {
        let mut out = Zeroizing::new([0; WHOLE]);
        out[0] = VERSION << 4 | self.set.duty.octet();
        out[1..9].copy_from_slice(&self.set.id);
        out[9..12].copy_from_slice(&[self.set.need, self.set.of, self.index]);
        out[HEAD..BODY].copy_from_slice(&*self.value);
        let check = check(&out[..BODY]);
        out[BODY..].copy_from_slice(&check);
        out
    }

    fn from_octets(octets: &[u8; WHOLE]) -> Result<Self, Refusal> {
        let (body, told) = octets.split_at(BODY);
        if check(body) != told {
            return Err(Refusal::ShareDamaged);
        }
        if body[0] >> 4 != VERSION {
            return Err(Refusal::ShareVersionUnknown(body[0] >> 4));
        }
        let duty = [Duty::User, Duty::Security]
            .into_iter()
            .find(|duty| duty.octet() == body[0] & 15)
            .ok_or(Refusal::ShareDamaged)?;
        let mut id = [0; 8];
        id.copy_from_slice(&body[1..9]);
        let set =
            Set::from_parts(duty, id, body[9], body[10]).map_err(|_| Refusal::ShareDamaged)?;
        let index = body[11];
        if index == 0 || index > set.of {
            return Err(Refusal::ShareDamaged);
        }
        let mut value = Zeroizing::new([0; 32]);
        value.copy_from_slice(&body[HEAD..BODY]);
        Ok(Self { set, index, value })
    }
}

fn check(body: &[u8]) -> [u8; CHECK] {
    let digest = Statement::new("azukari/share/v1").octets_field(body).digest();
    let mut out = [0; CHECK];
    out.copy_from_slice(&digest[..CHECK]);
    out
}

/// Splits a secret into the shares of a set, numbers 1 to n.
///
/// Each octet is the value at 0 of its own random polynomial of degree m−1; a share holds the
/// values at its number.
pub fn split(secret: &UnsealSecret, set: Set, random: &dyn Random) -> Vec<Share> {
    let mut polynomials: Vec<Zeroizing<[u8; 32]>> = Vec::with_capacity(usize::from(set.need));
    polynomials.push(Zeroizing::new(*secret.octets()));
    for _ in 1..set.need {
        let mut coefficients = Zeroizing::new([0; 32]);
        random.fill(&mut *coefficients);
        polynomials.push(coefficients);
    }
    (1..=set.of)
        .map(|index| {
            let mut value = Zeroizing::new([0; 32]);
            // Horner, from the highest coefficient down.
            for coefficients in polynomials.iter().rev() {
                for (octet, coefficient) in value.iter_mut().zip(coefficients.iter()) {
                    *octet = field::times(*octet, index) ^ coefficient;
                }
            }
            Share { set, index, value }
        })
        .collect()
}

/// How far a gathering is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Shares accepted.
    pub have: u8,
    /// Shares needed.
    pub need: u8,
}

impl Progress {
    /// Whether the secret can be put together.
    pub const fn is_complete(self) -> bool {
        self.have >= self.need
    }
}

/// Shares coming in one by one, until there are enough.
#[derive(Debug)]
pub struct Gathering {
    duty: Duty,
    set: Option<Set>,
    shares: Vec<Share>,
}

impl Gathering {
    /// For the shares of one known set.
    pub const fn of(set: Set) -> Self {
        Self { duty: set.duty, set: Some(set), shares: Vec::new() }
    }

    /// For any one set of this duty: the first share says which.
    pub const fn of_any(duty: Duty) -> Self {
        Self { duty, set: None, shares: Vec::new() }
    }

    /// The set, once known.
    pub const fn set(&self) -> Option<Set> {
        self.set
    }

    /// The numbers of the shares that are here.
    pub fn indexes(&self) -> Vec<u8> {
        self.shares.iter().map(Share::index).collect()
    }

    /// How far it is; before the first share of an unknown set, nobody knows.
    pub fn progress(&self) -> Option<Progress> {
        let have = u8::try_from(self.shares.len()).unwrap_or(u8::MAX);
        self.set.map(|set| Progress { have, need: set.need })
    }

    /// Takes one more share.
    ///
    /// # Errors
    /// [`Refusal::ShareOfAnotherDuty`], [`Refusal::ShareOfAnotherSet`], [`Refusal::ShareRepeated`],
    /// [`Refusal::SharesComplete`].
    pub fn add(&mut self, share: Share) -> Result<Progress, Refusal> {
        if share.set.duty != self.duty {
            return Err(Refusal::ShareOfAnotherDuty(self.duty));
        }
        let set = *self.set.get_or_insert(share.set);
        if share.set != set {
            return Err(Refusal::ShareOfAnotherSet);
        }
        if self.shares.iter().any(|other| other.index == share.index) {
            return Err(Refusal::ShareRepeated(share.index));
        }
        if self.shares.len() >= usize::from(set.need) {
            return Err(Refusal::SharesComplete);
        }
        self.shares.push(share);
        let have = u8::try_from(self.shares.len()).unwrap_or(u8::MAX);
        Ok(Progress { have, need: set.need })
    }

    /// Puts the secret together. Whether it is the right one, the device or
    /// [`Set::check_value`] tells.
    ///
    /// # Errors
    /// [`Refusal::SharesTooFew`].
    pub fn secret(&self) -> Result<UnsealSecret, Refusal> {
        let need = self.set.map_or(NEED, |set| set.need);
        if self.shares.len() < usize::from(need) {
            let have = u8::try_from(self.shares.len()).unwrap_or(u8::MAX);
            return Err(Refusal::SharesTooFew { have, need });
        }
        Ok(UnsealSecret::from_octets(&self.at_zero()))
    }

    /// Lagrange's interpolation at 0. The numbers are public, the values are not: only
    /// [`field::times`] touches those.
    fn at_zero(&self) -> Zeroizing<[u8; 32]> {
        let mut secret = Zeroizing::new([0; 32]);
        for share in &self.shares {
            let mut weight = 1;
            for other in self.shares.iter().filter(|other| other.index != share.index) {
                let slope = field::inverse(other.index ^ share.index);
                weight = field::times(weight, field::times(other.index, slope));
            }
            for (octet, value) in secret.iter_mut().zip(share.value.iter()) {
                *octet ^= field::times(*value, weight);
            }
        }
        secret
    }
}
