//! One build: files, plan, steps, image.

use builder::Dockerfile;
use buildkit::server::{Job, Wish};
use engine::Engine;
use engine::build::Cancel;
use grpc::Status;

use super::attest::Attest;
use super::backend::BuiltPart;
use super::explain::Memory;
use super::files::Files;
use super::steps::Steps;
use super::{failure, remote_cache, request, sbom};

/// Builds an image without a name for each platform, one after the other: they share the client's files and the cache.
pub(super) fn build(
    engine: &Engine,
    memory: &Memory,
    wish: &Wish,
    job: &Job,
) -> Result<(Vec<BuiltPart>, Attest), Status> {
    let cancel = Cancel::default();
    let stop = cancel.clone();
    // Ending steps takes a moment; whoever says that the client is gone serves other calls too.
    let _hook = job.cancellation.on_cancel(move || {
        std::thread::spawn(move || stop.stop());
    });
    let files = Files::new(engine, wish, job, &cancel)?;
    let attest = Attest::read(wish, &job.reference, files.told())?;
    let platforms = request::platforms(wish)?;
    let mut request = request::request(wish, job, &files)?;
    request.provenance = attest.wants_provenance();
    if let Err(error) = Dockerfile::read(&files.dockerfile.data) {
        return Err(failure::dockerfile(&error, &files.dockerfile));
    }
    let source = files.source();
    let builds = engine.builds();
    let received = builds.receive(&request, source, &cancel).map_err(|error| failure::plain(&error))?;
    let mut parts = Vec::new();
    for platform in &platforms {
        let shown = (platforms.len() > 1).then(|| platform.text());
        request.options.platform = platform.clone();
        request.options.contexts = files.contexts.on(platform);
        request.imports = remote_cache::imports(engine, wish, job, platform, &cancel);
        let steps = Steps::new(job, wish, &files, &cancel, shown);
        let outcome = builds.build(&request, &received, &steps, &cancel);
        if let Some(failure) = steps.failure() {
            steps.end();
            return Err(failure);
        }
        memory.take(wish, job, &platform.text(), &steps.take_told(), &|name| files.folder(name));
        let outcome = outcome.map_err(|error| failure::status(&error, &steps, &files.dockerfile));
        steps.end();
        let outcome = outcome?;
        let mut part = BuiltPart { platform: platform.clone(), outcome, packages: Vec::new() };
        if let Some(generator) = &attest.generator {
            part.packages = sbom::scan(engine, generator, &part, job)?;
        }
        parts.push(part);
    }
    Ok((parts, attest))
}
