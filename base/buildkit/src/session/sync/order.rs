//! The order files have to come in: each directory's names sorted, a directory before what is in it.

use super::SyncError;

/// Longest path, in bytes; the kernel's limit.
const LONGEST_PATH: usize = 4095;
/// Longest name, in bytes; the limit of all file systems.
const LONGEST_NAME: usize = 255;

/// The directories that are open, outermost first, and the last name in each. The folder itself is the first.
#[derive(Debug)]
pub(super) struct Order {
    open: Vec<Level>,
    depth: usize,
}

#[derive(Debug, Default)]
struct Level {
    name: String,
    last: String,
}

/// Where the next file stands.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Place<'p> {
    /// How many directories stay open, the folder included; the others are complete.
    pub(super) keep: usize,
    /// The name in the innermost of them.
    pub(super) name: &'p str,
}

impl Order {
    /// For at most `depth` directories in each other.
    pub(super) fn new(depth: usize) -> Self {
        Self { open: vec![Level::default()], depth }
    }

    /// Checks the next path.
    pub(super) fn next<'p>(&mut self, path: &'p str) -> Result<Place<'p>, SyncError> {
        let refused = |what| SyncError::Refused { what, path: path.chars().take(200).collect() };
        if path.len() > LONGEST_PATH {
            return Err(refused("a path that is too long"));
        }
        let mut names = path.split('/');
        if !names.clone().all(is_name) {
            return Err(refused("a path that is not clean"));
        }
        let name = names.next_back().unwrap_or_default();
        let mut keep = 1;
        for directory in names {
            if self.open.get(keep).is_none_or(|level| level.name != directory) {
                return Err(refused("a path whose directory is not there or over"));
            }
            keep += 1;
        }
        self.open.truncate(keep);
        let level = &mut self.open[keep - 1];
        if name <= level.last.as_str() {
            return Err(refused("paths out of order"));
        }
        name.clone_into(&mut level.last);
        Ok(Place { keep, name })
    }

    /// The last path is a directory, open from now on.
    pub(super) fn enter(&mut self, path: &str) -> Result<(), SyncError> {
        if self.open.len() > self.depth {
            return Err(SyncError::TooMuch { what: "directories in each other", limit: self.depth as u64 });
        }
        let name = path.rsplit('/').next().unwrap_or_default().to_owned();
        self.open.push(Level { name, last: String::new() });
        Ok(())
    }
}

fn is_name(name: &str) -> bool {
    !matches!(name, "" | "." | "..") && name.len() <= LONGEST_NAME && !name.contains('\0')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks paths in a row; a `/` at the end says that it is a directory. The number of the first that is refused.
    fn refused_at(paths: &[&str]) -> Option<usize> {
        let mut order = Order::new(4);
        paths.iter().position(|path| {
            let (path, is_dir) = path.strip_suffix('/').map_or((*path, false), |path| (path, true));
            order.next(path).is_err() || (is_dir && order.enter(path).is_err())
        })
    }

    #[test]
    fn sorted_paths_pass() {
        assert_eq!(refused_at(&["a", "a.b/", "a.b/x", "b/", "b/c/", "b/c/d", "b/d", "ü", "ü.x"]), None);
        // A slash sorts before all letters here: the files of `a` come before `a.b`.
        assert_eq!(refused_at(&["a/", "a/z", "a.b"]), None);
    }

    #[test]
    fn everything_else_is_refused() {
        let long = "x".repeat(256);
        for (paths, at) in [
            (&["b", "a"][..], 1),
            (&["a", "a"], 1),
            (&["a", "a/b"], 1),
            (&["a/", "b", "a/c"], 2),
            (&["a/b"], 0),
            (&[""], 0),
            (&["."], 0),
            (&[".."], 0),
            (&["../x"], 0),
            (&["/a"], 0),
            (&["a/", "a/../b"], 1),
            (&["a/", "a//b"], 1),
            (&["a/", "a/./b"], 1),
            (&["a\0b"], 0),
            (&[long.as_str()], 0),
            (&["a/", "a/b/", "a/b/c/", "a/b/c/d/", "a/b/c/d/e/"], 4),
        ] {
            assert_eq!(refused_at(paths), Some(at), "{paths:?}");
        }
    }

    #[test]
    fn a_place_says_which_directories_are_complete() {
        let mut order = Order::new(4);
        for (path, keep) in [("a", 1), ("a/b", 2), ("a/b/c", 3), ("a/d", 2), ("e", 1)] {
            let name = path.rsplit('/').next().expect("a name");
            assert_eq!(order.next(path).expect("in order"), Place { keep, name });
            order.enter(path).expect("not too deep");
        }
    }
}
