//! The engine as a builder.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use buildkit::control::{BuildHistoryRecord, DiskUsageRequest, PruneRequest, UsageRecord};
use buildkit::gateway::{ResolveImageConfigRequest, ResolveImageConfigResponse};
use buildkit::ops;
use buildkit::server::{Backend, Export, Job, Wish};
use buildkit::worker::{BuildkitVersion, WorkerRecord};
use engine::Engine;
use grpc::{Code, Status};
use oci::Platform;

use super::{build, cache, contexts, export, failure, history, subrequest};

/// Builds with an engine.
pub(crate) struct EngineBackend {
    engine: Engine,
}

impl EngineBackend {
    pub(crate) fn new(engine: Engine) -> Self {
        Self { engine }
    }
}

/// An image that was built. If nobody wanted it as an image, it goes when nobody holds it any more.
pub(crate) struct BuiltImage {
    pub(super) engine: Engine,
    pub(super) id: String,
    /// Somebody wanted it as an image.
    pub(super) wanted: AtomicBool,
}

impl Drop for BuiltImage {
    fn drop(&mut self) {
        if self.wanted.load(Ordering::SeqCst) {
            return;
        }
        let images = self.engine.images();
        let nameless = images
            .inspect(&self.id, &Default::default())
            .is_ok_and(|image| image.repo_tags.is_empty() && image.repo_digests.is_empty());
        if nameless {
            // A container may use it already, or an image be made from it: then it stays, as it should.
            let _ = images.remove(&self.id, false, false);
        }
    }
}

impl Backend for EngineBackend {
    type Built = Arc<BuiltImage>;

    fn build(&self, wish: &Wish, job: &Job) -> Result<Self::Built, Status> {
        let id = build::build(&self.engine, wish, job)?;
        Ok(Arc::new(BuiltImage { engine: self.engine.clone(), id, wanted: AtomicBool::new(false) }))
    }

    fn answer(&self, wish: &Wish, job: &Job) -> Result<BTreeMap<String, Vec<u8>>, Status> {
        subrequest::answer(&self.engine, wish, job)
    }

    fn definition(&self, built: &Self::Built) -> ops::Definition {
        contexts::as_definition(&built.id)
    }

    fn facts(&self, built: &Self::Built) -> BTreeMap<String, Vec<u8>> {
        let config = self.engine.builds().image_config(&built.id);
        config.map(|config| ("containerimage.config".to_owned(), config)).into_iter().collect()
    }

    fn export(
        &self,
        built: &Self::Built,
        export: &Export,
        job: &Job,
    ) -> Result<BTreeMap<String, String>, Status> {
        export::export(built, export, job)
    }

    fn usage(&self, request: &DiskUsageRequest) -> Result<Vec<UsageRecord>, Status> {
        cache::usage(&self.engine, request)
    }

    fn prune(&self, request: &PruneRequest) -> Result<Vec<UsageRecord>, Status> {
        cache::prune(&self.engine, request)
    }

    fn workers(&self) -> Vec<WorkerRecord> {
        let platform = Platform::host();
        vec![WorkerRecord {
            id: self.engine.system().info().map(|info| info.id).unwrap_or_default(),
            labels: BTreeMap::from([("org.mobyproject.buildkit.worker.executor".into(), "wharf".into())]),
            platforms: vec![ops::Platform {
                architecture: platform.architecture.clone(),
                os: platform.os.clone(),
                variant: platform.variant.clone(),
                ..ops::Platform::default()
            }],
            gc_policy: Vec::new(),
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
