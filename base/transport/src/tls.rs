//! TLS towards clients: certificates, and one thread per connection that bridges to a plain socket pair.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection};

/// Decrypted bytes that may wait for the plain side.
const MAX_PENDING: usize = 256 * 1024;
/// A handshake that takes longer is given up.
const HANDSHAKE_PATIENCE: Duration = Duration::from_secs(30);
/// What is left for the client when the plain side has ended has to be taken within this time.
const LEAVING_PATIENCE: rustix::time::Timespec = rustix::time::Timespec { tv_sec: 60, tv_nsec: 0 };

/// TLS could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsSetupError {
    /// A certificate or key can't be read.
    #[error("could not read {}: {reason}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The certificate, key and authority don't make a configuration.
    #[error("invalid TLS configuration")]
    Protocol(#[from] rustls::Error),
    /// No client could ever prove itself.
    #[error("invalid TLS certificate authority {}: {reason}", path.display())]
    Authority {
        /// Which file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}

impl model::Kinded for TlsSetupError {
    fn kind(&self) -> model::ErrorKind {
        model::ErrorKind::Invalid
    }
}

/// Accepts TLS connections with one certificate.
#[derive(Debug)]
pub struct TlsAcceptor {
    config: RwLock<Arc<ServerConfig>>,
}

impl TlsAcceptor {
    /// Reads certificate and key; with `client_authority`, clients have to show a certificate it signed.
    ///
    /// # Errors
    /// When a file can't be used.
    pub fn load(
        certificate: &Path,
        key: &Path,
        client_authority: Option<&Path>,
    ) -> Result<Self, TlsSetupError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()?;
        let builder = match client_authority {
            None => builder.with_no_client_auth(),
            Some(path) => {
                let mut roots = RootCertStore::empty();
                for authority in certificates(path)? {
                    roots.add(authority)?;
                }
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().map_err(
                        |error| TlsSetupError::Authority { path: path.to_owned(), reason: error.to_string() },
                    )?;
                builder.with_client_cert_verifier(verifier)
            }
        };
        let secret = PrivateKeyDer::from_pem_file(key)
            .map_err(|error| TlsSetupError::File { path: key.to_owned(), reason: error.to_string() })?;
        let config = Arc::new(builder.with_single_cert(certificates(certificate)?, secret)?);
        Ok(Self { config: RwLock::new(config) })
    }

    /// Takes over another's certificate; connections there are keep the one they began with.
    pub fn replace(&self, other: Self) {
        let fresh = other.config.into_inner().unwrap_or_else(PoisonError::into_inner);
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = fresh;
    }

    /// Shakes hands and returns the plain side; a thread moves bytes until both sides are closed.
    ///
    /// # Errors
    /// When the client has no valid certificate, or is gone.
    pub fn accept(&self, client: UnixStream) -> io::Result<UnixStream> {
        let mut session =
            ServerConnection::new(Arc::clone(&self.config.read().unwrap_or_else(PoisonError::into_inner)))
                .map_err(io::Error::other)?;
        client.set_read_timeout(Some(HANDSHAKE_PATIENCE))?;
        let mut stream = Hasty { client: &client, end: Instant::now() + HANDSHAKE_PATIENCE };
        let mut first = [0];
        rustix::net::recv(&client, &mut first, rustix::net::RecvFlags::PEEK)?;
        // A handshake starts with a control character, a request with its method.
        if first[0].is_ascii_uppercase() {
            return Err(answer_plain(&client));
        }
        while session.is_handshaking() {
            if let Err(error) = session.complete_io(&mut stream) {
                // The alert tells the client why, when there is one.
                let _ = session.write_tls(&mut stream);
                return Err(error);
            }
        }
        client.set_read_timeout(None)?;
        let (ours, plain) = UnixStream::pair()?;
        client.set_nonblocking(true)?;
        ours.set_nonblocking(true)?;
        let pump = Pump { session, client, plain: ours, pending: Vec::new(), ends: Ends::default() };
        std::thread::Builder::new().name("tls".to_owned()).stack_size(128 * 1024).spawn(move || {
            // A broken connection ends the bridge, which both sides see.
            let _ = pump.run();
        })?;
        Ok(plain)
    }
}

/// A client that shakes hands: however often it sends a little, it has to be done at the end.
struct Hasty<'c> {
    client: &'c UnixStream,
    end: Instant,
}

impl Read for Hasty<'_> {
    fn read(&mut self, output: &mut [u8]) -> io::Result<usize> {
        if Instant::now() > self.end {
            return Err(io::ErrorKind::TimedOut.into());
        }
        self.client.read(output)
    }
}

impl Write for Hasty<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.client.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsSetupError> {
    let unreadable = |error: rustls::pki_types::pem::Error| TlsSetupError::File {
        path: path.to_owned(),
        reason: error.to_string(),
    };
    CertificateDer::pem_file_iter(path).map_err(unreadable)?.collect::<Result<_, _>>().map_err(unreadable)
}

/// Which directions have ended.
#[derive(Debug, Default)]
struct Ends {
    /// The client sends no more.
    client: bool,
    /// The plain side was told so.
    plain_told: bool,
    /// The plain side sends no more.
    plain: bool,
    /// The client was told so.
    client_told: bool,
}

/// Moves bytes between a TLS session and a plain socket, each way with bounded memory.
struct Pump {
    session: ServerConnection,
    client: UnixStream,
    plain: UnixStream,
    /// Decrypted, not yet taken by the plain side.
    pending: Vec<u8>,
    ends: Ends,
}

impl Pump {
    fn run(mut self) -> io::Result<()> {
        self.decrypt()?;
        loop {
            self.flush_pending()?;
            self.flush_session()?;
            self.tell_ends()?;
            if self.ends.client_told && (self.ends.plain_told || self.plain_is_closed()) {
                return Ok(());
            }
            let (client, plain) = self.wait()?;
            if client {
                self.read_client()?;
            }
            if plain {
                self.read_plain()?;
            }
        }
    }

    /// Sleeps until something can be done; whether client and plain side have something to read.
    fn wait(&self) -> io::Result<(bool, bool)> {
        let mut client_wish = PollFlags::empty();
        client_wish.set(PollFlags::IN, !self.ends.client && self.pending.len() < MAX_PENDING);
        client_wish.set(PollFlags::OUT, self.session.wants_write());
        let mut plain_wish = PollFlags::empty();
        plain_wish.set(PollFlags::IN, !self.ends.plain && !self.session.wants_write());
        plain_wish.set(PollFlags::OUT, !self.pending.is_empty());
        let mut polled = [
            PollFd::from_borrowed_fd(self.client.as_fd(), client_wish),
            PollFd::from_borrowed_fd(self.plain.as_fd(), plain_wish),
        ];
        let patience = (self.ends.plain && self.session.wants_write()).then_some(&LEAVING_PATIENCE);
        loop {
            match poll(&mut polled, patience) {
                Ok(0) => return Err(io::ErrorKind::TimedOut.into()),
                Ok(_) => break,
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let closed = PollFlags::HUP | PollFlags::ERR;
        let [client, plain] = polled.map(|found| found.revents());
        if client.intersects(PollFlags::ERR) || (client.intersects(closed) && self.ends.client) {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        Ok((client.intersects(PollFlags::IN | closed), plain.intersects(PollFlags::IN | closed)))
    }

    fn plain_is_closed(&self) -> bool {
        let mut polled = [PollFd::from_borrowed_fd(self.plain.as_fd(), PollFlags::empty())];
        let now = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
        let found = poll(&mut polled, Some(&now)).unwrap_or(0);
        let [plain] = polled;
        found > 0 && plain.revents().intersects(PollFlags::HUP | PollFlags::ERR)
    }

    fn read_client(&mut self) -> io::Result<()> {
        if self.ends.client || self.pending.len() >= MAX_PENDING {
            return Ok(());
        }
        match self.session.read_tls(&mut self.client) {
            Ok(0) => self.ends.client = true,
            Ok(_) => self.decrypt()?,
            Err(error) if is_temporary(&error) => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn decrypt(&mut self) -> io::Result<()> {
        let state = self.session.process_new_packets().map_err(io::Error::other)?;
        let mut plain = vec![0u8; state.plaintext_bytes_to_read()];
        self.session.reader().read_exact(&mut plain)?;
        self.pending.append(&mut plain);
        self.ends.client |= state.peer_has_closed();
        Ok(())
    }

    fn read_plain(&mut self) -> io::Result<()> {
        if self.ends.plain || self.session.wants_write() {
            return Ok(());
        }
        let mut block = [0u8; 16 * 1024];
        match self.plain.read(&mut block) {
            Ok(0) => self.ends.plain = true,
            Ok(count) => self.session.writer().write_all(block.get(..count).unwrap_or_default())?,
            Err(error) if is_temporary(&error) => {}
            Err(_) => self.ends.plain = true,
        }
        Ok(())
    }

    fn flush_pending(&mut self) -> io::Result<()> {
        while !self.pending.is_empty() {
            match self.plain.write(&self.pending) {
                Ok(count) => drop(self.pending.drain(..count)),
                Err(error) if is_temporary(&error) => return Ok(()),
                // The plain side reads no more; its answer may still be on the way.
                Err(_) => self.pending.clear(),
            }
        }
        Ok(())
    }

    fn flush_session(&mut self) -> io::Result<()> {
        while self.session.wants_write() {
            match self.session.write_tls(&mut self.client) {
                Ok(_) => {}
                Err(error) if is_temporary(&error) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Passes the end of one side on to the other, once everything before it has been passed on.
    fn tell_ends(&mut self) -> io::Result<()> {
        if self.ends.client && self.pending.is_empty() && !self.ends.plain_told {
            self.ends.plain_told = true;
            let _ = self.plain.shutdown(Shutdown::Write);
        }
        if self.ends.plain && !self.ends.client_told && !self.session.wants_write() {
            self.ends.client_told = true;
            self.session.send_close_notify();
            self.flush_session()?;
            let _ = self.client.shutdown(Shutdown::Write);
        }
        Ok(())
    }
}

fn is_temporary(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

/// Tells a client that speaks plain HTTP so; what it sent is read first, so that the answer is not lost with it.
fn answer_plain(mut stream: &UnixStream) -> io::Error {
    const TEXT: &[u8] =
        b"HTTP/1.0 400 Bad Request\r\nConnection: close\r\n\r\nClient sent an HTTP request to an HTTPS server.\n";
    let _ = stream.read(&mut [0; 4096]);
    let _ = stream.write_all(TEXT);
    let _ = stream.shutdown(Shutdown::Both);
    io::Error::other("a client sent an HTTP request to an HTTPS server")
}
