//! Where clients come in: unix sockets, TCP ports, sockets that a service manager opened.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::io::Errno;
use rustix::net::SocketFlags;

use crate::tls::TlsAcceptor;

/// First descriptor that a service manager passes.
const FIRST_INHERITED: RawFd = 3;

/// An address could not be listened on.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The system refused.
    #[error("failed to listen on {address}")]
    Bind {
        /// What was to be listened on.
        address: String,
        /// Why not.
        source: io::Error,
    },
    /// Another process serves the socket.
    #[error("failed to listen on {address}: another engine is listening there")]
    InUse {
        /// What was to be listened on.
        address: String,
    },
}

impl model::Kinded for ListenError {
    fn kind(&self) -> model::ErrorKind {
        model::ErrorKind::Unavailable
    }
}

/// A bound socket.
#[derive(Debug)]
pub struct Listener {
    socket: OwnedFd,
    /// The file this process made, with its device and inode.
    file: Option<(PathBuf, u64, u64)>,
    tls: Option<Arc<TlsAcceptor>>,
    is_tcp: bool,
}

impl Listener {
    /// Listens on a unix socket of mode 0660 that belongs to `group`; a file that nobody serves is replaced.
    ///
    /// # Errors
    /// When the path can't be made, or somebody serves it.
    pub fn unix(path: &Path, group: Option<u32>) -> Result<Self, ListenError> {
        let address = format!("unix://{}", path.display());
        let failed = |source| ListenError::Bind { address: address.clone(), source };
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).map_err(failed)?;
        }
        let is_socket = std::fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket());
        if is_socket {
            if UnixStream::connect(path).is_ok() {
                return Err(ListenError::InUse { address });
            }
            std::fs::remove_file(path).map_err(failed)?;
        }
        let listener = UnixListener::bind(path).map_err(failed)?;
        std::os::unix::fs::chown(path, None, group).map_err(failed)?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660)).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let made = std::fs::symlink_metadata(path).map_err(failed)?;
        let file = Some((path.to_owned(), made.dev(), made.ino()));
        Ok(Self { socket: listener.into(), file, tls: None, is_tcp: false })
    }

    /// Listens on a TCP address, with TLS when an acceptor is given.
    ///
    /// # Errors
    /// When the address can't be bound.
    pub fn tcp(address: SocketAddr, tls: Option<Arc<TlsAcceptor>>) -> Result<Self, ListenError> {
        let failed = |source| ListenError::Bind { address: format!("tcp://{address}"), source };
        let listener = TcpListener::bind(address).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        Ok(Self { socket: listener.into(), file: None, tls, is_tcp: true })
    }

    /// Takes over a listening socket that this process was started with.
    ///
    /// # Errors
    /// When it is none.
    pub fn from_inherited(socket: OwnedFd, tls: Option<Arc<TlsAcceptor>>) -> Result<Self, ListenError> {
        let failed = |source: Errno| ListenError::Bind { address: "fd://".to_owned(), source: source.into() };
        if !rustix::net::sockopt::socket_acceptconn(&socket).map_err(failed)? {
            return Err(failed(Errno::INVAL));
        }
        let is_tcp =
            rustix::net::sockopt::socket_domain(&socket).map_err(failed)? != rustix::net::AddressFamily::UNIX;
        rustix::io::ioctl_fionbio(&socket, true).map_err(failed)?;
        Ok(Self { socket, file: None, tls: tls.filter(|_| is_tcp), is_tcp })
    }

    /// The bound TCP address, which tells the port when 0 was asked for.
    pub fn local_address(&self) -> Option<SocketAddr> {
        if !self.is_tcp {
            return None;
        }
        rustix::net::getsockname(&self.socket).ok().and_then(|address| SocketAddr::try_from(address).ok())
    }

    pub(crate) fn is_tcp(&self) -> bool {
        self.is_tcp
    }

    pub(crate) fn tls(&self) -> Option<Arc<TlsAcceptor>> {
        self.tls.clone()
    }

    /// The next connection, `None` when it was gone before we came.
    pub(crate) fn accept(&self) -> io::Result<Option<UnixStream>> {
        match rustix::net::accept_with(&self.socket, SocketFlags::CLOEXEC) {
            Ok(socket) => {
                if self.is_tcp {
                    // A client that can't have these is served without them.
                    let _ = rustix::net::sockopt::set_tcp_nodelay(&socket, true);
                    let _ = rustix::net::sockopt::set_socket_keepalive(&socket, true);
                }
                Ok(Some(UnixStream::from(socket)))
            }
            Err(Errno::AGAIN | Errno::CONNABORTED | Errno::INTR | Errno::PROTO) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Drop for Listener {
    /// Removes the socket's file, unless another engine has replaced it meanwhile.
    fn drop(&mut self) {
        let Some((path, device, inode)) = &self.file else { return };
        let ours = std::fs::symlink_metadata(path)
            .is_ok_and(|found| found.dev() == *device && found.ino() == *inode);
        if ours {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Takes over the sockets a service manager passed: `count` of them, starting with descriptor 3.
///
/// # Errors
/// When a descriptor is missing. Call once: each call takes ownership.
pub fn inherited(count: usize) -> io::Result<Vec<OwnedFd>> {
    (FIRST_INHERITED..)
        .take(count)
        .map(|number| {
            let socket = linux::descriptor::inherited(number)?;
            rustix::io::fcntl_setfd(&socket, rustix::io::FdFlags::CLOEXEC)?;
            Ok(socket)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("wharf-listener-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        path
    }

    #[test]
    fn stale_sockets_are_replaced_and_live_ones_respected() {
        let folder = folder("stale");
        let path = folder.join("a.sock");
        drop(UnixListener::bind(&path).unwrap());
        let listener = Listener::unix(&path, None).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o660);
        assert!(matches!(Listener::unix(&path, None), Err(ListenError::InUse { .. })));
        drop(listener);
        assert!(!path.exists());
        std::fs::write(&path, "a file").unwrap();
        assert!(matches!(Listener::unix(&path, None), Err(ListenError::Bind { .. })));
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn sockets_of_others_stay() {
        let folder = folder("others");
        let path = folder.join("a.sock");
        let first = Listener::unix(&path, None).unwrap();
        std::fs::remove_file(&path).unwrap();
        let _second = Listener::unix(&path, None).unwrap();
        drop(first);
        assert!(path.exists());
        std::fs::remove_dir_all(folder).unwrap();
    }
}
