//! Pull: what a name stands for is fetched, and unpacked while it comes.

mod layers;
mod words;

use std::sync::Arc;
use std::sync::mpsc::Sender;

use api::image::Progress;
use distribution::{DistributionError, Resolved, Sources, Wish};
use oci::{Platform, Reference};
use registry_client::{Client, RegistryError, Stop, Target};

use super::event_with;
use crate::engine::Inner;
use crate::registry::content::Blobs;
use crate::registry::{Caller, failure};
use crate::{Error, Result};

/// What is pulled.
#[derive(Debug, Clone, Default)]
pub struct PullParameters {
    /// Name, perhaps with tag or digest.
    pub image: String,
    /// Tag or digest; when there is none anywhere, all tags are pulled.
    pub tag: String,
    /// `os/arch[/variant]`; this machine's when absent.
    pub platform: Option<String>,
    /// Who asks.
    pub caller: Caller,
}

/// One pull with everything it uses.
struct Pull<'e> {
    inner: &'e Arc<Inner>,
    client: Client,
    caller: Caller,
    platform: Option<Platform>,
    stop: &'e Stop,
    tell: Sender<Progress>,
}

pub(super) fn pull(
    inner: &Arc<Inner>,
    parameters: &PullParameters,
    progress: &mut dyn FnMut(Progress),
    stop: &Stop,
) -> Result<()> {
    let reference = reference(&parameters.image, &parameters.tag)?;
    let wanted = parameters.platform.as_deref().filter(|text| !text.is_empty());
    let platform = wanted.map(|text| text.parse::<Platform>().map_err(Error::from_kinded)).transpose()?;
    let (tell, told) = std::sync::mpsc::channel();
    let client = inner.registries.client(&parameters.caller).until(stop);
    let pull = Pull { inner, client, caller: parameters.caller.clone(), platform, stop, tell };
    std::thread::scope(|scope| {
        // All threads of a pull tell what they do; one writes it to the client.
        let work = scope.spawn(move || pull.run(&reference));
        told.into_iter().for_each(&mut *progress);
        work.join().unwrap_or_else(|_| Err(Error::internal("the pull ended unexpectedly")))
    })
}

/// Name and tag of the request as one name.
fn reference(image: &str, tag: &str) -> Result<Reference> {
    // Older clients leave a colon behind.
    let image = image.strip_suffix(':').unwrap_or(image);
    let short = image
        .strip_prefix("docker.io/library/")
        .or_else(|| image.strip_prefix("docker.io/"))
        .unwrap_or(image);
    if short == "scratch" {
        return Err(Error::forbidden("'scratch' is a reserved name"));
    }
    let full = match tag {
        "" => image.to_owned(),
        digest if digest.contains(':') => format!("{image}@{digest}"),
        tag => format!("{image}:{tag}"),
    };
    full.parse().map_err(Error::from_kinded)
}

impl Pull<'_> {
    fn run(&self, reference: &Reference) -> Result<()> {
        if !reference.is_name_only() {
            let newer = self.one(reference)?;
            self.say(words::end(&reference.familiar(), newer));
            return Ok(());
        }
        let sources = self.sources(reference)?;
        let tags = sources.ask(|place| place.tags()).map_err(|error| translated(error.into(), reference))?;
        let mut newer = false;
        for tag in tags {
            newer |= self.one(&reference.with_tag(&tag).map_err(Error::from_kinded)?)?;
        }
        self.say(words::end(&reference.familiar(), newer));
        Ok(())
    }

    fn sources(&self, reference: &Reference) -> Result<Sources> {
        Sources::new(&self.client, reference, &self.caller.credentials).map_err(failure)
    }

    /// Pulls one tag or digest; whether the name means something else now.
    fn one(&self, reference: &Reference) -> Result<bool> {
        let images = &self.inner.storage.images;
        let lease = images.lease();
        let sources = self.sources(reference)?;
        let wish = Wish {
            target: Target::of(reference),
            platform: self.platform.clone().unwrap_or_else(Platform::host),
            explicit: self.platform.is_some(),
            name: reference.familiar(),
        };
        let blobs = Blobs(images.content());
        let limits = self.inner.registries.limits();
        let there = || {
            let text = format!("Pulling from {}", reference.path());
            self.say(Progress::status(words::target(reference, &wish.target), text));
        };
        let found = Resolved::find(&sources, &blobs, &wish, &limits, self.stop, &there);
        let found = found.map_err(|error| translated(error, reference))?;
        layers::fetch(self, &sources, &found)?;
        let newer = self.keep(reference, &found, lease)?;
        self.say(Progress::status("", format!("Digest: {}", found.target.digest)));
        let attributes = [("name".to_owned(), reference.familiar_name())].into();
        event_with(self.inner, "pull", &reference.familiar(), &reference.familiar_name(), attributes);
        Ok(newer)
    }

    /// Makes the image of its content, with its names; whether the name means something else now.
    fn keep(&self, reference: &Reference, found: &Resolved, lease: image::Lease) -> Result<bool> {
        let images = &self.inner.storage.images;
        let mut names = Vec::new();
        if let Some(tag) = reference.tag().filter(|_| reference.digest().is_none()) {
            names.push(reference.with_tag(tag).map_err(Error::from_kinded)?);
        }
        names.push(reference.with_digest(found.target.digest.clone()));
        let known = images.get(&found.target.digest);
        let held = |name: &Reference| known.as_ref().is_some_and(|image| image.names.contains(name));
        let newer = names.first().is_some_and(|name| !held(name));
        // What was pulled last is what the name means where no platform is given.
        let shown = known.as_ref().is_some_and(|image| image.manifest.digest == found.manifest.digest);
        if shown && names.iter().all(held) {
            return Ok(false);
        }
        let pending = images.pulled(found.target.clone(), &found.manifest.digest, names, lease);
        let pending = pending.map_err(Error::from_kinded)?;
        self.inner.storage.keep(pending)?;
        Ok(newer)
    }

    fn say(&self, progress: Progress) {
        // Nobody listens any more: the pull is about to be stopped.
        let _ = self.tell.send(progress);
    }
}

/// What goes wrong with a name, in Docker's words.
pub(crate) fn translated(error: DistributionError, reference: &Reference) -> Error {
    let DistributionError::Registry(error) = error else { return Error::from_kinded(error) };
    let name = reference.familiar_name();
    let words = if error.has_code("DENIED") {
        format!("pull access denied for {name}, repository does not exist or may require 'docker login'")
    } else if error.has_code("MANIFEST_UNKNOWN") {
        format!("manifest for {} not found", reference.familiar())
    } else if error.has_code("NAME_UNKNOWN") {
        format!("repository {name} not found")
    } else if matches!(&error, RegistryError::Refused { status: 404, errors, .. } if errors.is_empty()) {
        format!("manifest for {} not found", reference.familiar())
    } else {
        return failure(error);
    };
    failure(error).prefixed(&words).with_kind(model::ErrorKind::NotFound)
}
