//! What a build did, as it can be exported.

use std::collections::HashSet;

use builder::VertexId;
use builder::plan::Plan;
use builder::solve::{Done, Record};

use super::CachedStep;

/// The results of a build.
pub(in crate::build) fn steps(plan: &Plan, results: &[Option<Done>]) -> Vec<CachedStep> {
    let of_image = chain(plan, plan.target);
    let step = |(id, vertex): (VertexId, &builder::graph::Vertex)| {
        let done = results.get(id.0)?.as_ref()?;
        let created = done.created.filter(|_| !done.keys.is_empty())?;
        let bottom = chain(plan, Some(id)).into_iter().filter_map(|id| plan.graph.get(id)?.layers.as_ref());
        let base: usize = bottom.map(|layers| layers.len()).sum();
        let own = usize::from(done.layer.is_some());
        let below = done.state.get(base..done.state.len().saturating_sub(own)).unwrap_or_default();
        Some(CachedStep {
            keys: done.keys.iter().map(|key| key.as_str().to_owned()).collect(),
            record: Record {
                layer: done.layer.clone(),
                created,
                sources: done.sources.clone(),
                shape: done.shape,
                imported: false,
            },
            below: below.to_vec(),
            description: vertex.name.clone(),
            is_of_image: of_image.contains(&id),
        })
    };
    plan.graph.vertices().filter_map(step).collect()
}

/// A vertex, the one its root comes from, and so on.
fn chain(plan: &Plan, from: Option<VertexId>) -> HashSet<VertexId> {
    let mut seen = HashSet::new();
    let mut next = from;
    while let Some(id) = next {
        seen.insert(id);
        next = plan.graph.get(id).and_then(|vertex| vertex.inputs.first()).copied();
    }
    seen
}
