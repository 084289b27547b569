//! Where an engine listens, from texts like `unix:///run/wharf.sock`, `tcp://host:2376`, `ssh://user@host`.

use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use super::remote::Remote;
use super::{Patience, Socket, TlsFiles, ssh, tls};

/// An address that requests can be sent to.
#[derive(Debug, Clone)]
pub enum Endpoint {
    /// A unix socket.
    Unix(PathBuf),
    /// Plain TCP; `host:port`.
    Tcp(String),
    /// TLS over TCP; `host:port`.
    Tls(String, TlsFiles),
    /// `ssh DESTINATION docker system dial-stdio`; the arguments before the remote command.
    Ssh(ssh::Destination),
    /// A server on the network that is not an engine.
    Remote(Remote),
}

/// A text is no address of an engine.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum EndpointError {
    /// Not one of the known schemes.
    #[error("invalid bind address format: {0}")]
    Scheme(String),
    /// `unable to parse docker host`: no `://` in it.
    #[error("unable to parse docker host `{0}`")]
    NoScheme(String),
    /// A port that is no number, or an ssh URL with a password or path.
    #[error("{0}")]
    Part(String),
}

impl model::Kinded for EndpointError {
    fn kind(&self) -> model::ErrorKind {
        model::ErrorKind::Invalid
    }
}

const PLAIN_PORT: u16 = 2375;
const TLS_PORT: u16 = 2376;

impl Endpoint {
    /// Parses the text of `-H` or `DOCKER_HOST`; with `tls`, TCP addresses are spoken to through TLS.
    ///
    /// # Errors
    /// When the scheme is unknown or the address can't be read.
    pub fn parse(text: &str, tls: Option<&TlsFiles>) -> Result<Self, EndpointError> {
        let Some((scheme, rest)) = text.split_once("://") else {
            return Err(EndpointError::NoScheme(text.to_owned()));
        };
        match scheme {
            "unix" => Ok(Self::Unix(PathBuf::from(rest))),
            "tcp" | "http" | "https" => {
                let address = rest.split('/').next().unwrap_or_default();
                let port = if tls.is_some() { TLS_PORT } else { PLAIN_PORT };
                let address = with_port(address, port);
                Ok(match tls {
                    Some(files) => Self::Tls(address, files.clone()),
                    None => Self::Tcp(address),
                })
            }
            "ssh" => ssh::Destination::parse(rest).map(Self::Ssh).map_err(EndpointError::Part),
            _ => Err(EndpointError::Scheme(text.to_owned())),
        }
    }

    /// The value of the Host header, a dummy where no name exists.
    pub fn host_header(&self) -> &str {
        match self {
            Self::Unix(_) | Self::Ssh(_) => "api.moby.localhost",
            Self::Tcp(address) | Self::Tls(address, _) => address,
            Self::Remote(remote) => {
                let usual = if remote.tls.is_some() { ":443" } else { ":80" };
                remote.address.strip_suffix(usual).unwrap_or(&remote.address)
            }
        }
    }

    /// What stands before the path in a request line.
    pub(super) fn target_prefix(&self) -> String {
        match self {
            Self::Remote(remote) => remote.target_prefix(),
            _ => String::new(),
        }
    }

    /// How requests prove themselves to a proxy that reads them.
    pub(super) fn proxy_header(&self) -> Option<&str> {
        match self {
            Self::Remote(remote) => remote.proxy_header(),
            _ => None,
        }
    }

    /// How long answers may take, where that is bounded.
    pub(super) fn patience(&self) -> Option<Patience> {
        match self {
            Self::Remote(remote) => Some(remote.patience),
            _ => None,
        }
    }

    /// Opens a connection.
    ///
    /// # Errors
    /// What the kernel, the TLS handshake or the ssh program reports.
    pub fn connect(&self) -> std::io::Result<Socket> {
        match self {
            Self::Unix(path) => Ok(Socket::new(OwnedFd::from(UnixStream::connect(path)?))),
            Self::Tcp(address) => {
                let stream = TcpStream::connect(address.as_str())?;
                stream.set_nodelay(true)?;
                Ok(Socket::new(OwnedFd::from(stream)))
            }
            Self::Tls(address, files) => tls::connect(address, files).map_err(std::io::Error::other),
            Self::Ssh(destination) => destination.connect(),
            Self::Remote(remote) => remote.connect(),
        }
    }
}

fn with_port(address: &str, port: u16) -> String {
    let host_end = address.rfind(']').map_or(0, |index| index + 1);
    if address[host_end..].contains(':') {
        return address.to_owned();
    }
    let host = if address.is_empty() { "127.0.0.1" } else { address };
    format!("{host}:{port}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_get_their_ports() {
        for (text, address) in [
            ("tcp://127.0.0.1", "127.0.0.1:2375"),
            ("tcp://h:1", "h:1"),
            ("tcp://[::1]", "[::1]:2375"),
            ("tcp://[::1]:5/x", "[::1]:5"),
            ("tcp://", "127.0.0.1:2375"),
        ] {
            let Ok(Endpoint::Tcp(found)) = Endpoint::parse(text, None) else { panic!("{text}") };
            assert_eq!(found, address);
        }
    }

    #[test]
    fn unknown_schemes_are_refused() {
        assert_eq!(
            Endpoint::parse("foo://x", None).unwrap_err().to_string(),
            "invalid bind address format: foo://x"
        );
        assert_eq!(
            Endpoint::parse("nonsense", None).unwrap_err().to_string(),
            "unable to parse docker host `nonsense`"
        );
    }
}
