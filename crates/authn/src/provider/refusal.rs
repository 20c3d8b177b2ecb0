//! How the provider says no. Which word of the standards each is answered with is written where HTTP
//! is spoken; here is what happened.

use hpki::refusal::Refuse;

macro_rules! wrongs {
    ($($(#[$doc:meta])* $name:ident = $code:literal $text:literal,)*) => {
        /// A request to the provider that the rules refuse.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
        pub enum Wrong { $($(#[$doc])* #[error($text)] $name,)* }

        impl Wrong {
            /// The codes of all of them.
            pub(crate) const CODES: &[&str] = &[$($code,)*];
        }

        impl Refuse for Wrong {
            fn code(&self) -> &'static str {
                match self { $(Self::$name => $code,)* }
            }
        }
    };
}

wrongs! {
    /// No client of this name is registered.
    ClientUnknown = "oauth-client-unknown" "no such client is registered",
    /// It did not prove to be that client.
    ClientNotProven = "oauth-client-not-proven" "the client did not prove who it is",
    /// Not for this client.
    ClientNotAllowed = "oauth-client-not-allowed" "this is not for this client",
    /// Not one of the client's registered redirect URIs.
    RedirectUnregistered = "oauth-redirect-unregistered" "the redirect URI is not registered",
    /// A parameter is missing, doubled or not as it must be.
    RequestMalformed = "oauth-request-malformed" "a parameter is missing, doubled or malformed",
    /// No such pushed request: unknown, used, too old, or another client's.
    RequestUnknown = "oauth-request-unknown" "the pushed request is unknown, used or too old",
    /// The request object is not signed by this client's key, has expired, or is for somebody else.
    RequestObjectWrong = "oauth-request-object-wrong" "the request object does not hold",
    /// Only codes are issued here.
    ResponseTypeWrong = "oauth-response-type-wrong" "only response_type code is answered",
    /// PKCE with S256 is required.
    ChallengeMissing = "oauth-challenge-missing" "a code_challenge of method S256 is required",
    /// A scope that this client may not ask for, or that do not go together.
    ScopeNotAllowed = "oauth-scope-not-allowed" "the scope is not allowed",
    /// What would be allowed is not described as it must be.
    DetailsWrong = "oauth-details-wrong" "the authorization details are wrong",
    /// Nobody is logged in at a provider without sessions.
    LoginRequired = "oauth-login-required" "nobody is asked where prompt is none",
    /// This service takes another means than the one that was brought.
    MeansDiffers = "oauth-means-differs" "this service takes another means",
    /// The authority of her certificate did not switch the login on.
    AuthorityOff = "oauth-authority-off" "the holder's authority did not switch this login on",
    /// Her certificate was revoked or has run out.
    CertificateEnded = "oauth-certificate-ended" "the holder's certificate is not in force",
    /// Another browser than the one that opened the request.
    BrowserDiffers = "oauth-browser-differs" "another browser opened this request",
    /// Unknown, too old, or another client's.
    CodeWrong = "oauth-code-wrong" "the code is unknown, too old or another client's",
    /// It was redeemed before; what was made from it is ended.
    CodeReplayed = "oauth-code-replayed" "the code was redeemed before; its tokens are ended",
    /// Not the verifier of the code's challenge (PKCE).
    VerifierWrong = "oauth-verifier-wrong" "the code verifier is not the challenge's",
    /// Another client certificate than that of the request.
    CertificateDiffers = "oauth-certificate-differs" "another client certificate than that of the request",
    /// No grant of this type is answered; there are no refresh tokens.
    GrantUnsupported = "oauth-grant-unsupported" "this grant type is not answered here",
    /// A device asks, and she has not approved yet, or the digits are missing.
    Pending = "oauth-pending" "not approved yet, or the digits are missing",
    /// Nobody approved while the device's code could be claimed.
    DeviceExpired = "oauth-device-expired" "the device's code has expired",
    /// What a device or page would show is longer or other than it may be.
    BindingWrong = "oauth-binding-wrong" "the binding message is not 1 to 16 capitals and digits",
    /// The access token is unknown, ended or has expired.
    AccessUnknown = "oauth-access-unknown" "the access token is unknown, ended or expired",
    /// No such consent.
    ConsentUnknown = "oauth-consent-unknown" "there is no such consent",
}

/// A request that is answered at the client's registered redirect URI.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denied {
    /// Where to; `None` where nobody may be sent anywhere: the page says it.
    pub back: Option<Back>,
    /// What is wrong.
    pub wrong: Wrong,
}

/// Where an answer goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Back {
    /// The redirect URI.
    pub uri: String,
    /// The client's state.
    pub state: Option<String>,
}

impl From<Wrong> for Denied {
    fn from(wrong: Wrong) -> Self {
        Self { back: None, wrong }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_stands_once_and_begins_like_the_others() {
        for (place, code) in Wrong::CODES.iter().enumerate() {
            assert!(code.starts_with("oauth-"));
            assert!(!Wrong::CODES[..place].contains(code), "{code}");
        }
        assert_eq!(Wrong::CodeReplayed.code(), "oauth-code-replayed");
    }
}
