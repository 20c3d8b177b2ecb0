//! The way out: one trait for the network and for the passing of time.

use std::future::Future;
use std::time::Duration;

use hpki::time::Timestamp;
use zeroize::Zeroizing;

/// How a request is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Read.
    Get,
    /// Do.
    Post,
}

/// A token on its way out. It is neither shown nor compared, and zeroed when dropped.
#[derive(Clone)]
pub struct Bearer(Zeroizing<String>);

impl Bearer {
    pub(crate) fn new(token: String) -> Self {
        Self(Zeroizing::new(token))
    }

    /// What stands after `Authorization: Bearer `.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A request to the platform, over TLS with the facility's client certificate.
#[derive(Clone)]
pub struct Call {
    /// How.
    pub method: Method,
    /// Path and query, beginning with `/`.
    pub path: String,
    /// The token, where the request draws from one.
    pub token: Option<Bearer>,
    /// JSON, for POST.
    pub body: Option<Vec<u8>>,
}

/// What came back, whatever its status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// The body.
    pub body: Vec<u8>,
}

/// No answer came: nobody knows whether the request arrived.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the platform did not answer: {0}")]
pub struct Unreachable(
    /// Why, for the log.
    pub String,
);

/// The outermost protocol of this room. Implementations bound the size of what they read and the
/// time they wait.
pub trait Platform: Send + Sync + 'static {
    /// Sends one request and waits for its answer, or gives up.
    fn send(&self, call: Call) -> impl Future<Output = Result<Reply, Unreachable>> + Send;

    /// Waits before the next attempt and gives the time at which it begins; `None` if whoever
    /// asked will not wait any longer. The order stays open then, and is resumed later under the
    /// same number.
    fn wait(&self, pause: Duration) -> impl Future<Output = Option<Timestamp>> + Send;
}
