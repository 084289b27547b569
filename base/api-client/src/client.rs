//! One engine to talk to: sends requests at the agreed version and reads documents.

use std::io::Read;
use std::sync::OnceLock;

use serde::Serialize;
use serde::de::DeserializeOwned;
use transport::client::{Body, Endpoint, HttpClient, Request, Response, Socket, Upgraded};

use crate::{ClientError, Query};

/// The newest version this client speaks.
pub const NEWEST: &str = "1.55";
/// The oldest version this client speaks.
pub const OLDEST: &str = "1.24";

/// What a client is made of.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where the engine is.
    pub endpoint: Endpoint,
    /// The address as the user wrote it, for messages.
    pub host: String,
    /// A fixed API version instead of an agreed one.
    pub version: Option<String>,
    /// The User-Agent header.
    pub user_agent: String,
    /// Headers sent with every request.
    pub headers: Vec<(String, String)>,
}

/// What an engine says of itself when pinged.
#[derive(Debug, Clone, Default)]
pub struct Ping {
    /// Its newest API version.
    pub api_version: String,
    /// `linux` or `windows`.
    pub os_type: String,
    /// Whether experimental features are on.
    pub experimental: bool,
    /// `2` when builds are BuildKit's.
    pub builder_version: String,
    /// The cluster state, `inactive` or `active/manager` and such.
    pub swarm: String,
    /// Whether it is wharf.
    pub is_wharf: bool,
}

/// A client of one engine; threads share it by reference.
#[derive(Debug)]
pub struct Client {
    http: HttpClient,
    options: Options,
    ping: OnceLock<Ping>,
}

const TEXT_LIMIT: u64 = 1 << 20;

impl Client {
    /// A client that has not connected yet.
    pub fn new(options: Options) -> Self {
        Self { http: HttpClient::new(options.endpoint.clone()), options, ping: OnceLock::new() }
    }

    /// A client of the same engine with connections of its own, for another thread.
    #[must_use]
    pub fn another(&self) -> Self {
        Self::new(self.options.clone())
    }

    /// The address as the user wrote it.
    pub fn host(&self) -> &str {
        &self.options.host
    }

    /// Asks the engine what it is, once.
    ///
    /// # Errors
    /// When the engine can't be reached.
    pub fn ping(&self) -> Result<&Ping, ClientError> {
        if let Some(ping) = self.ping.get() {
            return Ok(ping);
        }
        let mut response = self.plain("HEAD", "/_ping", Body::Empty)?;
        if response.head.status != 200 {
            response = self.plain("GET", "/_ping", Body::Empty)?;
            drop(text_of(&mut response));
        }
        let header = |name: &str| response.head.header(name).unwrap_or_default().to_owned();
        let ping = Ping {
            api_version: header("Api-Version"),
            os_type: header("Ostype"),
            experimental: header("Docker-Experimental") == "true",
            builder_version: header("Builder-Version"),
            swarm: header("Swarm"),
            is_wharf: response.head.header("Wharf-Version").is_some(),
        };
        Ok(self.ping.get_or_init(|| ping))
    }

    /// The version requests are sent at: the fixed one, else the older of ours and the engine's newest.
    ///
    /// # Errors
    /// When the engine can't be reached.
    pub fn version(&self) -> Result<&str, ClientError> {
        if let Some(fixed) = &self.options.version {
            return Ok(fixed);
        }
        let theirs = self.ping()?.api_version.as_str();
        Ok(match theirs {
            "" => OLDEST,
            theirs if number(theirs) < number(NEWEST) => theirs,
            _ => NEWEST,
        })
    }

    /// Whether requests are sent at this version or a newer one.
    ///
    /// # Errors
    /// When the engine can't be reached.
    pub fn at_least(&self, version: &str) -> Result<bool, ClientError> {
        Ok(number(self.version()?) >= number(version))
    }

    /// Sends a request; refusals become errors.
    ///
    /// # Errors
    /// When the engine can't be reached or refuses.
    pub fn send(
        &self,
        method: &str,
        path: &str,
        query: &Query,
        headers: &[(&str, &str)],
        body: Body,
    ) -> Result<Response, ClientError> {
        let target = self.target(path, query)?;
        let headers = self.headers(headers);
        let request = Request { method, path: &target, headers: &headers, body };
        let response = self.http.send(request).map_err(|error| self.failure(error))?;
        refuse(response)
    }

    /// GET of a document.
    ///
    /// # Errors
    /// When the engine can't be reached, refuses, or answers something else.
    pub fn get<T: DeserializeOwned>(&self, path: &str, query: &Query) -> Result<T, ClientError> {
        document(self.send("GET", path, query, &[], Body::Empty)?)
    }

    /// GET of a stream.
    ///
    /// # Errors
    /// When the engine can't be reached or refuses.
    pub fn stream(&self, path: &str, query: &Query) -> Result<Response, ClientError> {
        self.send("GET", path, query, &[], Body::Empty)
    }

    /// POST of a document that answers with a document.
    ///
    /// # Errors
    /// When the engine can't be reached, refuses, or answers something else.
    pub fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &Query,
        body: &impl Serialize,
    ) -> Result<T, ClientError> {
        let bytes = serde_json::to_vec(body)?;
        document(self.send(
            "POST",
            path,
            query,
            &[("Content-Type", "application/json")],
            Body::Bytes(bytes),
        )?)
    }

    /// POST of a document with no answer but success.
    ///
    /// # Errors
    /// When the engine can't be reached or refuses.
    pub fn post_only(&self, path: &str, query: &Query, body: &impl Serialize) -> Result<(), ClientError> {
        let bytes = serde_json::to_vec(body)?;
        finish(self.send("POST", path, query, &[("Content-Type", "application/json")], Body::Bytes(bytes))?)
    }

    /// A call without body whose answer does not matter.
    ///
    /// # Errors
    /// When the engine can't be reached or refuses.
    pub fn call(&self, method: &str, path: &str, query: &Query) -> Result<(), ClientError> {
        finish(self.send(method, path, query, &[], Body::Empty)?)
    }

    /// A call without body that answers with a document.
    ///
    /// # Errors
    /// When the engine can't be reached, refuses, or answers something else.
    pub fn ask<T: DeserializeOwned>(
        &self,
        method: &str,
        path: &str,
        query: &Query,
    ) -> Result<T, ClientError> {
        document(self.send(method, path, query, &[], Body::Empty)?)
    }

    /// A POST that turns the connection into a raw stream.
    ///
    /// # Errors
    /// When the engine can't be reached or refuses.
    pub fn upgrade(&self, path: &str, query: &Query, body: Option<Vec<u8>>) -> Result<Upgraded, ClientError> {
        let target = self.target(path, query)?;
        let kind = if body.is_some() { "application/json" } else { "text/plain" };
        let headers = self.headers(&[("Content-Type", kind)]);
        let body = body.map_or(Body::Empty, Body::Bytes);
        let request = Request { method: "POST", path: &target, headers: &headers, body };
        match self.http.upgrade(request, "tcp").map_err(|error| self.failure(error))? {
            Ok(upgraded) => Ok(upgraded),
            Err(answer) => match refuse(answer) {
                Err(error) => Err(error),
                Ok(answer) => Err(ClientError::Broken(format!(
                    "unable to upgrade to tcp, received {}",
                    answer.head.status
                ))),
            },
        }
    }

    /// A POST on a path without a version that turns the connection into another protocol's; `headers` may name one
    /// header several times.
    ///
    /// # Errors
    /// When the engine can't be reached, refuses, or speaks no such protocol there.
    pub fn upgrade_to(
        &self,
        protocol: &str,
        path: &str,
        headers: &[(&str, &str)],
    ) -> Result<Upgraded, ClientError> {
        let headers = self.headers(headers);
        let request = Request { method: "POST", path, headers: &headers, body: Body::Empty };
        match self.http.upgrade(request, protocol).map_err(|error| self.failure(error))? {
            Ok(upgraded) if upgraded.head.status == 101 => Ok(upgraded),
            Ok(upgraded) => Err(ClientError::Broken(format!(
                "unable to upgrade to {protocol}, received {}",
                upgraded.head.status
            ))),
            Err(answer) => match refuse(answer) {
                Err(error) => Err(error),
                Ok(answer) => Err(ClientError::Broken(format!(
                    "unable to upgrade to {protocol}, received {}",
                    answer.head.status
                ))),
            },
        }
    }

    /// A bare connection to the engine.
    ///
    /// # Errors
    /// When the engine can't be reached.
    pub fn dial(&self) -> Result<Socket, ClientError> {
        self.http.dial().map_err(|error| self.failure(error))
    }

    fn plain(&self, method: &str, path: &str, body: Body) -> Result<Response, ClientError> {
        let headers = self.headers(&[]);
        let request = Request { method, path, headers: &headers, body };
        self.http.send(request).map_err(|error| self.failure(error))
    }

    fn target(&self, path: &str, query: &Query) -> Result<String, ClientError> {
        let version = self.version()?;
        let question = if query.as_str().is_empty() { "" } else { "?" };
        Ok(format!("/v{version}{path}{question}{}", query.as_str()))
    }

    fn headers<'a>(&'a self, more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
        let mut headers = vec![("User-Agent", self.options.user_agent.as_str())];
        headers.extend(self.options.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        headers.extend_from_slice(more);
        headers
    }

    fn failure(&self, error: transport::client::HttpError) -> ClientError {
        ClientError::from_http(error, &self.options.host)
    }
}

/// Minor number of a version `1.NN`, for comparing.
fn number(version: &str) -> (u32, u32) {
    let (major, minor) = version.split_once('.').unwrap_or((version, "0"));
    (major.parse().unwrap_or(0), minor.parse().unwrap_or(0))
}

fn text_of(response: &mut Response) -> Vec<u8> {
    let mut bytes = Vec::new();
    let _ = (&mut response.body).take(TEXT_LIMIT).read_to_end(&mut bytes);
    bytes
}

/// Passes answers below 400 on; others become the engine's text.
fn refuse(mut response: Response) -> Result<Response, ClientError> {
    let status = response.head.status;
    if status < 400 {
        return Ok(response);
    }
    let bytes = text_of(&mut response);
    let text = String::from_utf8_lossy(&bytes).trim().to_owned();
    let message = serde_json::from_slice::<serde_json::Value>(&bytes)
        .ok()
        .and_then(|document| document.get("message").and_then(|message| message.as_str().map(str::to_owned)))
        .filter(|message| !message.is_empty())
        .unwrap_or(text);
    let message = if message.is_empty() {
        format!("request returned status {status} without a message")
    } else {
        message
    };
    Err(ClientError::Refused { status, message: message.trim().to_owned() })
}

fn document<T: DeserializeOwned>(mut response: Response) -> Result<T, ClientError> {
    let mut bytes = Vec::new();
    response.body.read_to_end(&mut bytes).map_err(|error| ClientError::Broken(error.to_string()))?;
    Ok(serde_json::from_slice(&bytes)?)
}

fn finish(mut response: Response) -> Result<(), ClientError> {
    // Read to the end, so that the connection can be used again.
    std::io::copy(&mut response.body, &mut std::io::sink())
        .map(drop)
        .map_err(|error| ClientError::Broken(error.to_string()))
}
