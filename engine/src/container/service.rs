//! The calls about containers, each told in its own file.

use std::io::Read;
use std::sync::Arc;

use api::container::{
    ArchiveStat, Change, CreateResponse, Inspect, PruneResponse, Summary, Top, UpdateRequest, UpdateResponse,
};
use model::Filters;
use shim_protocol::Target;

use super::parameters::{
    ArchivePutParameters, AttachParameters, CommitParameters, CreateParameters, ListParameters,
    LogParameters, RemoveParameters, StopParameters,
};
use super::{
    ArchiveSource, Attachment, Export, LogStream, StatsStream, Waiting, archive, attach, changes, commit,
    create, inspect, kill, list, logs, pause, remove, rename, start, stats, stop, top, update, wait,
};
use crate::engine::Inner;
use crate::{Error, Result};

/// Calls about containers. A reference is a name (with or without slash), an id, or the unique beginning of one.
#[derive(Clone, Copy)]
pub struct Containers<'e> {
    pub(crate) inner: &'e Arc<Inner>,
}

impl Containers<'_> {
    /// Makes a container; what is acknowledged survives.
    ///
    /// # Errors
    /// Docker's refusals of each field, an unknown image, a taken name; nothing is left behind.
    pub fn create(&self, parameters: CreateParameters) -> Result<CreateResponse> {
        create::create(self.inner, parameters)
    }

    /// Containers by Docker's filters, newest first.
    ///
    /// # Errors
    /// For wrong filters.
    pub fn list(&self, parameters: &ListParameters) -> Result<Vec<Summary>> {
        list::list(self.inner, parameters)
    }

    /// The same as texts that the caller encodes; a text of the same `variant` is kept until something in it changes.
    ///
    /// # Errors
    /// For wrong filters, and what the encoder refuses.
    pub fn list_encoded<E: From<crate::Error>>(
        &self,
        parameters: &ListParameters,
        variant: u32,
        encode: impl Fn(Summary) -> std::result::Result<Vec<u8>, E>,
    ) -> std::result::Result<Vec<std::sync::Arc<[u8]>>, E> {
        list::list_encoded(self.inner, parameters, variant, encode)
    }

    /// Everything about one container.
    ///
    /// # Errors
    /// When there is none, or several.
    pub fn inspect(&self, reference: &str, size: bool) -> Result<Inspect> {
        inspect::inspect(self.inner, reference, size)
    }

    /// Its processes as the host's `ps` shows them.
    ///
    /// # Errors
    /// When it does not run.
    pub fn top(&self, reference: &str, ps_args: &str) -> Result<Top> {
        top::top(self.inner, reference, ps_args)
    }

    /// What it wrote.
    ///
    /// # Errors
    /// Without a stream chosen, or a log that cannot be read.
    pub fn logs(&self, reference: &str, parameters: LogParameters) -> Result<LogStream> {
        logs::logs(self.inner, reference, parameters)
    }

    /// What it changed in its root.
    ///
    /// # Errors
    /// When its layer cannot be read.
    pub fn changes(&self, reference: &str) -> Result<Vec<Change>> {
        changes::changes(self.inner, reference)
    }

    /// Its whole root as a tar stream.
    ///
    /// # Errors
    /// When its root cannot be opened.
    pub fn export(&self, reference: &str) -> Result<Export> {
        changes::export(self.inner, reference)
    }

    /// Samples of what it uses.
    ///
    /// # Errors
    /// When there is none.
    pub fn stats(&self, reference: &str, one_shot: bool, stream: bool) -> Result<StatsStream> {
        stats::stats(self.inner, reference, one_shot, stream)
    }

    /// Sets its terminal's size.
    ///
    /// # Errors
    /// When it does not run.
    pub fn resize(&self, reference: &str, height: u16, width: u16) -> Result<()> {
        let container = self.inner.find(reference)?;
        let record = container.record();
        if let Some(refusal) = record.lifecycle.refuse_signal(record.id.as_str()) {
            return Err(Error::from_kinded(refusal));
        }
        if record.config.tty {
            let resized = self.inner.supervisor.resize(container.id(), Target::Init, height, width);
            resized.map_err(Error::from_kinded)?;
        }
        let size = [("height", height.to_string()), ("width", width.to_string())];
        super::events::container(self.inner, &record, "resize", &size);
        Ok(())
    }

    /// Starts it.
    ///
    /// # Errors
    /// Not modified when it runs; the runtime's reason when it cannot run.
    pub fn start(&self, reference: &str) -> Result<()> {
        start::start_by_user(self.inner, reference)
    }

    /// Asks it to end, then makes it.
    ///
    /// # Errors
    /// Not modified when it does not run.
    pub fn stop(&self, reference: &str, parameters: &StopParameters) -> Result<()> {
        stop::stop(self.inner, reference, parameters)
    }

    /// Stops and starts it.
    ///
    /// # Errors
    /// As stop and start.
    pub fn restart(&self, reference: &str, parameters: &StopParameters) -> Result<()> {
        stop::restart(self.inner, reference, parameters)
    }

    /// Sends a signal; KILL when none is named.
    ///
    /// # Errors
    /// When it does not run, or for a signal that does not exist.
    pub fn kill(&self, reference: &str, signal: Option<&str>) -> Result<()> {
        kill::kill(self.inner, reference, signal)
    }

    /// Changes its limits and its restart policy.
    ///
    /// # Errors
    /// For values that are refused.
    pub fn update(&self, reference: &str, request: &UpdateRequest) -> Result<UpdateResponse> {
        update::update(self.inner, reference, request)
    }

    /// Gives it another name.
    ///
    /// # Errors
    /// When the name is none, or taken.
    pub fn rename(&self, reference: &str, new_name: &str) -> Result<()> {
        rename::rename(self.inner, reference, new_name)
    }

    /// Freezes its processes.
    ///
    /// # Errors
    /// When it does not run or is frozen.
    pub fn pause(&self, reference: &str) -> Result<()> {
        pause::pause(self.inner, reference)
    }

    /// Lets its processes go on.
    ///
    /// # Errors
    /// When it is not frozen.
    pub fn unpause(&self, reference: &str) -> Result<()> {
        pause::unpause(self.inner, reference)
    }

    /// Connects a client to its streams.
    ///
    /// # Errors
    /// When it is paused or restarting, or for wrong keys.
    pub fn attach(&self, reference: &str, parameters: AttachParameters) -> Result<Attachment> {
        attach::attach(self.inner, reference, parameters)
    }

    /// Waits for its end; registered when this returns.
    ///
    /// # Errors
    /// For an unknown condition.
    pub fn wait(&self, reference: &str, condition: Option<&str>) -> Result<Waiting> {
        wait::wait(self.inner, reference, condition)
    }

    /// Removes it.
    ///
    /// # Errors
    /// When it runs and force is not said.
    pub fn remove(&self, reference: &str, parameters: RemoveParameters) -> Result<()> {
        remove::remove(self.inner, reference, parameters)
    }

    /// What is at a path in it.
    ///
    /// # Errors
    /// When nothing is there.
    pub fn archive_stat(&self, reference: &str, path: &str) -> Result<ArchiveStat> {
        archive::stat(self.inner, reference, path)
    }

    /// A path in it as a tar stream.
    ///
    /// # Errors
    /// When nothing is there.
    pub fn archive_get(&self, reference: &str, path: &str) -> Result<(ArchiveStat, ArchiveSource)> {
        archive::get(self.inner, reference, path)
    }

    /// Unpacks a tar stream into it.
    ///
    /// # Errors
    /// When the path is no folder or cannot be written.
    pub fn archive_put(
        &self,
        reference: &str,
        parameters: &ArchivePutParameters,
        body: &mut dyn Read,
    ) -> Result<()> {
        archive::put(self.inner, reference, parameters, body)
    }

    /// Removes all that do not run.
    ///
    /// # Errors
    /// For wrong filters.
    pub fn prune(&self, filters: &Filters) -> Result<PruneResponse> {
        remove::prune(self.inner, filters)
    }

    /// Makes an image of it; the image's id.
    ///
    /// # Errors
    /// For wrong names and instructions.
    pub fn commit(&self, parameters: CommitParameters) -> Result<String> {
        let made = commit::commit(self.inner, parameters);
        crate::image::gc::schedule(self.inner);
        made
    }
}
