//! Paths a builder wants to see, with what the links on the way lead to.

use grpc::{Code, Status};
use linux::root::RootDir;
use model::pattern::Pattern;
use rustix::fs::{Dir, FileType, Mode, OFlags};

/// Links and folders that are gone through for one list.
const MOST: usize = 10_000;

/// The paths themselves and those their links lead to, inside of the folder; wildcards stay where no link is met.
pub(super) fn resolve(root: &RootDir, paths: &[String]) -> Result<Vec<String>, Status> {
    let mut following = Following { root, found: Vec::new(), pending: Vec::new() };
    for path in paths {
        following.onward(String::new(), parts(path).map(str::to_owned).collect());
    }
    let mut steps = 0;
    while let Some((folder, rest)) = following.pending.pop() {
        steps += 1;
        if steps > MOST {
            return Err(Status::new(Code::InvalidArgument, "too many links in the wanted paths"));
        }
        following.follow(folder, &rest);
    }
    following.found.sort();
    following.found.dedup();
    Ok(following.found)
}

fn parts(path: &str) -> impl DoubleEndedIterator<Item = &str> {
    path.split('/').filter(|part| !matches!(*part, "" | "."))
}

struct Following<'f> {
    root: &'f RootDir,
    found: Vec<String>,
    /// Folders that are reached, with the rest of the path from there.
    pending: Vec<(String, Vec<String>)>,
}

impl Following<'_> {
    fn onward(&mut self, folder: String, rest: Vec<String>) {
        self.pending.push((folder, rest));
    }

    /// Follows the rest of a path from a folder that is reached, up to the next link.
    fn follow(&mut self, folder: String, rest: &[String]) {
        let mut folder = folder;
        for (at, name) in rest.iter().enumerate() {
            let rest = &rest[at + 1..];
            if name == ".." {
                folder = folder.rsplit_once('/').map_or("", |(above, _)| above).to_owned();
                continue;
            }
            if name.contains(['*', '?', '[', '\\']) {
                return self.follow_matches(&folder, name, rest);
            }
            let path = join(&folder, name);
            if let Some(target) = self.link(&path) {
                return self.follow_link(folder, path, &target, rest);
            }
            folder = path;
        }
        self.found.push(folder);
    }

    /// The names a wildcard stands for: links among them are followed, the pattern itself stays.
    fn follow_matches(&mut self, folder: &str, pattern: &str, rest: &[String]) {
        let whole: Vec<&str> = [pattern].into_iter().chain(rest.iter().map(String::as_str)).collect();
        self.found.push(join(folder, &whole.join("/")));
        let Ok(pattern) = Pattern::new(pattern) else { return };
        for name in self.names(folder).into_iter().filter(|name| pattern.matches(name)) {
            let path = join(folder, &name);
            match self.link(&path) {
                Some(target) => self.follow_link(folder.to_owned(), path, &target, rest),
                None if !rest.is_empty() => self.onward(path, rest.to_vec()),
                None => {}
            }
        }
    }

    fn follow_link(&mut self, folder: String, link: String, target: &str, rest: &[String]) {
        self.found.push(link);
        let onward = parts(target).map(str::to_owned).chain(rest.iter().cloned()).collect();
        self.onward(if target.starts_with('/') { String::new() } else { folder }, onward);
    }

    fn link(&self, path: &str) -> Option<String> {
        let found = self.root.stat_link(path).ok()?;
        if FileType::from_raw_mode(found.st_mode) != FileType::Symlink {
            return None;
        }
        self.root.read_link(path).ok()?.into_string().ok()
    }

    fn names(&self, folder: &str) -> Vec<String> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened = self.root.open_file(if folder.is_empty() { "." } else { folder }, flags, Mode::empty());
        let Ok(entries) = opened.and_then(Dir::new) else { return Vec::new() };
        let names = entries.filter_map(|entry| entry.ok()?.file_name().to_str().ok().map(str::to_owned));
        names.filter(|name| !matches!(name.as_str(), "." | "..")).collect()
    }
}

fn join(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}
