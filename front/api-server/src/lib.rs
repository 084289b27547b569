//! Routes of the Docker Engine API to calls of the engine.
//!
//! Owns: which path means what (`router`, `routes`), how parameters and bodies are read (`query`, `call`), which status
//! an error becomes (`failure`), and what a version of the API shows of an answer (`shape`).
//!
//! Must not know: how bytes travel (that is `transport`), and what a verb does (that is `engine`). A handler reads
//! parameters, makes one engine call, shapes the answer; nothing else.
//!
//! Reading order: this file, `router.rs`, `call.rs`, `routes/mod.rs` for the table, one file of `routes` per noun,
//! `shape/` for what differs between versions; `buildkit/` for BuildKit's protocol over the engine.

#![forbid(unsafe_code)]

mod buildkit;
mod call;
mod failure;
mod json_body;
mod json_syntax;
mod query;
mod router;
mod routes;
mod shape;
mod type_error;

use std::sync::Arc;

use api::ApiVersion;
use engine::Engine;
use transport::server::{Exchange, Handler, ResponseHead};

use call::Call;
use failure::Failure;
use router::Target;

/// Answers Docker's API with an engine.
pub struct ApiServer {
    engine: Engine,
    doors: Arc<buildkit::Doors>,
    minimum: ApiVersion,
    standard: Vec<(String, String)>,
}

impl ApiServer {
    /// Serves an engine; `minimum` is the oldest version accepted.
    pub fn new(engine: Engine, minimum: ApiVersion) -> Self {
        let config = engine.config();
        let header = |name: &str, value: String| (name.to_owned(), value);
        let standard = vec![
            header("Api-Version", api::version::MAX.to_string()),
            header("Docker-Experimental", config.experimental.to_string()),
            header("Ostype", "linux".to_owned()),
            header("Server", format!("Docker/{} (linux)", config.version)),
        ];
        let backend = buildkit::EngineBackend::new(engine.clone());
        let doors = Arc::new(buildkit::Doors::new(backend, Arc::default()));
        Self { engine, doors, minimum, standard }
    }

    fn version(&self, wanted: Option<Result<ApiVersion, String>>) -> Result<ApiVersion, Failure> {
        let (version, text) = match wanted {
            None => return Ok(api::version::MAX),
            Some(Ok(version)) => (version, version.to_string()),
            Some(Err(text)) => (ApiVersion { major: 0, minor: 0 }, text),
        };
        if version < self.minimum {
            let minimum = self.minimum;
            return Err(Failure::new(
                400,
                format!(
                    "client version {text} is too old. Minimum supported API version is {minimum}, please upgrade your client to a newer version"
                ),
            ));
        }
        if version > api::version::MAX {
            let maximum = api::version::MAX;
            return Err(Failure::new(
                400,
                format!("client version {text} is too new. Maximum supported API version is {maximum}"),
            ));
        }
        Ok(version)
    }
}

impl Handler for ApiServer {
    fn handle(&self, exchange: &mut Exchange<'_>) {
        if exchange.head.is_preface() {
            return routes::build_session::direct(exchange, &self.doors);
        }
        let found = Target::parse(&exchange.head.path).and_then(|target| {
            let (route, parameters) = router::find(routes::TABLE, &exchange.head.method, &target.path)?;
            Some((route.action, parameters, target.version))
        });
        let Some((action, parameters, wanted)) = found else {
            let head = ResponseHead::new(404).content_type(api::stream::JSON);
            // Nobody to tell when the client is gone.
            let _ = exchange.respond(&head, b"{\"message\":\"page not found\"}\n");
            return;
        };
        let version = self.version(wanted);
        let shown = version.as_ref().copied().unwrap_or(api::version::MAX);
        let mut call = Call::new(&self.engine, &self.doors, exchange, shown, parameters, &self.standard);
        if let Err(failure) = version.and_then(|_| action(&mut call)) {
            call.refuse(&failure);
        }
    }
}
