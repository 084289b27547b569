//! `/etc/resolv.conf` the way Docker 26 writes it.

use std::net::IpAddr;

/// Which kind of network the container is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resolver {
    /// Default bridge, none: the host's servers without loopback ones, or public ones when none is left.
    Legacy,
    /// `--network host`: the host's file as it is, unless overridden.
    Host,
    /// User-defined networks: the engine's own server at 127.0.0.11.
    Internal,
}

/// What the file is made from.
#[derive(Debug, Clone)]
pub struct ResolvConfRequest<'a> {
    /// The host's file.
    pub host_file: &'a str,
    /// Its path, named in a comment.
    pub host_path: &'a str,
    /// Which kind of network.
    pub resolver: Resolver,
    /// `--dns`, or the engine's; empty means the host's.
    pub servers: &'a [String],
    /// `--dns-search`, or the engine's; `.` alone means none.
    pub search: &'a [String],
    /// `--dns-option`, or the engine's.
    pub options: &'a [String],
    /// Whether the container has IPv6, so that the host's IPv6 servers can be reached.
    pub ipv6: bool,
}

/// The engine's own server on user-defined networks.
pub const INTERNAL_SERVER: &str = "127.0.0.11";
const PUBLIC_V4: [&str; 2] = ["8.8.8.8", "8.8.4.4"];
const PUBLIC_V6: [&str; 2] = ["2001:4860:4860::8888", "2001:4860:4860::8844"];
/// Where the host's servers are when its own file only names a local forwarder of systemd's.
const SYSTEMD_PATH: &str = "/run/systemd/resolve/resolv.conf";
/// The host's file.
pub const PATH: &str = "/etc/resolv.conf";

/// The path of the host's file worth reading: systemd's own list when `/etc/resolv.conf` only names its forwarder.
pub fn choose_path(host_file: &str) -> &'static str {
    let servers = Content::parse(host_file).servers;
    if servers.as_slice() == ["127.0.0.53"] { SYSTEMD_PATH } else { PATH }
}

#[derive(Debug, Default)]
struct Content {
    servers: Vec<String>,
    search: Vec<String>,
    options: Vec<String>,
    other: Vec<String>,
    invalid: Vec<String>,
}

impl Content {
    fn parse(text: &str) -> Self {
        let mut content = Self::default();
        for line in text.lines() {
            let mut words = line.split_whitespace();
            let rest = |words: std::str::SplitWhitespace<'_>| words.map(str::to_owned).collect::<Vec<_>>();
            match words.next() {
                None => {}
                Some(comment) if comment.starts_with(['#', ';']) => {}
                Some("nameserver") => match words.next() {
                    Some(server) if is_address(server) => content.servers.push(server.to_owned()),
                    Some(other) => content.invalid.push(other.to_owned()),
                    None => {}
                },
                // The last of these counts, as for the C library.
                Some("domain") | Some("search") => content.search = rest(words),
                Some("options") => content.options.extend(rest(words)),
                Some(_) => content.other.push(line.to_owned()),
            }
        }
        content
    }
}

fn is_address(text: &str) -> bool {
    address(text).is_some()
}

/// An address, its IPv6 zone left aside.
fn address(text: &str) -> Option<IpAddr> {
    text.split('%').next().and_then(|address| address.parse().ok())
}

fn is_loopback(server: &str) -> bool {
    address(server).is_some_and(|address| address.is_loopback())
}

fn is_v6(server: &str) -> bool {
    address(server).is_some_and(|address| address.is_ipv6())
}

fn public_servers(ipv6: bool) -> Vec<String> {
    let v6: &[&str] = if ipv6 { &PUBLIC_V6 } else { &[] };
    PUBLIC_V4.iter().chain(v6).map(|server| (*server).to_owned()).collect()
}

/// The servers the engine's own server has to ask for a container on a user-defined network. Loopback ones are reached
/// from the host's namespace.
pub fn outer_servers(request: &ResolvConfRequest<'_>) -> Vec<String> {
    let servers = if request.servers.is_empty() {
        Content::parse(request.host_file).servers
    } else {
        request.servers.to_vec()
    };
    if servers.is_empty() { public_servers(request.ipv6) } else { servers }
}

struct Origin {
    transform: &'static str,
    used_public: bool,
    outer: Vec<String>,
    overrides: Vec<&'static str>,
    ndots_from: Option<&'static str>,
}

/// The file's text.
pub fn generate(request: &ResolvConfRequest<'_>) -> String {
    let mut content = Content::parse(request.host_file);
    let mut origin = Origin {
        transform: "",
        used_public: false,
        outer: Vec::new(),
        overrides: Vec::new(),
        ndots_from: has_ndots(&content.options).then_some("host"),
    };
    override_content(request, &mut content, &mut origin);
    match request.resolver {
        Resolver::Host => {}
        Resolver::Legacy => {
            origin.transform = "legacy";
            if request.servers.is_empty() {
                content.servers.retain(|server| !is_loopback(server) && (request.ipv6 || !is_v6(server)));
                if content.servers.is_empty() {
                    content.servers = public_servers(request.ipv6);
                    origin.used_public = true;
                }
            }
        }
        Resolver::Internal => use_internal(request, &mut content, &mut origin),
    }
    print(request, &content, &origin)
}

fn has_ndots(options: &[String]) -> bool {
    options.iter().any(|option| option.starts_with("ndots:"))
}

fn override_content(request: &ResolvConfRequest<'_>, content: &mut Content, origin: &mut Origin) {
    if !request.servers.is_empty() {
        content.servers = request.servers.to_vec();
        origin.overrides.push("nameservers");
    }
    if !request.search.is_empty() {
        content.search = if request.search == ["."] { Vec::new() } else { request.search.to_vec() };
        origin.overrides.push("search");
    }
    if !request.options.is_empty() {
        content.options = request.options.to_vec();
        origin.overrides.push("options");
        origin.ndots_from = has_ndots(&content.options).then_some("override");
    }
}

fn use_internal(request: &ResolvConfRequest<'_>, content: &mut Content, origin: &mut Origin) {
    origin.transform = "internal resolver";
    origin.used_public = content.servers.is_empty();
    let from_host = request.servers.is_empty();
    origin.outer = outer_servers(request)
        .into_iter()
        .map(|server| if from_host && is_loopback(&server) { format!("host({server})") } else { server })
        .collect();
    content.servers = vec![INTERNAL_SERVER.to_owned()];
    if !has_ndots(&content.options) {
        content.options.push("ndots:0".to_owned());
        origin.ndots_from = Some("internal");
    }
}

fn print(request: &ResolvConfRequest<'_>, content: &Content, origin: &Origin) -> String {
    let mut lines = vec![
        "# Generated by Docker Engine.".to_owned(),
        "# This file can be edited; Docker Engine will not make further changes once it".to_owned(),
        "# has been modified.".to_owned(),
        String::new(),
    ];
    lines.extend(content.servers.iter().map(|server| format!("nameserver {server}")));
    for (key, values) in [("search", &content.search), ("options", &content.options)] {
        if !values.is_empty() {
            lines.push(format!("{key} {}", values.join(" ")));
        }
    }
    lines.extend(content.other.iter().cloned());
    lines.push(String::new());
    let transform = match origin.transform {
        "" => String::new(),
        transform => format!(" ({transform})"),
    };
    lines.push(format!("# Based on host file: '{}'{transform}", request.host_path));
    if origin.used_public {
        lines.push("# Used default nameservers.".to_owned());
    }
    if !origin.outer.is_empty() {
        lines.push(format!("# ExtServers: [{}]", origin.outer.join(" ")));
    }
    if !content.invalid.is_empty() {
        lines.push(format!("# Invalid nameservers: [{}]", content.invalid.join(" ")));
    }
    lines.push(format!("# Overrides: [{}]", origin.overrides.join(" ")));
    lines.extend(origin.ndots_from.map(|from| format!("# Option ndots from: {from}")));
    lines.push(String::new());
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "# Generated by Docker Engine.\n# This file can be edited; Docker Engine will not make \
                        further changes once it\n# has been modified.\n\n";

    fn strings(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    fn check(host: &str, resolver: Resolver, given: [&[&str]; 3], expected: &str) {
        let [servers, search, options] = given.map(strings);
        let request = ResolvConfRequest {
            host_file: host,
            host_path: PATH,
            resolver,
            servers: &servers,
            search: &search,
            options: &options,
            ipv6: false,
        };
        assert_eq!(generate(&request), format!("{HEAD}{expected}"));
    }

    /// Compared with what Docker 26.1 writes for the same arguments.
    #[test]
    fn the_file_is_dockers() {
        let host = "nameserver 10.255.255.53\n";
        let none: [&[&str]; 3] = [&[], &[], &[]];
        check(
            host,
            Resolver::Legacy,
            none,
            "nameserver 10.255.255.53\n\n# Based on host file: '/etc/resolv.conf' (legacy)\n# Overrides: []\n",
        );
        check(
            host,
            Resolver::Host,
            [&["1.1.1.1"], &[], &[]],
            "nameserver 1.1.1.1\n\n# Based on host file: '/etc/resolv.conf'\n# Overrides: [nameservers]\n",
        );
        check(
            host,
            Resolver::Legacy,
            [&["8.8.8.8", "2001:4860:4860::8888"], &["example.com", "foo"], &["ndots:3", "rotate"]],
            "nameserver 8.8.8.8\nnameserver 2001:4860:4860::8888\nsearch example.com foo\noptions ndots:3 rotate\n\n\
             # Based on host file: '/etc/resolv.conf' (legacy)\n# Overrides: [nameservers search options]\n\
             # Option ndots from: override\n",
        );
        check(
            "search a b\nnameserver 10.255.255.53\n",
            Resolver::Legacy,
            [&[], &["."], &[]],
            "nameserver 10.255.255.53\n\n# Based on host file: '/etc/resolv.conf' (legacy)\n# Overrides: [search]\n",
        );
        check(
            host,
            Resolver::Internal,
            [&["1.1.1.1"], &["q"], &[]],
            "nameserver 127.0.0.11\nsearch q\noptions ndots:0\n\n\
             # Based on host file: '/etc/resolv.conf' (internal resolver)\n# ExtServers: [1.1.1.1]\n\
             # Overrides: [nameservers search]\n# Option ndots from: internal\n",
        );
    }

    #[test]
    fn servers_a_container_cannot_reach_are_left_out() {
        check(
            "nameserver 127.0.0.53\nnameserver fd00::1\noptions edns0 ndots:2\n; note\nsortlist 1.2.3.4\n",
            Resolver::Legacy,
            [&[], &[], &[]],
            "nameserver 8.8.8.8\nnameserver 8.8.4.4\noptions edns0 ndots:2\nsortlist 1.2.3.4\n\n\
             # Based on host file: '/etc/resolv.conf' (legacy)\n# Used default nameservers.\n# Overrides: []\n\
             # Option ndots from: host\n",
        );
        assert_eq!(choose_path("nameserver 127.0.0.53\n"), SYSTEMD_PATH);
        assert_eq!(choose_path("nameserver 127.0.0.1\n"), PATH);
    }
}
