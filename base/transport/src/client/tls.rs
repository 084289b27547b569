//! TLS towards an engine, bridged by one thread to a socket pair so that the rest sees a plain descriptor.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustls::client::WantsClientCert;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, RootCertStore, SignatureScheme};

use super::Socket;
use super::socket::Fault;

/// Which certificates to use, and whether the engine's is checked.
#[derive(Debug, Clone, Default)]
pub struct TlsFiles {
    /// Authorities trusted to sign the engine's certificate; the machine's own ones when not given.
    pub ca: Option<PathBuf>,
    /// Our certificate, if the engine asks for one.
    pub cert: Option<PathBuf>,
    /// The key of our certificate.
    pub key: Option<PathBuf>,
    /// Whether the engine's certificate is not checked at all.
    pub skip_verify: bool,
}

/// A TLS connection could not be made.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A certificate or key can't be read.
    #[error("could not read {path}: {reason}")]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The name of the engine is no host name.
    #[error("{0:?} is not a host name")]
    Name(String),
    /// The protocol failed.
    #[error("tls: {0}")]
    Protocol(#[from] rustls::Error),
    /// The connection failed.
    #[error(transparent)]
    Connect(#[from] std::io::Error),
}

impl model::Kinded for TlsError {
    fn kind(&self) -> model::ErrorKind {
        model::ErrorKind::Unavailable
    }
}

/// A handshake that takes longer is given up.
const HANDSHAKE_PATIENCE: Duration = Duration::from_secs(30);

const SYSTEM_AUTHORITIES: [&str; 2] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt"];

/// A connected stream below TLS.
pub(super) trait Carrier: Read + Write + AsFd + Into<OwnedFd> + Send + 'static {
    /// Ends the limits on waiting: the bridge waits for both sides.
    fn wait_forever(&self) -> std::io::Result<()>;
}

impl Carrier for TcpStream {
    fn wait_forever(&self) -> std::io::Result<()> {
        self.set_read_timeout(None)
    }
}

impl Carrier for UnixStream {
    fn wait_forever(&self) -> std::io::Result<()> {
        self.set_read_timeout(None)
    }
}

/// How to speak TLS with servers; certificates are read once.
#[derive(Debug, Clone)]
pub struct TlsClient(Arc<ClientConfig>);

impl TlsClient {
    /// Trusts the machine's authorities and those of the files; shows the first certificate given.
    ///
    /// # Errors
    /// When a file cannot be used.
    pub fn new(authorities: &[PathBuf], identity: Option<(&Path, &Path)>) -> Result<Self, TlsError> {
        let mut store = self::authorities(None)?;
        for path in authorities {
            store.add_parsable_certificates(certificates(path)?);
        }
        with_identity(builder()?.with_root_certificates(store), identity).map(|config| Self(Arc::new(config)))
    }

    /// Takes any certificate.
    ///
    /// # Errors
    /// When the certificate to show cannot be used.
    pub fn unverified(identity: Option<(&Path, &Path)>) -> Result<Self, TlsError> {
        with_identity(unverified()?, identity).map(|config| Self(Arc::new(config)))
    }

    /// Shakes hands, then leaves a pump thread between TLS and the returned socket.
    pub(super) fn bridge(&self, host: &str, network: impl Carrier) -> Result<Socket, TlsError> {
        bridge(Arc::clone(&self.0), host, network)
    }
}

/// Connects and shakes hands.
pub(super) fn connect(address: &str, files: &TlsFiles) -> Result<Socket, TlsError> {
    let config = Arc::new(configuration(files)?);
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let network = TcpStream::connect(address)?;
    network.set_nodelay(true)?;
    bridge(config, host, network)
}

fn bridge(config: Arc<ClientConfig>, host: &str, mut network: impl Carrier) -> Result<Socket, TlsError> {
    let name = ServerName::try_from(host.to_owned()).map_err(|_| TlsError::Name(host.to_owned()))?;
    let mut session = ClientConnection::new(config, name)?;
    let deadline = Instant::now() + HANDSHAKE_PATIENCE;
    while session.is_handshaking() {
        if Instant::now() > deadline {
            return Err(std::io::Error::new(std::io::ErrorKind::TimedOut, "TLS handshake timeout").into());
        }
        // A single read and write at a time, so that a slow other side cannot hold the loop.
        if session.wants_write() {
            session.write_tls(&mut network)?;
        } else {
            if session.read_tls(&mut network)? == 0 {
                return Err(
                    std::io::Error::new(std::io::ErrorKind::UnexpectedEof, "tls handshake eof").into()
                );
            }
            if let Err(error) = session.process_new_packets() {
                // The alert tells the other side why, when it still listens.
                let _ = session.write_tls(&mut network);
                return Err(refusal(std::io::Error::other(error)).into());
            }
        }
    }
    network.wait_forever()?;
    let (ours, local) = UnixStream::pair()?;
    let fault = Fault::default();
    let told = Arc::clone(&fault);
    std::thread::spawn(move || {
        if let Err(error) = pump(&mut session, &mut network, &local) {
            // The engine's alert may still lie unread when our writing failed.
            let _ = session.read_tls(&mut network);
            let alert = session.process_new_packets().err();
            let _ = told.set(alert.map_or_else(|| error.to_string(), |alert| spoken(&alert)));
        }
        let _ = local.shutdown(std::net::Shutdown::Both);
    });
    Ok(Socket::with_fault(OwnedFd::from(ours), fault))
}

/// Why a handshake failed, in the words docker's users know.
fn refusal(error: std::io::Error) -> std::io::Error {
    use rustls::CertificateError as Fault;
    let cause = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    let words = match cause {
        // An authority of the same name with another key looks like a bad signature.
        Some(rustls::Error::InvalidCertificate(Fault::UnknownIssuer | Fault::BadSignature)) => {
            "tls: failed to verify certificate: x509: certificate signed by unknown authority".to_owned()
        }
        Some(rustls::Error::InvalidCertificate(
            Fault::NotValidForName | Fault::NotValidForNameContext { .. },
        )) => "tls: failed to verify certificate: x509: certificate is not valid for this name".to_owned(),
        Some(rustls::Error::InvalidCertificate(Fault::Expired | Fault::ExpiredContext { .. })) => {
            "tls: failed to verify certificate: x509: certificate has expired or is not yet valid".to_owned()
        }
        // Whoever answers a greeting in TLS with something else speaks plain HTTP, as a rule.
        Some(rustls::Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType)) => {
            "http: server gave HTTP response to HTTPS client".to_owned()
        }
        Some(alert @ rustls::Error::AlertReceived(_)) => spoken(alert),
        _ => return error,
    };
    std::io::Error::new(error.kind(), words)
}

/// An alert in the words docker's users know.
fn spoken(error: &rustls::Error) -> String {
    use rustls::AlertDescription as Alert;
    let words = match error {
        rustls::Error::AlertReceived(Alert::CertificateRequired) => "certificate required",
        rustls::Error::AlertReceived(Alert::BadCertificate) => "bad certificate",
        rustls::Error::AlertReceived(Alert::UnknownCA) => "unknown certificate authority",
        rustls::Error::AlertReceived(Alert::CertificateExpired) => "expired certificate",
        rustls::Error::AlertReceived(Alert::DecryptError) => "error decrypting message",
        other => return other.to_string(),
    };
    format!("remote error: tls: {words}")
}

fn configuration(files: &TlsFiles) -> Result<ClientConfig, TlsError> {
    let trusting = if files.skip_verify {
        unverified()?
    } else {
        builder()?.with_root_certificates(authorities(files.ca.as_deref())?)
    };
    with_identity(trusting, files.cert.as_deref().zip(files.key.as_deref()))
}

type Builder<State> = rustls::ConfigBuilder<ClientConfig, State>;

fn builder() -> Result<Builder<rustls::WantsVerifier>, TlsError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    Ok(ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?)
}

fn unverified() -> Result<Builder<WantsClientCert>, TlsError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    Ok(builder()?.dangerous().with_custom_certificate_verifier(Arc::new(Unchecked(provider))))
}

fn with_identity(
    builder: Builder<WantsClientCert>,
    identity: Option<(&Path, &Path)>,
) -> Result<ClientConfig, TlsError> {
    let Some((cert, key)) = identity else { return Ok(builder.with_no_client_auth()) };
    let secret = PrivateKeyDer::from_pem_file(key)
        .map_err(|error| TlsError::File { path: key.to_owned(), reason: error.to_string() })?;
    Ok(builder.with_client_auth_cert(certificates(cert)?, secret)?)
}

fn authorities(file: Option<&Path>) -> Result<RootCertStore, TlsError> {
    let mut store = RootCertStore::empty();
    let found = match file {
        Some(path) => certificates(path)?,
        None => {
            SYSTEM_AUTHORITIES.iter().find_map(|path| certificates(Path::new(path)).ok()).unwrap_or_default()
        }
    };
    store.add_parsable_certificates(found);
    Ok(store)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let unreadable = |error: rustls::pki_types::pem::Error| TlsError::File {
        path: path.to_owned(),
        reason: error.to_string(),
    };
    CertificateDer::pem_file_iter(path).map_err(unreadable)?.collect::<Result<_, _>>().map_err(unreadable)
}

fn pump(
    session: &mut ClientConnection,
    network: &mut impl Carrier,
    mut local: &UnixStream,
) -> std::io::Result<()> {
    let mut buffer = vec![0; 32 * 1024];
    let mut local_open = true;
    loop {
        // What came with the handshake is in the session already, so it is drained before the first wait.
        if !drain(session, local, &mut buffer)? {
            return Ok(());
        }
        while session.wants_write() {
            session.write_tls(network)?;
        }
        let wanted = if local_open { PollFlags::IN } else { PollFlags::empty() };
        let mut waits = [PollFd::new(&*network, PollFlags::IN), PollFd::new(&local, wanted)];
        poll(&mut waits, None)?;
        let [from_network, from_local] = waits.map(|wait| !wait.revents().is_empty());
        if from_network {
            if session.read_tls(network)? == 0 {
                return Ok(());
            }
            session.process_new_packets().map_err(std::io::Error::other)?;
        }
        if from_local && local_open {
            match local.read(&mut buffer)? {
                0 => {
                    local_open = false;
                    session.send_close_notify();
                }
                count => session.writer().write_all(buffer.get(..count).unwrap_or_default())?,
            }
        } else if from_local {
            return Ok(());
        }
    }
}

/// Hands decrypted bytes over; false when the other side has ended its direction.
fn drain(session: &mut ClientConnection, mut local: &UnixStream, buffer: &mut [u8]) -> std::io::Result<bool> {
    loop {
        match session.reader().read(buffer) {
            Ok(0) => return Ok(false),
            Ok(count) => local.write_all(buffer.get(..count).unwrap_or_default())?,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return Ok(true),
            Err(error) => return Err(error),
        }
    }
}

/// Takes any certificate, for `--tls` without `--tlsverify`.
#[derive(Debug)]
struct Unchecked(Arc<rustls::crypto::CryptoProvider>);

impl ServerCertVerifier for Unchecked {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, cert, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
