//! What each container verb is told besides the container.

use model::{Filters, Timestamp};

/// Wish for a new container.
#[derive(Debug, Clone)]
pub struct CreateParameters {
    /// Its name; made up when absent.
    pub name: Option<String>,
    /// `os/arch[/variant]` that the image has to have.
    pub platform: Option<String>,
    /// The document.
    pub request: api::container::CreateRequest,
    /// Version the client speaks; some defaults depend on it.
    pub version: api::ApiVersion,
}

/// Which containers are listed.
#[derive(Debug, Clone, Default)]
pub struct ListParameters {
    /// Those that do not run too.
    pub all: bool,
    /// At most so many of the newest; implies `all` when positive.
    pub limit: i64,
    /// With sizes.
    pub size: bool,
    /// Docker's filters.
    pub filters: Filters,
}

/// How a container is stopped.
#[derive(Debug, Clone, Default)]
pub struct StopParameters {
    /// Seconds until KILL; negative waits for ever; the container's own when absent.
    pub timeout: Option<i64>,
    /// Signal instead of the container's own.
    pub signal: Option<String>,
}

/// How a container is removed.
#[derive(Debug, Clone, Copy, Default)]
pub struct RemoveParameters {
    /// With its anonymous volumes.
    pub volumes: bool,
    /// Even when it runs.
    pub force: bool,
    /// Only the link of this name.
    pub link: bool,
}

/// What a client wants of a container's streams.
#[derive(Debug, Clone, Default)]
pub struct AttachParameters {
    /// First what was recorded.
    pub logs: bool,
    /// Then what comes.
    pub stream: bool,
    /// Send input.
    pub stdin: bool,
    /// Get output.
    pub stdout: bool,
    /// Get errors.
    pub stderr: bool,
    /// Keys that detach, as given; the default when absent.
    pub detach_keys: Option<String>,
    /// Never put frame headers (websocket); otherwise frames are put when there is no terminal.
    pub never_framed: bool,
}

/// Which part of the log is read.
#[derive(Debug, Clone, Default)]
pub struct LogParameters {
    /// Go on with what comes.
    pub follow: bool,
    /// Standard output.
    pub stdout: bool,
    /// Standard error.
    pub stderr: bool,
    /// Not before.
    pub since: Option<Timestamp>,
    /// Not after.
    pub until: Option<Timestamp>,
    /// With the time before each line.
    pub timestamps: bool,
    /// Only so many last lines; all when absent.
    pub tail: Option<u64>,
    /// With the attributes before each line.
    pub details: bool,
}

/// How an archive is put into a container.
#[derive(Debug, Clone, Default)]
pub struct ArchivePutParameters {
    /// Folder it is unpacked in.
    pub path: String,
    /// Refuse to replace a folder by a file and the other way round.
    pub no_overwrite_dir_non_dir: bool,
    /// Keep the owner's numbers of the archive.
    pub copy_uid_gid: bool,
}

/// How an image is made from a container.
#[derive(Debug, Clone, Default)]
pub struct CommitParameters {
    /// The container.
    pub container: String,
    /// Name of the image.
    pub repository: String,
    /// Its tag.
    pub tag: String,
    /// Message kept in the history.
    pub comment: String,
    /// Author kept in the image.
    pub author: String,
    /// Whether the container is paused meanwhile.
    pub pause: bool,
    /// Dockerfile instructions applied to the configuration.
    pub changes: Vec<String>,
    /// Configuration that replaces the container's, when one was sent.
    pub config: Option<api::container::Config>,
}
