//! The entry: opens the networks, hands out sandboxes, connects and disconnects them.

use std::net::IpAddr;

use model::{ContainerId, ErrorKind, Filters, Kinded};

use crate::{AttachRequest, Config, CreateNetwork, Endpoint, Network, Sandbox};

/// Why a network operation failed; texts are Docker's where it has one.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// No network has that name or id.
    #[error("network {0} not found")]
    NotFound(String),
}

impl Kinded for NetworkError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::NotFound(_) => ErrorKind::NotFound,
        }
    }
}

/// All networks of one engine.
#[derive(Debug)]
pub struct NetworkManager {}

impl NetworkManager {
    /// Loads or makes the records, brings the bridge and the firewall up, adopts the endpoints a predecessor left, and
    /// starts making sandboxes in the background.
    ///
    /// # Errors
    /// When the store, the bridge or the firewall refuse.
    pub fn open(_config: Config) -> Result<Self, NetworkError> {
        Ok(Self {})
    }

    /// Keeps the endpoints of these containers and releases all others; called once after start, when the engine knows
    /// which containers still run.
    pub fn retain(&self, _living: &[ContainerId]) {}

    /// All networks, sorted by name.
    pub fn list(&self) -> Vec<Network> {
        Vec::new()
    }

    /// Networks matching Docker's list filters.
    ///
    /// # Errors
    /// For filters that do not exist.
    pub fn list_filtered(&self, _filters: &Filters) -> Result<Vec<Network>, NetworkError> {
        Ok(Vec::new())
    }

    /// By full id, name, or unique id prefix; `default` means the default bridge.
    ///
    /// # Errors
    /// When there is none, or several.
    pub fn find(&self, reference: &str) -> Result<Network, NetworkError> {
        Err(NetworkError::NotFound(reference.to_owned()))
    }

    /// The endpoints on a network (for inspect's `Containers`).
    pub fn endpoints_of(&self, _network: &model::NetworkId) -> Vec<Endpoint> {
        Vec::new()
    }

    /// The endpoints of a container.
    pub fn endpoints_of_container(&self, _container: &ContainerId) -> Vec<Endpoint> {
        Vec::new()
    }

    /// Makes a user-defined network.
    ///
    /// # Errors
    /// Docker's refusals: name taken, address space taken, unknown driver.
    pub fn create(&self, request: CreateNetwork) -> Result<Network, NetworkError> {
        Err(NetworkError::NotFound(request.name))
    }

    /// Removes a user-defined network without endpoints; gives back what it was.
    ///
    /// # Errors
    /// Predefined, in use, not there.
    pub fn remove(&self, reference: &str) -> Result<Network, NetworkError> {
        Err(NetworkError::NotFound(reference.to_owned()))
    }

    /// Removes the user-defined networks that nobody uses and that the filters take (`until`, `label`); their names.
    ///
    /// # Errors
    /// For filters that do not exist.
    pub fn prune(
        &self,
        _filters: &Filters,
        _keep: &dyn Fn(&Network) -> bool,
    ) -> Result<Vec<String>, NetworkError> {
        Ok(Vec::new())
    }

    /// A sandbox whose `eth0` is on the default bridge already.
    ///
    /// # Errors
    /// When the kernel gives no more namespaces, interfaces or descriptors.
    pub fn take_sandbox(&self) -> Result<Sandbox, NetworkError> {
        Err(NetworkError::NotFound(String::new()))
    }

    /// A sandbox with only a loopback interface (`--network none`, user-defined networks).
    ///
    /// # Errors
    /// As [`Self::take_sandbox`].
    pub fn take_bare_sandbox(&self) -> Result<Sandbox, NetworkError> {
        Err(NetworkError::NotFound(String::new()))
    }

    /// Connects a sandbox (from [`Self::take_sandbox`], or bare) to a network and publishes its ports.
    ///
    /// For `host` and `none` an endpoint without addresses is recorded and the sandbox may be `None`.
    ///
    /// # Errors
    /// No address left, port taken (with Docker's wording), network gone.
    pub fn attach(
        &self,
        _sandbox: Option<&Sandbox>,
        request: AttachRequest,
    ) -> Result<Endpoint, NetworkError> {
        Err(NetworkError::NotFound(request.network))
    }

    /// Forgets an endpoint: ports, rules and address are free again. The veth dies with its namespace.
    /// Releasing twice is no error.
    pub fn release(&self, _endpoint: &Endpoint) {}

    /// Releases all endpoints of a container; gives them back (for `network disconnect` events).
    pub fn release_container(&self, _container: &ContainerId) -> Vec<Endpoint> {
        Vec::new()
    }

    /// A container has a new name: inspect shows it.
    pub fn rename_container(&self, _container: &ContainerId, _name: &str) {}

    /// What `host-gateway` in `--add-host` stands for: the default bridge's own addresses.
    pub fn host_gateway(&self) -> Vec<IpAddr> {
        Vec::new()
    }

    /// Ends the background work. Rules stay as long as endpoints live; without endpoints everything made on the host
    /// except the bridge is removed.
    pub fn close(&self) {}
}
