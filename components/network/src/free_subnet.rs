//! Chooses a subnet that nothing on the machine uses yet.

use std::net::{IpAddr, Ipv4Addr};

use netlink::route::{Address, Path};

use crate::config::AddressPool;
use crate::record::Subnet;

/// Docker's pools: 172.17 to 172.31 as /16, then 192.168 in /20.
pub fn docker_pools() -> Vec<AddressPool> {
    let v4 = |a, b, prefix| Subnet { address: IpAddr::V4(Ipv4Addr::new(a, b, 0, 0)), prefix };
    let mut pools: Vec<AddressPool> =
        (17..32).map(|second| AddressPool { base: v4(172, second, 16), size: 16 }).collect();
    pools.push(AddressPool { base: v4(192, 168, 16), size: 20 });
    pools
}

/// The ranges of the machine's own addresses and routes.
pub fn in_use(addresses: &[Address], routes: &[Path]) -> Vec<Subnet> {
    let own = addresses.iter().map(|found| Subnet { address: found.address, prefix: found.prefix });
    let routed = routes.iter().filter_map(|route| route.destination);
    own.chain(routed.map(|(address, prefix)| Subnet { address, prefix }))
        .filter(|range| range.prefix > 0)
        .collect()
}

/// The first subnet of the pools that overlaps none of the others.
pub fn choose(pools: &[AddressPool], taken: &[Subnet]) -> Option<Subnet> {
    pools.iter().find_map(|pool| choose_in(pool, taken))
}

fn choose_in(pool: &AddressPool, taken: &[Subnet]) -> Option<Subnet> {
    let bits = if pool.base.address.is_ipv4() { 32 } else { 128 };
    let step = 1u128.checked_shl(bits - u32::from(pool.size)).unwrap_or(u128::MAX);
    let count = (pool.base.size() / step).min(1 << 16);
    (0..count)
        .map(|place| Subnet { address: pool.base.at(place * step), prefix: pool.size })
        .find(|subnet| !taken.iter().any(|other| other.overlaps(*subnet)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn taken_ranges_are_passed_over() {
        let ranges = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<Subnet>>();
        for (taken, expected) in [
            (vec![], "172.17.0.0/16"),
            (vec!["172.17.3.0/24"], "172.18.0.0/16"),
            (vec!["172.16.0.0/12"], "192.168.0.0/20"),
            (vec!["172.16.0.0/12", "192.168.1.0/24"], "192.168.16.0/20"),
        ] {
            assert_eq!(choose(&docker_pools(), &ranges(&taken)).unwrap().to_string(), expected);
        }
        assert_eq!(choose(&docker_pools(), &ranges(&["172.16.0.0/12", "192.168.0.0/16"])), None);
    }
}
