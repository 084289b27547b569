//! What the doors need of whoever builds.

use std::collections::BTreeMap;
use std::sync::Arc;

use grpc::{Cancellation, Code, Status};

use super::{NamedSession, Progress, Wish};
use crate::control::{BuildHistoryRecord, CacheOptionsEntry, DiskUsageRequest, PruneRequest, UsageRecord};
use crate::fsutil::Stat;
use crate::gateway::{ResolveImageConfigRequest, ResolveImageConfigResponse};
use crate::ops::Definition;
use crate::session::Session;
use crate::worker::{BuildkitVersion, WorkerRecord};

/// Builds. All methods block; they are called from several threads.
pub trait Backend: Send + Sync + 'static {
    /// What was built and not exported yet; what it holds is freed when the last clone is dropped.
    type Built: Clone + Send + Sync + 'static;

    /// Builds, without giving the result a name or place.
    ///
    /// # Errors
    /// Why not, as the client reads it, with what is in [`crate::errdefs`] as details.
    fn build(&self, wish: &Wish, job: &Job) -> Result<Self::Built, Status>;

    /// Answers a question about the Dockerfile, [`Wish::subrequest`], instead of building it.
    ///
    /// # Errors
    /// For questions that are not known, with [`crate::errdefs::subrequest`], and Dockerfiles that are none.
    fn answer(&self, wish: &Wish, job: &Job) -> Result<BTreeMap<String, Vec<u8>>, Status>;

    /// A graph that stands for a result, so that the client can make it the input of another build; that build is given
    /// the graph in [`Wish::inputs`] while the result is held.
    fn definition(&self, built: &Self::Built) -> Definition;

    /// What a client may know of a result: `containerimage.config` and such.
    fn facts(&self, built: &Self::Built) -> BTreeMap<String, Vec<u8>>;

    /// Gives a result its names and places; what is said about it afterwards.
    ///
    /// # Errors
    /// Why not, as the client reads it.
    fn export(
        &self,
        built: &Self::Built,
        export: &Export,
        job: &Job,
    ) -> Result<BTreeMap<String, String>, Status>;

    /// Takes what a build did to another place, so that others need not do it again; what is said about it afterwards.
    ///
    /// # Errors
    /// Why not, as the client reads it.
    fn export_cache(
        &self,
        _built: &Self::Built,
        to: &CacheOptionsEntry,
        _job: &Job,
    ) -> Result<BTreeMap<String, String>, Status> {
        let text = format!("{} cache exporter is not supported by this builder", to.r#type);
        Err(Status::new(Code::Unimplemented, text))
    }

    /// What is in the cache.
    ///
    /// # Errors
    /// When the filters are wrong.
    fn usage(&self, request: &DiskUsageRequest) -> Result<Vec<UsageRecord>, Status>;

    /// Removes from the cache; what was removed.
    ///
    /// # Errors
    /// When the filters are wrong, or something cannot be removed.
    fn prune(&self, request: &PruneRequest) -> Result<Vec<UsageRecord>, Status>;

    /// Keeps the record of a build that has ended, and what it said.
    fn remember(&self, record: BuildHistoryRecord, log: Vec<u8>);

    /// The records that are kept.
    fn past(&self) -> Vec<BuildHistoryRecord>;

    /// What a build said; none when its record is not kept.
    ///
    /// # Errors
    /// When it cannot be read.
    fn past_log(&self, reference: &str) -> Result<Option<Vec<u8>>, Status>;

    /// Removes a record; whether there was one.
    ///
    /// # Errors
    /// When it cannot be removed.
    fn forget(&self, reference: &str) -> Result<bool, Status>;

    /// Makes a record stay when others go, or not; whether there is one.
    ///
    /// # Errors
    /// When that cannot be kept.
    fn pin(&self, reference: &str, pinned: bool) -> Result<bool, Status>;

    /// Who builds.
    fn workers(&self) -> Vec<WorkerRecord>;

    /// What this is.
    fn version(&self) -> BuildkitVersion;

    /// The config of an image.
    ///
    /// # Errors
    /// When it is not to be had.
    fn image_config(
        &self,
        request: &ResolveImageConfigRequest,
        job: &Job,
    ) -> Result<ResolveImageConfigResponse, Status>;

    /// The bytes of a file of a result, at most the client's message limit.
    ///
    /// # Errors
    /// When there is none, or results cannot be looked into.
    fn read_file(
        &self,
        _built: &Self::Built,
        _path: &str,
        _from: u64,
        _length: u64,
    ) -> Result<Vec<u8>, Status> {
        Err(no_files())
    }

    /// What is in a directory of a result.
    ///
    /// # Errors
    /// When there is none, or results cannot be looked into.
    fn read_dir(&self, _built: &Self::Built, _path: &str) -> Result<Vec<Stat>, Status> {
        Err(no_files())
    }

    /// A file of a result.
    ///
    /// # Errors
    /// When there is none, or results cannot be looked into.
    fn stat_file(&self, _built: &Self::Built, _path: &str) -> Result<Stat, Status> {
        Err(no_files())
    }
}

fn no_files() -> Status {
    Status::new(Code::Unimplemented, "looking into results is not supported by this builder")
}

/// One build's surroundings.
#[derive(Debug, Clone)]
pub struct Job {
    /// The client's name of the build.
    pub reference: String,
    /// The session with what the client has.
    pub session: NamedSession,
    /// Where its progress goes.
    pub progress: Arc<Progress>,
    /// The word that nobody wants it any more.
    pub cancellation: Cancellation,
}

impl Job {
    /// The session, for what cannot be done without one.
    ///
    /// # Errors
    /// When there is none.
    pub fn session(&self) -> Result<&Arc<Session>, Status> {
        self.session.get().ok_or_else(|| {
            Status::new(Code::FailedPrecondition, "could not access local files without session")
        })
    }
}

/// What a result should become.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Export {
    /// Its number among the exporters, by which the session knows its output.
    pub number: usize,
    /// `moby`, `image`, `docker`, `oci`, `tar`, `local`.
    pub kind: String,
    /// Its options: `name`, `push`, `dest` and others.
    pub options: BTreeMap<String, String>,
    /// The cache travels within the image.
    pub inline_cache: bool,
}
