//! The image that comes out: configuration, history and layers, once all results are there.

use model::Timestamp;
use oci::image::{History, ImageConfig};

use super::{Past, Plan};
use crate::graph::State;
use crate::operation::VertexId;
use crate::solve::Done;
use crate::solve::Shape;

/// What a build made.
#[derive(Debug, Clone)]
pub struct Built {
    /// The configuration with its history; the layers' digests are in it.
    pub config: ImageConfig,
    /// The layers.
    pub layers: State,
}

impl Plan {
    /// Puts results together. Steps without a layer get the time of the layer before them, or else of the next one: the
    /// same steps with the same results are the same image, whenever they are put together.
    pub fn image(&self, results: &[Option<Done>]) -> Built {
        let done = |id: &VertexId| results.get(id.0).and_then(Option::as_ref);
        let layers = self.target.as_ref().and_then(done).map(|done| done.state.clone()).unwrap_or_default();
        let mut config = self.config.clone();
        config.rootfs.diff_ids = layers.iter().map(|layer| layer.diff_id.clone()).collect();
        let mut history: Vec<History> = self.history.iter().map(|past| entry(past, &done)).collect();
        // Before anything of this build there may be nothing with a time.
        let mut last = history.iter().find_map(|entry| entry.created);
        for entry in &mut history {
            entry.created = entry.created.or(last);
            last = entry.created;
        }
        let newest: Option<Timestamp> = last;
        config.created = newest.or(Some(Timestamp::from_unix(0, 0)));
        config.history = history;
        Built { config, layers }
    }
}

fn entry<'r>(past: &Past, done: &impl Fn(&VertexId) -> Option<&'r Done>) -> History {
    match past {
        Past::Known(history) => history.clone(),
        Past::New { created_by, content, vertex, comment, author } => {
            let result = vertex.as_ref().and_then(done);
            let mut created_by = created_by.clone();
            if let Some(behind) = content {
                created_by.push_str(result.map_or(Shape::File, |done| done.shape).word());
                created_by.push(':');
                let digests = result.map(|done| done.sources.as_slice()).unwrap_or_default();
                let hex = digests.first().map_or("", |digest| digest.hex());
                created_by.push_str(hex);
                created_by.push_str(behind);
            }
            History {
                created: result.and_then(|done| done.created),
                created_by,
                author: author.clone(),
                comment: (*comment).to_owned(),
                empty_layer: result.is_none_or(|done| done.layer.is_none()),
            }
        }
    }
}
