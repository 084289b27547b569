//! What `--link` gives a container on the default bridge: environment and hosts entries.

use std::net::IpAddr;

use crate::port::Protocol;

/// The container that is linked to, as far as a link shows it.
#[derive(Debug, Clone)]
pub struct LinkTarget<'a> {
    /// The linking container's own name, without slash.
    pub parent_name: &'a str,
    /// The name the link gives it (`--link name:alias`).
    pub alias: &'a str,
    /// Its name without slash.
    pub name: &'a str,
    /// Its host name.
    pub hostname: &'a str,
    /// Its address on the default bridge.
    pub address: IpAddr,
    /// Its exposed ports.
    pub exposed: &'a [(u16, Protocol)],
    /// Its environment (`KEY=value`).
    pub environment: &'a [String],
}

/// Ports in a row that are told as a range besides each one; fewer are not.
const SHORTEST_RANGE: usize = 3;

/// The environment variables Docker adds for one link, in its order.
pub fn environment(target: &LinkTarget<'_>) -> Vec<String> {
    let prefix = target.alias.to_uppercase().replace('-', "_");
    let mut ports = target.exposed.to_vec();
    ports.sort_by_key(|(port, protocol)| (*port, *protocol));
    ports.dedup();
    let mut variables = Variables { list: Vec::new(), address: target.address };
    if let Some((port, protocol)) = ports.first() {
        variables.set(format!("{prefix}_PORT"), variables.url(*port, *protocol));
    }
    for range in ranges(&ports) {
        variables.add_range(&prefix, range);
    }
    for (port, protocol) in &ports {
        variables.add_port(&prefix, *port, *protocol);
    }
    variables.set(format!("{prefix}_NAME"), format!("/{}/{}", target.parent_name, target.alias));
    for (key, value) in target.environment.iter().filter_map(|entry| entry.split_once('=')) {
        // Every image has these; they say nothing about the linked service.
        if !matches!(key, "HOME" | "PATH") {
            variables.set(format!("{prefix}_ENV_{key}"), value.to_owned());
        }
    }
    variables.list.into_iter().map(|(key, value)| format!("{key}={value}")).collect()
}

/// Runs of at least three consecutive port numbers.
fn ranges(ports: &[(u16, Protocol)]) -> impl Iterator<Item = &[(u16, Protocol)]> {
    ports
        .chunk_by(|before, after| before.0.checked_add(1) == Some(after.0))
        .filter(|range| range.len() >= SHORTEST_RANGE)
}

struct Variables {
    list: Vec<(String, String)>,
    address: IpAddr,
}

impl Variables {
    fn set(&mut self, key: String, value: String) {
        match self.list.iter_mut().find(|(present, _)| *present == key) {
            Some((_, present)) => *present = value,
            None => self.list.push((key, value)),
        }
    }

    fn url(&self, port: u16, protocol: Protocol) -> String {
        format!("{}://{}:{port}", protocol.name(), self.address)
    }

    /// Docker names the end by the range's first number and its last port's protocol.
    fn add_range(&mut self, prefix: &str, range: &[(u16, Protocol)]) {
        let (Some((first, protocol)), Some((last, last_protocol))) = (range.first(), range.last()) else {
            return;
        };
        let start = format!("{prefix}_PORT_{first}_{}", protocol.name().to_uppercase());
        let end = format!("{prefix}_PORT_{first}_{}", last_protocol.name().to_uppercase());
        self.set(format!("{start}_START"), self.url(*first, *protocol));
        self.set(format!("{start}_ADDR"), self.address.to_string());
        self.set(format!("{start}_PROTO"), protocol.name().to_owned());
        self.set(format!("{start}_PORT_START"), first.to_string());
        self.set(format!("{end}_END"), self.url(*last, *last_protocol));
        self.set(format!("{end}_PORT_END"), last.to_string());
    }

    fn add_port(&mut self, prefix: &str, port: u16, protocol: Protocol) {
        let key = format!("{prefix}_PORT_{port}_{}", protocol.name().to_uppercase());
        self.set(key.clone(), self.url(port, protocol));
        self.set(format!("{key}_ADDR"), self.address.to_string());
        self.set(format!("{key}_PORT"), port.to_string());
        self.set(format!("{key}_PROTO"), protocol.name().to_owned());
    }
}

/// The `/etc/hosts` names of one link: alias, host name, and the name where it differs from the alias.
pub fn host_names(target: &LinkTarget<'_>) -> Vec<String> {
    let mut names = vec![target.alias.to_owned(), target.hostname.to_owned()];
    if target.alias != target.name {
        names.push(target.name.to_owned());
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a real Docker 26.1 gives for the same container.
    #[test]
    fn environment_is_dockers() {
        use Protocol::{Tcp, Udp};
        let exposed = [(9000, Tcp), (9002, Tcp), (9001, Tcp), (9003, Udp), (81, Tcp), (80, Tcp)];
        let environment_of_target = ["PATH=/bin".to_owned(), "E=".to_owned(), "G=a=b".to_owned()];
        let target = LinkTarget {
            parent_name: "app",
            alias: "d-a",
            name: "db",
            hostname: "dbhost",
            address: "172.30.0.2".parse().unwrap(),
            exposed: &exposed,
            environment: &environment_of_target,
        };
        let expected = "D_A_PORT=tcp://172.30.0.2:80
D_A_PORT_9000_TCP_START=tcp://172.30.0.2:9000
D_A_PORT_9000_TCP_ADDR=172.30.0.2
D_A_PORT_9000_TCP_PROTO=tcp
D_A_PORT_9000_TCP_PORT_START=9000
D_A_PORT_9000_UDP_END=udp://172.30.0.2:9003
D_A_PORT_9000_UDP_PORT_END=9003
D_A_PORT_80_TCP=tcp://172.30.0.2:80
D_A_PORT_80_TCP_ADDR=172.30.0.2
D_A_PORT_80_TCP_PORT=80
D_A_PORT_80_TCP_PROTO=tcp
D_A_PORT_81_TCP=tcp://172.30.0.2:81
D_A_PORT_81_TCP_ADDR=172.30.0.2
D_A_PORT_81_TCP_PORT=81
D_A_PORT_81_TCP_PROTO=tcp
D_A_PORT_9000_TCP=tcp://172.30.0.2:9000
D_A_PORT_9000_TCP_PORT=9000
D_A_PORT_9001_TCP=tcp://172.30.0.2:9001
D_A_PORT_9001_TCP_ADDR=172.30.0.2
D_A_PORT_9001_TCP_PORT=9001
D_A_PORT_9001_TCP_PROTO=tcp
D_A_PORT_9002_TCP=tcp://172.30.0.2:9002
D_A_PORT_9002_TCP_ADDR=172.30.0.2
D_A_PORT_9002_TCP_PORT=9002
D_A_PORT_9002_TCP_PROTO=tcp
D_A_PORT_9003_UDP=udp://172.30.0.2:9003
D_A_PORT_9003_UDP_ADDR=172.30.0.2
D_A_PORT_9003_UDP_PORT=9003
D_A_PORT_9003_UDP_PROTO=udp
D_A_NAME=/app/d-a
D_A_ENV_E=
D_A_ENV_G=a=b";
        assert_eq!(environment(&target).join("\n"), expected);
        assert_eq!(host_names(&target), ["d-a", "dbhost", "db"]);
        assert_eq!(host_names(&LinkTarget { alias: "db", ..target }), ["db", "dbhost"]);
    }
}
