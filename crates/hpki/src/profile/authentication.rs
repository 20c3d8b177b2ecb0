//! A person's authentication certificate, for the authentication application of an HPKI card: names
//! and qualification as in her signing certificate, in either layout; the key answers challenges
//! and nothing else (keyUsage critical, digitalSignature only), under the policy's arm `.2.`.
//!
//! No real one was at hand. That layout and hcRole are those of the signing certificate follows from
//! the names of the authorities and from JAHIS 31 (`usage sign`, the authentication application's
//! certificate object) and is our reading; whether real ones have an extended key usage is unknown,
//! so there is none unless the estate asks for one.
//!
//! Such a key is never in custody: the certificate policy for authentication knows neither escrow
//! nor recovery (CP 4.12), and the key of a card never leaves it.

use super::signing_jma::SigningJma;
use super::signing_medis::SigningMedis;
use super::{PersonalUse, Profile, ToBeSigned};
use crate::refusal::Refusal;

/// Whose, and in which layout. The policy is that of authentication.
#[derive(Debug, Clone)]
pub enum Person<'a> {
    /// As at JMA: country, name and number.
    Jma(SigningJma<'a>),
    /// As at MEDIS: with organisation and Japanese names.
    Medis(SigningMedis<'a>),
}

/// An authentication certificate to be.
#[derive(Debug, Clone)]
pub struct Authentication<'a> {
    /// Whose.
    pub person: Person<'a>,
    /// Whether it says that it is for TLS clients, as an extended key usage that is not critical.
    pub client_auth: bool,
}

impl Authentication<'_> {
    /// The octets to sign.
    pub fn prepare(&self) -> Result<ToBeSigned, Refusal> {
        let personal_use = PersonalUse::Authentication { client_auth: self.client_auth };
        match &self.person {
            Person::Jma(person) => person.prepare_for(Profile::AuthenticationJma, personal_use),
            Person::Medis(person) => person.prepare_for(Profile::AuthenticationMedis, personal_use),
        }
    }
}
