//! Steps that are told of, each with its beginning and end.

use std::time::SystemTime;

use buildkit::control::{Vertex, VertexStatus};
use buildkit::server::Progress;
use grpc::Status;

/// The name of a step in a stream of news.
pub(super) fn digest(text: &str) -> String {
    oci::Digest::of(text.as_bytes()).to_string()
}

/// Tells of something while it is done; `work` may say how far it is.
pub(super) fn told<T>(
    progress: &Progress,
    name: &str,
    work: impl FnOnce(&Telling<'_>) -> Result<T, Status>,
) -> Result<T, Status> {
    let telling = Telling { progress, digest: digest(name), started: SystemTime::now() };
    let vertex = Vertex {
        digest: telling.digest.clone(),
        name: name.to_owned(),
        started: Some(telling.started.into()),
        ..Vertex::default()
    };
    progress.vertex(vertex.clone());
    let outcome = work(&telling);
    let error = outcome.as_ref().err().map(|status| status.message.clone()).unwrap_or_default();
    progress.vertex(Vertex { completed: Some(SystemTime::now().into()), error, ..vertex });
    outcome
}

/// Something that is being done.
pub(super) struct Telling<'p> {
    progress: &'p Progress,
    digest: String,
    started: SystemTime,
}

impl Telling<'_> {
    /// How far a part of it is.
    pub(super) fn part(&self, id: &str, name: &str, current: u64, done: bool) {
        let now = SystemTime::now();
        self.progress.status(VertexStatus {
            id: id.to_owned(),
            vertex: self.digest.clone(),
            name: name.to_owned(),
            current: i64::try_from(current).unwrap_or(i64::MAX),
            total: 0,
            timestamp: Some(now.into()),
            started: Some(self.started.into()),
            completed: done.then(|| now.into()),
        });
    }
}
