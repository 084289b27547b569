//! The control group that shims live in.

use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use linux::Errno;
use linux::cgroup::{Cgroup, Hierarchies};

/// A control group for shims, open in every hierarchy: to be born in on version 2, to join on version 1.
#[derive(Debug)]
pub struct ShimGroup {
    hierarchies: Hierarchies,
    path: String,
    /// Groups above it that were not there before, the nearest first.
    made: Vec<String>,
    open: RwLock<Arc<Open>>,
}

/// The open directories.
#[derive(Debug)]
struct Open {
    group: Cgroup,
    tasks: Vec<OwnedFd>,
}

impl ShimGroup {
    /// Makes the group, or takes it as it is.
    ///
    /// # Errors
    /// When the hierarchies can't be written.
    pub fn make(hierarchies: &Hierarchies, path: &str) -> linux::cgroup::Result<Self> {
        let made = above(path).filter(|group| hierarchies.open(group).is_err()).map(str::to_owned).collect();
        let open = RwLock::new(Arc::new(Open::new(hierarchies, path)?));
        Ok(Self { hierarchies: hierarchies.clone(), path: path.to_owned(), made, open })
    }

    /// Starts a process in it: `start` gets the directory of version 2 and the `tasks` files of version 1. The group is
    /// made anew when somebody has removed it while it was empty.
    pub(super) fn enter<T>(
        &self,
        start: impl Fn(Option<BorrowedFd<'_>>, &[OwnedFd]) -> Result<T, Errno>,
    ) -> Result<T, Errno> {
        let open = Arc::clone(&self.open.read().unwrap_or_else(PoisonError::into_inner));
        match start(open.group.entrance(), &open.tasks) {
            Err(Errno::NODEV | Errno::NOENT) => {
                let anew = Arc::new(Open::new(&self.hierarchies, &self.path).map_err(|_| Errno::NODEV)?);
                *self.open.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&anew);
                start(anew.group.entrance(), &anew.tasks)
            }
            outcome => outcome,
        }
    }

    /// Removes the group if nobody is in it, and the empty ones above it that were made for it; shims that are about to end
    /// are waited for a moment.
    pub(super) fn leave(&self, patience: Duration) {
        let open = Arc::clone(&self.open.read().unwrap_or_else(PoisonError::into_inner));
        // Shims that stay, this engine's or another's, keep it; whoever needs it next makes it anew.
        let _ = open.group.remove(patience);
        self.made.iter().for_each(|group| self.hierarchies.remove_empty(group));
    }
}

/// The groups above one, the nearest first.
fn above(path: &str) -> impl Iterator<Item = &str> {
    let slashes = path.rmatch_indices('/').map(|(at, _)| at).filter(|at| *at > 0);
    slashes.filter_map(|at| path.get(..at))
}

impl Open {
    fn new(hierarchies: &Hierarchies, path: &str) -> linux::cgroup::Result<Self> {
        let group = hierarchies.create(path)?;
        let tasks = group.tasks()?;
        Ok(Self { group, tasks })
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn groups_have_others_above_them() {
        assert_eq!(super::above("/a/b/shims").collect::<Vec<_>>(), ["/a/b", "/a"]);
        assert_eq!(super::above("/shims").count(), 0);
    }
}
