//! The interface of a bridge network.

use std::net::IpAddr;
use std::path::Path;

use netlink::route::{Link, RouteSocket, address, link};

use crate::record::Subnet;

/// The remark that tells our bridges from those people made and named with `--bridge`.
const MADE_BY_US: &str = "made by wharf";

/// What a bridge has to be like.
#[derive(Debug, Clone)]
pub struct BridgeSettings<'a> {
    /// Its interface's name.
    pub name: &'a str,
    /// Its own addresses with the subnets' prefix lengths.
    pub addresses: Vec<Subnet>,
    /// Largest packet in bytes.
    pub mtu: u32,
    /// Whether it carries IPv6.
    pub ipv6: bool,
}

/// Makes the bridge, or gives an existing one what it lacks; its index.
///
/// # Errors
/// When the kernel refuses.
pub fn ensure(socket: &mut RouteSocket, settings: &BridgeSettings<'_>) -> Result<u32, netlink::Error> {
    let found = match socket.link_by_name(settings.name)? {
        Some(found) => found,
        None => make(socket, settings)?,
    };
    if !settings.ipv6 {
        set(settings.name, "ipv6", "disable_ipv6", "1");
    }
    set(settings.name, "ipv6", "accept_ra", "0");
    // Nobody else can have our addresses on our own bridge; asking would keep it silent for its first seconds.
    set(settings.name, "ipv6", "accept_dad", "0");
    // Published ports are reachable from 127.0.0.1; the firewall drops such addresses coming from containers.
    set(settings.name, "ipv4", "route_localnet", "1");
    let present: Vec<IpAddr> =
        socket.addresses()?.iter().filter(|own| own.link == found.index).map(|own| own.address).collect();
    let mut changes: Vec<netlink::Message> = settings
        .addresses
        .iter()
        .filter(|wanted| !present.contains(&wanted.address))
        .map(|wanted| address::add(found.index, wanted.address, wanted.prefix))
        .collect();
    if !found.up {
        changes.push(link::up(found.index));
    }
    if !changes.is_empty() {
        socket.execute(&changes)?;
    }
    Ok(found.index)
}

fn make(socket: &mut RouteSocket, settings: &BridgeSettings<'_>) -> Result<Link, netlink::Error> {
    // A fixed hardware address: otherwise it changes with the lowest one of the ports.
    let mut hardware = [0x02, 0x42, 0, 0, 0, 0];
    if let Some(random) = hardware.get_mut(2..) {
        model::id::fill_random(random);
    }
    socket.execute(&[
        link::add_bridge(settings.name, settings.mtu, Some(hardware)),
        link::set_alias(settings.name, MADE_BY_US),
    ])?;
    socket.link_by_name(settings.name)?.ok_or_else(|| netlink::Error::Refused {
        index: 0,
        text: String::new(),
        source: std::io::Error::from(rustix::io::Errno::NODEV),
    })
}

/// Sets an interface's switch; what the kernel does not have (IPv6 turned off at boot) needs no setting.
fn set(interface: &str, family: &str, switch: &str, value: &str) {
    write_switch(&format!("/proc/sys/net/{family}/conf/{interface}/{switch}"), value);
}

/// Writes a kernel switch unless it has the value already; whether it has it now.
pub fn write_switch(path: &str, value: &str) -> bool {
    let path = Path::new(path);
    if std::fs::read_to_string(path).is_ok_and(|present| present.trim() == value) {
        return true;
    }
    std::fs::write(path, value).is_ok()
}

/// Deletes a bridge that we made.
///
/// # Errors
/// When the kernel refuses.
pub fn remove_if_ours(socket: &mut RouteSocket, name: &str) -> Result<(), netlink::Error> {
    match socket.link_by_name(name)? {
        Some(found) if found.alias.as_deref() == Some(MADE_BY_US) => {
            socket.execute(&[link::delete(found.index)])
        }
        _ => Ok(()),
    }
}
