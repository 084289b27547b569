//! The client: connections that are kept, what is known of each registry, and repositories opened with both.

use std::collections::HashMap;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};

use oci::Reference;
use transport::client::{Body, Endpoint, HttpClient, HttpError, Remote, Request, Response};

use crate::challenge::{self, Challenge};
use crate::error::RegistryError;
use crate::session::{self, Access, Session};
use crate::settings::Settings;
use crate::url::{Origin, Url};
use crate::{Credentials, HUB, Place, Repository, Stop, certificates};

/// Reaches registries. Clones share their connections.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
    headers: Arc<Vec<(String, String)>>,
    stop: Option<Stop>,
}

struct Shared {
    settings: Settings,
    connections: Mutex<HashMap<(Origin, bool), Arc<HttpClient>>>,
    known: Mutex<HashMap<String, Known>>,
}

/// What a registry's first answer said.
#[derive(Clone)]
pub(crate) struct Known {
    pub(crate) base: Url,
    pub(crate) challenges: Vec<Challenge>,
}

impl Client {
    /// A client without any connection yet.
    pub fn new(settings: Settings) -> Self {
        let shared = Shared { settings, connections: Mutex::default(), known: Mutex::default() };
        Self { shared: Arc::new(shared), headers: Arc::default(), stop: None }
    }

    /// The same client for somebody whose headers go along: `User-Agent` replaces ours, `X-Meta-*` are added.
    #[must_use]
    pub fn on_behalf(&self, headers: Vec<(String, String)>) -> Self {
        Self { shared: Arc::clone(&self.shared), headers: Arc::new(headers), stop: self.stop.clone() }
    }

    /// The same client, none of whose requests is waited for once it is stopped, however silent a registry is.
    #[must_use]
    pub fn until(&self, stop: &Stop) -> Self {
        Self { stop: Some(stop.clone()), ..self.clone() }
    }

    /// How it reaches registries.
    pub fn settings(&self) -> &Settings {
        &self.shared.settings
    }

    /// The repository of a name, at its registry.
    ///
    /// # Errors
    /// When the registry cannot be reached.
    pub fn repository(
        &self,
        reference: &Reference,
        credentials: &Credentials,
        access: Access,
    ) -> Result<Repository, RegistryError> {
        let place = Place::of(reference.domain(), self.settings())?;
        self.repository_at(&place, reference, credentials, access)
    }

    /// Where a registry's repositories can be pulled from: its mirrors, then itself.
    ///
    /// # Errors
    /// When the registry's name is no host.
    pub fn places(&self, domain: &str) -> Result<Vec<Place>, RegistryError> {
        let settings = self.settings();
        // A mirror that is written wrong was refused when the engine started.
        let mirrors =
            settings.mirrors_of(domain).iter().filter_map(|text| Place::mirror(text, settings).ok());
        let mut places: Vec<Place> = mirrors.collect();
        places.push(Place::of(domain, settings)?);
        Ok(places)
    }

    /// The repository of a name at one of these places; a mirror is never shown credentials.
    ///
    /// # Errors
    /// When the place cannot be reached.
    pub fn repository_at(
        &self,
        place: &Place,
        reference: &Reference,
        credentials: &Credentials,
        access: Access,
    ) -> Result<Repository, RegistryError> {
        let known = self.known(place)?;
        let credentials = if place.mirror { Credentials::Anonymous } else { credentials.clone() };
        let namespace = (place.mirror && reference.domain() != HUB).then(|| reference.domain().to_owned());
        let session = Session::new(self.clone(), place.clone(), known, credentials);
        session.want(access.scope(reference.path()));
        Ok(Repository::new(session, reference.path(), namespace))
    }

    /// What is known of a place; asked for when nothing is.
    pub(crate) fn known(&self, place: &Place) -> Result<Known, RegistryError> {
        let key = format!("{}|{}", place.mirror, place.host);
        let held = self.shared.known.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
        if let Some(known) = held {
            return Ok(known);
        }
        let known = self.greet(place)?;
        let mut all = self.shared.known.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(key, known.clone());
        Ok(known)
    }

    /// Forgets it: the registry changed its ways, or is gone.
    pub(crate) fn forget(&self, place: &Place) {
        let key = format!("{}|{}", place.mirror, place.host);
        self.shared.known.lock().unwrap_or_else(PoisonError::into_inner).remove(&key);
    }

    /// Asks each candidate for `/v2/`; any HTTP answer will do.
    pub(crate) fn greet(&self, place: &Place) -> Result<Known, RegistryError> {
        let mut failure = None;
        for base in &place.candidates {
            let url = Url { path: format!("{}v2/", base.path), ..base.clone() };
            match self.send(&url, !place.insecure, "GET", &[], Body::Empty) {
                Ok(answer) => {
                    let challenges = challenge::parse(answer.head.all("WWW-Authenticate"));
                    let refused = answer.head.status == 401;
                    session::skip(answer);
                    return Ok(Known {
                        base: base.clone(),
                        challenges: if refused { challenges } else { Vec::new() },
                    });
                }
                // Whoever keeps certificates for a host does not want it reached without them.
                Err(error @ RegistryError::Certificates(_)) => return Err(error),
                Err(error) => failure = Some(error),
            }
        }
        Err(failure.unwrap_or_else(|| RegistryError::Host(place.host.clone())))
    }

    /// One request, one answer; nothing is followed.
    pub(crate) fn send(
        &self,
        url: &Url,
        verify: bool,
        method: &str,
        headers: &[(&str, &str)],
        body: Body,
    ) -> Result<transport::client::Response, RegistryError> {
        let mut all: Vec<(&str, &str)> = Vec::with_capacity(headers.len() + 4);
        let own_agent = ("User-Agent", self.settings().user_agent.as_str());
        let given = |name: &str| self.headers.iter().any(|(held, _)| held.eq_ignore_ascii_case(name));
        if !given("User-Agent") {
            all.push(own_agent);
        }
        all.extend(self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        all.extend_from_slice(headers);
        let connection = self.connection(&url.origin, verify)?;
        let request = Request { method, path: &url.path, headers: &all, body };
        let answer = match &self.stop {
            Some(stop) => until(stop, connection, request)?,
            None => connection.send(request),
        };
        answer.map_err(|cause| RegistryError::Exchange { request: session::label(method, url), cause })
    }

    fn connection(&self, origin: &Origin, verify: bool) -> Result<Arc<HttpClient>, RegistryError> {
        let key = (origin.clone(), verify);
        let held = |shared: &Shared| {
            shared.connections.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned()
        };
        if let Some(connection) = held(&self.shared) {
            return Ok(connection);
        }
        let settings = self.settings();
        let tls = match origin.tls {
            true => Some(certificates::client(&settings.certificates, origin, verify)?),
            false => None,
        };
        let remote = Remote {
            address: origin.address(),
            tls,
            proxy: settings.proxies.of(origin)?,
            patience: settings.patience,
        };
        let connection = Arc::new(HttpClient::new(Endpoint::Remote(remote)));
        let mut connections = self.shared.connections.lock().unwrap_or_else(PoisonError::into_inner);
        if connections.len() >= CONNECTIONS {
            // Redirects name ever new hosts; what is dropped is only made anew.
            connections.clear();
        }
        Ok(Arc::clone(connections.entry(key).or_insert(connection)))
    }
}

/// Sends a request that ends with the stop, however long an answer may take.
fn until(
    stop: &Stop,
    connection: Arc<HttpClient>,
    request: Request<'_>,
) -> Result<Result<Response, HttpError>, RegistryError> {
    // A connection that is there can be closed, which ends any wait for it.
    match connection.send_kept(&request, |socket| stop.watch_socket(Some(socket))) {
        Some(mut answer) => {
            let watched = stop.watch_socket(answer.body.socket());
            answer.body.keep(Box::new(watched));
            Ok(Ok(answer))
        }
        None => apart(stop, connection, request),
    }
}

/// Sends a request on a thread of its own, which is left to itself when the stop comes first: a name that does not resolve, a
/// handshake or an answer may take as long as patience allows.
fn apart(
    stop: &Stop,
    connection: Arc<HttpClient>,
    request: Request<'_>,
) -> Result<Result<Response, HttpError>, RegistryError> {
    let (tell, told) = std::sync::mpsc::channel();
    let (stopped, ended) = (tell.clone(), tell.clone());
    let _watched = stop.watch(move || drop(stopped.send(None)));
    let (method, path, body) = (request.method.to_owned(), request.path.to_owned(), request.body);
    let headers: Vec<(String, String)> =
        request.headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    std::thread::spawn(move || {
        let _end = Ended(ended);
        let headers: Vec<(&str, &str)> =
            headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let answer = connection.send(Request { method: &method, path: &path, headers: &headers, body });
        let _ = tell.send(Some(answer));
    });
    match told.recv() {
        Ok(Some(Ok(mut answer))) => {
            let watched = stop.watch_socket(answer.body.socket());
            answer.body.keep(Box::new(watched));
            Ok(Ok(answer))
        }
        Ok(Some(failed)) => Ok(failed),
        _ => Err(RegistryError::Cancelled),
    }
}

/// Whoever waits for a thread hears of its end, however that comes.
struct Ended(Sender<Option<Result<Response, HttpError>>>);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.send(None);
    }
}

/// Hosts whose connections are kept.
const CONNECTIONS: usize = 64;
