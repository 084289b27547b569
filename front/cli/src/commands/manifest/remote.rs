//! The registry's side: manifests are read and lists pushed by the client itself.

use std::io::Read as _;

use model::Kinded as _;
use oci::image::{Descriptor, Index, Manifest, media};
use oci::{Digest, Platform, Reference};
use registry_client::{
    Access, Client, Credentials, Document, Proxies, RegistryError, Repository, Settings, Start, Stop, Target,
};

use super::entry::Entry;
use crate::credentials;
use crate::failure::{Failure, Outcome};
use crate::session::Session;

/// Registries as the client reaches them.
pub(super) struct Remote<'s> {
    session: &'s Session,
    insecure: bool,
}

/// What a name stands for.
pub(super) enum Found {
    /// A manifest.
    One(Box<Entry>),
    /// A list of them.
    List(Vec<Entry>),
}

/// Bytes of an image's configuration.
const CONFIG_LIMIT: u64 = 8 << 20;
/// Manifests of a list that are read.
const CHILDREN: usize = 500;

impl<'s> Remote<'s> {
    /// With or without verified TLS.
    pub(super) fn new(session: &'s Session, insecure: bool) -> Self {
        Self { session, insecure }
    }

    /// The repository of a name.
    pub(super) fn repository(&self, name: &Reference, access: Access) -> Result<Repository, Failure> {
        let environment = &self.session.environment;
        let either = |upper: &str, lower: &str| {
            environment.get(upper).or_else(|| environment.get(lower)).unwrap_or_default().to_owned()
        };
        let settings = Settings {
            insecure: if self.insecure { vec![name.domain().to_owned()] } else { Vec::new() },
            certificates: vec!["/etc/docker/certs.d".into(), self.session.config_dir().join("certs.d")],
            proxies: Proxies {
                http: either("HTTP_PROXY", "http_proxy"),
                https: either("HTTPS_PROXY", "https_proxy"),
                except: either("NO_PROXY", "no_proxy"),
            },
            user_agent: format!("Docker-Client/{} (linux)", env!("CARGO_PKG_VERSION")),
            ..Settings::default()
        };
        let shown = credentials::find(self.session, credentials::key_of(name.domain())).ok().flatten();
        let shown = shown.map_or(Credentials::Anonymous, |credential| credential.for_registry());
        Client::new(settings).repository(name, &shown, access).map_err(told)
    }

    /// The manifest of a name.
    ///
    /// # Errors
    /// When there is none, or it is a list.
    pub(super) fn one(&self, name: &Reference) -> Result<Entry, Failure> {
        match self.find(name)? {
            Found::One(entry) => Ok(*entry),
            Found::List(_) => Err(Failure::text(format!("{} is a manifest list", name.canonical()))),
        }
    }

    /// What a name stands for.
    ///
    /// # Errors
    /// When there is nothing of that name.
    pub(super) fn find(&self, name: &Reference) -> Result<Found, Failure> {
        let repository = self.repository(name, Access::Pull)?;
        let document = repository.manifest(&Target::of(name)).map_err(|error| missing(name, error))?;
        if media::is_index(&document.descriptor.media_type) {
            return Ok(Found::List(children(&repository, name, &document)?));
        }
        let mut entry = Entry::new(name.canonical(), document.descriptor, &document.bytes)?;
        entry.descriptor.platform = platform(&repository, &document.bytes)?;
        Ok(Found::One(Box::new(entry)))
    }
}

/// The manifests of a list, each with the platform that the list gives it.
fn children(repository: &Repository, name: &Reference, document: &Document) -> Result<Vec<Entry>, Failure> {
    let index: Index = serde_json::from_slice(&document.bytes)
        .map_err(|error| Failure::text(format!("{} is no list of manifests: {error}", name.canonical())))?;
    if index.manifests.len() > CHILDREN {
        return Err(Failure::text(format!("{} lists more than {CHILDREN} manifests", name.canonical())));
    }
    let mut found = Vec::new();
    for child in index.manifests {
        let target = Target::Digest(child.digest.clone());
        let document = repository.manifest(&target).map_err(|error| missing(name, error))?;
        let shown = format!("{}@{}", name.canonical().split('@').next().unwrap_or_default(), child.digest);
        let descriptor = Descriptor { platform: child.platform, ..document.descriptor };
        found.push(Entry::new(shown, descriptor, &document.bytes)?);
    }
    Ok(found)
}

/// The platform in the configuration of an image.
fn platform(repository: &Repository, manifest: &[u8]) -> Result<Option<Platform>, Failure> {
    let malformed = |error: serde_json::Error| Failure::text(error.to_string());
    let manifest: Manifest = serde_json::from_slice(manifest).map_err(malformed)?;
    let mut bytes = Vec::new();
    let stream = repository.blob(&manifest.config, 0, &Stop::default()).map_err(told)?;
    stream.take(CONFIG_LIMIT).read_to_end(&mut bytes)?;
    if Digest::of(&bytes) != manifest.config.digest {
        return Err(Failure::text(format!("configuration {} has another digest", manifest.config.digest)));
    }
    serde_json::from_slice(&bytes).map(Some).map_err(malformed)
}

/// Pushes a manifest of another repository of the same registry: its blobs are mounted, the bytes stay the same.
///
/// # Errors
/// When the registry does not have the blobs, or refuses.
pub(super) fn push_manifest(repository: &Repository, target: &Reference, entry: &Entry) -> Outcome {
    let source = entry.reference()?;
    if source.path() == target.path() {
        return Ok(());
    }
    repository.mounts_from(&[source.path().to_owned()]);
    for blob in entry.blobs()? {
        if repository.has_blob(&blob).map_err(told)? {
            continue;
        }
        match repository.start_upload(&blob, Some(source.path())).map_err(told)? {
            Start::Mounted => {}
            Start::Upload(_) => {
                return Err(Failure::text(format!(
                    "the registry does not give blob {blob} of {} to {}: push the image there first",
                    source.name(),
                    target.name()
                )));
            }
        }
    }
    let digest = &entry.descriptor.digest;
    let as_digest = Target::Digest(digest.clone());
    let pushed =
        repository.put_manifest(&as_digest, &entry.descriptor.media_type, &entry.bytes()?).map_err(told)?;
    println!("Pushed ref {}@{digest} with digest: {pushed}", target.name());
    Ok(())
}

/// Pushes the document of a list and tells its digest.
///
/// # Errors
/// When the registry refuses.
pub(super) fn push_list(
    repository: &Repository,
    target: &Reference,
    text: &str,
    media_type: &str,
) -> Result<Digest, Failure> {
    repository.put_manifest(&Target::of(target), media_type, text.as_bytes()).map_err(told)
}

fn told(error: RegistryError) -> Failure {
    Failure::text(error.to_string())
}

fn missing(name: &Reference, error: RegistryError) -> Failure {
    match error.kind() {
        model::ErrorKind::NotFound => Failure::text(format!("no such manifest: {}", name.canonical())),
        _ => told(error),
    }
}
