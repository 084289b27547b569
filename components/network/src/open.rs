//! Start-up: records, predefined networks, bridges, firewall, endpoints of a predecessor.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use model::{Labels, NetworkId, Timestamp};
use netlink::route::RouteSocket;

use crate::bridge::{self, BridgeSettings};
use crate::firewall::Firewall;
use crate::firewall::monitor::Monitor;
use crate::firewall::ruleset::BridgeRules;
use crate::free_subnet;
use crate::manager::{LiveNetwork, State, kernel};
use crate::persistence::Files;
use crate::port_reservation::{PortTable, ipv6_available};
use crate::record::{Driver, PoolRecord, Subnet};
use crate::sandbox::{PlugSettings, PortMode};
use crate::sandbox_pool::SandboxPool;
use crate::{Config, Network, NetworkError, NetworkManager};

pub(crate) const OPTION_NAME: &str = "com.docker.network.bridge.name";
pub(crate) const OPTION_ICC: &str = "com.docker.network.bridge.enable_icc";
pub(crate) const OPTION_MASQUERADE: &str = "com.docker.network.bridge.enable_ip_masquerade";
pub(crate) const OPTION_MTU: &str = "com.docker.network.driver.mtu";
pub(crate) const OPTION_BINDING: &str = "com.docker.network.bridge.host_binding_ipv4";
const OPTION_DEFAULT: &str = "com.docker.network.bridge.default_bridge";

/// Whoever reads this has a kernel without them.
const NO_NF_TABLES: &str = "use nf_tables (an engine started with --iptables=false does without a firewall)";

pub(crate) fn open(config: Config) -> Result<NetworkManager, NetworkError> {
    let files = Files::open(&config.data_root, &config.exec_root)?;
    let mut host = RouteSocket::open().map_err(kernel("open a route socket"))?;
    let (stored, set_aside) = files.networks()?;
    let records = load_records(&config, &files, &stored, &mut host)?;
    if config.ip_forward {
        turn_forwarding_on();
    }
    let table = format!("wharf-{}", config.bridge.as_deref().unwrap_or("none"));
    let firewall = Firewall::open(table, config.firewall).map_err(kernel(NO_NF_TABLES))?;
    let mut networks = BTreeMap::new();
    for record in records {
        let index = raise(&mut host, &firewall, &record)?;
        networks.insert(record.id.clone(), LiveNetwork::new(record, index));
    }
    let plug = networks.values().find(|live| live.is_default_bridge()).map(|live| live.plug.clone());
    let pool =
        SandboxPool::start(plug, config.ready_sandboxes).map_err(|source| NetworkError::Thread { source })?;
    let manager = NetworkManager {
        files,
        set_aside,
        state: Mutex::new(State { networks, endpoints: HashMap::new(), ports: PortTable::new() }),
        host: Mutex::new(host),
        firewall: Arc::new(firewall),
        monitor: Mutex::new(None),
        pool,
        ipv6_host: ipv6_available(),
        config,
    };
    manager.adopt_endpoints()?;
    manager.firewall.apply().map_err(kernel("set up the firewall"))?;
    manager.start_monitor()?;
    Ok(manager)
}

impl NetworkManager {
    fn start_monitor(&self) -> Result<(), NetworkError> {
        if self.config.firewall {
            let monitor =
                Monitor::start(Arc::clone(&self.firewall)).map_err(kernel("hear of rule changes"))?;
            *self.monitor.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(monitor);
        }
        Ok(())
    }
}

fn turn_forwarding_on() {
    // A machine that forbids it keeps its containers to itself; Docker goes on as well.
    bridge::write_switch("/proc/sys/net/ipv4/ip_forward", "1");
}

fn turn_forwarding_v6_on() {
    bridge::write_switch("/proc/sys/net/ipv6/conf/default/forwarding", "1");
    bridge::write_switch("/proc/sys/net/ipv6/conf/all/forwarding", "1");
}

/// Brings a network's bridge up and its rules into the wanted state; the bridge's index.
pub(crate) fn raise(
    host: &mut RouteSocket,
    firewall: &Firewall,
    record: &Network,
) -> Result<u32, NetworkError> {
    let Some(name) = bridge_name(record) else { return Ok(0) };
    if record.ipv6 {
        turn_forwarding_v6_on();
    }
    let settings = BridgeSettings {
        name,
        addresses: record.pools.iter().filter_map(own_address).collect(),
        mtu: mtu_of(record),
        ipv6: record.ipv6,
    };
    let index = bridge::ensure(host, &settings).map_err(kernel("set up the bridge"))?;
    firewall.want_bridge(rules_of(record, name));
    Ok(index)
}

fn own_address(pool: &PoolRecord) -> Option<Subnet> {
    pool.bridge_address.map(|address| Subnet { address, prefix: pool.subnet.prefix })
}

fn rules_of(record: &Network, name: &str) -> BridgeRules {
    BridgeRules {
        name: name.to_owned(),
        subnets: record.pools.iter().map(|pool| pool.subnet).collect(),
        masquerade: is_on(record, OPTION_MASQUERADE),
        inter_container: is_on(record, OPTION_ICC),
        internal: record.internal,
    }
}

fn is_on(record: &Network, option: &str) -> bool {
    record.options.get(option).is_none_or(|value| value != "false")
}

/// How sandboxes are plugged into a network's bridge.
pub(crate) fn plug_settings(record: &Network, bridge: u32) -> PlugSettings {
    PlugSettings {
        bridge,
        mtu: mtu_of(record),
        ipv6: record.ipv6,
        port: PortMode::choose(is_on(record, OPTION_ICC)),
    }
}

/// The interface of a bridge network.
pub(crate) fn bridge_name(record: &Network) -> Option<&str> {
    if record.driver == Driver::Bridge { Some(&record.interface) } else { None }
}

/// Largest packet of a network in bytes.
pub(crate) fn mtu_of(record: &Network) -> u32 {
    record.options.get(OPTION_MTU).and_then(|text| text.parse().ok()).filter(|mtu| *mtu > 0).unwrap_or(1500)
}

fn load_records(
    config: &Config,
    files: &Files,
    stored: &[Network],
    host: &mut RouteSocket,
) -> Result<Vec<Network>, NetworkError> {
    let mut records: Vec<Network> = stored.iter().filter(|network| !network.predefined).cloned().collect();
    let old = |name: &str| stored.iter().find(|network| network.predefined && network.name == name);
    records.push(old("host").cloned().unwrap_or_else(|| plain("host", Driver::Host)));
    records.push(old("none").cloned().unwrap_or_else(|| plain("none", Driver::Null)));
    if let Some(bridge) = &config.bridge {
        records.push(default_bridge(config, bridge, old("bridge"), &records, host)?);
    }
    let unchanged =
        serde_json::to_string(&sorted(&records)).ok() == serde_json::to_string(&sorted(stored)).ok();
    if !unchanged {
        files.write_networks(records.clone())?;
    }
    Ok(records)
}

fn sorted(records: &[Network]) -> Vec<&Network> {
    let mut all: Vec<&Network> = records.iter().collect();
    all.sort_by(|a, b| a.id.cmp(&b.id));
    all
}

fn plain(name: &str, driver: Driver) -> Network {
    Network {
        id: NetworkId::generate(),
        name: name.to_owned(),
        created: Timestamp::now(),
        driver,
        interface: String::new(),
        chosen_subnets: false,
        predefined: true,
        ipv6: false,
        internal: false,
        attachable: false,
        pools: Vec::new(),
        ipam_options: None,
        options: BTreeMap::new(),
        labels: Labels::new(),
    }
}

/// The default bridge as configured now; only id, creation time and a subnet chosen earlier are kept.
fn default_bridge(
    config: &Config,
    name: &str,
    old: Option<&Network>,
    others: &[Network],
    host: &mut RouteSocket,
) -> Result<Network, NetworkError> {
    let mut record = plain("bridge", Driver::Bridge);
    if let Some(old) = old {
        record.id = old.id.clone();
        record.created = old.created;
    }
    record.ipv6 = config.ipv6;
    name.clone_into(&mut record.interface);
    record.pools = vec![default_pool_v4(config, name, old, others, host)?];
    if config.ipv6 {
        record.pools.extend(default_pool_v6(config));
    }
    record.options = default_options(config, name);
    Ok(record)
}

fn default_options(config: &Config, name: &str) -> BTreeMap<String, String> {
    [
        (OPTION_DEFAULT, "true".to_owned()),
        (OPTION_ICC, config.inter_container.to_string()),
        (OPTION_MASQUERADE, config.masquerade.to_string()),
        (OPTION_BINDING, config.default_binding.to_string()),
        (OPTION_NAME, name.to_owned()),
        (OPTION_MTU, config.mtu.to_string()),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .into()
}

fn default_pool_v4(
    config: &Config,
    name: &str,
    old: Option<&Network>,
    others: &[Network],
    host: &mut RouteSocket,
) -> Result<PoolRecord, NetworkError> {
    let own = match config.bip {
        Some((address, prefix)) => Subnet { address: IpAddr::V4(address), prefix },
        None => match existing_address(name, host)? {
            Some(own) => own,
            None => chosen_address(config, old, others, host)?,
        },
    };
    let network = Subnet { address: own.network(), prefix: own.prefix };
    let other_gateway = config.default_gateway.map(IpAddr::V4);
    let mut pool = PoolRecord {
        subnet: network,
        range: config.fixed_cidr,
        gateway: Some(own.address),
        bridge_address: Some(own.address),
        auxiliary: BTreeMap::new(),
    };
    if let Some(gateway) = other_gateway.filter(|gateway| *gateway != own.address) {
        // The bridge keeps its address; containers are told the other gateway.
        pool.auxiliary.insert("DefaultGatewayIPv4".to_owned(), gateway);
    }
    Ok(pool)
}

fn existing_address(name: &str, host: &mut RouteSocket) -> Result<Option<Subnet>, NetworkError> {
    let Some(link) = host.link_by_name(name).map_err(kernel("look for the bridge"))? else { return Ok(None) };
    let addresses = host.addresses().map_err(kernel("read addresses"))?;
    let own = addresses.into_iter().find(|found| found.link == link.index && found.address.is_ipv4());
    Ok(own.map(|found| Subnet { address: found.address, prefix: found.prefix }))
}

fn chosen_address(
    config: &Config,
    old: Option<&Network>,
    others: &[Network],
    host: &mut RouteSocket,
) -> Result<Subnet, NetworkError> {
    let taken = taken_ranges(others, host)?;
    let before = old.and_then(|network| network.pools.iter().find(|pool| pool.subnet.address.is_ipv4()));
    let reusable =
        before.map(|pool| pool.subnet).filter(|subnet| !taken.iter().any(|range| range.overlaps(*subnet)));
    let subnet = match reusable {
        Some(subnet) => subnet,
        None => free_subnet::choose(&pools_of(config), &taken).ok_or(NetworkError::NoPool { ipv6: false })?,
    };
    Ok(Subnet { address: subnet.at(1), prefix: subnet.prefix })
}

pub(crate) fn pools_of(config: &Config) -> Vec<crate::config::AddressPool> {
    if config.default_address_pools.is_empty() {
        free_subnet::docker_pools()
    } else {
        config.default_address_pools.clone()
    }
}

/// Ranges that a new network must not overlap: the machine's own and those of our networks.
pub(crate) fn taken_ranges(
    networks: &[Network],
    host: &mut RouteSocket,
) -> Result<Vec<Subnet>, NetworkError> {
    let addresses = host.addresses().map_err(kernel("read addresses"))?;
    let routes = host.routes().map_err(kernel("read routes"))?;
    let mut taken = free_subnet::in_use(&addresses, &routes);
    taken.extend(networks.iter().flat_map(|network| &network.pools).map(|pool| pool.subnet));
    Ok(taken)
}

fn default_pool_v6(config: &Config) -> Option<PoolRecord> {
    let own = config.bip6.map(|(address, prefix)| Subnet { address: IpAddr::V6(address), prefix });
    let subnet = config.fixed_cidr_v6.or(own)?;
    let network = Subnet { address: subnet.network(), prefix: subnet.prefix };
    let gateway = own.map_or(network.at(1), |own| own.address);
    Some(PoolRecord {
        subnet: network,
        range: None,
        gateway: Some(gateway),
        bridge_address: Some(gateway),
        auxiliary: BTreeMap::new(),
    })
}
