//! Builds: a context and a Dockerfile become an image.

mod bases;
mod cache;
mod caches;
mod check;
mod checksum;
mod copying;
mod debug;
mod elsewhere;
mod epoch;
mod error;
pub mod export;
mod files;
pub(crate) mod gc;
mod git;
mod history;
mod job;
mod kept;
mod listed;
mod materialise;
mod mode;
mod mounts;
mod owner;
mod package;
mod provenance;
mod prune;
mod remote;
pub mod remote_cache;
mod request;
mod run;
mod side_by_side;
mod tree;
mod turns;
mod twofold;
mod walk;
mod walked;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use builder::dockerfile::Lines;
use builder::plan::{Plan, PlanError, Style};
use builder::solve::Event;
use builder::{Dockerfile, VertexId};
use linux::root::RootDir;
use model::ContainerId;
use registry_client::Stop;

pub(crate) use cache::Cache;
pub use checksum::Checksum;
pub use elsewhere::ForeignContext;
pub use epoch::parse as parse_epoch;
pub use error::{BuildError, FailedStep};
pub use files::Files;
pub use gc::CacheRule;
pub use git::is_repository;
pub(crate) use history::History;
pub use history::{PastBuild, PastError, PastSteps};
pub use kept::KeptFolder;
use listed::Listed;
pub use provenance::{Provenance, ProvenanceWish};
pub use prune::{FILTERS, PruneWishes};
pub use request::{BuildRequest, Client, ContextSource, Received};
pub(crate) use run::SCRATCH;

use crate::engine::Inner;
use crate::image;
use crate::{Error, Result};

/// Operations at the same time, for each processor.
const PER_PROCESSOR: usize = 2;

/// Calls about builds.
#[derive(Clone, Copy)]
pub struct Builds<'e> {
    pub(crate) inner: &'e Arc<Inner>,
}

/// What builds of one engine share.
#[derive(Default)]
pub(crate) struct Shared {
    caches: Arc<caches::Caches>,
    contents: tree::Contents,
    kept: Arc<kept::Kept>,
    turns: Arc<turns::Turns>,
    begun: gc::Begun,
    /// Builds that can be cancelled by their ids.
    running: Mutex<HashMap<String, Cancel>>,
    /// It is going to be noted what was of use.
    noting: AtomicBool,
}

/// Told what a build does.
pub trait Observer: Sync {
    /// What is going to be done.
    fn planned(&self, plan: &Plan);
    /// Something happened at a vertex.
    fn event(&self, vertex: VertexId, event: &Event);
    /// A command wrote something.
    fn output(&self, vertex: VertexId, is_error: bool, bytes: &[u8]);
    /// A command runs in this container.
    fn running(&self, vertex: VertexId, container: &str);
    /// Its container is gone.
    fn removed(&self, vertex: VertexId, container: &str);
    /// A command failed, and this container is ready to be started by the client: a shell in the state it left.
    fn shell(&self, _vertex: VertexId, _container: &str) {}
    /// An image of this whole name is being fetched.
    fn fetching(&self, name: &str, progress: api::image::Progress);
}

/// What a build made.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The image's id.
    pub id: String,
    /// The names it has now, as people write them.
    pub names: Vec<String>,
    /// Build arguments nobody asked for.
    pub unused_arguments: Vec<String>,
    /// How many of its layers are those of the image it was made from.
    pub base_layers: usize,
    /// Nothing of it is to be younger than this.
    pub epoch: Option<model::Timestamp>,
    /// What was done for it, for whoever wants it elsewhere.
    pub steps: Vec<remote_cache::CachedStep>,
    /// Where it comes from, if somebody wants to know.
    pub provenance: Option<Provenance>,
}

/// Ends a build from outside.
#[derive(Clone, Default)]
pub struct Cancel {
    shared: Arc<CancelState>,
}

#[derive(Default)]
struct CancelState {
    stopped: AtomicBool,
    running: Mutex<HashSet<ContainerId>>,
    inner: Mutex<Option<std::sync::Weak<Inner>>>,
    pulls: Stop,
}

impl Cancel {
    /// Ends what runs; the build itself ends soon after.
    pub fn stop(&self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        self.shared.pulls.stop();
        self.kill_running();
    }

    /// Ends the commands that run.
    fn kill_running(&self) {
        let inner = self.shared.inner.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(inner) = inner.and_then(|inner| inner.upgrade()) else { return };
        let running = self.shared.running.lock().unwrap_or_else(PoisonError::into_inner).clone();
        running.iter().for_each(|id| kill(&inner, id));
    }

    /// What ends fetching together with the build.
    pub fn fetches(&self) -> Stop {
        self.shared.pulls.clone()
    }

    fn is_stopped(&self) -> bool {
        self.shared.stopped.load(Ordering::SeqCst)
    }

    fn began(&self, id: &ContainerId) {
        self.shared.running.lock().unwrap_or_else(PoisonError::into_inner).insert(id.clone());
    }

    fn ended(&self, id: &ContainerId) {
        self.shared.running.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
    }
}

/// A folder of the client.
pub(crate) struct Folder {
    pub(crate) path: PathBuf,
    pub(crate) root: RootDir,
    pub(crate) ignore: build_context::Ignore,
    /// It is the engine's own copy: what is in it belongs to root, and may be shown as it is.
    pub(crate) own: bool,
}

impl Builds<'_> {
    /// Reads what a build is made of: its files, where the client sends them, and its Dockerfile.
    ///
    /// # Errors
    /// For contexts that cannot be read and Dockerfiles that are none.
    pub fn receive(
        &self,
        request: &BuildRequest,
        context: ContextSource<'_>,
        cancel: &Cancel,
    ) -> Result<Received> {
        request::receive(self.inner, request, context, &cancel.shared.pulls)
    }

    /// Builds an image.
    ///
    /// # Errors
    /// For missing files and images, commands that fail; nothing but cache is left behind.
    pub fn build(
        &self,
        request: &BuildRequest,
        received: &Received,
        observer: &dyn Observer,
        cancel: &Cancel,
    ) -> std::result::Result<Outcome, BuildError> {
        let inner = self.inner;
        *cancel.shared.inner.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::downgrade(inner));
        let _running = gc::Running::new(inner);
        let _listed = Listed::new(inner, &request.build_id, cancel);
        let epoch = epoch::of(&request.options)?;
        let started = model::Timestamp::now();
        let file = &received.dockerfile;
        let _lease = inner.storage.images.lease();
        let mut bases = bases::Finder { inner, request, observer, cancel, known: HashMap::new() };
        let plan = Plan::new(file, &request.options, &mut bases).map_err(|error| match error {
            PlanError::File(error) => BuildError::File(error),
            PlanError::Base { name, lines, error } => {
                BuildError::Base { step: step_at(file, lines, name), error }
            }
        })?;
        observer.planned(&plan);
        if let Some(violation) = plan.violation {
            return Err(BuildError::File(violation));
        }
        let imports = remote_cache::Imports::new(inner, &request.imports);
        let worked = work(inner, request, &received.folders, observer, cancel, &plan, &imports)?;
        let (results, fetched) = worked;
        let platform = &request.options.platform;
        let provenance = request
            .provenance
            .then(|| Provenance::new(&plan, &results, &bases.known, platform, &fetched, started));
        let outcome = keep(inner, request, &plan, &results, epoch, &imports, provenance)?;
        image::gc::schedule(inner);
        Ok(outcome)
    }

    /// Whether a step was done by an earlier build, by what tells it from all others; from now on it was.
    pub fn knows_step(&self, step: &str) -> bool {
        self.inner.storage.build_cache.knows_step(step)
    }

    /// Ends the build of an id; an unknown one is no error.
    pub fn cancel(&self, id: &str) {
        let running = self.inner.build.running.lock().unwrap_or_else(PoisonError::into_inner);
        let cancel = running.get(id).cloned();
        drop(running);
        if let Some(cancel) = cancel {
            cancel.stop();
        }
    }

    /// What builds have left for later ones.
    pub fn cache(&self) -> Vec<api::system::BuildCache> {
        cached(self.inner)
    }

    /// Removes what builds have left.
    ///
    /// # Errors
    /// For wrong filters.
    pub fn prune(&self, wishes: &PruneWishes) -> Result<api::system::BuildPruneResponse> {
        prune::prune(self.inner, wishes)
    }
}

/// What builds have left for later ones.
pub(crate) fn cached(inner: &Inner) -> Vec<api::system::BuildCache> {
    prune::list(inner)
}

/// Removes what builds have left, because something else needs the room.
pub(crate) fn give_room(inner: &Inner) -> Result<()> {
    let wishes = PruneWishes { all: true, ..PruneWishes::default() };
    prune::prune(inner, &wishes).map(|_| ())
}

fn step_at(file: &Dockerfile, lines: Lines, image: String) -> Box<FailedStep> {
    let all = file.stages.iter().flat_map(|stage| {
        let rest = stage.instructions.iter().map(|placed| (placed.lines, &placed.text));
        std::iter::once((stage.from.lines, &stage.from.text)).chain(rest)
    });
    let all: Vec<_> = all.collect();
    let place = all.iter().position(|(at, _)| *at == lines).unwrap_or_default();
    let text = all.get(place).map(|(_, text)| (*text).clone()).unwrap_or_default();
    Box::new(FailedStep { number: place + 1, total: all.len(), text, lines, image })
}

/// The results of a plan, and what addresses were found to be.
type Worked = (Vec<Option<builder::solve::Done>>, HashMap<String, Checksum>);

fn work(
    inner: &Arc<Inner>,
    request: &BuildRequest,
    folders: &BTreeMap<String, Folder>,
    observer: &dyn Observer,
    cancel: &Cancel,
    plan: &Plan,
    imports: &remote_cache::Imports<'_>,
) -> std::result::Result<Worked, BuildError> {
    let failed = AtomicBool::new(false);
    let unwanted = || failed.load(Ordering::SeqCst) || cancel.is_stopped();
    let job = job::Job {
        inner,
        request,
        folders,
        observer,
        cancel,
        plan,
        failed: &failed,
        unwanted: &unwanted,
        imports,
        fetched: Mutex::default(),
        walked: walked::Walked::default(),
    };
    let processors = usize::try_from(inner.machine.processors).unwrap_or(1);
    let parallel = (PER_PROCESSOR * processors).clamp(4, 32);
    let targets: Vec<VertexId> = plan.target.into_iter().collect();
    let solved = builder::solve(&plan.graph, &targets, parallel, &job);
    // What was made before a failure is of use later.
    cache::write(inner)?;
    let results = solved.map_err(|failure| match failure.error {
        _ if cancel.is_stopped() => BuildError::Cancelled,
        BuildError::Engine(error) => BuildError::Step { vertex: failure.vertex, error },
        error => error,
    })?;
    Ok((results, job.checksums()))
}

fn keep(
    inner: &Arc<Inner>,
    request: &BuildRequest,
    plan: &Plan,
    results: &[Option<builder::solve::Done>],
    epoch: Option<model::Timestamp>,
    imports: &remote_cache::Imports<'_>,
    provenance: Option<Provenance>,
) -> Result<Outcome> {
    let mut built = plan.image(results);
    if let Some(latest) = epoch {
        epoch::apply(&mut built.config, plan, latest);
    }
    let is_classic = request.options.style == Style::Classic;
    if is_classic && built.layers.is_empty() && plan.history.is_empty() {
        return Err(Error::invalid("No image was generated. Is your Dockerfile empty?"));
    }
    imports.fetch(&built.layers)?;
    let layers = built.layers.iter().map(|layer| layer.blob.clone()).collect();
    let pending = inner.storage.images.assemble(&built.config, layers, request.names.clone());
    let kept = inner.storage.keep(pending.map_err(Error::from_kinded)?)?;
    let id = kept.image.id.to_string();
    let names: Vec<String> = kept.names.iter().map(oci::Reference::familiar).collect();
    for name in &names {
        image::event(inner, "tag", &id, name);
    }
    Ok(Outcome {
        id,
        names,
        unused_arguments: plan.unused_arguments.clone(),
        base_layers: plan.base_layers(),
        epoch,
        steps: remote_cache::steps(plan, results),
        provenance,
    })
}

/// Ends a step's container at once; one that has ended already is left alone.
fn kill(inner: &Inner, id: &ContainerId) {
    let kill = model::Signal::KILL.number();
    // It may not have a process yet: then its start sees that it is not wanted.
    let _ = inner.supervisor.signal(id, shim_protocol::Target::Init, kill, true);
}
