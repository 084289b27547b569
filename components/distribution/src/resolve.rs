//! From a name to everything it stands for on one platform; the documents are in the store afterwards.

use std::io::{Read, Write};
use std::time::Duration;

use oci::Platform;
use oci::image::{Descriptor, ImageConfig, Manifest};
use registry_client::{RegistryError, Repository, Stop, Target};

use crate::content::{Content, ContentError, Take};
use crate::document::{self, CONFIG_LIMIT, Document, DocumentError};
use crate::error::{DistributionError, Result};
use crate::retry::{Attempts, Limits, until_done};
use crate::sources::Sources;

/// What is wanted.
#[derive(Debug, Clone)]
pub struct Wish {
    /// The tag or digest.
    pub target: Target,
    /// The platform an index is looked through for.
    pub platform: Platform,
    /// Whether somebody asked for just that one: then an image of another platform is refused.
    pub explicit: bool,
    /// How the image is called in messages.
    pub name: String,
}

/// What a name stands for.
#[derive(Debug, Clone)]
pub struct Resolved {
    /// The manifest or index behind the name.
    pub target: Descriptor,
    /// The manifest of the platform.
    pub manifest: Descriptor,
    /// The configuration.
    pub config: ImageConfig,
    /// The layers, lowest first.
    pub layers: Vec<Descriptor>,
    /// What belongs to the image and is no layer: attestations of the chosen manifest.
    pub extras: Vec<Descriptor>,
}

/// Indexes in indexes are followed so deep.
const DEPTH: usize = 4;
/// Attestations taken along, and bytes of one part of them.
const ATTESTATIONS: usize = 8;
const ATTESTATION_LIMIT: u64 = 64 << 20;
/// How long one waits at a time for somebody who brings the same document.
const PATIENCE: Duration = Duration::from_millis(500);
const KIND: &str = "vnd.docker.reference.type";
const SUBJECT: &str = "vnd.docker.reference.digest";

/// One walk from a name to its parts.
pub(crate) struct Walk<'a> {
    pub(crate) sources: &'a Sources,
    pub(crate) content: &'a dyn Content,
    pub(crate) limits: &'a Limits,
    pub(crate) stop: &'a Stop,
}

impl Resolved {
    /// Finds out what a name stands for. Nothing that was not compared with its digest is read. `there` is called once
    /// when the registry has the name, before its platforms are looked at.
    ///
    /// # Errors
    /// When the registry does not have it, or has something that is not taken.
    pub fn find(
        sources: &Sources,
        content: &dyn Content,
        wish: &Wish,
        limits: &Limits,
        stop: &Stop,
        there: &dyn Fn(),
    ) -> Result<Self> {
        Walk { sources, content, limits, stop }.walk(wish, there)
    }
}

impl Walk<'_> {
    fn walk(&self, wish: &Wish, there: &dyn Fn()) -> Result<Resolved> {
        let (target, mut document) = self.target(&wish.target)?;
        there();
        let (mut chosen, mut extras) = (target.clone(), Vec::new());
        for _ in 0..=DEPTH {
            match document {
                Document::Manifest(manifest) => return self.image(wish, target, chosen, *manifest, extras),
                Document::Index(index) => {
                    let entry = choose(&index.manifests, &wish.platform);
                    let entry = entry
                        .ok_or_else(|| DistributionError::NoPlatform { platform: wish.platform.text() })?;
                    extras.extend(attestations(&index.manifests, entry));
                    chosen = entry.clone();
                    document = self.part(entry)?;
                }
            }
        }
        Err(DocumentError::Limit("indexes within indexes".to_owned()).into())
    }

    /// The document of the name. A tag is looked at first: when its document is here nothing has to come.
    fn target(&self, target: &Target) -> Result<(Descriptor, Document)> {
        let here = match target {
            Target::Digest(digest) => {
                self.content.read(digest).ok().map(|bytes| (digest.clone(), String::new(), bytes))
            }
            Target::Tag(_) => {
                let once = Limits { attempts: 1, ..self.limits.clone() };
                let found = match self.first(&once, |place| place.head(target)) {
                    Err(DistributionError::Registry(error)) if is_final(&error) => return Err(error.into()),
                    // A registry that does not answer HEAD may answer GET, and says more then.
                    looked => looked.ok().flatten(),
                };
                found.and_then(|found| {
                    let bytes = self.content.read(&found.digest).ok()?;
                    Some((found.digest, found.media_type, bytes))
                })
            }
        };
        let (digest, said, bytes) = match here {
            Some(here) => here,
            None => {
                let found = self.first(self.limits, |place| place.manifest(target))?;
                (found.descriptor.digest, found.descriptor.media_type, found.bytes)
            }
        };
        let document = document::read(&bytes, &said)?;
        let descriptor = Descriptor::new(&document::media_type(&document, &said), digest, bytes.len() as u64);
        self.keep(&descriptor, &bytes)?;
        Ok((descriptor, document))
    }

    /// A question a pull begins with. Where nobody can be reached there is no waiting: the name is wrong or the registry
    /// is down, and whoever typed it wants to know. Asked again at once, since a connection may have been an old one.
    fn first<T>(
        &self,
        limits: &Limits,
        question: impl Fn(&Repository) -> std::result::Result<T, RegistryError>,
    ) -> Result<T> {
        let mut attempts = Attempts::new(limits, self.stop);
        let mut lost = false;
        loop {
            match self.sources.ask(&question) {
                Ok(answer) => return Ok(answer),
                Err(error) if error.is_unreachable() && !lost => lost = true,
                Err(error) if error.is_unreachable() => return Err(error.into()),
                Err(error) => attempts.again(error.into(), &|_| {})?,
            }
        }
    }

    /// A document named by another one.
    fn part(&self, entry: &Descriptor) -> Result<Document> {
        if let Ok(bytes) = self.content.read(&entry.digest) {
            return Ok(document::read(&bytes, &entry.media_type)?);
        }
        let target = Target::Digest(entry.digest.clone());
        let found =
            until_done(self.limits, self.stop, || Ok(self.sources.ask(|place| place.manifest(&target))?))?;
        if found.bytes.len() as u64 != entry.size {
            let (has, said) = (found.bytes.len(), entry.size);
            return Err(DocumentError::Inconsistent(format!(
                "a manifest has {has} bytes, its index says {said}"
            ))
            .into());
        }
        let document = document::read(&found.bytes, &entry.media_type)?;
        self.keep(entry, &found.bytes)?;
        Ok(document)
    }

    fn image(
        &self,
        wish: &Wish,
        target: Descriptor,
        chosen: Descriptor,
        manifest: Manifest,
        attestations: Vec<Descriptor>,
    ) -> Result<Resolved> {
        document::check_image(&manifest)?;
        let config = self.config(&manifest.config)?;
        if config.rootfs.diff_ids.len() != manifest.layers.len() {
            let text = "the configuration has another number of layers than the manifest";
            return Err(DocumentError::Inconsistent(text.to_owned()).into());
        }
        if wish.explicit && !wish.platform.accepts(&config.platform) {
            return Err(DistributionError::OtherPlatform {
                reference: wish.name.clone(),
                wanted: wish.platform.text(),
                actual: config.platform.text(),
            });
        }
        let mut extras = Vec::new();
        for attestation in attestations.iter().take(ATTESTATIONS) {
            // An image is no worse for an attestation that cannot be had.
            if let Ok(Document::Manifest(found)) = self.part(attestation) {
                let parts = found.layers.into_iter().chain([found.config]);
                extras.extend(parts.filter(|part| part.size <= ATTESTATION_LIMIT && part.urls.is_empty()));
            }
        }
        Ok(Resolved { target, manifest: chosen, config, layers: manifest.layers, extras })
    }

    fn config(&self, entry: &Descriptor) -> Result<ImageConfig> {
        if !self.content.has(entry)? {
            let bytes = until_done(self.limits, self.stop, || self.read_blob(entry))?;
            self.keep(entry, &bytes)?;
        }
        let bytes = self.content.read(&entry.digest)?;
        Ok(serde_json::from_slice(&bytes).map_err(DocumentError::Json)?)
    }

    fn read_blob(&self, entry: &Descriptor) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let stream = self.sources.ask(|place| place.blob(entry, 0, self.stop))?;
        stream.take(CONFIG_LIMIT).read_to_end(&mut bytes).map_err(DistributionError::Broken)?;
        let mut digester = oci::digest::Digester::new(entry.digest.algorithm());
        digester.update(&bytes);
        let found = digester.finish();
        if found == entry.digest {
            return Ok(bytes);
        }
        let request = format!("blob {}", entry.digest.short());
        Err(RegistryError::Mismatch { request, expected: entry.digest.clone(), found }.into())
    }

    /// Puts bytes that were compared with their digest into the store, which compares them again.
    fn keep(&self, descriptor: &Descriptor, bytes: &[u8]) -> Result<()> {
        loop {
            match self.content.take(descriptor, PATIENCE)? {
                Take::Present => return Ok(()),
                Take::Busy if self.stop.is_stopped() => return Err(DistributionError::Cancelled),
                Take::Busy => {}
                Take::Ours(mut taking) => {
                    if taking.size() > 0 {
                        taking.restart()?;
                    }
                    taking.write_all(bytes).map_err(write_failed)?;
                    return Ok(taking.finish()?);
                }
            }
        }
    }
}

/// Whether asking in another way is of no use.
fn is_final(error: &RegistryError) -> bool {
    error.is_unreachable() || matches!(error, RegistryError::NoCredentials { .. } | RegistryError::Cancelled)
}

/// The store did not take bytes.
pub(crate) fn write_failed(error: std::io::Error) -> DistributionError {
    let kind = model::ErrorKind::Internal;
    ContentError::Failed { kind, message: format!("writing content: {error}") }.into()
}

fn is_attestation(entry: &Descriptor) -> bool {
    entry.annotations.contains_key(KIND)
}

/// The first entry for the platform, one with exactly its variant before others.
fn choose<'i>(entries: &'i [Descriptor], wanted: &Platform) -> Option<&'i Descriptor> {
    let exact = wanted.normalized();
    let fits = |entry: &&Descriptor| {
        !is_attestation(entry) && entry.platform.as_ref().is_none_or(|offered| wanted.accepts(offered))
    };
    let same = |entry: &&Descriptor| {
        entry.platform.as_ref().is_some_and(|offered| offered.normalized().variant == exact.variant)
    };
    entries.iter().filter(fits).find(same).or_else(|| entries.iter().find(fits))
}

/// The attestations about an entry.
fn attestations(entries: &[Descriptor], about: &Descriptor) -> Vec<Descriptor> {
    let subject = |entry: &Descriptor| {
        entry.annotations.get(SUBJECT).map(String::as_str) == Some(about.digest.as_str())
    };
    entries.iter().filter(|entry| is_attestation(entry) && subject(entry)).cloned().collect()
}
