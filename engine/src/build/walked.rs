//! What a walk over a context found, from telling a step's key to doing the step.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use builder::VertexId;
use builder::operation::Selection;

use super::tree::Source;

/// Files of one selection at most: so many take a few dozen megabytes.
const MOST: usize = 100_000;

/// Walks of the steps that have begun.
#[derive(Default)]
pub(super) struct Walked {
    steps: Mutex<HashMap<VertexId, Walks>>,
}

/// Selections of one step with what they mean.
type Walks = Vec<(Selection, Vec<Source>)>;

impl Walked {
    fn lock(&self) -> MutexGuard<'_, HashMap<VertexId, Walks>> {
        self.steps.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps what a selection means, for the step itself.
    pub(super) fn keep(&self, step: VertexId, selection: &Selection, sources: Vec<Source>) {
        if sources.iter().map(|source| source.files.len()).sum::<usize>() <= MOST {
            self.lock().entry(step).or_default().push((selection.clone(), sources));
        }
    }

    /// What was kept of it, once.
    pub(super) fn take(&self, step: VertexId, selection: &Selection) -> Option<Vec<Source>> {
        let mut steps = self.lock();
        let walks = steps.get_mut(&step)?;
        let place = walks.iter().position(|(known, _)| known == selection)?;
        Some(walks.swap_remove(place).1)
    }

    /// The step is over.
    pub(super) fn forget(&self, step: VertexId) {
        self.lock().remove(&step);
    }
}
