//! 鍵装置の引っ越し: custody moves from one token to a second one, by both sets of officers.
//!
//! [`Transfer::carry`] brings the keys over and hands the folder over; then whoever keeps wrapped
//! keys has them wrapped anew under a key of the second token (a [`crate::Rotation`]) and looks at
//! every one; [`Transfer::close`] destroys what the first token has left. What is true if we die,
//! at each step, is told in [`crate::pkcs11::transfer`]; the same calls again go on from there.

use crate::config::DeviceConfig;
use crate::pkcs11::TokenName;
use crate::pkcs11::transfer::{Moving, is_unfinished};
use crate::refusal::{Failed, Refusal};
use crate::unseal::UnsealSecret;

/// How far a transfer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// The first token is in charge.
    Before,
    /// The second token is in charge, and the first has its keys still.
    HandedOver,
    /// The second token is in charge, and the first is forgotten.
    Over,
}

/// A step that is about to be taken. Some are taken once for each key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The first token is opened and its keys are looked at.
    Open,
    /// The second token is initialised, unless it is ready.
    Prepare,
    /// The folder notes which token is the second, which is empty or emptied.
    Claim,
    /// The transfer key is made in the second token.
    TransferKey,
    /// The second token's security officers give their word for the key that will come.
    Vouch,
    /// The first token's security officers trust the transfer key.
    Trust,
    /// The keys are wrapped to it on the first token.
    Wrap,
    /// One of them is unwrapped on the second.
    Unwrap,
    /// The transfer key is destroyed.
    Forget,
    /// Both tokens are compared.
    Compare,
    /// The folder notes where it came from.
    Remember,
    /// The folder is handed over to the second token.
    HandOver,
    /// One of the keys on the token that is left is destroyed.
    Destroy,
    /// The folder forgets that token.
    Close,
}

/// A transfer from one device to another, for one folder of wrapped keys.
#[derive(Debug, Clone, Copy)]
pub struct Transfer<'a>(Moving<'a>);

impl<'a> Transfer<'a> {
    /// A transfer between these two, which share the folder. Nothing happens yet.
    ///
    /// # Errors
    /// [`Refusal::TransferUnsupported`] where one of them is no token or has another folder.
    pub fn between(from: &'a DeviceConfig, to: &'a DeviceConfig) -> Result<Self, Failed> {
        let (
            DeviceConfig::Pkcs11 { folder, module, token },
            DeviceConfig::Pkcs11 { folder: other, module: to_module, token: to_token },
        ) = (from, to)
        else {
            return Err(Refusal::TransferUnsupported("vault".into()).into());
        };
        if folder != other {
            return Err(Refusal::TransferUnsupported(other.display().to_string()).into());
        }
        Ok(Self(Moving {
            folder,
            from: TokenName { module, label: token },
            to: TokenName { module: to_module, label: to_token },
        }))
    }

    /// Whether this device's folder is on its way from one token to another. The device can be used
    /// meanwhile.
    pub fn is_unfinished(device: &DeviceConfig) -> bool {
        is_unfinished(device.folder())
    }

    /// How far it is, and what can be refused before an officer is asked.
    ///
    /// # Errors
    /// [`Refusal::TransferSameToken`], [`Refusal::TransferUnfinished`] (to another token than this),
    /// [`Refusal::TokenAnother`], [`Refusal::VaultInUse`],
    /// [`Refusal::VaultMissing`]; of the second token [`Refusal::ModuleUnusable`],
    /// [`Refusal::TokenDoubled`], [`Refusal::TokenFull`], [`Refusal::MechanismMissing`]; or a device
    /// fault.
    pub fn look(&self) -> Result<Stage, Failed> {
        self.0.look()
    }

    /// Brings the keys over and hands the folder over to the second token, unless that happened
    /// already. The device must not be open. `tell` hears of each step before it is taken, and may
    /// end it there.
    ///
    /// # Errors
    /// What [`Transfer::look`] and [`crate::open`] refuse, of either token;
    /// [`Refusal::TokenNotEmpty`], [`Refusal::RotationUnfinished`] (of the first),
    /// [`Refusal::TransferDiffers`]; or a device fault.
    pub fn carry(
        &self,
        officers: &UnsealSecret,
        unseal: &UnsealSecret,
        mut tell: impl FnMut(Step) -> Result<(), Failed>,
    ) -> Result<(), Failed> {
        self.0.carry(officers, unseal, &mut tell)
    }

    /// Whether the second token works with the key that came from the first: a rotation gives it one
    /// of its own.
    ///
    /// # Errors
    /// As [`crate::open`].
    pub fn must_rotate(&self, unseal: &UnsealSecret) -> Result<bool, Failed> {
        self.0.must_rotate(unseal)
    }

    /// Destroys the keys on the first token, unless that happened already; everything on the second
    /// must have been looked at. The device must not be open. A first token that is `lost` may be
    /// missing.
    ///
    /// # Errors
    /// [`Refusal::VaultInUse`], [`Refusal::TokenAnother`], what is said of a token that cannot be
    /// used, or a device fault.
    pub fn close(
        &self,
        unseal: &UnsealSecret,
        lost: bool,
        mut tell: impl FnMut(Step) -> Result<(), Failed>,
    ) -> Result<(), Failed> {
        self.0.close(unseal, lost, &mut tell)
    }

    /// Gives up a transfer while the first token is in charge: destroys what was brought to the
    /// second, and forgets it. A second token that is `lost` may be missing.
    ///
    /// # Errors
    /// [`Refusal::TransferHandedOver`] where the second token is in charge, and as
    /// [`Transfer::close`].
    pub fn give_up(
        &self,
        unseal: &UnsealSecret,
        lost: bool,
        mut tell: impl FnMut(Step) -> Result<(), Failed>,
    ) -> Result<(), Failed> {
        self.0.give_up(unseal, lost, &mut tell)
    }
}
