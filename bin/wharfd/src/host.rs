//! Addresses to listen on: `unix://path`, `tcp://host:port`, `fd://`.

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;

/// Port of plain TCP.
const PLAIN_PORT: u16 = 2375;
/// Port of TCP with TLS.
const TLS_PORT: u16 = 2376;

/// One address to listen on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Host {
    /// A unix socket; the default one when there is no path.
    Unix(Option<PathBuf>),
    /// A host, and a port if one was given.
    Tcp(String, Option<u16>),
    /// Sockets that a service manager passed; by number when one is named.
    Inherited(Option<usize>),
}

impl Host {
    /// Reads an address; without a protocol it is TCP, and an empty one is the default socket.
    ///
    /// # Errors
    /// With dockerd's words.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let wrong = |why: &str| format!("invalid bind address ({text}): {why}");
        let trimmed = text.trim();
        let (protocol, rest) = match trimmed.split_once("://") {
            _ if trimmed.is_empty() => return Ok(Self::Unix(None)),
            Some(parts) => parts,
            None if trimmed == "unix" || trimmed == "fd" => (trimmed, ""),
            None => ("tcp", trimmed),
        };
        match protocol {
            "unix" if rest.is_empty() => Ok(Self::Unix(None)),
            "unix" if rest.contains("://") => Err(wrong("invalid proto, expected unix: ")),
            "unix" => Ok(Self::Unix(Some(PathBuf::from(rest)))),
            "fd" => match rest {
                "" | "*" => Ok(Self::Inherited(None)),
                number => Ok(Self::Inherited(Some(number.parse().map_err(|_| wrong("no such descriptor"))?))),
            },
            "tcp" => Self::parse_tcp(rest).map_err(wrong),
            "npipe" => Err(wrong("unsupported proto 'npipe'")),
            other => Err(wrong(&format!("unsupported proto '{other}'"))),
        }
    }

    fn parse_tcp(rest: &str) -> Result<Self, &'static str> {
        if rest.contains('/') {
            return Err("should not contain a path element");
        }
        let (host, port) = match rest.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => {
                let port = match port {
                    "" => None,
                    port => Some(port.parse::<u16>().map_err(|_| "invalid port")?),
                };
                (host, port)
            }
            _ => (rest, None),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        Ok(Self::Tcp(if host.is_empty() { "localhost".to_owned() } else { host.to_owned() }, port))
    }

    /// The addresses of a TCP host.
    ///
    /// # Errors
    /// When the name does not resolve.
    pub(crate) fn resolve(host: &str, port: Option<u16>, tls: bool) -> std::io::Result<Vec<SocketAddr>> {
        let port = port.unwrap_or(if tls { TLS_PORT } else { PLAIN_PORT });
        let mut found: Vec<SocketAddr> = (host, port).to_socket_addrs()?.collect();
        // A name with both families is served on the first one only, as dockerd does.
        found.truncate(1);
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_parse() {
        for (text, expected) in [
            ("", Ok(Host::Unix(None))),
            ("unix://", Ok(Host::Unix(None))),
            ("unix:///a/b", Ok(Host::Unix(Some("/a/b".into())))),
            ("fd://", Ok(Host::Inherited(None))),
            ("fd://3", Ok(Host::Inherited(Some(3)))),
            ("tcp://:2375", Ok(Host::Tcp("localhost".into(), Some(2375)))),
            ("tcp://[::1]:5", Ok(Host::Tcp("::1".into(), Some(5)))),
            ("tcp://0.0.0.0", Ok(Host::Tcp("0.0.0.0".into(), None))),
            ("127.0.0.1:80", Ok(Host::Tcp("127.0.0.1".into(), Some(80)))),
            ("foo://", Err("invalid bind address (foo://): unsupported proto 'foo'")),
            ("tcp://a/b", Err("invalid bind address (tcp://a/b): should not contain a path element")),
            ("tcp://a:70000", Err("invalid bind address (tcp://a:70000): invalid port")),
        ] {
            assert_eq!(Host::parse(text), expected.map_err(str::to_owned), "{text}");
        }
    }
}
