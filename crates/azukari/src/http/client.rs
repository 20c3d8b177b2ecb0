//! A small HTTP/1.1 client over kept connections: enough for a gateway that talks to one platform.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::SendRequest;
use hyper::header::{
    AUTHORIZATION, CONTENT_TYPE, COOKIE, HOST, HeaderMap, HeaderValue, ORIGIN, SET_COOKIE,
};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::tap::Tap;

/// Why no answer came. Never says that the request was *not* acted on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallFault {
    #[error("cannot connect to {0}: {1}")]
    Connect(String, String),
    #[error("the connection to {0} broke: {1}")]
    Broken(String, String),
    #[error("no answer from {0} in time")]
    TimedOut(String),
    #[error("not a base URL: {0:?}")]
    BadUrl(String),
}

/// An answer: status and body, and the cookies to keep, as the server wrote them.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Bytes,
    pub(crate) cookies: Vec<String>,
}

/// What a browser says by itself when one of our pages asks.
#[derive(Clone)]
struct Page {
    origin: String,
    cookies: Option<String>,
    /// What the page was given for its visit.
    csrf: Option<String>,
}

/// The largest answer that a client takes: a signed dispensing document with room to spare.
const ANSWER_MAX: usize = 8 * 1024 * 1024;
const KEPT_MAX: usize = 256;

/// A client of one server. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Client {
    inner: Arc<Inner>,
    tap: Option<Tap>,
    page: Option<Page>,
}

struct Inner {
    host: String,
    authority: String,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    kept: Mutex<Vec<SendRequest<Full<Bytes>>>>,
    patience: Duration,
}

impl Client {
    /// A client of `base` (`https://host:port` or `http://host:port`); `tls` is needed for https.
    pub(crate) fn new(
        base: &str,
        tls: Option<Arc<rustls::ClientConfig>>,
        patience: Duration,
    ) -> Result<Self, CallFault> {
        let bad = || CallFault::BadUrl(base.to_owned());
        let (secure, rest) = match (base.strip_prefix("https://"), base.strip_prefix("http://")) {
            (Some(rest), _) => (true, rest),
            (None, Some(rest)) => (false, rest),
            _ => return Err(bad()),
        };
        let authority = rest.trim_end_matches('/').to_owned();
        // The colons of an IPv6 address stand in brackets; one behind them begins a port.
        let behind = authority.rfind(']').map_or(0, |bracket| bracket + 1);
        let colon = authority[behind..].rfind(':').map(|colon| behind + colon);
        let host = colon.map_or(authority.as_str(), |colon| &authority[..colon]);
        let port = if secure { 443 } else { 80 };
        let authority_with_port = match colon {
            Some(_) => authority.clone(),
            None => format!("{authority}:{port}"),
        };
        let tls = if secure {
            let config = tls.ok_or_else(bad)?;
            let name = super::tls::server_name(host).map_err(|_| bad())?;
            Some((TlsConnector::from(config), name))
        } else {
            None
        };
        Ok(Self {
            inner: Arc::new(Inner {
                host: authority,
                authority: authority_with_port,
                tls,
                kept: Mutex::new(Vec::new()),
                patience,
            }),
            tap: None,
            page: None,
        })
    }

    /// The same client as a page of `origin` asks through it, in a browser with these cookies.
    pub(crate) fn as_page(&self, origin: &str, cookies: Option<String>) -> Self {
        let page = Page { origin: origin.to_owned(), cookies, csrf: None };
        Self { page: Some(page), ..self.clone() }
    }

    /// The same page in a visit for which it was given this value.
    #[cfg(test)]
    pub(crate) fn in_visit(mut self, csrf: &str) -> Self {
        if let Some(page) = &mut self.page {
            page.csrf = Some(csrf.to_owned());
        }
        self
    }

    /// The same client with a tap on its line.
    pub(crate) fn tapped(mut self, tap: Tap) -> Self {
        self.tap = Some(tap);
        self
    }

    /// Sends a request as it is, the way a program that is not ours asks. The whole answer comes within
    /// this client's patience, or there is none.
    pub(crate) async fn exchange(
        &self,
        request: Request<Vec<u8>>,
    ) -> Result<hyper::Response<Vec<u8>>, CallFault> {
        let late = |_| CallFault::TimedOut(self.inner.host.clone());
        tokio::time::timeout(self.inner.patience, self.exchanged(request)).await.map_err(late)?
    }

    async fn exchanged(
        &self,
        request: Request<Vec<u8>>,
    ) -> Result<hyper::Response<Vec<u8>>, CallFault> {
        let broken =
            |e: &dyn std::fmt::Display| CallFault::Broken(self.inner.host.clone(), e.to_string());
        let (mut parts, body) = request.into_parts();
        let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
        parts.uri = path.parse().map_err(|e| broken(&e))?;
        let host = HeaderValue::from_str(&self.inner.host).map_err(|e| broken(&e))?;
        parts.headers.insert(HOST, host);
        let request = Request::from_parts(parts, Full::new(Bytes::from(body)));
        let mut sender = self.connection().await?;
        let answer = sender.send_request(request).await;
        let (parts, body) = answer.map_err(|e| broken(&e))?.into_parts();
        let body = Limited::new(body, ANSWER_MAX);
        let body = body.collect().await.map_err(|e| broken(&e))?.to_bytes();
        Ok(hyper::Response::from_parts(parts, body.to_vec()))
    }

    /// Sends one request and waits for the whole answer.
    pub(crate) async fn send(
        &self,
        method: &str,
        path: &str,
        bearer: Option<&str>,
        body: Option<Vec<u8>>,
    ) -> Result<Answer, CallFault> {
        if let Some(tap) = &self.tap {
            tap.hear(method, path, bearer.is_some(), None, body.as_deref().unwrap_or_default());
        }
        let call = self.attempt(method, path, bearer, body);
        let answer = tokio::time::timeout(self.inner.patience, call)
            .await
            .map_err(|_| CallFault::TimedOut(self.inner.host.clone()))??;
        if let Some(tap) = &self.tap {
            tap.hear(method, path, false, Some(answer.status), &answer.body);
        }
        #[cfg(test)]
        if let Some(instead) = self.tap.as_ref().and_then(|tap| tap.instead(path)) {
            return self.replaced(answer, instead).await;
        }
        Ok(answer)
    }

    #[cfg(test)]
    async fn replaced(
        &self,
        answer: Answer,
        instead: super::tap::Instead,
    ) -> Result<Answer, CallFault> {
        use super::tap::Instead;
        match instead {
            Instead::Nothing => Err(CallFault::TimedOut(self.inner.host.clone())),
            Instead::Held(here, go) => {
                here.notify_one();
                go.notified().await;
                Ok(answer)
            }
            Instead::Body(body) => Ok(Answer { body: body.into(), ..answer }),
            Instead::Refusal(code) => {
                let problem = wire::refusal::Problem::refused(code, "");
                let body = serde_json::to_vec(&problem).unwrap_or_default().into();
                Ok(Answer { status: problem.status, body, cookies: Vec::new() })
            }
        }
    }

    async fn attempt(
        &self,
        method: &str,
        path: &str,
        bearer: Option<&str>,
        body: Option<Vec<u8>>,
    ) -> Result<Answer, CallFault> {
        let broken =
            |e: &dyn std::fmt::Display| CallFault::Broken(self.inner.host.clone(), e.to_string());
        let has_body = body.is_some();
        let mut request = Request::new(Full::new(Bytes::from(body.unwrap_or_default())));
        *request.method_mut() = Method::from_bytes(method.as_bytes()).map_err(|e| broken(&e))?;
        *request.uri_mut() = path.parse().map_err(|e| broken(&e))?;
        let headers = request.headers_mut();
        headers.insert(HOST, HeaderValue::from_str(&self.inner.host).map_err(|e| broken(&e))?);
        if has_body {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        if let Some(token) = bearer {
            let value =
                HeaderValue::from_str(&format!("Bearer {token}")).map_err(|e| broken(&e))?;
            headers.insert(AUTHORIZATION, value);
        }
        if let Some(page) = &self.page {
            headers.insert(ORIGIN, HeaderValue::from_str(&page.origin).map_err(|e| broken(&e))?);
            if let Some(csrf) = &page.csrf {
                let csrf = HeaderValue::from_str(csrf).map_err(|e| broken(&e))?;
                headers.insert("x-azukari-csrf", csrf);
            }
            if let Some(cookies) = &page.cookies {
                headers.insert(COOKIE, HeaderValue::from_str(cookies).map_err(|e| broken(&e))?);
            }
        }
        let mut sender = self.connection().await?;
        let response = sender.send_request(request).await.map_err(|e| broken(&e))?;
        let status = response.status().as_u16();
        let cookies = cookies(response.headers());
        let body = Limited::new(response.into_body(), ANSWER_MAX);
        let body = body.collect().await.map_err(|e| broken(&e))?.to_bytes();
        self.keep(sender);
        Ok(Answer { status, body, cookies })
    }

    /// A kept connection that is still open, else a new one. A kept one that the server closed
    /// meanwhile fails the call as `Broken`: the caller's own retry, under the same order number,
    /// is what makes that safe; a hidden retry here would not be.
    async fn connection(&self) -> Result<SendRequest<Full<Bytes>>, CallFault> {
        loop {
            let kept = self.inner.kept.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let Some(mut sender) = kept else { break };
            if !sender.is_closed() && sender.ready().await.is_ok() {
                return Ok(sender);
            }
        }
        let failed =
            |e: &dyn std::fmt::Display| CallFault::Connect(self.inner.host.clone(), e.to_string());
        let stream = TcpStream::connect(&self.inner.authority).await.map_err(|e| failed(&e))?;
        stream.set_nodelay(true).map_err(|e| failed(&e))?;
        match &self.inner.tls {
            None => handshake(TokioIo::new(stream)).await.map_err(|e| failed(&e)),
            Some((connector, name)) => {
                let stream =
                    connector.connect(name.clone(), stream).await.map_err(|e| failed(&e))?;
                handshake(TokioIo::new(stream)).await.map_err(|e| failed(&e))
            }
        }
    }

    fn keep(&self, sender: SendRequest<Full<Bytes>>) {
        let mut kept = self.inner.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < KEPT_MAX {
            kept.push(sender);
        }
    }
}

fn cookies(headers: &HeaderMap) -> Vec<String> {
    let lines = headers.get_all(SET_COOKIE).iter().filter_map(|line| line.to_str().ok());
    lines.map(str::to_owned).collect()
}

async fn handshake<S>(io: TokioIo<S>) -> Result<SendRequest<Full<Bytes>>, hyper::Error>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let (sender, connection) = hyper::client::conn::http1::handshake(io).await?;
    tokio::spawn(async move {
        let _ = connection.await;
    });
    Ok(sender)
}
