//! The few URLs registries use: scheme, host, port, path with query.

use std::net::IpAddr;

/// Where requests go: a connection is made to exactly this.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Origin {
    /// Whether it is spoken to through TLS.
    pub tls: bool,
    /// Host name or address, without brackets, in lower case.
    pub host: String,
    /// Port.
    pub port: u16,
}

/// An absolute http or https URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Url {
    /// Scheme, host and port.
    pub origin: Origin,
    /// Path and query; starts with `/`.
    pub path: String,
}

/// Bytes of a URL that are taken from an answer.
const LONGEST: usize = 32 * 1024;

impl Origin {
    /// Host and port as a connection needs them.
    pub fn address(&self) -> String {
        format!("{}:{}", self.bracketed(), self.port)
    }

    /// The host as it stands in a URL: without its usual port.
    pub fn authority(&self) -> String {
        let usual = if self.tls { 443 } else { 80 };
        if self.port == usual { self.bracketed() } else { self.address() }
    }

    /// `https://host:port`
    pub fn text(&self) -> String {
        format!("{}://{}", if self.tls { "https" } else { "http" }, self.authority())
    }

    /// Whether it is this machine, or a place only this machine's network can reach by that very address: what
    /// somebody else's answer must not send us to.
    pub fn is_local(&self) -> bool {
        is_loopback(&self.host)
            || match self.host.parse() {
                Ok(IpAddr::V4(address)) => address.is_link_local() || address.is_unspecified(),
                Ok(IpAddr::V6(address)) => {
                    address.is_unspecified() || (address.segments()[0] & 0xffc0) == 0xfe80
                }
                Err(_) => false,
            }
    }

    fn bracketed(&self) -> String {
        if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() }
    }
}

/// Whether a host is this machine: `localhost`, 127.0.0.0/8, ::1.
pub fn is_loopback(host: &str) -> bool {
    if host.eq_ignore_ascii_case("localhost") || host.to_ascii_lowercase().ends_with(".localhost") {
        return true;
    }
    match host.parse() {
        Ok(IpAddr::V4(address)) => address.is_loopback(),
        Ok(IpAddr::V6(address)) => {
            address.is_loopback() || address.to_ipv4_mapped().is_some_and(|address| address.is_loopback())
        }
        Err(_) => false,
    }
}

impl Url {
    /// Reads an absolute URL; user names and fragments have no place in it.
    pub fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = text.split_once("://").filter(|_| text.len() <= LONGEST)?;
        let tls = match scheme.to_ascii_lowercase().as_str() {
            "https" => true,
            "http" => false,
            _ => return None,
        };
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, rest) = rest.split_at(end);
        let (host, port) = split_authority(authority, if tls { 443 } else { 80 })?;
        Some(Self { origin: Origin { tls, host, port }, path: clean_path(rest)? })
    }

    /// What a `Location` means that came for a request to this URL.
    pub fn join(&self, location: &str) -> Option<Self> {
        if location.contains("://") && !location.starts_with(['/', '?']) {
            return Self::parse(location);
        }
        if let Some(rest) = location.strip_prefix("//") {
            return Self::parse(&format!("{}://{rest}", if self.origin.tls { "https" } else { "http" }));
        }
        let own = self.path.split('?').next().unwrap_or_default();
        let path = if location.starts_with('/') {
            location.to_owned()
        } else if location.starts_with('?') {
            format!("{own}{location}")
        } else {
            let folder = own.rsplit_once('/').map_or("", |(folder, _)| folder);
            format!("{folder}/{location}")
        };
        Some(Self { origin: self.origin.clone(), path: clean_path(&path)? })
    }

    /// The same with another parameter in the query.
    #[must_use]
    pub fn with_query(mut self, name: &str, value: &str) -> Self {
        self.path.push(if self.path.contains('?') { '&' } else { '?' });
        self.path.push_str(name);
        self.path.push('=');
        self.path.push_str(&escape(value));
        self
    }
}

impl std::fmt::Display for Url {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{}{}", self.origin.text(), self.path)
    }
}

/// Host and port; `None` for anything that is no host name or address.
pub(crate) fn split_authority(authority: &str, usual: u16) -> Option<(String, u16)> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']')?;
            host.parse::<std::net::Ipv6Addr>().ok()?;
            (host, if rest.is_empty() { None } else { Some(rest.strip_prefix(':')?) })
        }
        None => match authority.rsplit_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
    let named = !host.is_empty() && host.len() <= 255 && host.bytes().all(fits);
    if !named && !authority.starts_with('[') {
        return None;
    }
    let port = match port {
        Some(text) if !text.is_empty() => text.parse().ok().filter(|port| *port > 0)?,
        _ => usual,
    };
    Some((host.to_ascii_lowercase(), port))
}

/// Path and query as they go into a request line: nothing that could end it, no fragment.
fn clean_path(text: &str) -> Option<String> {
    let text = text.split('#').next().unwrap_or_default();
    let text = if text.starts_with('/') { text.to_owned() } else { format!("/{text}") };
    let fits = text.len() <= LONGEST && text.bytes().all(|byte| byte > b' ' && byte != 0x7f);
    fits.then_some(text)
}

/// Escapes a value for a query.
pub fn escape(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read_and_joined() {
        for (text, expected) in [
            ("https://a.b", Some("https://a.b/")),
            ("http://A.b:80/x?y#z", Some("http://a.b/x?y")),
            ("https://[::1]:5000/v2/", Some("https://[::1]:5000/v2/")),
            ("https://u@a.b/", None),
            ("https://a.b:0/", None),
            ("https:///x", None),
            ("ftp://a/", None),
            ("https://a b/", None),
            ("https://a/x\r\nHost: b", None),
            ("https://[::x]/", None),
        ] {
            assert_eq!(Url::parse(text).map(|url| url.to_string()).as_deref(), expected, "{text}");
        }
        let base = Url::parse("https://h:1/v2/a/blobs/uploads/?x=1").unwrap();
        for (location, expected) in [
            ("/v2/y?s=1", Some("https://h:1/v2/y?s=1")),
            ("z", Some("https://h:1/v2/a/blobs/uploads/z")),
            ("?k=v", Some("https://h:1/v2/a/blobs/uploads/?k=v")),
            ("//o/p", Some("https://o/p")),
            ("http://o/p", Some("http://o/p")),
            ("/x?next=http://y/", Some("https://h:1/x?next=http://y/")),
            ("gopher://o/p", None),
        ] {
            assert_eq!(base.join(location).map(|url| url.to_string()).as_deref(), expected, "{location}");
        }
        assert_eq!(
            base.with_query("digest", "sha256:a b").path,
            "/v2/a/blobs/uploads/?x=1&digest=sha256%3Aa%20b"
        );
    }

    #[test]
    fn local_places() {
        for (host, local) in [
            ("localhost", true),
            ("127.9.9.9", true),
            ("::1", true),
            ("::ffff:127.0.0.1", true),
            ("0.0.0.0", true),
            ("169.254.169.254", true),
            ("fe80::1", true),
            ("10.0.0.1", false),
            ("example.org", false),
        ] {
            let origin = Origin { tls: true, host: host.to_owned(), port: 443 };
            assert_eq!(origin.is_local(), local, "{host}");
        }
    }
}
