//! How registries are reached: mirrors, insecure hosts, certificates, proxies, patience.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use transport::client::Patience;

use crate::Proxies;
use crate::url::{self, Origin};

/// Everything a client is told; it looks nothing up by itself.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Mirrors by the registry they stand for (`docker.io`, `quay.io`, `*` for those without an own entry); tried in
    /// order before the registry itself, and only for pulling.
    pub mirrors: BTreeMap<String, Vec<String>>,
    /// Hosts (`host`, `host:port`) and networks (`10.0.0.0/8`) that may be spoken to without verified TLS, or
    /// without any. This machine always is one.
    pub insecure: Vec<String>,
    /// Folders with a folder for each host, which holds `*.crt`, `*.cert` and `*.key`.
    pub certificates: Vec<PathBuf>,
    /// Hosts whose token servers may see credentials, beside the registry's own host; without it every token server that
    /// a registry names, as Docker does it.
    pub token_hosts: Option<Vec<String>>,
    /// Proxies.
    pub proxies: Proxies,
    /// Value of `User-Agent`.
    pub user_agent: String,
    /// How long to wait for anything.
    pub patience: Patience,
    /// How slow a stream may be.
    pub slowest: Slowest,
}

/// A stream that brings fewer bytes in such a time is given up (and taken up again, perhaps elsewhere).
#[derive(Debug, Clone, Copy)]
pub struct Slowest {
    /// The time.
    pub window: Duration,
    /// Bytes at least.
    pub bytes: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            mirrors: BTreeMap::new(),
            insecure: Vec::new(),
            certificates: Vec::new(),
            token_hosts: None,
            proxies: Proxies::default(),
            user_agent: "wharf".to_owned(),
            patience: Patience::default(),
            slowest: Slowest { window: Duration::from_secs(60), bytes: 16 * 1024 },
        }
    }
}

impl Settings {
    /// Whether a host, with or without port, may be spoken to insecurely.
    pub fn is_insecure(&self, host: &str) -> bool {
        let bare = url::split_authority(host, 0).map_or_else(|| host.to_owned(), |(bare, _)| bare);
        if url::is_loopback(&bare) {
            return true;
        }
        let address: Option<IpAddr> = bare.parse().ok();
        self.insecure.iter().any(|known| {
            known.eq_ignore_ascii_case(host)
                || known.eq_ignore_ascii_case(&bare)
                || address.is_some_and(|address| in_network(known, address))
        })
    }

    /// Whether the token server of a registry may see credentials.
    pub(crate) fn may_see_credentials(&self, server: &Origin, registry: &Origin) -> bool {
        let Some(hosts) = &self.token_hosts else { return true };
        let known = |host: &String| {
            host.eq_ignore_ascii_case(&server.host) || host.eq_ignore_ascii_case(&server.authority())
        };
        server.host == registry.host || hosts.iter().any(known)
    }

    /// Mirrors of a registry.
    pub(crate) fn mirrors_of(&self, domain: &str) -> &[String] {
        self.mirrors.get(domain).or_else(|| self.mirrors.get("*")).map(Vec::as_slice).unwrap_or_default()
    }
}

/// Whether an address is in a network written as `10.0.0.0/8`.
pub(crate) fn in_network(network: &str, address: IpAddr) -> bool {
    let Some((base, length)) = network.split_once('/') else { return false };
    let (Ok(base), Ok(length)) = (base.parse::<IpAddr>(), length.parse::<u32>()) else { return false };
    match (base, address) {
        (IpAddr::V4(base), IpAddr::V4(address)) => {
            length <= 32 && same_start(base.to_bits().into(), address.to_bits().into(), 32 - length)
        }
        (IpAddr::V6(base), IpAddr::V6(address)) => {
            length <= 128 && same_start(base.to_bits(), address.to_bits(), 128 - length)
        }
        _ => false,
    }
}

fn same_start(one: u128, other: u128, ignored: u32) -> bool {
    one.checked_shr(ignored).unwrap_or(0) == other.checked_shr(ignored).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn insecure_hosts() {
        let insecure = ["plain.example", "port.example:5000", "10.1.0.0/16", "fd00::/8"].map(str::to_owned);
        let settings = Settings { insecure: insecure.to_vec(), ..Settings::default() };
        for (host, expected) in [
            ("localhost:5000", true),
            ("127.3.2.1", true),
            ("[::1]:5000", true),
            ("plain.example:443", true),
            ("port.example:5000", true),
            ("port.example", false),
            ("10.1.2.3:80", true),
            ("10.2.2.3", false),
            ("[fd12::1]:5000", true),
            ("docker.io", false),
            ("evil-localhost", false),
        ] {
            assert_eq!(settings.is_insecure(host), expected, "{host}");
        }
    }
}
