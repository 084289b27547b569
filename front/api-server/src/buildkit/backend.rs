//! The engine as a builder.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use buildkit::control::{BuildHistoryRecord, CacheOptionsEntry, DiskUsageRequest, PruneRequest, UsageRecord};
use buildkit::fsutil::Stat;
use buildkit::gateway::{ResolveImageConfigRequest, ResolveImageConfigResponse};
use buildkit::ops;
use buildkit::server::{Backend, Export, Job, Wish};
use buildkit::worker::{BuildkitVersion, WorkerRecord};
use engine::Engine;
use engine::build::Outcome;
use engine::build::export::Statement;
use grpc::{Code, Status};
use oci::Platform;

use super::attest::Attest;
use super::{build, cache, contexts, explain, export, failure, history, reading, remote_cache, subrequest};

/// Builds with an engine.
pub(crate) struct EngineBackend {
    engine: Engine,
    /// What builds before were made of.
    memory: explain::Memory,
}

impl EngineBackend {
    pub(crate) fn new(engine: Engine) -> Self {
        Self { engine, memory: explain::Memory::default() }
    }
}

/// What was built, for each platform. Images nobody wanted as such go when nobody holds them any more.
pub(crate) struct BuiltImage {
    pub(super) engine: Engine,
    /// At least one.
    pub(super) parts: Vec<BuiltPart>,
    /// What is to be said about them.
    pub(super) attest: Attest,
    /// Somebody wanted the images as they were built.
    pub(super) wanted: AtomicBool,
}

/// An image for one platform.
pub(super) struct BuiltPart {
    pub(super) platform: Platform,
    pub(super) outcome: Outcome,
    /// What packages are in it, each list with the name of its file.
    pub(super) packages: Vec<(String, Statement)>,
}

impl BuiltImage {
    /// The image for the first platform.
    fn first(&self) -> &str {
        self.parts.first().map_or("", |part| part.outcome.id.as_str())
    }
}

impl Drop for BuiltImage {
    fn drop(&mut self) {
        if !self.wanted.load(Ordering::SeqCst) {
            self.parts.iter().for_each(|part| remove_nameless(&self.engine, &part.outcome.id));
        }
    }
}

/// An image that is only there until a build has what it needs of it.
pub(super) struct PassingImage {
    engine: Engine,
    pub(super) id: String,
}

impl PassingImage {
    pub(super) fn new(engine: &Engine, id: String) -> Self {
        Self { engine: engine.clone(), id }
    }
}

impl Drop for PassingImage {
    fn drop(&mut self) {
        remove_nameless(&self.engine, &self.id);
    }
}

fn remove_nameless(engine: &Engine, id: &str) {
    let images = engine.images();
    let nameless = images
        .inspect(id, &Default::default())
        .is_ok_and(|image| image.repo_tags.is_empty() && image.repo_digests.is_empty());
    if nameless {
        // A container may use it already, or an image be made from it: then it stays, as it should.
        let _ = images.remove(id, false, false);
    }
}

impl Backend for EngineBackend {
    type Built = Arc<BuiltImage>;

    fn build(&self, wish: &Wish, job: &Job) -> Result<Self::Built, Status> {
        let (parts, attest) = build::build(&self.engine, &self.memory, wish, job)?;
        let (engine, wanted) = (self.engine.clone(), AtomicBool::new(false));
        Ok(Arc::new(BuiltImage { engine, parts, attest, wanted }))
    }

    fn answer(&self, wish: &Wish, job: &Job) -> Result<BTreeMap<String, Vec<u8>>, Status> {
        subrequest::answer(&self.engine, wish, job)
    }

    fn definition(&self, built: &Self::Built) -> ops::Definition {
        // Of several platforms the first one: a graph stands for one result.
        contexts::as_definition(built.first())
    }

    fn facts(&self, built: &Self::Built) -> BTreeMap<String, Vec<u8>> {
        let several = built.parts.len() > 1;
        let fact = |part: &BuiltPart| {
            let config = self.engine.builds().image_config(&part.outcome.id)?;
            let behind = if several { format!("/{}", part.platform.text()) } else { String::new() };
            Some((format!("containerimage.config{behind}"), config))
        };
        built.parts.iter().filter_map(fact).collect()
    }

    fn export(
        &self,
        built: &Self::Built,
        export: &Export,
        job: &Job,
    ) -> Result<BTreeMap<String, String>, Status> {
        export::export(built, export, job)
    }

    fn export_cache(
        &self,
        built: &Self::Built,
        to: &CacheOptionsEntry,
        job: &Job,
    ) -> Result<BTreeMap<String, String>, Status> {
        remote_cache::export(built, to, job)
    }

    fn usage(&self, request: &DiskUsageRequest) -> Result<Vec<UsageRecord>, Status> {
        cache::usage(&self.engine, request)
    }

    fn prune(&self, request: &PruneRequest) -> Result<Vec<UsageRecord>, Status> {
        cache::prune(&self.engine, request)
    }

    fn workers(&self) -> Vec<WorkerRecord> {
        let platform = Platform::host();
        let mut labels = BTreeMap::from([
            ("org.mobyproject.buildkit.worker.executor".into(), "wharf".into()),
            // By this clients know that images of several platforms can be kept, and archives and cache be exported.
            ("org.mobyproject.buildkit.worker.snapshotter".into(), "overlayfs".into()),
        ]);
        if let Some(gateway) = self.engine.system().host_gateways().first() {
            labels.insert("org.mobyproject.buildkit.worker.moby.host-gateway-ip".into(), gateway.to_string());
        }
        vec![WorkerRecord {
            id: self.engine.system().info().map(|info| info.id).unwrap_or_default(),
            labels,
            platforms: vec![ops::Platform {
                architecture: platform.architecture.clone(),
                os: platform.os.clone(),
                variant: platform.variant.clone(),
                ..ops::Platform::default()
            }],
            gc_policy: cache::rules(&self.engine),
            buildkit_version: Some(self.version()),
        }]
    }

    fn version(&self) -> BuildkitVersion {
        BuildkitVersion {
            package: "wharf".into(),
            version: format!("v{}", self.engine.config().version),
            revision: String::new(),
        }
    }

    fn image_config(
        &self,
        request: &ResolveImageConfigRequest,
        _job: &Job,
    ) -> Result<ResolveImageConfigResponse, Status> {
        let inspected = self.engine.images().inspect(&request.reference, &Default::default());
        let id = inspected.map_err(|error| failure::plain(&error))?.id;
        let config = self
            .engine
            .builds()
            .image_config(&id)
            .ok_or_else(|| Status::new(Code::NotFound, format!("{}: not found", request.reference)))?;
        Ok(ResolveImageConfigResponse { digest: id, config, reference: request.reference.clone() })
    }

    fn read_file(&self, built: &Self::Built, path: &str, from: u64, length: u64) -> Result<Vec<u8>, Status> {
        reading::file(&self.engine, built.first(), path, from, length)
    }

    fn read_dir(&self, built: &Self::Built, path: &str) -> Result<Vec<Stat>, Status> {
        reading::folder(&self.engine, built.first(), path)
    }

    fn stat_file(&self, built: &Self::Built, path: &str) -> Result<Stat, Status> {
        reading::stat(&self.engine, built.first(), path)
    }

    fn remember(&self, record: BuildHistoryRecord, log: Vec<u8>) {
        self.engine.builds().remember(history::past(record), log);
    }

    fn past(&self) -> Vec<BuildHistoryRecord> {
        self.engine.builds().past().into_iter().map(history::record).collect()
    }

    fn past_log(&self, reference: &str) -> Result<Option<Vec<u8>>, Status> {
        self.engine.builds().past_log(reference).map_err(|error| failure::plain(&error))
    }

    fn forget(&self, reference: &str) -> Result<bool, Status> {
        self.engine.builds().forget(reference).map_err(|error| failure::plain(&error))
    }

    fn pin(&self, reference: &str, pinned: bool) -> Result<bool, Status> {
        self.engine.builds().pin(reference, pinned).map_err(|error| failure::plain(&error))
    }
}
