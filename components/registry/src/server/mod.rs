//! The HTTP side of a registry: paths to calls, errors to documents, and who may.

mod admin;
mod answer;
mod blob;
mod listing;
mod log;
mod manifest;
mod metrics;
mod range;
pub mod route;
mod token;
mod upload;
mod web;

use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use transport::server::{Exchange, Handler, ResponseHead};

use crate::auth::{Access, Action, Caller, basic_challenge};
use crate::registry::{Collected, Policy};
use crate::upstream::{Mirrored, Upstreams};
use crate::{Registry, RegistryError};
use answer::{Answered, Fault};
use metrics::Metrics;
use route::Route;

pub use admin::AdminServer;
pub use log::AccessLog;
pub use range::{Wanted, chunk, wanted};

/// What a reload of the configuration replaces, all at once.
#[derive(Debug)]
pub struct Settings {
    /// Who may do what.
    pub access: Access,
    /// What a collection takes away.
    pub policy: Policy,
    /// Registries that are mirrored.
    pub upstreams: Upstreams,
    /// Clients reach us by https.
    pub secure: bool,
}

/// Serves one registry.
#[derive(Debug)]
pub struct RegistryServer {
    registry: Arc<Registry>,
    settings: RwLock<Arc<Settings>>,
    metrics: Metrics,
    log: Option<AccessLog>,
}

/// A request's word for metrics, and what came of it.
struct Outcome {
    kind: &'static str,
    caller: Option<Caller>,
    answered: Answered,
}

impl RegistryServer {
    /// A server over a registry.
    pub fn new(registry: Arc<Registry>, settings: Settings, log: Option<AccessLog>) -> Self {
        Self { registry, settings: RwLock::new(Arc::new(settings)), metrics: Metrics::default(), log }
    }

    /// Replaces the settings; requests under way keep theirs.
    pub fn reload(&self, settings: Settings) {
        *self.settings.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(settings);
    }

    /// Collects by the present settings.
    ///
    /// # Errors
    /// When the storage fails.
    pub fn collect(&self) -> Result<Collected, RegistryError> {
        self.registry.collect(&self.settings().policy)
    }

    /// Waits until no request is under way, at most so long, and puts uploads where the next process finds them.
    pub fn rest(&self, patience: Duration) {
        let start = Instant::now();
        while self.metrics.is_busy() && start.elapsed() < patience {
            std::thread::sleep(Duration::from_millis(10));
        }
        if let Err(error) = self.registry.keep_uploads() {
            eprintln!("registry: uploads: {}", model::error::chain(&error));
        }
    }

    fn settings(&self) -> Arc<Settings> {
        Arc::clone(&self.settings.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn outcome(&self, exchange: &mut Exchange<'_>, path: &str, query: &str) -> Outcome {
        let settings = self.settings();
        let access = &settings.access;
        if path == "/token" {
            return Outcome { kind: "token", caller: None, answered: token::serve(access, exchange, query) };
        }
        let refused =
            |error: RegistryError| Outcome { kind: "other", caller: None, answered: Err(error.into()) };
        let host = host(exchange, settings.secure);
        let Some(caller) = access.caller(exchange.head.header("authorization")) else {
            return refused(RegistryError::Unauthorized { challenge: access.challenge(None, &host) });
        };
        let route = match Route::parse(path) {
            Ok(Some(route)) => route,
            Ok(None) => {
                let answered = self.page(exchange, &settings, &caller, path, query);
                return Outcome { kind: "other", caller: Some(caller), answered };
            }
            Err(error) => return refused(error),
        };
        let kind = route.kind();
        let answered = admit(access, &caller, &route, &exchange.head.method, &host)
            .map_err(Fault::from)
            .and_then(|()| match self.mirrored(&settings, &route, query, is_read(exchange))? {
                // The rights on its own name count, not those on the name it was asked for by.
                Some(mirrored) if !access.allows(&caller, mirrored.local.as_str(), Action::Pull) => {
                    let scope = Some((mirrored.local.as_str(), &[Action::Pull][..]));
                    Err(access.refuse(&caller, scope, &host).into())
                }
                Some(mirrored) => self.answer_mirrored(exchange, &settings, &mirrored, &route, query),
                None => self.answer(exchange, access, &caller, &route, query),
            });
        Outcome { kind, caller: Some(caller), answered }
    }

    /// The mirrored repository that a route is about.
    fn mirrored(
        &self,
        settings: &Settings,
        route: &Route,
        query: &str,
        reading: bool,
    ) -> Result<Option<Mirrored>, RegistryError> {
        let Some(name) = route.repository().filter(|_| !settings.upstreams.is_empty()) else {
            return Ok(None);
        };
        let namespace = route::parameter(query, "ns");
        settings.upstreams.of(&self.registry, name, namespace.as_deref(), reading)
    }

    fn answer_mirrored(
        &self,
        exchange: &mut Exchange<'_>,
        settings: &Settings,
        mirrored: &Mirrored,
        route: &Route,
        query: &str,
    ) -> Answered {
        let (registry, upstreams) = (&*self.registry, &settings.upstreams);
        match route {
            Route::Manifest(_, reference) if is_read(exchange) => {
                manifest::send(exchange, &*upstreams.manifest(registry, mirrored, reference)?)
            }
            Route::Blob(_, digest) => blob::serve_mirrored(registry, upstreams, exchange, mirrored, digest),
            Route::Tags(_) => listing::tags(registry, exchange, &mirrored.local, query),
            Route::Referrers(_, subject) => {
                listing::referrers(registry, exchange, &mirrored.local, subject, query)
            }
            Route::Manifest(_, reference) if exchange.head.method == "DELETE" => {
                manifest::serve(registry, exchange, &mirrored.local, reference, query)
            }
            _ => {
                let reason = "a mirrored repository takes no pushes".to_owned();
                Err(RegistryError::Unsupported { reason }.into())
            }
        }
    }

    fn answer(
        &self,
        exchange: &mut Exchange<'_>,
        access: &Access,
        caller: &Caller,
        route: &Route,
        query: &str,
    ) -> Answered {
        let registry = &*self.registry;
        match route {
            Route::Base | Route::Catalog | Route::Tags(_) | Route::Referrers(..) if !is_read(exchange) => {
                answer::method_refused(exchange, "GET, HEAD")
            }
            Route::Base => base(exchange),
            Route::Catalog => {
                let may_see = |name: &str| access.allows(caller, name, Action::Pull);
                listing::catalog(registry, exchange, query, &may_see)
            }
            Route::Tags(name) => listing::tags(registry, exchange, name, query),
            Route::Manifest(name, reference) => manifest::serve(registry, exchange, name, reference, query),
            Route::Blob(name, digest) => blob::serve(registry, exchange, name, digest),
            Route::Uploads(name) => {
                let may_pull =
                    |from: &crate::name::Repository| access.allows(caller, from.as_str(), Action::Pull);
                upload::begin(registry, exchange, name, query, &may_pull)
            }
            Route::Upload(name, id) => upload::serve(registry, exchange, name, id, query),
            Route::Referrers(name, subject) => listing::referrers(registry, exchange, name, subject, query),
        }
    }

    /// What is outside of `/v2/`: pages for people, and the administrator's.
    fn page(
        &self,
        exchange: &mut Exchange<'_>,
        settings: &Settings,
        caller: &Caller,
        path: &str,
        query: &str,
    ) -> Answered {
        let access = &settings.access;
        let ask = || Fault::from(RegistryError::Unauthorized { challenge: basic_challenge() });
        let may_see = |name: &str| access.allows(caller, name, Action::Pull);
        match path {
            "/" if is_read(exchange) => match access.admits(caller) {
                true => web::repositories(&self.registry, exchange, query, &may_see),
                false => Err(ask()),
            },
            "/metrics" if is_read(exchange) => match access.is_open() || access.is_admin(caller) {
                true => admin::metrics(self, exchange),
                false => Err(ask()),
            },
            "/admin/collect" => match access.is_admin(caller) {
                true => admin::collect(self, exchange),
                false => Err(ask()),
            },
            _ => match web::named(path).filter(|_| is_read(exchange)) {
                Some(name) => {
                    let name = name?;
                    if !may_see(name.as_str()) {
                        return Err(ask());
                    }
                    web::repository(&self.registry, exchange, &name, query)
                }
                None => {
                    exchange.respond(
                        &ResponseHead::new(404).content_type("text/plain"),
                        b"404 page not found\n",
                    )?;
                    Ok(404)
                }
            },
        }
    }

    fn finish(&self, exchange: &mut Exchange<'_>, path: &str, answered: Answered) -> u16 {
        match answered {
            Ok(status) => status,
            // Nobody heard an answer; nginx's word for it.
            Err(Fault::Gone(_)) => 499,
            Err(Fault::Refused(error)) => {
                if error.status() >= 500 {
                    eprintln!("registry: {}: {}", log::clean(path), model::error::chain(&error));
                }
                if !exchange.has_started() {
                    let _ = answer::refuse(exchange, &error);
                }
                error.status()
            }
        }
    }
}

impl Handler for RegistryServer {
    fn turn_away(&self, exchange: &mut Exchange<'_>) {
        let (start, error) = (Instant::now(), RegistryError::TooManyRequests);
        self.metrics.begin();
        // Who does not hear it finds the connection closed.
        let _ = answer::refuse(exchange, &error);
        self.metrics.end("other", error.status(), start.elapsed());
    }

    fn handle(&self, exchange: &mut Exchange<'_>) {
        let start = Instant::now();
        self.metrics.begin();
        let path = std::mem::take(&mut exchange.head.path);
        let query = std::mem::take(&mut exchange.head.query);
        let outcome = self.outcome(exchange, &path, &query);
        let status = self.finish(exchange, &path, outcome.answered);
        let took = start.elapsed();
        self.metrics.end(outcome.kind, status, took);
        if let Some(log) = &self.log {
            let caller = outcome.caller.as_ref().map_or("-", Caller::name);
            let (method, path, micros) = (&exchange.head.method, log::clean(&path), took.as_micros());
            log.line(format_args!(
                "{} {caller} {method} {path} {status} {micros}us",
                model::Timestamp::now()
            ));
        }
    }
}

/// Refuses whoever has no right to what the route and method mean.
fn admit(
    access: &Access,
    caller: &Caller,
    route: &Route,
    method: &str,
    host: &str,
) -> Result<(), RegistryError> {
    let Some(name) = route.repository() else {
        return if access.admits(caller) { Ok(()) } else { Err(access.refuse(caller, None, host)) };
    };
    let wanted: &[Action] = match (route, method) {
        (Route::Uploads(_) | Route::Upload(..), _) | (_, "PUT" | "POST" | "PATCH") => {
            &[Action::Pull, Action::Push]
        }
        (_, "DELETE") => &[Action::Delete],
        _ => &[Action::Pull],
    };
    // Pushing needs the right to push only; clients ask for both.
    let needed = wanted.last().copied().unwrap_or(Action::Pull);
    if access.allows(caller, name.as_str(), needed) {
        return Ok(());
    }
    Err(access.refuse(caller, Some((name.as_str(), wanted)), host))
}

/// Where the client found us.
fn host(exchange: &Exchange<'_>, secure: bool) -> String {
    let named = exchange.head.header("host").unwrap_or_default();
    let is_host = |byte: u8| byte.is_ascii_alphanumeric() || b".-:[]_".contains(&byte);
    let named = if named.bytes().all(is_host) { named } else { "" };
    format!("{}://{named}", if secure { "https" } else { "http" })
}

fn is_read(exchange: &Exchange<'_>) -> bool {
    matches!(exchange.head.method.as_str(), "GET" | "HEAD")
}

fn base(exchange: &mut Exchange<'_>) -> Answered {
    exchange.respond(&answer::head(200).content_type("application/json"), b"{}")?;
    Ok(200)
}
