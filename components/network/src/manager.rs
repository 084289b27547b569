//! The entry: opens the networks, hands out sandboxes, lists and finds networks.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use model::{ContainerId, EndpointId, ErrorKind, Filters, Kinded, NetworkId};
use netlink::route::RouteSocket;

use crate::address_pool::{AddressPool, AllocateError};
use crate::firewall::Firewall;
use crate::firewall::monitor::Monitor;
use crate::forwarder::Forwarder;
use crate::open::plug_settings;
use crate::persistence::{FileError, Files};
use crate::port_reservation::{PortError, PortTable};
use crate::record::Driver;
use crate::sandbox::{PlugSettings, SandboxError};
use crate::sandbox_pool::SandboxPool;
use crate::{Config, Endpoint, Network, Sandbox};

/// Why a network operation failed; texts are Docker's where it has one.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// No network has that name or id.
    #[error("network {0} not found")]
    NotFound(String),
    /// An id prefix that several networks have.
    #[error("network {name} is ambiguous ({count} matches found on ID prefix)")]
    Ambiguous {
        /// The prefix.
        name: String,
        /// How many have it.
        count: usize,
    },
    /// The name is taken.
    #[error("network with name {0} already exists")]
    NameTaken(String),
    /// Predefined networks can't be made.
    #[error("operation is not permitted on predefined {0} network ")]
    PredefinedCreate(String),
    /// Predefined networks can't be removed.
    #[error("{0} is a pre-defined network and cannot be removed")]
    PredefinedRemove(String),
    /// Somebody is connected.
    #[error("error while removing network: network {name} id {id} has active endpoints")]
    InUse {
        /// The network's name.
        name: String,
        /// The network's id.
        id: NetworkId,
    },
    /// A wanted address can't be had.
    #[error("invalid config for network {network}: invalid endpoint settings:\n{reason}")]
    EndpointSettings {
        /// The network's name.
        network: String,
        /// Why.
        reason: String,
    },
    /// The container is connected already.
    #[error("endpoint with name {name} already exists in network {network}")]
    EndpointExists {
        /// The container's name.
        name: String,
        /// The network's name.
        network: String,
    },
    /// The network has no IPv6 and so on.
    #[error(transparent)]
    Address(#[from] AllocateError),
    /// A request that makes no sense.
    #[error("{0}")]
    Invalid(String),
    /// The engine has no such driver.
    #[error("plugin \"{0}\" not found")]
    UnknownDriver(String),
    /// All default pools are in use.
    #[error(
        "could not find an available, non-overlapping IPv{} address pool among the defaults to assign to the network",
        if *ipv6 { 6 } else { 4 }
    )]
    NoPool {
        /// Which family.
        ipv6: bool,
    },
    /// There is one host and one none network.
    #[error("only one instance of \"{0}\" network is allowed")]
    OnlyOne(String),
    /// The subnet is in use.
    #[error("Pool overlaps with other one on this address space")]
    Overlap,
    /// A port can't be published.
    #[error("driver failed programming external connectivity on endpoint {name} ({id}): {source}")]
    Publish {
        /// The container's name.
        name: String,
        /// The endpoint's id.
        id: EndpointId,
        /// Why.
        source: PortError,
    },
    /// A sandbox can't be made.
    #[error("failed to create network sandbox")]
    Sandbox {
        /// Why.
        #[from]
        source: SandboxError,
    },
    /// A bridge endpoint needs a namespace to be put into.
    #[error("network {0} needs a sandbox")]
    NoSandbox(String),
    /// The kernel refused a change.
    #[error("failed to {operation}")]
    Kernel {
        /// What was done.
        operation: &'static str,
        /// Why.
        source: netlink::Error,
    },
    /// A record can't be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// A thread can't be started.
    #[error("failed to start a thread")]
    Thread {
        /// Why.
        source: std::io::Error,
    },
}

impl Kinded for NetworkError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::NotFound(_) | Self::UnknownDriver(_) | Self::NoPool { .. } => ErrorKind::NotFound,
            Self::Ambiguous { .. } | Self::EndpointSettings { .. } | Self::Invalid(_) => ErrorKind::Invalid,
            Self::NameTaken(_) => ErrorKind::Conflict,
            Self::PredefinedCreate(_)
            | Self::PredefinedRemove(_)
            | Self::EndpointExists { .. }
            | Self::OnlyOne(_)
            | Self::InUse { .. }
            | Self::Overlap => ErrorKind::Forbidden,
            Self::Address(error) => error.kind(),
            _ => ErrorKind::Internal,
        }
    }
}

pub(crate) fn kernel(operation: &'static str) -> impl Fn(netlink::Error) -> NetworkError {
    move |source| NetworkError::Kernel { operation, source }
}

/// A network and what belongs to it while the engine runs.
#[derive(Debug)]
pub(crate) struct LiveNetwork {
    pub record: Network,
    pub pool_v4: Option<AddressPool>,
    pub pool_v6: Option<AddressPool>,
    /// How sandboxes are plugged into its bridge, whose index is 0 for host and none.
    pub plug: PlugSettings,
}

impl LiveNetwork {
    pub(crate) fn new(record: Network, bridge: u32) -> Self {
        let pool = |v4: bool| {
            record.pools.iter().find(|pool| pool.subnet.address.is_ipv4() == v4).map(AddressPool::new)
        };
        let plug = plug_settings(&record, bridge);
        Self { pool_v4: pool(true), pool_v6: pool(false), record, plug }
    }

    pub(crate) fn is_default_bridge(&self) -> bool {
        self.record.predefined && self.record.driver == Driver::Bridge
    }
}

/// An endpoint and what keeps its ports.
#[derive(Debug)]
pub(crate) struct LiveEndpoint {
    pub endpoint: Endpoint,
    /// Held, not used: other programs can't take the ports meanwhile.
    pub _reserved: Vec<OwnedFd>,
    pub _forwarders: Vec<Forwarder>,
}

#[derive(Debug)]
pub(crate) struct State {
    pub networks: BTreeMap<NetworkId, LiveNetwork>,
    pub endpoints: HashMap<EndpointId, LiveEndpoint>,
    pub ports: PortTable,
}

/// All networks of one engine.
#[derive(Debug)]
pub struct NetworkManager {
    pub(crate) config: Config,
    pub(crate) files: Files,
    /// Where unreadable records were moved to when this was opened.
    pub(crate) set_aside: Option<PathBuf>,
    pub(crate) state: Mutex<State>,
    pub(crate) host: Mutex<RouteSocket>,
    pub(crate) firewall: Arc<Firewall>,
    pub(crate) monitor: Mutex<Option<Monitor>>,
    pub(crate) pool: SandboxPool,
    pub(crate) ipv6_host: bool,
}

impl NetworkManager {
    /// Loads or makes the records, brings the bridge and the firewall up, adopts the endpoints a predecessor left, and
    /// starts making sandboxes in the background.
    ///
    /// # Errors
    /// When a record can't be read, or the kernel refuses the bridge or the firewall.
    pub fn open(config: Config) -> Result<Self, NetworkError> {
        crate::open::open(config)
    }

    /// The file that held network records nobody could read; the networks in it are not known.
    pub fn set_aside(&self) -> Option<&Path> {
        self.set_aside.as_deref()
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn host(&self) -> MutexGuard<'_, RouteSocket> {
        self.host.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All networks, sorted by name.
    pub fn list(&self) -> Vec<Network> {
        let mut all: Vec<Network> = self.lock().networks.values().map(|live| live.record.clone()).collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all
    }

    /// Networks matching Docker's list filters.
    ///
    /// # Errors
    /// For filters that do not exist.
    pub fn list_filtered(&self, filters: &Filters) -> Result<Vec<Network>, model::filter::FilterError> {
        crate::filter::apply(filters, self.list(), |network| self.endpoints_of(&network.id).is_empty())
    }

    /// By full id, name, or unique id prefix; `default` means the default bridge.
    ///
    /// # Errors
    /// When there is none, or several.
    pub fn find(&self, reference: &str) -> Result<Network, NetworkError> {
        let state = self.lock();
        state.find(reference).map(|live| live.record.clone())
    }

    /// The endpoints on a network (for inspect's `Containers`).
    pub fn endpoints_of(&self, network: &NetworkId) -> Vec<Endpoint> {
        self.endpoints_where(|endpoint| endpoint.network == *network)
    }

    /// The endpoints of a container, `eth0` first.
    pub fn endpoints_of_container(&self, container: &ContainerId) -> Vec<Endpoint> {
        let mut all = self.endpoints_where(|endpoint| endpoint.container == *container);
        all.sort_by(|a, b| a.interface.cmp(&b.interface));
        all
    }

    fn endpoints_where(&self, choose: impl Fn(&Endpoint) -> bool) -> Vec<Endpoint> {
        let state = self.lock();
        state.endpoints.values().map(|live| &live.endpoint).filter(|found| choose(found)).cloned().collect()
    }

    /// A sandbox whose `eth0` is on the default bridge already.
    ///
    /// # Errors
    /// When the kernel gives no more namespaces, interfaces or descriptors.
    pub fn take_sandbox(&self) -> Result<Sandbox, NetworkError> {
        Ok(self.pool.take()?)
    }

    /// A sandbox with only a loopback interface (`--network none`, user-defined networks).
    ///
    /// # Errors
    /// As [`Self::take_sandbox`].
    pub fn take_bare_sandbox(&self) -> Result<Sandbox, NetworkError> {
        Ok(self.pool.order(None)?)
    }

    /// A container has a new name: inspect shows it.
    pub fn rename_container(&self, container: &ContainerId, name: &str) {
        let mut state = self.lock();
        for live in state.endpoints.values_mut().filter(|live| live.endpoint.container == *container) {
            name.clone_into(&mut live.endpoint.container_name);
            // The file only serves a restart, after which the old name would be shown.
            let _ = self.files.write_endpoint(&live.endpoint);
        }
    }

    /// What `host-gateway` in `--add-host` stands for: the default bridge's own addresses.
    pub fn host_gateway(&self) -> Vec<IpAddr> {
        let state = self.lock();
        let bridge = state.networks.values().find(|live| live.is_default_bridge());
        bridge
            .into_iter()
            .flat_map(|live| &live.record.pools)
            .filter_map(|pool| pool.bridge_address)
            .collect()
    }

    /// What a person should know: foreign rules that may keep containers from the outside.
    pub fn warnings(&self) -> Vec<String> {
        self.firewall.warnings()
    }

    /// Ends the background work. Everything stays as long as endpoints live; without endpoints all that was made on the
    /// host is removed.
    pub fn close(&self) {
        self.monitor.lock().unwrap_or_else(PoisonError::into_inner).take();
        self.pool.close();
        let state = self.lock();
        if !state.endpoints.is_empty() {
            return;
        }
        self.firewall.remove();
        for live in state.networks.values().filter(|live| live.plug.bridge != 0) {
            if let Some(name) = crate::open::bridge_name(&live.record) {
                // What can't be removed now is found and used by the next start.
                let _ = crate::bridge::remove_if_ours(&mut self.host(), name);
            }
        }
    }
}

impl State {
    pub(crate) fn find(&self, reference: &str) -> Result<&LiveNetwork, NetworkError> {
        let id = self.find_id(reference)?;
        self.networks.get(&id).ok_or_else(|| NetworkError::NotFound(reference.to_owned()))
    }

    fn find_id(&self, reference: &str) -> Result<NetworkId, NetworkError> {
        let all = || self.networks.values().map(|live| &live.record);
        let name = if reference == "default" { "bridge" } else { reference };
        let exact =
            all().find(|network| network.id.as_str() == name).or_else(|| all().find(|n| n.name == name));
        if let Some(network) = exact {
            return Ok(network.id.clone());
        }
        let matches: Vec<&Network> =
            all().filter(|network| !name.is_empty() && network.id.as_str().starts_with(name)).collect();
        match matches.as_slice() {
            [one] => Ok(one.id.clone()),
            [] => Err(NetworkError::NotFound(reference.to_owned())),
            several => Err(NetworkError::Ambiguous { name: reference.to_owned(), count: several.len() }),
        }
    }
}
