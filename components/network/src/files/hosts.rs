//! `/etc/hosts` the way Docker writes it.

use std::net::IpAddr;

/// One line: an address and its names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostsEntry {
    /// The address, or whatever `--add-host` gave.
    pub address: String,
    /// Names in order, the first the canonical one.
    pub names: Vec<String>,
}

/// What the file is made from.
#[derive(Debug, Clone, Default)]
pub struct HostsRequest<'a> {
    /// `--hostname` (the short id by default).
    pub hostname: &'a str,
    /// `--domainname`, empty without one.
    pub domainname: &'a str,
    /// The container's own addresses, in network order.
    pub addresses: Vec<IpAddr>,
    /// `HostConfig.ExtraHosts`: `name:address`, where the address may be `host-gateway`.
    pub extra_hosts: &'a [String],
    /// What `host-gateway` means (`--host-gateway-ip`, else the default bridge's gateway).
    pub host_gateway: Vec<IpAddr>,
    /// Entries of links (`link::host_names`).
    pub links: Vec<HostsEntry>,
    /// Whether the container's loopback interface has IPv6 (it has, unless the machine or a sysctl turned it off).
    pub ipv6: bool,
}

/// Stands for the host in `--add-host`.
pub const HOST_GATEWAY: &str = "host-gateway";

const LOOPBACK: &str = "127.0.0.1\tlocalhost\n";
const LOOPBACK_V6: &str = "::1\tlocalhost ip6-localhost ip6-loopback\n\
    fe00::0\tip6-localnet\n\
    ff00::0\tip6-mcastprefix\n\
    ff02::1\tip6-allnodes\n\
    ff02::2\tip6-allrouters\n";

/// The file's text for containers with a network of their own (bridge, none).
pub fn generate(request: &HostsRequest<'_>) -> String {
    let mut text = LOOPBACK.to_owned();
    if request.ipv6 {
        text.push_str(LOOPBACK_V6);
    }
    for entry in extra_entries(request).iter().chain(&request.links) {
        push(&mut text, &entry.address, &entry.names.join(" "));
    }
    let names = own_names(request);
    for address in &request.addresses {
        push(&mut text, &address.to_string(), &names);
    }
    text
}

/// The file's text with `--network host`: the host's own file, unless there are extra hosts.
pub fn generate_for_host_network(host_file: &str, request: &HostsRequest<'_>) -> String {
    if request.extra_hosts.is_empty() {
        return host_file.to_owned();
    }
    generate(&HostsRequest { addresses: Vec::new(), links: Vec::new(), ..request.clone() })
}

fn push(text: &mut String, address: &str, names: &str) {
    text.push_str(address);
    text.push('\t');
    text.push_str(names);
    text.push('\n');
}

/// The whole name and, where that has a dot, its first part.
fn own_names(request: &HostsRequest<'_>) -> String {
    let whole = match request.domainname {
        "" => request.hostname.to_owned(),
        domain => format!("{}.{domain}", request.hostname),
    };
    match whole.split_once('.') {
        Some((short, _)) => format!("{whole} {short}"),
        None => whole,
    }
}

fn extra_entries(request: &HostsRequest<'_>) -> Vec<HostsEntry> {
    let mut entries = Vec::new();
    for (name, address) in request.extra_hosts.iter().filter_map(|extra| extra.split_once(':')) {
        let mut add = |address: String| entries.push(HostsEntry { address, names: vec![name.to_owned()] });
        if address == HOST_GATEWAY {
            request.host_gateway.iter().for_each(|gateway| add(gateway.to_string()));
        } else {
            add(address.trim_start_matches('[').trim_end_matches(']').to_owned());
        }
    }
    entries
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request<'a>(hostname: &'a str, domainname: &'a str, extra_hosts: &'a [String]) -> HostsRequest<'a> {
        HostsRequest {
            hostname,
            domainname,
            addresses: vec!["172.30.0.2".parse().unwrap()],
            extra_hosts,
            host_gateway: vec!["172.30.0.1".parse().unwrap()],
            links: Vec::new(),
            ipv6: true,
        }
    }

    /// Compared with what Docker 26.1 writes.
    #[test]
    fn the_file_is_dockers() {
        let extra = ["a:1.2.3.4".to_owned(), "b:::1".to_owned(), "c:host-gateway".to_owned()];
        let mut wanted = request("web", "", &extra);
        let entry = HostsEntry {
            address: "172.30.0.9".to_owned(),
            names: vec!["database".to_owned(), "dbhost".to_owned(), "db".to_owned()],
        };
        wanted.links.push(entry);
        let head = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\nfe00::0\tip6-localnet\n\
                    ff00::0\tip6-mcastprefix\nff02::1\tip6-allnodes\nff02::2\tip6-allrouters\n";
        let rest = "1.2.3.4\ta\n::1\tb\n172.30.0.1\tc\n172.30.0.9\tdatabase dbhost db\n172.30.0.2\tweb\n";
        assert_eq!(generate(&wanted), format!("{head}{rest}"));
        let on_host = generate_for_host_network("10.0.0.1 x\n", &wanted);
        assert_eq!(on_host, format!("{head}1.2.3.4\ta\n::1\tb\n172.30.0.1\tc\n"));
        assert_eq!(generate_for_host_network("10.0.0.1 x\n", &request("web", "", &[])), "10.0.0.1 x\n");
    }

    #[test]
    fn names_with_dots_get_a_short_form() {
        for (hostname, domainname, line) in [
            ("web", "", "172.30.0.2\tweb\n"),
            ("web.example.com", "", "172.30.0.2\tweb.example.com web\n"),
            ("web", "example.com", "172.30.0.2\tweb.example.com web\n"),
        ] {
            assert!(generate(&request(hostname, domainname, &[])).ends_with(line), "{line}");
        }
        let mut none = request("web", "", &[]);
        none.addresses.clear();
        none.ipv6 = false;
        assert_eq!(generate(&none), "127.0.0.1\tlocalhost\n");
    }
}
