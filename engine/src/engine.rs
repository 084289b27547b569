//! The engine: what it holds, how it is opened, and how its services are reached.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock, Weak};

use container::{Container, ContainerStore, ExecStore, ShimGroup, Supervisor, SupervisorConfig};
use linux::cgroup::{Features, Hierarchies};
use model::ContainerId;
use network::NetworkManager;
use store::Store;

use crate::container::limits::Machine;
use crate::container::live::Live;
use crate::error::Context;
use crate::event::Bus;
use crate::layout::Layout;
use crate::storage::Storage;
use crate::worker::Worker;
use crate::{Config, Error, Result, build, container as containers, exec, image, system, volume};

/// One container engine on two folders. Clones are the same engine.
#[derive(Clone)]
pub struct Engine {
    pub(crate) inner: Arc<Inner>,
}

/// Everything an engine holds; services borrow it, background jobs keep it alive while they run.
pub(crate) struct Inner {
    config: RwLock<Arc<Config>>,
    pub(crate) layout: Layout,
    /// The id `info` shows.
    pub(crate) id: String,
    pub(crate) containers: ContainerStore,
    pub(crate) supervisor: Supervisor,
    pub(crate) execs: ExecStore,
    pub(crate) exec_ends: exec::Ends,
    pub(crate) networks: NetworkManager,
    pub(crate) storage: Storage,
    pub(crate) registries: crate::registry::Hub,
    pub(crate) events: Bus,
    pub(crate) machine: Machine,
    pub(crate) hierarchies: Hierarchies,
    pub(crate) seccomp: containers::filter::FilterCache,
    pub(crate) worker: Worker,
    pub(crate) build: crate::build::Shared,
    live: Mutex<HashMap<ContainerId, Arc<Live>>>,
    closing: std::sync::atomic::AtomicBool,
}

impl Engine {
    /// Opens the stores, adopts what still runs, finishes what was interrupted, starts what has to be started.
    ///
    /// # Errors
    /// When the folders, the record store, the network or the shim binary cannot be used.
    pub fn open(config: Config) -> Result<Self> {
        check_kernel()?;
        let layout = Layout::new(&config.data_root, &config.exec_root);
        prepare_folders(&layout)?;
        let id = engine_id(&layout)?;
        let store = Store::open(layout.data_root()).map_err(Error::from_kinded)?;
        let hierarchies = Hierarchies::detect().map_err(Error::from_kinded)?;
        let machine = Machine {
            features: Features::detect(&hierarchies),
            processors: u32::try_from(linux::scheduling::processors()).unwrap_or(1),
            cgroup_v2: hierarchies.layout() == linux::cgroup::Layout::Unified,
        };
        let storage = Storage::open(&store, &layout, config.storage_driver)?;
        let networks = NetworkManager::open(system::network_config(&config)?).map_err(Error::from_kinded)?;
        let table = Arc::new(crate::records::Records::new(store));
        let containers = ContainerStore::open(table, layout.run_dir()).map_err(Error::from_kinded)?;
        let (supervisor, listener) = open_supervisor(&config, &layout, &hierarchies)?;
        let registries = crate::registry::Hub::new(&config);
        let inner = Arc::new(Inner {
            config: RwLock::new(Arc::new(config)),
            layout,
            id,
            containers,
            supervisor,
            execs: ExecStore::new(),
            exec_ends: exec::Ends::default(),
            networks,
            storage,
            registries,
            events: Bus::default(),
            machine,
            hierarchies,
            seccomp: containers::filter::FilterCache::default(),
            worker: Worker::default(),
            build: crate::build::Shared::default(),
            live: Mutex::default(),
            closing: std::sync::atomic::AtomicBool::new(false),
        });
        // Set once, here; the listener has nothing to say before `restore` connects the first shim.
        let _ = listener.set(Arc::downgrade(&inner));
        containers::restore::restore(&inner)?;
        image::gc::begin(&inner);
        build::gc::schedule(&inner);
        Ok(Self { inner })
    }

    /// The configuration in force.
    pub fn config(&self) -> Arc<Config> {
        self.inner.config()
    }

    /// Takes over the parts of a new configuration that may change while the engine runs.
    ///
    /// # Errors
    /// None now; kept for settings that have to be checked.
    pub fn reload(&self, config: Config) -> Result<()> {
        system::reload(&self.inner, config)?;
        image::gc::schedule(&self.inner);
        build::gc::schedule(&self.inner);
        Ok(())
    }

    /// Containers.
    pub fn containers(&self) -> containers::Containers<'_> {
        containers::Containers { inner: &self.inner }
    }

    /// Processes started in running containers.
    pub fn execs(&self) -> exec::Execs<'_> {
        exec::Execs { inner: &self.inner }
    }

    /// Images.
    pub fn images(&self) -> image::Images<'_> {
        image::Images { inner: &self.inner }
    }

    /// Registries.
    pub fn registries(&self) -> crate::registry::Registries<'_> {
        crate::registry::Registries { inner: &self.inner }
    }

    /// Builds.
    pub fn builds(&self) -> crate::build::Builds<'_> {
        crate::build::Builds { inner: &self.inner }
    }

    /// Volumes.
    pub fn volumes(&self) -> volume::Volumes<'_> {
        volume::Volumes { inner: &self.inner }
    }

    /// Networks.
    pub fn networks(&self) -> crate::network_service::Networks<'_> {
        crate::network_service::Networks { inner: &self.inner }
    }

    /// The engine itself: info, version, disk use.
    pub fn system(&self) -> system::System<'_> {
        system::System { inner: &self.inner }
    }

    /// What happens.
    pub fn events(&self) -> &Bus {
        &self.inner.events
    }

    /// Stops containers unless they may outlive the engine, and closes everything.
    pub fn shutdown(&self) {
        self.inner.closing.store(true, std::sync::atomic::Ordering::Release);
        if !self.inner.config().live_restore {
            containers::stop::stop_all(&self.inner);
        }
        self.inner.worker.settle(std::time::Duration::from_secs(10));
        self.inner.worker.close();
        if let Err(error) = self.inner.storage.build_cache.flush(&self.inner.storage.images) {
            eprintln!("noting what builds used: {}", model::error::chain(&error));
        }
        self.inner.networks.close();
        let stay = self.inner.config().live_restore;
        let patience = if stay { std::time::Duration::ZERO } else { std::time::Duration::from_millis(500) };
        self.inner.supervisor.leave_group(patience);
    }
}

impl Inner {
    /// The configuration in force.
    pub(crate) fn config(&self) -> Arc<Config> {
        Arc::clone(&self.config.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn set_config(&self, config: Config) {
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(config);
    }

    /// Whether `shutdown` has begun: nothing is restarted any more.
    pub(crate) fn is_closing(&self) -> bool {
        self.closing.load(std::sync::atomic::Ordering::Acquire)
    }

    /// The container by name, id or unique prefix.
    pub(crate) fn find(&self, reference: &str) -> Result<Arc<Container>> {
        self.containers.find(reference).map_err(Error::from_kinded)
    }

    fn live_map(&self) -> MutexGuard<'_, HashMap<ContainerId, Arc<Live>>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the engine holds of a container besides its record.
    pub(crate) fn live(&self, id: &ContainerId) -> Arc<Live> {
        Arc::clone(self.live_map().entry(id.clone()).or_default())
    }

    /// Forgets a container that is gone.
    pub(crate) fn drop_live(&self, id: &ContainerId) {
        self.live_map().remove(id);
    }

    /// A step that tests can make fail.
    pub(crate) fn step(&self, name: &str) -> Result<()> {
        match &self.config().fail_at {
            Some(hook) if (hook.0)(name) => Err(Error::internal(format!("injected failure at {name}"))),
            _ => Ok(()),
        }
    }
}

/// Refuses a kernel that could not start a single container.
fn check_kernel() -> Result<()> {
    let missing: Vec<String> =
        linux::requirement::missing().map(|call| format!("{} (Linux {})", call.name, call.since)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let least = linux::requirement::LEAST_LINUX;
    Err(Error::new(
        model::ErrorKind::Unavailable,
        format!(
            "this kernel, or a filter of system calls around the engine, lacks {}; wharf needs Linux {least} or newer",
            missing.join(", ")
        ),
    ))
}

fn prepare_folders(layout: &Layout) -> Result<()> {
    for folder in [
        layout.data_root().to_owned(),
        layout.containers_dir(),
        layout.temporary_dir(),
        layout.exec_root().to_owned(),
        layout.run_dir(),
    ] {
        store::file::make_private_dir(&folder).doing(|| format!("making folder {}", folder.display()))?;
    }
    let left = std::fs::read_dir(layout.exec_root()).into_iter().flatten().flatten();
    let left = left.filter(|entry| entry.file_name().to_string_lossy().starts_with(crate::build::SCRATCH));
    for entry in std::fs::read_dir(layout.temporary_dir()).into_iter().flatten().flatten().chain(left) {
        let path = entry.path();
        // What an interrupted engine was working on; a fault here only costs space.
        let _ = if path.is_dir() { std::fs::remove_dir_all(&path) } else { std::fs::remove_file(&path) };
    }
    Ok(())
}

/// The id is made once and kept: 36 characters like a UUID, as Docker shows it.
fn engine_id(layout: &Layout) -> Result<String> {
    let path = layout.engine_id_path();
    if let Ok(text) = std::fs::read_to_string(&path)
        && !text.trim().is_empty()
    {
        return Ok(text.trim().to_owned());
    }
    let hex = model::id::random_hex();
    let id = [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..32]].join("-");
    store::file::replace(&path, id.as_bytes(), store::Durability::Durable).map_err(Error::from_kinded)?;
    Ok(id)
}

type Listener = Arc<OnceLock<Weak<Inner>>>;

fn open_supervisor(
    config: &Config,
    layout: &Layout,
    hierarchies: &Hierarchies,
) -> Result<(Supervisor, Listener)> {
    let listener = Listener::default();
    let heard = Arc::clone(&listener);
    let settings = SupervisorConfig {
        shim_binary: config.shim_path.clone(),
        containers_dir: layout.run_dir(),
        group: shim_group(config, hierarchies),
    };
    let supervisor = Supervisor::open(
        settings,
        Box::new(move |id, event| {
            if let Some(inner) = heard.get().and_then(Weak::upgrade) {
                containers::exit::heard(&inner, id, event);
            }
        }),
    )
    .map_err(Error::from_kinded)?;
    Ok((supervisor, listener))
}

/// Shims live beside the containers and not in the engine's cgroup, so that a service manager that ends everything in
/// that one leaves the containers alone.
fn shim_group(config: &Config, hierarchies: &Hierarchies) -> Option<ShimGroup> {
    let parent = containers::lookup::cgroup_parent(config);
    let path = model::path::clean(&format!("/{parent}/{SHIM_GROUP}"));
    ShimGroup::make(hierarchies, &path)
        .inspect_err(|error| eprintln!("shims stay in the engine's cgroup: {}", model::error::chain(error)))
        .ok()
}

/// Names of containers' groups are ids, so this is none.
const SHIM_GROUP: &str = "wharf-shims";
