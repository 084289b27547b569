//! Registries that this one mirrors: manifests and blobs are fetched when they are first asked for, and kept.
//!
//! ```text
//! PREFIX/NAME here  <->  NAME at the upstream        NAME?ns=REGISTRY  and, for one upstream, NAME alone  too
//! ```
//! A tag is compared with the upstream's when it was not for a while; when the upstream does not answer, what is
//! held is given. Only blobs that a fetched manifest names are fetched, with the size it says; bytes are compared with
//! their digest before a client gets the last of them. Credentials go to the upstream, and to a token server that it names
//! when that is on the same host or on one that is configured, and safe to ask.

use std::io::{self, Read, Write};
use std::sync::Arc;
use std::time::Duration;

use oci::digest::Digest;
use oci::image::Descriptor;
use registry_client::{Access, Client, Credentials, HUB, Settings, Stop, Target};
use serde::Deserialize;
use transport::server::Exchange;

use crate::name::{ManifestReference, Repository};
use crate::registry::{Incoming, Locks, Manifest, NewManifest};
use crate::{Registry, RegistryError};

/// A mirrored registry.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Upstream {
    /// The first part of its repositories' names here.
    pub prefix: String,
    /// Its name: `docker.io`, `quay.io`, `host:port`.
    pub registry: String,
    /// Who we are there.
    #[serde(default)]
    pub user: String,
    /// With which password or token.
    #[serde(default)]
    pub password: String,
    /// Hosts (`host`, `host:port`) of token servers that may see user and password, beside the registry's own host.
    #[serde(default)]
    pub token_hosts: Vec<String>,
    /// Seconds that a tag is given without asking again.
    #[serde(default = "default_fresh")]
    pub fresh: u32,
    /// May be spoken to without verified TLS, or without any.
    #[serde(default)]
    pub insecure: bool,
    /// Repositories that are not here are looked for there, also without prefix.
    #[serde(default)]
    pub fallback: bool,
}

/// Where Docker's own registry has its token server.
const HUB_TOKENS: &str = "auth.docker.io";

fn default_fresh() -> u32 {
    60
}

/// All mirrored registries.
pub struct Upstreams {
    all: Vec<(Upstream, Client)>,
    /// Held while something is fetched, so that it is fetched once.
    fetching: Locks<String>,
}

/// A repository that is mirrored.
#[derive(Debug, Clone)]
pub struct Mirrored {
    /// Its name here.
    pub local: Repository,
    index: usize,
    remote: String,
}

/// Passwords are in it.
impl std::fmt::Debug for Upstreams {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_list().entries(self.all.iter().map(|(upstream, _)| &upstream.registry)).finish()
    }
}

impl Upstreams {
    /// Checks the configuration; nobody is spoken to yet.
    ///
    /// # Errors
    /// With the prefix that can't be one.
    pub fn new(upstreams: &[Upstream]) -> Result<Self, String> {
        let mut all = Vec::new();
        for upstream in upstreams {
            if !oci::reference::is_path(&upstream.prefix) {
                return Err(format!("upstream {}: {:?} is no prefix", upstream.registry, upstream.prefix));
            }
            let mut settings = Settings::default();
            if upstream.insecure {
                settings.insecure.push(upstream.registry.clone());
            }
            // Nobody is there to notice where the upstream sends the credentials of the configuration.
            let mut hosts = upstream.token_hosts.clone();
            hosts.extend((upstream.registry == HUB).then(|| HUB_TOKENS.to_owned()));
            settings.token_hosts = Some(hosts);
            // Clients wait meanwhile, and may be given what is held.
            settings.patience.connect = Duration::from_secs(5);
            settings.patience.head = Duration::from_secs(15);
            all.push((upstream.clone(), Client::new(settings)));
        }
        Ok(Self { all, fetching: Locks::default() })
    }

    /// Whether nothing is mirrored.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// The mirrored repository that a name means: by its prefix, by the registry's name in `ns`, or, when nothing
    /// of that name is here, in the upstream that is for such names.
    ///
    /// # Errors
    /// When the storage fails.
    pub fn of(
        &self,
        registry: &Registry,
        name: &Repository,
        namespace: Option<&str>,
        reading: bool,
    ) -> Result<Option<Mirrored>, RegistryError> {
        for (index, (upstream, _)) in self.all.iter().enumerate() {
            let rest = name.as_str().strip_prefix(&upstream.prefix).and_then(|rest| rest.strip_prefix('/'));
            if let Some(remote) = rest {
                return Ok(Some(Mirrored { local: name.clone(), index, remote: remote.to_owned() }));
            }
        }
        // Whoever adds something means this registry, whatever is mirrored under that name.
        if !reading {
            return Ok(None);
        }
        let by_name = self.all.iter().position(|(upstream, _)| Some(upstream.registry.as_str()) == namespace);
        let found = match by_name {
            None if namespace.is_none() && !registry.has_repository(name)? => {
                self.all.iter().position(|(upstream, _)| upstream.fallback)
            }
            found => found,
        };
        let Some(index) = found else { return Ok(None) };
        let prefix = self.all.get(index).map_or("", |(upstream, _)| upstream.prefix.as_str());
        let local = format!("{prefix}/{name}").parse()?;
        Ok(Some(Mirrored { local, index, remote: name.to_string() }))
    }

    fn open(&self, mirrored: &Mirrored) -> Result<registry_client::Repository, RegistryError> {
        let (upstream, client) = self.all.get(mirrored.index).ok_or(RegistryError::TooManyRequests)?;
        let text = format!("{}/{}", upstream.registry, mirrored.remote);
        let reference = text.parse().map_err(|_| RegistryError::NameUnknown { name: text })?;
        let credentials = Credentials::password(&upstream.user, &upstream.password);
        client.repository(&reference, &credentials, Access::Pull).map_err(|error| failed(&error))
    }

    /// The manifest of a mirrored repository.
    ///
    /// # Errors
    /// `ManifestUnknown` when the upstream has none, `Upstream` when it does not answer and nothing is held.
    pub fn manifest(
        &self,
        registry: &Registry,
        mirrored: &Mirrored,
        reference: &str,
    ) -> Result<Arc<Manifest>, RegistryError> {
        let parsed: ManifestReference = reference.parse()?;
        if self.is_fresh(registry, mirrored, &parsed)? {
            return registry.manifest(&mirrored.local, reference);
        }
        let _alone = self.fetching.hold(&format!("{}:{reference}", mirrored.local));
        if self.is_fresh(registry, mirrored, &parsed)? {
            return registry.manifest(&mirrored.local, reference);
        }
        match self.fetch_manifest(registry, mirrored, &parsed) {
            Ok(()) => {}
            // Better what was right lately than nothing.
            Err(RegistryError::Upstream { reason }) => {
                eprintln!("registry: {}: {reason}", mirrored.local);
                let held = registry.manifest(&mirrored.local, reference);
                return held.map_err(|_| RegistryError::Upstream { reason });
            }
            Err(error) => return Err(error),
        }
        registry.manifest(&mirrored.local, reference)
    }

    /// Whether what is held need not be compared: a digest never, a tag not for a while.
    fn is_fresh(
        &self,
        registry: &Registry,
        mirrored: &Mirrored,
        reference: &ManifestReference,
    ) -> Result<bool, RegistryError> {
        match reference {
            ManifestReference::Digest(digest) => registry.has_manifest(&mirrored.local, digest),
            ManifestReference::Tag(tag) => {
                let fresh = self.all.get(mirrored.index).map_or(0, |(upstream, _)| upstream.fresh);
                let held = registry.tag(&mirrored.local, tag)?;
                let now = model::Timestamp::now().seconds();
                Ok(held.is_some_and(|held| now - held.checked < i64::from(fresh)))
            }
        }
    }

    fn fetch_manifest(
        &self,
        registry: &Registry,
        mirrored: &Mirrored,
        reference: &ManifestReference,
    ) -> Result<(), RegistryError> {
        let upstream = self.open(mirrored)?;
        let target = match reference {
            ManifestReference::Digest(digest) => Target::Digest(digest.clone()),
            ManifestReference::Tag(tag) => {
                let target = Target::Tag(tag.clone());
                let head = upstream.head(&target).map_err(|error| failed(&error))?;
                let unknown = || RegistryError::ManifestUnknown { reference: tag.clone() };
                let digest = head.ok_or_else(unknown)?.digest;
                if registry.has_manifest(&mirrored.local, &digest)? {
                    return registry.set_checked_tag(&mirrored.local, tag, &digest);
                }
                target
            }
        };
        let document = match upstream.manifest(&target) {
            Err(error) if error.status() == Some(404) => {
                return Err(RegistryError::ManifestUnknown { reference: target.text().to_owned() });
            }
            other => other.map_err(|error| failed(&error))?,
        };
        let new = NewManifest {
            bytes: &document.bytes,
            media: Some(&document.descriptor.media_type),
            reference,
            tags: &[],
            whole: false,
        };
        registry.push_manifest(&mirrored.local, new).map(drop)
    }

    /// Fetches a blob that a held manifest names. With an exchange, the bytes go to the client as they come.
    ///
    /// # Errors
    /// `BlobUnknown` when no manifest names it, `Upstream` when the upstream fails, `DigestMismatch` when it lies.
    pub fn fetch_blob(
        &self,
        registry: &Registry,
        mirrored: &Mirrored,
        digest: &Digest,
        client: Option<(&mut Exchange<'_>, &transport::server::ResponseHead)>,
    ) -> Result<Fetched, RegistryError> {
        let _alone = self.fetching.hold(&digest.to_string());
        if registry.open_blob(&mirrored.local, digest).is_ok() {
            return Ok(Fetched::Kept);
        }
        let size = registry.wanted_size(&mirrored.local, digest)?;
        let upstream = self.open(mirrored)?;
        let descriptor = Descriptor::new("", digest.clone(), size);
        let source = upstream.blob(&descriptor, 0, &Stop::default()).map_err(|error| failed(&error))?;
        let output = match client {
            Some((exchange, head)) => Some(exchange.stream_sized(head, size).map_err(RegistryError::Client)?),
            None => None,
        };
        let sent = output.is_some();
        let mut tee = Tee { source, output, held: Vec::new() };
        let id = registry.begin_upload(&mirrored.local, digest.algorithm())?;
        let incoming = Incoming { body: &mut tee, announced: None, start: None };
        let result = registry.finish_upload(&mirrored.local, &id, digest, incoming);
        if result.is_err() {
            // It may be gone already.
            let _ = registry.cancel_upload(&mirrored.local, &id);
        }
        result?;
        tee.finish();
        Ok(if sent { Fetched::Sent } else { Fetched::Kept })
    }
}

/// What became of a blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fetched {
    /// It is held now.
    Kept,
    /// And the client has it.
    Sent,
}

/// Reads from the upstream and lets the client have it, but for the last piece, which waits for the digest.
struct Tee<'e, R> {
    source: R,
    output: Option<transport::server::StreamWriter<'e>>,
    held: Vec<u8>,
}

impl<R: Read> Read for Tee<'_, R> {
    fn read(&mut self, block: &mut [u8]) -> io::Result<usize> {
        let count = self.source.read(block)?;
        if count > 0 && self.output.is_some() {
            self.pass_on();
            self.held.extend_from_slice(block.get(..count).unwrap_or_default());
        }
        Ok(count)
    }
}

impl<R> Tee<'_, R> {
    fn pass_on(&mut self) {
        if let Some(output) = &mut self.output
            && output.write_all(&self.held).is_err()
        {
            // The client went away; the next one finds the blob here.
            self.output = None;
        }
        self.held.clear();
    }

    fn finish(mut self) {
        self.pass_on();
        if let Some(output) = self.output {
            let _ = output.finish();
        }
    }
}

/// A failure of the upstream in words for clients: its refusals as they are, nothing of tokens.
fn failed(error: &registry_client::RegistryError) -> RegistryError {
    RegistryError::Upstream { reason: error.to_string() }
}
