//! `--cache-from` and `--cache-to`: results of builds in registries and in folders of the client's.

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::Arc;

use buildkit::control::CacheOptionsEntry;
use buildkit::server::{Job, Wish};
use buildkit::session::Session;
use engine::Engine;
use engine::build::Cancel;
use engine::build::export::{Packing, PushTarget};
use engine::build::remote_cache::{CacheExport, CacheMode, CacheSource, CachedStep, ImportedCache};
use engine::registry::Stop;
use grpc::{Cancellation, Code, Status};
use oci::image::Descriptor;
use oci::{Platform, Reference};

use super::backend::BuiltImage;
use super::vertex::{self, Telling};
use super::{failure, request};

/// Bytes of a manifest.
const LONGEST_MANIFEST: u64 = 4 << 20;

/// What there is at the places a client names. One that has nothing is told of, and no reason not to build.
pub(super) fn imports(
    engine: &Engine,
    wish: &Wish,
    job: &Job,
    platform: &Platform,
    cancel: &Cancel,
) -> Vec<Arc<ImportedCache>> {
    let mut found = Vec::new();
    let mut seen: Vec<&CacheOptionsEntry> = Vec::new();
    for entry in &wish.cache_imports {
        // Clients name the same place to the builder and to its frontend.
        if seen.contains(&entry) {
            continue;
        }
        seen.push(entry);
        let title = format!("importing cache manifest from {}", place(entry));
        let read = vertex::told(&job.progress, &title, |_| import(engine, entry, job, platform, cancel));
        found.extend(read.ok().map(Arc::new));
    }
    found
}

fn import(
    engine: &Engine,
    entry: &CacheOptionsEntry,
    job: &Job,
    platform: &Platform,
    cancel: &Cancel,
) -> Result<ImportedCache, Status> {
    let source: Box<dyn CacheSource> = match entry.r#type.as_str() {
        "registry" => {
            let name = name(entry)?;
            let credentials = request::credentials_of(job, name.domain())?;
            let place = engine.builds().registry_cache(&name, &credentials, platform, &cancel.fetches());
            Box::new(place.map_err(|error| failure::plain(&error))?)
        }
        "local" => Box::new(Folder {
            session: Arc::clone(job.session()?),
            store: format!("local:{}", option(entry, "src")?),
            digest: option(entry, "digest")?.to_owned(),
            cancellation: job.cancellation.clone(),
        }),
        kind => return Err(unsupported(kind)),
    };
    ImportedCache::read(source).map_err(|error| failure::plain(&error))
}

fn unsupported(kind: &str) -> Status {
    let text =
        format!("cache of type {kind:?} is not supported by this builder: use inline, registry or local");
    Status::new(Code::Unimplemented, text)
}

/// A place as people know it.
fn place(entry: &CacheOptionsEntry) -> String {
    let attribute = ["ref", "src", "dest"].iter().find_map(|name| entry.attrs.get(*name));
    attribute.cloned().unwrap_or_else(|| entry.r#type.clone())
}

fn option<'e>(entry: &'e CacheOptionsEntry, name: &str) -> Result<&'e str, Status> {
    let missing = || {
        let text = format!("{} cache requires the option {name}", entry.r#type);
        Status::new(Code::InvalidArgument, text)
    };
    entry.attrs.get(name).map(String::as_str).filter(|value| !value.is_empty()).ok_or_else(missing)
}

fn name(entry: &CacheOptionsEntry) -> Result<Reference, Status> {
    let text = option(entry, "ref")?;
    let wrong = |error| Status::new(Code::InvalidArgument, format!("failed to parse {text}: {error}"));
    text.parse::<Reference>().map(Reference::or_latest).map_err(wrong)
}

/// A folder of the client's, as a store of its session.
struct Folder {
    session: Arc<Session>,
    store: String,
    digest: String,
    cancellation: Cancellation,
}

fn refused(status: Status) -> engine::Error {
    engine::Error::from_kinded(status)
}

impl CacheSource for Folder {
    fn manifest(&self) -> engine::Result<Vec<u8>> {
        let size = self.session.blob_size(&self.store, &self.digest).map_err(refused)?;
        let size = size.filter(|size| *size <= LONGEST_MANIFEST);
        let size =
            size.ok_or_else(|| engine::Error::not_found(format!("no cache manifest {}", self.digest)))?;
        let stream = self.session.read_blob(&self.store, &self.digest, size, &self.cancellation);
        let mut bytes = Vec::new();
        let read = stream.map_err(refused)?.read_to_end(&mut bytes);
        read.map_err(|error| engine::Error::caused("reading a cache's manifest", error))?;
        if oci::Digest::of(&bytes).as_str() != self.digest {
            return Err(engine::Error::invalid("a cache's manifest is not what its digest says"));
        }
        Ok(bytes)
    }

    fn blob(&self, blob: &Descriptor) -> engine::Result<Box<dyn Read + Send>> {
        let digest = blob.digest.as_str();
        let stream = self.session.read_blob(&self.store, digest, blob.size, &self.cancellation);
        Ok(Box::new(stream.map_err(refused)?))
    }
}

/// Takes what a build did to another place.
pub(super) fn export(
    built: &BuiltImage,
    to: &CacheOptionsEntry,
    job: &Job,
) -> Result<BTreeMap<String, String>, Status> {
    let title = match to.r#type.as_str() {
        "registry" => format!("exporting cache to registry {}", place(to)),
        "local" => "exporting cache to client directory".to_owned(),
        kind => return Err(unsupported(kind)),
    };
    let done = vertex::told(&job.progress, &title, |telling| send(built, to, job, telling));
    match done {
        // It was said beforehand that this may be.
        Err(_) if to.attrs.get("ignore-error").is_some_and(|value| value == "true") => Ok(BTreeMap::new()),
        done => done,
    }
}

fn send(
    built: &BuiltImage,
    to: &CacheOptionsEntry,
    job: &Job,
    telling: &Telling<'_>,
) -> Result<BTreeMap<String, String>, Status> {
    let mode = match to.attrs.get("mode").map_or("min", String::as_str) {
        "min" => CacheMode::Min,
        "max" => CacheMode::Max,
        other => {
            let text = format!("invalid cache export mode {other:?}: use min or max");
            return Err(Status::new(Code::InvalidArgument, text));
        }
    };
    let steps: Vec<&CachedStep> = built.parts.iter().flat_map(|part| &part.outcome.steps).collect();
    let unwanted = || job.cancellation.is_cancelled();
    telling.part("preparing build cache for export", "", 0, false);
    let exported = built.engine.builds().export_cache(&steps, mode, packing(to)?, &unwanted);
    let exported = exported.map_err(|error| failure::plain(&error))?;
    telling.part("preparing build cache for export", "", 0, true);
    if to.r#type == "registry" {
        push(built, to, job, &exported)?;
    } else {
        let store = format!("local:{}", option(to, "dest")?);
        for part in &exported.parts {
            let mut file =
                built.engine.builds().open_blob(&part.digest).map_err(|error| failure::plain(&error))?;
            let digest = part.digest.as_str();
            job.session()?.write_blob(&store, digest, part.size, &mut file, &job.cancellation)?;
        }
    }
    let written = format!("writing cache manifest {}", exported.target.digest);
    telling.part(&written, "", 0, true);
    let descriptor = serde_json::to_string(&exported.target).unwrap_or_default();
    Ok(BTreeMap::from([("cache.manifest".to_owned(), descriptor)]))
}

fn push(built: &BuiltImage, to: &CacheOptionsEntry, job: &Job, exported: &CacheExport) -> Result<(), Status> {
    let name = name(to)?;
    let credentials = request::credentials_of(job, name.domain())?;
    let stop = Stop::default();
    let ended = stop.clone();
    let _hook = job.cancellation.on_cancel(move || ended.stop());
    let target = PushTarget { name, credentials, by_digest: false };
    let pushed = built.engine.builds().push_cache(exported, &target, &stop);
    pushed.map(drop).map_err(|error| failure::plain(&error))
}

fn packing(to: &CacheOptionsEntry) -> Result<Packing, Status> {
    let compression = match to.attrs.get("compression").map_or("gzip", String::as_str) {
        "uncompressed" => archive::Compression::None,
        "gzip" => archive::Compression::Gzip,
        "zstd" => archive::Compression::Zstd,
        other => {
            let text = format!(
                "compression {other:?} is not supported by this builder: use uncompressed, gzip or zstd"
            );
            return Err(Status::new(Code::InvalidArgument, text));
        }
    };
    let level = to.attrs.get("compression-level").map(|level| level.parse::<i32>()).transpose();
    let level =
        level.map_err(|error| Status::new(Code::InvalidArgument, format!("compression-level: {error}")))?;
    let force = to.attrs.get("force-compression").is_some_and(|value| value == "true");
    Ok(Packing { compression, level, force })
}
