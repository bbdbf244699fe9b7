//! A keep-alive HTTP/1.1 connection: one request at a time, as cheap as it gets.
//!
//! What drives the connection and what waits for the answer is one task (`select!`), so that a
//! request costs no hand-over between tasks. Headers are made once.

use std::fmt;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use reqwest::Url;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(5);
/// How long an answer may take: longer than the shop takes to say that it cannot.
const ANSWER: Duration = Duration::from_secs(30);

/// Where the shop is.
#[derive(Debug, Clone)]
pub(super) struct Address {
    /// `host:port`, to connect to and to say.
    pub(super) authority: String,
    path: Uri,
}

impl Address {
    /// Of an address like `http://host:port`.
    ///
    /// # Errors
    /// It is none.
    pub(super) fn try_new(to: &str) -> anyhow::Result<Self> {
        let wanted = "--to takes an address like http://host:port";
        let url = Url::parse(to).context(wanted)?;
        let Some(host) = url.host_str().filter(|_| url.scheme() == "http") else { bail!("{wanted}") };
        let port = url.port_or_known_default().context(wanted)?;
        let path = url.path().trim_end_matches('/').trim_end_matches("/graphql");
        let path = format!("{path}/graphql").parse().context(wanted)?;
        Ok(Self { authority: format!("{host}:{port}"), path })
    }

    /// The path of the GraphQL endpoint.
    pub(super) const fn path(&self) -> &Uri {
        &self.path
    }

    /// A connection to it.
    ///
    /// # Errors
    /// Nobody answers there.
    pub(super) async fn connect(&self) -> Result<TcpStream, Lost> {
        let connected = timeout(CONNECT, TcpStream::connect(&self.authority)).await;
        let stream = connected.map_err(|_| Lost::new("no answer in time"))?.map_err(Lost::new)?;
        // Requests are small and wanted now.
        stream.set_nodelay(true).map_err(Lost::new)?;
        Ok(stream)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}", self.authority)
    }
}

/// The connection broke, or there was none: what became of the request is unknown.
#[derive(Debug)]
pub(super) struct Lost(String);

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Lost {}

impl Lost {
    fn new(cause: impl fmt::Display) -> Self {
        Self(cause.to_string())
    }
}

type Driver = Pin<Box<http1::Connection<TokioIo<TcpStream>, Full<Bytes>>>>;

/// See the [module](self).
pub(super) struct Line {
    address: Rc<Address>,
    headers: HeaderMap,
    open: Option<(SendRequest<Full<Bytes>>, Driver)>,
}

impl Line {
    /// A line for whoever has this token; it is connected when it is used.
    ///
    /// # Errors
    /// The token or the address is nothing to put into a header.
    pub(super) fn try_new(address: &Rc<Address>, token: Option<&str>) -> anyhow::Result<Self> {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::from_str(&address.authority)?);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(token) = token {
            let mut value = HeaderValue::from_str(&format!("Bearer {token}"))?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        Ok(Self { address: Rc::clone(address), headers, open: None })
    }

    /// Posts a body and waits for the answer. A connection that the other side has closed
    /// before the request went out is made anew.
    ///
    /// # Errors
    /// See [`Lost`].
    pub(super) async fn post(&mut self, body: Bytes) -> Result<(StatusCode, Bytes), Lost> {
        // Twice: the first time it may be found closed.
        let mut last = Lost::new("the connection is closed at once");
        for _ in 0..2 {
            let (mut sender, mut driver) = match self.open.take() {
                Some(open) => open,
                None => self.connect().await?,
            };
            match timeout(ANSWER, exchange(&mut sender, &mut driver, self.request(&body))).await {
                Ok(Ok(answer)) => {
                    self.open = Some((sender, driver));
                    return Ok(answer);
                }
                Ok(Err(Failed::Unsent(lost))) => last = lost,
                Ok(Err(Failed::Lost(lost))) => return Err(lost),
                Err(_) => return Err(Lost::new("no answer in time")),
            }
        }
        Err(last)
    }

    async fn connect(&self) -> Result<(SendRequest<Full<Bytes>>, Driver), Lost> {
        let stream = self.address.connect().await?;
        let (sender, driver) = http1::handshake(TokioIo::new(stream)).await.map_err(Lost::new)?;
        Ok((sender, Box::pin(driver)))
    }

    fn request(&self, body: &Bytes) -> hyper::Request<Full<Bytes>> {
        let mut request = hyper::Request::new(Full::new(body.clone()));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.address.path.clone();
        *request.headers_mut() = self.headers.clone();
        request
    }
}

/// Why there is no answer.
enum Failed {
    /// The request has not left.
    Unsent(Lost),
    Lost(Lost),
}

async fn exchange(
    sender: &mut SendRequest<Full<Bytes>>,
    driver: &mut Driver,
    request: hyper::Request<Full<Bytes>>,
) -> Result<(StatusCode, Bytes), Failed> {
    let answer = async {
        // Until the connection has done with the answer before.
        sender.ready().await.map_err(|error| Failed::Unsent(Lost::new(error)))?;
        let response = sender.try_send_request(request).await.map_err(|mut failed| {
            let unsent = failed.take_message().is_some();
            let lost = Lost::new(failed.into_error());
            if unsent { Failed::Unsent(lost) } else { Failed::Lost(lost) }
        })?;
        let status = response.status();
        let body = response.into_body().collect().await.map_err(|error| Failed::Lost(Lost::new(error)))?;
        Ok((status, body.to_bytes()))
    };
    let mut answer = std::pin::pin!(answer);
    tokio::select! {
        biased;
        answer = &mut answer => return answer,
        _ = &mut *driver => {}
    }
    // The connection has ended; what it knew about the request is in the answer.
    answer.await
}
