//! HTTP and TLS, which only this crate knows: a listener that hands the peer's certificate to the
//! handlers, a client that keeps connections, and the one mapping from refusals to answers.

pub(crate) mod ask;
pub(crate) mod browser;
pub(crate) mod client;
pub(crate) mod limit;
pub(crate) mod problem;
pub(crate) mod server;
pub(crate) mod tap;
pub(crate) mod tls;
