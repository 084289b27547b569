//! `Control`: builds, their progress, sessions, the cache.

use std::collections::BTreeMap;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use grpc::{Call, Cancellation, Code, Status};

use super::backend::{Backend, Export, Job};
use super::builds::Build;
use super::named_session::NamedSession;
use super::wish::check_entitlements;
use super::{Doors, Progress, Wish};
use crate::control::{CacheOptionsEntry, PruneRequest, SolveRequest, SolveResponse, StatusRequest};
use crate::session::{Session, SessionInfo, tunnel};

/// How long a listener waits for its build.
const PATIENCE: Duration = Duration::from_secs(6);

/// The kind of cache that is no place of its own.
const INLINE: &str = "inline";

impl<B: Backend> Doors<B> {
    /// A build from its beginning to its end.
    pub(super) fn solve(&self, call: &Call, request: SolveRequest) -> Result<SolveResponse, Status> {
        if request.reference.is_empty() {
            return Err(Status::new(Code::InvalidArgument, "the build has no ref"));
        }
        check_entitlements(&request.entitlements)?;
        let cancellation = call.cancellation.clone();
        let session = NamedSession::new(&request.session, &self.sessions, &cancellation);
        // Who says where its files are has a session for the rest, and most builds ask for nothing of it.
        if !Wish::is_in_place(&request.frontend_attrs) {
            session.get();
        }
        let progress = Arc::new(Progress::default());
        let job = Job { reference: request.reference.clone(), session, progress, cancellation };
        let build = self.builds.begin(without_graphs(&request), request.frontend_inputs.clone(), job)?;
        let waiting = Arc::clone(&build);
        let _nudge = build.job.cancellation.on_cancel(move || waiting.nudge());
        let outcome = self.build_and_export(&build, request);
        build.job.session.release();
        self.builds.end(&build, outcome.clone());
        self.remember(&build);
        outcome.map(|exporter_response| SolveResponse { exporter_response })
    }

    fn build_and_export(
        &self,
        build: &Build<B::Built>,
        request: SolveRequest,
    ) -> Result<BTreeMap<String, String>, Status> {
        let exports = exports(&request);
        let cache_exports: Vec<CacheOptionsEntry> = request.cache.as_ref().map_or(Vec::new(), |cache| {
            cache.exports.iter().filter(|entry| entry.r#type != INLINE).cloned().collect()
        });
        let graph = request.definition.as_ref().filter(|definition| !definition.def.is_empty());
        let built = if let Some(graph) = graph.filter(|_| request.frontend.is_empty()) {
            Some(self.backend.build(&Wish::of_source(graph)?, &build.job)?)
        } else if request.frontend.is_empty() {
            build.wait_returned()?
        } else {
            let mut wish = Wish::read(&request.frontend, &request.frontend_attrs)?;
            wish.entitlements = request.entitlements;
            wish.inputs = request.frontend_inputs;
            if let Some(cache) = request.cache {
                wish.cache_imports.extend(cache.imports);
            }
            if wish.subrequest.is_some() {
                let facts = self.backend.answer(&wish, &build.job)?;
                let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
                return Ok(facts.into_iter().map(|(name, value)| (name, text(value))).collect());
            }
            Some(self.backend.build(&wish, &build.job)?)
        };
        let mut said = BTreeMap::new();
        if let Some(built) = built {
            for export in &exports {
                said.extend(self.backend.export(&built, export, &build.job)?);
            }
            for to in &cache_exports {
                said.extend(self.backend.export_cache(&built, to, &build.job)?);
            }
        }
        Ok(said)
    }

    /// What a build says, from its beginning until it ends.
    pub(super) fn status(&self, call: &mut Call) -> Result<(), Status> {
        let request: StatusRequest = call.request()?;
        let build = match self.builds.get(&request.reference, Duration::ZERO) {
            Ok(build) => build,
            // Without patience, so that nobody waits for what is long over.
            Err(_) if self.replay(call, &request.reference)? => return Ok(()),
            Err(_) => self.builds.get(&request.reference, PATIENCE)?,
        };
        let progress = Arc::clone(&build.job.progress);
        let nudged = Arc::clone(&progress);
        let _hook = call.cancellation.on_cancel(move || nudged.nudge());
        let mut from = 0;
        while let Some(news) = progress.read(&mut from, &call.cancellation) {
            call.outbound.send(&news)?;
        }
        Ok(())
    }

    /// A session inside the connection.
    pub(super) fn session(&self, call: Call) -> Result<(), Status> {
        let headers =
            call.metadata.iter().filter_map(|(name, value)| Some((name, std::str::from_utf8(value).ok()?)));
        let info = SessionInfo::read(headers)
            .ok_or_else(|| Status::new(Code::InvalidArgument, "the session has no id"))?;
        let unavailable = |error: std::io::Error| Status::new(Code::Unavailable, error.to_string());
        let (ours, theirs) = UnixStream::pair().map_err(unavailable)?;
        let session = Session::new(info, ours.into(), Vec::new()).map_err(unavailable)?;
        let _listed = self.sessions.add(session);
        let closer = theirs.try_clone().map_err(unavailable)?;
        let _hook = call.cancellation.on_cancel(move || {
            let _ = closer.shutdown(std::net::Shutdown::Both);
        });
        tunnel::carry(theirs, call.inbound, call.outbound)
    }

    /// Removes from the cache.
    pub(super) fn prune(&self, call: &mut Call) -> Result<(), Status> {
        let request: PruneRequest = call.request()?;
        for record in self.backend.prune(&request)? {
            call.outbound.send(&record)?;
        }
        Ok(())
    }

    /// Surroundings for a question that belongs to no build.
    pub(super) fn job_of(build: &Build<B::Built>, until: &Cancellation) -> Job {
        Job { cancellation: until.clone(), ..build.job.clone() }
    }
}

/// What a result should become, by new clients and old.
fn exports(request: &SolveRequest) -> Vec<Export> {
    let all = request.exporters.iter().map(|exporter| (exporter.r#type.clone(), exporter.attrs.clone()));
    let mut all: Vec<_> = all.collect();
    if all.is_empty() && !request.exporter_deprecated.is_empty() {
        all.push((request.exporter_deprecated.clone(), request.exporter_attrs_deprecated.clone()));
    }
    let cache = request.cache.iter().flat_map(|cache| &cache.exports);
    let inline_cache = cache.into_iter().any(|entry| entry.r#type == INLINE);
    let export = |(number, (kind, options))| Export { number, kind, options, inline_cache };
    all.into_iter().enumerate().map(export).collect()
}

/// What the history remembers of a request.
fn without_graphs(request: &SolveRequest) -> SolveRequest {
    SolveRequest {
        reference: request.reference.clone(),
        frontend: request.frontend.clone(),
        frontend_attrs: request.frontend_attrs.clone(),
        entitlements: request.entitlements.clone(),
        exporters: request.exporters.clone(),
        internal: request.internal,
        ..SolveRequest::default()
    }
}
