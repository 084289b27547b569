//! Network namespaces made ready before they are needed.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Mutex, PoisonError};

use netlink::route::{RouteSocket, VethRequest, link};

/// The link of a sandbox to a bridge, made but not yet given an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Plug {
    /// Index of the bridge.
    pub bridge: u32,
    /// Name of the end on the host.
    pub host_interface: String,
    /// Name of the end in the sandbox.
    pub interface: String,
    /// Index of the end in the sandbox.
    pub index: u32,
}

/// How a sandbox is to be plugged in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PlugSettings {
    /// Index of the bridge.
    pub bridge: u32,
    /// Largest packet in bytes.
    pub mtu: u32,
    /// Whether the interface may have IPv6.
    pub ipv6: bool,
    /// What the bridge's port may do.
    pub port: PortMode,
}

/// What a bridge's port may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PortMode {
    /// Talk to all others.
    Plain,
    /// Talk to all others and itself: where `br_netfilter` translates frames, a container reaching its own published
    /// port gets its frames back by the port they came from.
    Hairpin,
    /// Talk to the host only: containers may not talk to each other, and no `br_netfilter` asks the firewall.
    Isolated,
}

impl PortMode {
    /// The mode for a bridge whose containers may (or may not) talk to each other.
    pub(crate) fn choose(inter_container: bool) -> Self {
        let frames_are_filtered = std::fs::read_to_string("/proc/sys/net/bridge/bridge-nf-call-iptables")
            .is_ok_and(|text| text.trim() == "1");
        match (frames_are_filtered, inter_container) {
            (true, _) => Self::Hairpin,
            (false, true) => Self::Plain,
            (false, false) => Self::Isolated,
        }
    }
}

/// A network namespace with its loopback up, and usually an `eth0` already plugged into the default bridge.
///
/// Dropping it lets the namespace die unless a process lives in it.
#[derive(Debug)]
pub struct Sandbox {
    namespace: OwnedFd,
    routes: Mutex<RouteSocket>,
    ready: Mutex<Option<Plug>>,
}

/// Why a sandbox could not be made.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The kernel gives no namespace.
    #[error("new network namespace")]
    Namespace {
        /// Why.
        source: io::Error,
    },
    /// The kernel refuses an interface.
    #[error("interface of a network namespace")]
    Interface {
        /// Why.
        source: netlink::Error,
    },
}

impl From<netlink::Error> for SandboxError {
    fn from(source: netlink::Error) -> Self {
        Self::Interface { source }
    }
}

impl Sandbox {
    /// The namespace, to be joined with setns or passed to the shim.
    pub fn namespace(&self) -> BorrowedFd<'_> {
        self.namespace.as_fd()
    }

    /// Another descriptor of the namespace, to be given away.
    ///
    /// # Errors
    /// When there are no descriptors left.
    pub fn duplicate_namespace(&self) -> io::Result<OwnedFd> {
        self.namespace.try_clone()
    }

    /// A sandbox around a namespace that exists (a running container's, for `network connect`).
    ///
    /// # Errors
    /// When the namespace cannot be entered.
    pub fn adopt(namespace: OwnedFd) -> Result<Self, SandboxError> {
        let (namespace, routes) = std::thread::scope(|scope| {
            let entered = scope.spawn(move || {
                rustix::thread::move_into_link_name_space(
                    namespace.as_fd(),
                    Some(rustix::thread::LinkNameSpaceType::Network),
                )
                .map_err(|errno| SandboxError::Namespace { source: errno.into() })?;
                Ok::<_, SandboxError>((namespace, RouteSocket::open()?))
            });
            entered.join().unwrap_or_else(|_| Err(ended_thread()))
        })?;
        Ok(Self { namespace, routes: Mutex::new(routes), ready: Mutex::new(None) })
    }

    /// Makes a namespace; the calling thread stays in it, so only threads made for this may call it.
    pub(crate) fn make_on_this_thread() -> Result<Self, SandboxError> {
        #[expect(deprecated, reason = "a new network namespace has none of the hazards of the other flags")]
        rustix::thread::unshare(rustix::thread::UnshareFlags::NEWNET)
            .map_err(|errno| SandboxError::Namespace { source: errno.into() })?;
        let namespace =
            File::open("/proc/thread-self/ns/net").map_err(|source| SandboxError::Namespace { source })?;
        let mut routes = RouteSocket::open()?;
        routes.execute(&[link::up(LOOPBACK)])?;
        allow_unprivileged_use();
        Ok(Self { namespace: namespace.into(), routes: Mutex::new(routes), ready: Mutex::new(None) })
    }

    pub(crate) fn routes(&self) -> std::sync::MutexGuard<'_, RouteSocket> {
        self.routes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn set_ready(&self, plug: Plug) {
        *self.ready.lock().unwrap_or_else(PoisonError::into_inner) = Some(plug);
    }

    /// The link made beforehand, if it is to this bridge and has this name.
    pub(crate) fn take_ready(&self, bridge: u32, interface: &str) -> Option<Plug> {
        let mut ready = self.ready.lock().unwrap_or_else(PoisonError::into_inner);
        ready.take_if(|plug| plug.bridge == bridge && plug.interface == interface)
    }

    /// Makes a veth pair from the bridge into this sandbox, both ends up, without addresses.
    pub(crate) fn plug_in(
        &self,
        host: &mut RouteSocket,
        settings: &PlugSettings,
        interface: &str,
    ) -> Result<Plug, SandboxError> {
        let (bridge, mtu) = (settings.bridge, settings.mtu);
        let host_interface = host_interface_name();
        let request = VethRequest {
            name: &host_interface,
            peer_name: interface,
            peer_namespace: self.namespace(),
            master: bridge,
            mtu,
        };
        let mut changes = vec![link::add_veth(&request), link::quiet(&host_interface)];
        changes.extend(match settings.port {
            PortMode::Plain => None,
            PortMode::Hairpin => Some(link::hairpin(&host_interface)),
            PortMode::Isolated => Some(link::isolate(&host_interface)),
        });
        changes.push(link::up_by_name(&host_interface));
        host.execute(&changes)?;
        let missing = || SandboxError::Namespace { source: io::Error::from(io::ErrorKind::NotFound) };
        let index = self.routes().link_by_name(interface)?.ok_or_else(missing)?.index;
        Ok(Plug { bridge, host_interface, interface: interface.to_owned(), index })
    }
}

const LOOPBACK: u32 = 1;

pub(crate) fn ended_thread() -> SandboxError {
    SandboxError::Namespace { source: io::Error::other("the thread that makes namespaces ended") }
}

/// Docker's settings for a container with a network of its own: any port may be bound and pings sent by anybody.
fn allow_unprivileged_use() {
    for (switch, value) in [("ip_unprivileged_port_start", "0"), ("ping_group_range", "0 2147483647")] {
        // A kernel without the switch has no such restriction.
        let _ = std::fs::write(format!("/proc/sys/net/ipv4/{switch}"), value);
    }
}

/// On a thread inside the namespace: an interface without IPv6, as Docker makes it for IPv4 networks.
pub(crate) fn turn_ipv6_off(interface: &str) {
    let _ = std::fs::write(format!("/proc/sys/net/ipv6/conf/{interface}/disable_ipv6"), "1");
}

fn host_interface_name() -> String {
    let mut random = [0u8; 4];
    model::id::fill_random(&mut random);
    format!("veth{}", model::id::hex(&random).get(..7).unwrap_or("0000000"))
}

/// From any thread: a namespace's interface without IPv6.
pub(crate) fn turn_ipv6_off_in(namespace: BorrowedFd<'_>, interface: &str) {
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let network = Some(rustix::thread::LinkNameSpaceType::Network);
            if rustix::thread::move_into_link_name_space(namespace, network).is_ok() {
                turn_ipv6_off(interface);
            }
        });
    });
}
