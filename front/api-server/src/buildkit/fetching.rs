//! An image that is looked for, as a step: its layers as they come.

use std::collections::BTreeMap;
use std::time::SystemTime;

use api::image::Progress;
use buildkit::control::{Vertex, VertexStatus};

use super::vertex;

/// An image on its way.
pub(super) struct Fetching {
    pub(super) vertex: Vertex,
    /// When something about a layer began.
    began: BTreeMap<String, SystemTime>,
}

impl Fetching {
    /// What the step is called for an image of a whole name.
    pub(super) fn title(name: &str) -> String {
        format!("[internal] load metadata for {name}")
    }

    /// A step of this name.
    pub(super) fn new(name: String, began: SystemTime) -> Self {
        let digest = vertex::digest(&name);
        let vertex = Vertex { digest, name, started: Some(began.into()), ..Vertex::default() };
        Self { vertex, began: BTreeMap::new() }
    }

    /// It is there, or was not to be had.
    pub(super) fn end(self, error: &str) -> Vertex {
        Vertex { completed: Some(SystemTime::now().into()), error: error.to_owned(), ..self.vertex }
    }

    /// What the news of a pull say in terms of BuildKit: bytes of layers that come, then layers that are unpacked.
    pub(super) fn layer(&mut self, progress: &Progress) -> Option<VertexStatus> {
        let detail = progress.progress_detail.clone().unwrap_or_default();
        let (id, ended) = match progress.status.as_str() {
            "Downloading" => (progress.id.clone(), detail.total > 0 && detail.current >= detail.total),
            "Download complete" => (progress.id.clone(), true),
            "Extracting" => (format!("extracting {}", progress.id), false),
            "Pull complete" => (format!("extracting {}", progress.id), true),
            _ => return None,
        };
        let now = SystemTime::now();
        let began = *self.began.entry(id.clone()).or_insert(now);
        Some(VertexStatus {
            vertex: self.vertex.digest.clone(),
            name: progress.status.to_lowercase(),
            current: if id.starts_with("extracting") { 0 } else { detail.current },
            total: if id.starts_with("extracting") { 0 } else { detail.total },
            timestamp: Some(now.into()),
            started: Some(began.into()),
            completed: ended.then(|| now.into()),
            id,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::image::ProgressDetail;

    #[test]
    fn layers_come_and_are_unpacked() {
        let mut fetching = Fetching::new(Fetching::title("docker.io/library/a:1"), SystemTime::UNIX_EPOCH);
        assert_eq!(fetching.vertex.name, "[internal] load metadata for docker.io/library/a:1");
        let mut told = |status: &str, current, total| {
            let progress_detail = Some(ProgressDetail { current, total, ..ProgressDetail::default() });
            let progress =
                Progress { id: "abc".into(), status: status.into(), progress_detail, ..Progress::default() };
            let news = fetching.layer(&progress)?;
            assert_eq!(news.vertex, fetching.vertex.digest);
            Some((news.id, news.current, news.total, news.completed.is_some()))
        };
        assert_eq!(told("Pulling fs layer", 0, 0), None);
        assert_eq!(told("Downloading", 5, 10), Some(("abc".into(), 5, 10, false)));
        assert_eq!(told("Downloading", 10, 10), Some(("abc".into(), 10, 10, true)));
        assert_eq!(told("Extracting", 3, 10), Some(("extracting abc".into(), 0, 0, false)));
        assert_eq!(told("Pull complete", 0, 0), Some(("extracting abc".into(), 0, 0, true)));
        let ended = fetching.end("gone");
        assert_eq!((ended.error.as_str(), ended.completed.is_some()), ("gone", true));
    }
}
