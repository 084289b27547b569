//! User-defined networks: make, remove, prune.

use std::collections::BTreeMap;

use model::filter::FilterError;
use model::{Filters, NetworkId, Timestamp};

use crate::manager::{LiveNetwork, kernel};
use crate::open::{OPTION_NAME, bridge_name, pools_of, raise, taken_ranges};
use crate::record::{CreatePool, Driver, PoolRecord, Subnet};
use crate::{CreateNetwork, Network, NetworkError, NetworkManager, filter, free_subnet};

impl NetworkManager {
    /// Makes a user-defined bridge network.
    ///
    /// # Errors
    /// Docker's refusals: name taken, address space taken, unknown driver.
    pub fn create(&self, request: CreateNetwork) -> Result<Network, NetworkError> {
        check_name(&request.name)?;
        match request.driver.as_str() {
            "" | "bridge" => {}
            "host" | "null" => return Err(only_one(&request.driver)),
            other => return Err(NetworkError::UnknownDriver(other.to_owned())),
        }
        if self.lock().networks.values().any(|live| live.record.name == request.name) {
            return Err(NetworkError::NameTaken(request.name));
        }
        let pools = self.choose_pools(&request)?;
        let record = record_of(request, pools);
        let index = raise(&mut self.host(), &self.firewall, &record)?;
        self.lock().networks.insert(record.id.clone(), LiveNetwork::new(record.clone(), index));
        let applied = self.firewall.apply().map_err(kernel("set up the firewall"));
        if let Err(error) = applied.and_then(|()| self.save()) {
            self.take_down(&record);
            return Err(error);
        }
        Ok(record)
    }

    fn save(&self) -> Result<(), NetworkError> {
        let records = self.lock().networks.values().map(|live| live.record.clone()).collect();
        Ok(self.files.write_networks(records)?)
    }

    fn take_down(&self, record: &Network) {
        self.lock().networks.remove(&record.id);
        if let Some(name) = bridge_name(record) {
            self.firewall.forget_bridge(name);
            // What stays is put right by the next change of rules.
            let _ = self.firewall.apply();
            let _ = crate::bridge::remove_unless_foreign(&mut self.host(), name);
        }
    }

    fn choose_pools(&self, request: &CreateNetwork) -> Result<Vec<PoolRecord>, NetworkError> {
        let networks = self.list();
        let taken = taken_ranges(&networks, &mut self.host())?;
        let ours: Vec<Subnet> =
            networks.iter().flat_map(|network| &network.pools).map(|pool| pool.subnet).collect();
        let mut pools = Vec::new();
        let none = [CreatePool::default()];
        let has_v4 =
            request.pools.iter().any(|pool| pool.subnet.is_none_or(|subnet| subnet.address.is_ipv4()));
        let missing = if has_v4 { &none[..0] } else { &none[..] };
        for wanted in missing.iter().chain(&request.pools) {
            let subnet = match wanted.subnet {
                Some(subnet) => check_subnet(subnet, &ours)?,
                None => free_subnet::choose(&pools_of(&self.config), &taken).ok_or(NetworkError::NoPool)?,
            };
            pools.push(pool_record(wanted, subnet)?);
        }
        Ok(pools)
    }

    /// Removes a user-defined network without endpoints; gives back what it was.
    ///
    /// # Errors
    /// Predefined, in use, not there.
    pub fn remove(&self, reference: &str) -> Result<Network, NetworkError> {
        let network = self.find(reference)?;
        if network.predefined {
            return Err(NetworkError::PredefinedRemove(network.name));
        }
        if !self.endpoints_of(&network.id).is_empty() {
            return Err(NetworkError::InUse { name: network.name, id: network.id });
        }
        self.take_down(&network);
        self.save()?;
        Ok(network)
    }

    /// Removes the user-defined networks that nobody uses and that the filters take (`until`, `label`); their names.
    /// `keep` names networks that stopped containers still refer to.
    ///
    /// # Errors
    /// For filters that do not exist.
    pub fn prune(
        &self,
        filters: &Filters,
        until: Option<Timestamp>,
        keep: &dyn Fn(&Network) -> bool,
    ) -> Result<Vec<String>, FilterError> {
        filters.allow_only(&["label", "label!", "until"])?;
        let old_enough = |network: &Network| until.is_none_or(|until| network.created < until);
        let chosen = self.list().into_iter().filter(|network| {
            filter::is_prunable(network)
                && filters.match_labels(&network.labels)
                && old_enough(network)
                && !keep(network)
        });
        // One that got an endpoint meanwhile stays.
        Ok(chosen
            .filter_map(|network| self.remove(network.id.as_str()).ok())
            .map(|network| network.name)
            .collect())
    }
}

fn check_name(name: &str) -> Result<(), NetworkError> {
    if matches!(name, "bridge" | "host" | "none" | "default") {
        return Err(NetworkError::PredefinedCreate(name.to_owned()));
    }
    let mut bytes = name.bytes();
    let valid = bytes.next().is_some_and(|first| first.is_ascii_alphanumeric())
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-'));
    if valid {
        return Ok(());
    }
    Err(NetworkError::Invalid(format!(
        "invalid network name \"{name}\": only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"
    )))
}

fn only_one(driver: &str) -> NetworkError {
    NetworkError::Invalid(format!("only one instance of \"{driver}\" network is allowed"))
}

fn check_subnet(subnet: Subnet, ours: &[Subnet]) -> Result<Subnet, NetworkError> {
    let subnet = Subnet { address: subnet.network(), prefix: subnet.prefix };
    if ours.iter().any(|other| other.overlaps(subnet)) { Err(NetworkError::Overlap) } else { Ok(subnet) }
}

fn pool_record(wanted: &CreatePool, subnet: Subnet) -> Result<PoolRecord, NetworkError> {
    let outside = |what: &str, value: &dyn std::fmt::Display| {
        NetworkError::Invalid(format!(
            "invalid network config:\ninvalid {what} {value}: parent subnet {subnet}"
        ))
    };
    if let Some(range) = wanted.range.filter(|range| !subnet.contains(range.network())) {
        return Err(outside("ip-range", &range));
    }
    if let Some(gateway) = wanted.gateway.filter(|gateway| !subnet.contains(*gateway)) {
        return Err(outside("gateway", &gateway));
    }
    if let Some((name, address)) = wanted.auxiliary.iter().find(|(_, address)| !subnet.contains(**address)) {
        return Err(outside(&format!("auxiliary address {name}"), address));
    }
    let first = wanted.range.unwrap_or(subnet);
    Ok(PoolRecord {
        subnet,
        range: wanted.range,
        gateway: Some(
            wanted.gateway.unwrap_or_else(|| if wanted.range.is_some() { first.at(1) } else { subnet.at(1) }),
        ),
        auxiliary: wanted.auxiliary.clone(),
    })
}

fn record_of(request: CreateNetwork, pools: Vec<PoolRecord>) -> Network {
    let id = NetworkId::generate();
    let mut options: BTreeMap<String, String> = request.options;
    // Docker does not show the name it makes up; it follows from the id.
    options.entry(OPTION_NAME.to_owned()).or_insert_with(|| format!("br-{}", id.short()));
    Network {
        id,
        name: request.name,
        created: Timestamp::now(),
        driver: Driver::Bridge,
        predefined: false,
        ipv6: request.ipv6,
        internal: request.internal,
        attachable: request.attachable,
        pools,
        ipam_options: request.ipam_options,
        options,
        labels: request.labels,
    }
}
