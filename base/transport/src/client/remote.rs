//! A server somewhere on the network: through TLS, through a proxy, and with bounds on how long anything may take.

use std::io::{Error, ErrorKind, Read, Result, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use super::tls::{self, TlsClient};
use super::{Head, Socket};

/// A server that is not trusted to answer, nor to answer in time.
#[derive(Debug, Clone)]
pub struct Remote {
    /// `host:port`.
    pub address: String,
    /// How TLS is spoken; plain HTTP without.
    pub tls: Option<Arc<TlsClient>>,
    /// What stands between.
    pub proxy: Option<Proxy>,
    /// How long things may take.
    pub patience: Patience,
}

/// An HTTP proxy.
#[derive(Debug, Clone)]
pub struct Proxy {
    /// `host:port`.
    pub address: String,
    /// How TLS is spoken with the proxy itself.
    pub tls: Option<Arc<TlsClient>>,
    /// Value of `Proxy-Authorization`.
    pub authorization: Option<ProxyAuthorization>,
}

/// A header's value that is never printed.
#[derive(Clone)]
pub struct ProxyAuthorization(pub String);

impl std::fmt::Debug for ProxyAuthorization {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("ProxyAuthorization")
    }
}

/// How long to wait for a server.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// For a connection, to each address of a name.
    pub connect: Duration,
    /// For the next byte, in both directions.
    pub idle: Duration,
    /// For a whole answer head.
    pub head: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(30),
            idle: Duration::from_secs(60),
            head: Duration::from_secs(120),
        }
    }
}

impl Remote {
    /// What stands before the path of a request: the whole URL for a proxy that is not tunnelled through.
    pub(super) fn target_prefix(&self) -> String {
        match (&self.proxy, &self.tls) {
            (Some(_), None) => format!("http://{}", self.address),
            _ => String::new(),
        }
    }

    /// The header for such a proxy.
    pub(super) fn proxy_header(&self) -> Option<&str> {
        let proxy = self.proxy.as_ref().filter(|_| self.tls.is_none())?;
        proxy.authorization.as_ref().map(|value| value.0.as_str())
    }

    pub(super) fn connect(&self) -> Result<Socket> {
        let socket = match &self.proxy {
            None => return self.shake_hands(dial(&self.address, self.patience)?),
            Some(proxy) => proxy.connect(self.patience)?,
        };
        if self.tls.is_none() {
            return Ok(socket);
        }
        self.tunnel(&socket)?;
        let stream = std::os::unix::net::UnixStream::from(socket.try_clone_owned()?);
        self.shake_hands(stream)
    }

    fn shake_hands(&self, stream: impl tls::Carrier) -> Result<Socket> {
        match &self.tls {
            None => Ok(Socket::new(stream.into())),
            Some(client) => {
                let socket = client.bridge(host_of(&self.address), stream).map_err(Error::other)?;
                set_patience(&socket, self.patience)?;
                Ok(socket)
            }
        }
    }

    fn tunnel(&self, socket: &Socket) -> Result<()> {
        let address = &self.address;
        let mut request = format!("CONNECT {address} HTTP/1.1\r\nHost: {address}\r\n");
        if let Some(value) = self.proxy.as_ref().and_then(|proxy| proxy.authorization.as_ref()) {
            request.push_str("Proxy-Authorization: ");
            request.push_str(&value.0);
            request.push_str("\r\n");
        }
        request.push_str("\r\n");
        let mut stream = socket;
        stream.write_all(request.as_bytes())?;
        // Byte by byte: what follows the head belongs to the tunnel.
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") {
            if head.len() > 16 * 1024 {
                return Err(Error::new(ErrorKind::InvalidData, "the proxy's answer is too long"));
            }
            stream.read_exact(&mut byte)?;
            head.extend_from_slice(&byte);
        }
        let status = Head::parse(&head).ok().flatten().map_or(0, |(head, _)| head.status);
        if status == 200 {
            return Ok(());
        }
        Err(Error::other(format!("proxyconnect tcp: the proxy answered {status}")))
    }
}

impl Proxy {
    fn connect(&self, patience: Patience) -> Result<Socket> {
        let spoken = |error: Error| Error::new(error.kind(), format!("proxyconnect tcp: {error}"));
        let stream = dial(&self.address, patience).map_err(spoken)?;
        let Some(client) = &self.tls else { return Ok(Socket::new(OwnedFd::from(stream))) };
        let socket =
            client.bridge(host_of(&self.address), stream).map_err(|error| spoken(Error::other(error)))?;
        set_patience(&socket, patience)?;
        Ok(socket)
    }
}

fn host_of(address: &str) -> &str {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    host.trim_start_matches('[').trim_end_matches(']')
}

/// Connects to the first address of a name that answers; errors in Go's words, which people look for.
fn dial(address: &str, patience: Patience) -> Result<TcpStream> {
    let unknown = |error: Error| {
        Error::new(error.kind(), format!("dial tcp: lookup {}: no such host", host_of(address)))
    };
    let mut failure = None;
    for place in address.to_socket_addrs().map_err(unknown)? {
        match TcpStream::connect_timeout(&place, patience.connect) {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                stream.set_read_timeout(Some(patience.idle))?;
                stream.set_write_timeout(Some(patience.idle))?;
                return Ok(stream);
            }
            Err(error) => {
                let why = match error.kind() {
                    ErrorKind::ConnectionRefused => "connect: connection refused".to_owned(),
                    ErrorKind::TimedOut => "i/o timeout".to_owned(),
                    ErrorKind::HostUnreachable => "connect: no route to host".to_owned(),
                    ErrorKind::NetworkUnreachable => "connect: network is unreachable".to_owned(),
                    _ => format!("connect: {error}"),
                };
                failure.get_or_insert_with(|| Error::new(error.kind(), format!("dial tcp {place}: {why}")));
            }
        }
    }
    Err(failure.unwrap_or_else(|| unknown(ErrorKind::NotFound.into())))
}

fn set_patience(socket: &Socket, patience: Patience) -> Result<()> {
    use rustix::net::sockopt::{Timeout, set_socket_timeout};
    for direction in [Timeout::Recv, Timeout::Send] {
        set_socket_timeout(socket, direction, Some(patience.idle))?;
    }
    Ok(())
}
