//! The listener. TLS ends here, so the certificate that a handler sees is the one the handshake
//! proved; a header that claims another changes nothing.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt;

use super::tls::Peer;

/// How long a client may take for the TLS handshake, and then for each request's headers.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);
/// More connections than this wait in the kernel's queue.
const CONNECTIONS_MAX: usize = 4096;

/// The address at the other end of the connection. Headers that claim another change nothing.
#[derive(Debug, Clone, Copy)]
pub(crate) struct From(pub(crate) IpAddr);

/// A port was not to be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BindRefusal {
    #[error(
        "{0} は他のプログラムが使用中です。--port で別の番号を指定してください (address {0} is already in use: choose another with --port)"
    )]
    InUse(SocketAddr),
    #[error("{0} で待ち受けできません: {1} (cannot listen)")]
    Other(SocketAddr, std::io::Error),
}

/// Binds, with a message that says what to do when the port is taken.
pub(crate) async fn bind(address: SocketAddr) -> Result<TcpListener, BindRefusal> {
    TcpListener::bind(address).await.map_err(|error| match error.kind() {
        std::io::ErrorKind::AddrInUse => BindRefusal::InUse(address),
        _ => BindRefusal::Other(address, error),
    })
}

/// Serves until `stop` turns true, then lets running requests finish (at most five seconds).
pub(crate) async fn serve(
    listener: TcpListener,
    tls: Option<Arc<rustls::ServerConfig>>,
    router: Router,
    mut stop: watch::Receiver<bool>,
) {
    let acceptor = tls.map(TlsAcceptor::from);
    let places = Arc::new(tokio::sync::Semaphore::new(CONNECTIONS_MAX));
    let running = Arc::new(());
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { break };
        let accepted = tokio::select! {
            accepted = listener.accept() => Some(accepted),
            _ = stop.wait_for(|stopped| *stopped) => None,
        };
        let Some(accepted) = accepted else { break };
        // An error here concerns one connection (reset before accept) or a passing lack of
        // descriptors: neither may end the service.
        let Ok((stream, from)) = accepted else {
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        };
        let (acceptor, router, stop) = (acceptor.clone(), router.clone(), stop.clone());
        let alive = Arc::clone(&running);
        tokio::spawn(async move {
            connection((stream, From(from.ip())), acceptor, router, stop).await;
            drop((alive, place));
        });
    }
    drop(listener);
    let mut rounds = 0;
    while Arc::strong_count(&running) > 1 && rounds < 250 {
        tokio::time::sleep(Duration::from_millis(20)).await;
        rounds += 1;
    }
}

async fn connection(
    (stream, from): (TcpStream, From),
    acceptor: Option<TlsAcceptor>,
    router: Router,
    stop: watch::Receiver<bool>,
) {
    // Without this a fresh connection's first answer waits about 40 ms for a delayed ACK.
    if stream.set_nodelay(true).is_err() {
        return;
    }
    match acceptor {
        None => requests(TokioIo::new(stream), (from, None), router, stop).await,
        Some(acceptor) => {
            let handshake = tokio::time::timeout(HANDSHAKE_LIMIT, acceptor.accept(stream)).await;
            let Ok(Ok(stream)) = handshake else { return };
            let peer = stream
                .get_ref()
                .1
                .peer_certificates()
                .and_then(|chain| chain.first())
                .and_then(|certificate| Peer::from_certificate(certificate));
            requests(TokioIo::new(stream), (from, peer.map(Arc::new)), router, stop).await;
        }
    }
}

async fn requests<S>(
    io: TokioIo<S>,
    (from, peer): (From, Option<Arc<Peer>>),
    router: Router,
    mut stop: watch::Receiver<bool>,
) where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let begun = Arc::new(AtomicBool::new(false));
    let any = Arc::clone(&begun);
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        any.store(true, Ordering::Relaxed);
        let mut request: Request = request.map(Body::new);
        request.extensions_mut().insert(from);
        if let Some(peer) = &peer {
            request.extensions_mut().insert(Arc::clone(peer));
        }
        router.clone().oneshot(request)
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_secs(75))
        .serve_connection(io, service);
    tokio::pin!(connection);
    let stopping = tokio::select! {
        _ = connection.as_mut() => false,
        _ = stop.wait_for(|stopped| *stopped) => true,
    };
    // A connection that never asked anything (browsers open such ones in advance) is not waited for.
    if stopping && begun.load(Ordering::Relaxed) {
        connection.as_mut().graceful_shutdown();
        let _ = connection.await;
    }
}
