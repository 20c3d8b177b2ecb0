//! What a device's error codes mean for the house.

use cryptoki::error::{Error, RvError};
use hpki::sign::DeviceFault;

use crate::refusal::{Failed, Refusal};

/// Why something on the device did not work.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// The device answered with an error.
    Device(Error),
    /// The house says no.
    Refused(Refusal),
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Self::Device(error)
    }
}

impl From<Refusal> for Trouble {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl Trouble {
    /// Whether to connect anew and try once more: the device or our session, login or objects in
    /// it are gone. Every call of the house can be repeated.
    ///
    /// A general error counts as well: what we ask is checked before it goes to the device (the
    /// blob's tag above all), so a refusal without reason is the device's own trouble.
    pub(crate) fn is_loss(&self) -> bool {
        let Self::Device(Error::Pkcs11(code, _)) = self else { return false };
        matches!(
            code,
            RvError::GeneralError
                | RvError::FunctionFailed
                | RvError::DeviceError
                | RvError::DeviceRemoved
                | RvError::TokenNotPresent
                | RvError::TokenNotRecognized
                | RvError::SlotIdInvalid
                | RvError::SessionClosed
                | RvError::SessionHandleInvalid
                | RvError::CryptokiNotInitialized
                | RvError::UserNotLoggedIn
                | RvError::KeyHandleInvalid
                | RvError::WrappingKeyHandleInvalid
                | RvError::UnwrappingKeyHandleInvalid
                | RvError::ObjectHandleInvalid
                | RvError::OperationActive
        )
    }

    /// In words for the log. PKCS#11 errors carry no secret.
    pub(crate) fn why(&self) -> String {
        match self {
            Self::Device(Error::Pkcs11(code, function)) => format!("{function}: {code:?}"),
            Self::Device(error) => error.to_string(),
            Self::Refused(refusal) => refusal.to_string(),
        }
    }

    /// As the room tells it: what someone can act on is a refusal, everything else a fault.
    pub(crate) fn told(self, token: &str) -> Failed {
        let code = match self {
            Self::Refused(refusal) => return refusal.into(),
            Self::Device(Error::Pkcs11(code, _)) => code,
            Self::Device(_) => return DeviceFault(self.why()).into(),
        };
        let token = token.to_owned();
        match code {
            RvError::PinIncorrect | RvError::PinInvalid | RvError::PinLenRange => {
                Refusal::PinWrong(token).into()
            }
            RvError::PinLocked => Refusal::PinLocked(token).into(),
            RvError::PinExpired | RvError::UserPinNotInitialized => {
                Refusal::TokenNotReady(token).into()
            }
            RvError::DeviceMemory | RvError::SessionCount | RvError::HostMemory => {
                Refusal::TokenFull(token).into()
            }
            RvError::MechanismInvalid => Refusal::MechanismMissing(self.why()).into(),
            _ if self.is_loss() => Refusal::DeviceLost(self.why()).into(),
            _ => DeviceFault(self.why()).into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cryptoki::context::Function;
    use hpki::refusal::Refuse;

    fn told(code: RvError) -> &'static str {
        match Trouble::Device(Error::Pkcs11(code, Function::Login)).told("t") {
            Failed::Refused(refusal) => refusal.code(),
            Failed::Fault(_) => "fault",
        }
    }

    #[test]
    fn what_someone_can_act_on_is_a_refusal_of_its_own() {
        for (code, expected) in [
            (RvError::PinIncorrect, "pin-wrong"),
            (RvError::PinLocked, "pin-locked"),
            (RvError::UserPinNotInitialized, "token-not-ready"),
            (RvError::DeviceMemory, "token-full"),
            (RvError::SessionCount, "token-full"),
            (RvError::MechanismInvalid, "mechanism-missing"),
            (RvError::DeviceRemoved, "device-lost"),
            (RvError::UserNotLoggedIn, "device-lost"),
            (RvError::TemplateInconsistent, "fault"),
        ] {
            assert_eq!(told(code), expected, "{code:?}");
        }
    }

    #[test]
    fn a_pin_is_never_tried_again_by_itself() {
        for code in [RvError::PinIncorrect, RvError::PinLocked, RvError::PinExpired] {
            assert!(!Trouble::Device(Error::Pkcs11(code, Function::Login)).is_loss());
        }
    }
}
