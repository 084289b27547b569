//! User-defined networks: make, remove, prune.

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
            "host" | "null" => return Err(NetworkError::OnlyOne(request.driver)),
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
            let _ = crate::bridge::remove_if_ours(&mut self.host(), name);
        }
    }

    fn choose_pools(&self, request: &CreateNetwork) -> Result<Vec<PoolRecord>, NetworkError> {
        let networks = self.list();
        let taken = taken_ranges(&networks, &mut self.host())?;
        let ours: Vec<Subnet> =
            networks.iter().flat_map(|network| &network.pools).map(|pool| pool.subnet).collect();
        let has_v6 =
            request.pools.iter().any(|pool| pool.subnet.is_some_and(|subnet| subnet.address.is_ipv6()));
        if request.ipv6 && !has_v6 {
            return Err(NetworkError::NoPool { ipv6: true });
        }
        let mut pools = Vec::new();
        let none = [CreatePool::default()];
        let has_v4 =
            request.pools.iter().any(|pool| pool.subnet.is_none_or(|subnet| subnet.address.is_ipv4()));
        let missing = if has_v4 { &none[..0] } else { &none[..] };
        for wanted in missing.iter().chain(&request.pools) {
            let subnet = match wanted.subnet {
                Some(subnet) => check_subnet(subnet, &ours)?,
                None => free_subnet::choose(&pools_of(&self.config), &taken)
                    .ok_or(NetworkError::NoPool { ipv6: false })?,
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
    // Docker takes any other text for a name.
    if name.trim().is_empty() { Err(NetworkError::Invalid(format!("invalid name: {name}"))) } else { Ok(()) }
}

fn check_subnet(subnet: Subnet, ours: &[Subnet]) -> Result<Subnet, NetworkError> {
    let subnet = Subnet { address: subnet.network(), prefix: subnet.prefix };
    if ours.iter().any(|other| other.overlaps(subnet)) { Err(NetworkError::Overlap) } else { Ok(subnet) }
}

fn pool_record(wanted: &CreatePool, subnet: Subnet) -> Result<PoolRecord, NetworkError> {
    check_pool(wanted, subnet)?;
    let first = match wanted.range {
        Some(range) if range.network() != subnet.network() => range.at(0),
        _ => subnet.at(1),
    };
    let own = wanted.gateway.unwrap_or(first);
    Ok(PoolRecord {
        subnet,
        range: wanted.range,
        gateway: if wanted.subnet.is_some() { wanted.gateway } else { Some(own) },
        bridge_address: Some(own),
        auxiliary: wanted.auxiliary.clone(),
    })
}

fn check_pool(wanted: &CreatePool, subnet: Subnet) -> Result<(), NetworkError> {
    let invalid = |text: String| Err(NetworkError::Invalid(format!("invalid network config:\n{text}")));
    if let Some(given) = wanted.subnet.filter(|given| given.address != given.network()) {
        return invalid(format!("invalid subnet {given}: it should be {subnet}"));
    }
    if let Some(range) = wanted.range.filter(|range| !subnet.contains(range.network())) {
        return invalid(format!("invalid ip-range {range}: parent subnet {subnet} doesn't contain ip-range"));
    }
    if let Some(gateway) = wanted.gateway.filter(|gateway| !subnet.contains(*gateway)) {
        return invalid(format!(
            "invalid gateway {gateway}: parent subnet {subnet} doesn't contain this address"
        ));
    }
    match wanted.auxiliary.iter().find(|(_, address)| !subnet.contains(**address)) {
        Some((name, _)) => invalid(format!(
            "invalid auxiliary address {name}: parent subnet {subnet} doesn't contain this address"
        )),
        None => Ok(()),
    }
}

fn record_of(request: CreateNetwork, pools: Vec<PoolRecord>) -> Network {
    let id = NetworkId::generate();
    let interface = request.options.get(OPTION_NAME).cloned().unwrap_or_else(|| format!("br-{}", id.short()));
    Network {
        id,
        name: request.name,
        created: Timestamp::now(),
        driver: Driver::Bridge,
        interface,
        chosen_subnets: request.pools.iter().any(|pool| pool.subnet.is_some()),
        predefined: false,
        ipv6: request.ipv6,
        internal: request.internal,
        attachable: request.attachable,
        pools,
        ipam_options: request.ipam_options,
        options: request.options,
        labels: request.labels,
    }
}
