//! Trees that files are taken from: which files a selection means, and what they are by content.

use std::collections::HashMap;
use std::ffi::CString;
use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use build_context::Ignore;
use linux::root::RootDir;
use model::pattern::Pattern;
use oci::Digest;
use oci::digest::{Algorithm, Digester};
use rustix::fs::{FileType, Stat};

use super::side_by_side::side_by_side;
use super::walk::{Seen, open_folder, walk};
use crate::error::Context;
use crate::{Error, Result};

/// Files of one selection at most.
pub(super) const MOST: usize = 2_000_000;
/// Bytes read at once.
const BLOCK: usize = 128 << 10;
/// Files that are worth a thread.
pub(super) const SHARE: usize = 500;
/// File contents remembered at most.
const REMEMBERED: usize = 200_000;

/// Files somewhere.
pub(super) struct Tree<'t> {
    /// Where.
    pub(super) root: RootDir,
    /// What is not seen of them.
    pub(super) ignore: Option<&'t Ignore>,
    /// Whose they are, if not whose they are on disk.
    pub(super) owner: Option<(u32, u32)>,
    /// Contents that are known already; none where every file is new.
    pub(super) contents: Option<&'t Contents>,
    /// Whether nobody wants the files any more.
    pub(super) unwanted: &'t (dyn Fn() -> bool + Sync),
}

/// A file that is taken.
pub(super) struct Found {
    /// Where it is in the tree.
    pub(super) path: PathBuf,
    /// Where it goes below the destination; empty for a single file and for the folder itself.
    pub(super) target: PathBuf,
    /// Its attributes.
    pub(super) stat: Stat,
}

/// One source of an instruction with everything below it.
pub(super) struct Source {
    /// Its path in the tree.
    pub(super) path: PathBuf,
    /// Whether it is a folder, whose content is meant.
    pub(super) is_folder: bool,
    /// Itself and what is below, each folder before what is in it.
    pub(super) files: Vec<Found>,
}

/// Contents of files by what the file system says of them.
#[derive(Default)]
pub(crate) struct Contents {
    known: Mutex<HashMap<(u64, u64), (Stamp, Digest)>>,
}

/// Changes with every change of the file.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Stamp {
    size: i64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Tree<'_> {
    /// The sources a path or pattern means.
    pub(super) fn sources(&self, text: &str, exclude: &Ignore) -> Result<Vec<Source>> {
        let clean = model::path::below_root(text);
        let paths = if clean.bytes().any(|byte| matches!(byte, b'*' | b'?' | b'[' | b'\\')) {
            self.matching(&clean)?
        } else {
            vec![PathBuf::from(&clean)]
        };
        let sources: Vec<Source> =
            paths.into_iter().map(|path| self.source(path, exclude)).collect::<Result<_>>()?;
        Ok(sources)
    }

    fn source(&self, path: PathBuf, exclude: &Ignore) -> Result<Source> {
        let missing = || not_found(&path);
        let hidden = self.ignore.is_some_and(|ignore| {
            let text = path.to_string_lossy();
            !text.is_empty() && ignore.is_ignored(&text) && !ignore.may_show_below(&text)
        });
        if hidden {
            return Err(missing());
        }
        // What is named is meant, also when a link leads to it; links below stay links.
        let found = self.root.resolve(here(&path)).map_err(|_| missing())?;
        let stat = rustix::fs::fstat(&found).doing(|| format!("looking at {}", path.display()))?;
        let is_folder = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
        let mut files = vec![Found { path: path.clone(), target: PathBuf::new(), stat }];
        if is_folder {
            let real = real_path(&self.root, &path);
            walk(found.as_fd(), &Seen { ignore: self.ignore, exclude, real }, &mut files)?;
        }
        Ok(Source { path, is_folder, files })
    }

    /// Paths that match, sorted.
    fn matching(&self, pattern: &str) -> Result<Vec<PathBuf>> {
        let mut level = vec![PathBuf::new()];
        for component in pattern.split('/') {
            let parsed = Pattern::new(component)
                .map_err(|_| Error::invalid(format!("syntax error in pattern: {pattern:?}")))?;
            let mut next = Vec::new();
            for folder in &level {
                let Ok(found) = self.root.resolve(here(folder)) else { continue };
                let Ok(open) = open_folder(found.as_fd(), c".", folder) else { continue };
                for name in
                    archive::tree::sorted_names(&open).doing(|| format!("listing {}", folder.display()))?
                {
                    let name = std::ffi::OsStr::from_bytes(name.to_bytes());
                    let path = folder.join(name);
                    let shown = path.to_string_lossy();
                    let seen = self
                        .ignore
                        .is_none_or(|ignore| !ignore.is_ignored(&shown) || ignore.may_show_below(&shown));
                    if seen && parsed.matches(&name.to_string_lossy()) {
                        next.push(path);
                    }
                }
                if next.len() > MOST {
                    return Err(too_many());
                }
            }
            level = next;
        }
        Ok(level)
    }

    /// Opens a regular file that was found; with what it is like now.
    pub(super) fn open(&self, path: &Path) -> Result<(File, Stat)> {
        if (self.unwanted)() {
            return Err(Error::internal("context canceled"));
        }
        let opened = self.root.open_seen_regular(here(path));
        let (file, stat) = opened.doing(|| format!("opening {}", path.display()))?;
        Ok((File::from(file), stat))
    }

    /// The text of a link that was found.
    pub(super) fn link(&self, path: &Path) -> Result<CString> {
        self.root.read_link(path).doing(|| format!("reading the link {}", path.display()))
    }

    /// Whose a file is.
    pub(super) fn owner(&self, stat: &Stat) -> (u32, u32) {
        self.owner.unwrap_or((stat.st_uid, stat.st_gid))
    }

    /// Adds what a source is to a digest. Many files are read by several threads.
    pub(super) fn digest(&self, source: &Source, digester: &mut Digester) -> Result<()> {
        digester.update(format!("source {} {}\n", source.is_folder, source.path.display()).as_bytes());
        for part in side_by_side(&source.files, SHARE, |files| self.digest_of(files))? {
            digester.update(part.as_str().as_bytes());
        }
        Ok(())
    }

    fn digest_of(&self, files: &[Found]) -> Result<Digest> {
        let mut digester = Digester::new(Algorithm::Sha256);
        for found in files {
            let stat = &found.stat;
            let (uid, gid) = self.owner(stat);
            let line = format!("{:o} {uid} {gid} {} ", stat.st_mode, stat.st_rdev);
            digester.update(line.as_bytes());
            digester.update(found.target.as_os_str().as_bytes());
            digester.update(b"\0");
            match FileType::from_raw_mode(stat.st_mode) {
                FileType::RegularFile => digester.update(self.content(found)?.as_str().as_bytes()),
                FileType::Symlink => digester.update(self.link(&found.path)?.to_bytes()),
                _ => {}
            }
            digester.update(b"\0");
        }
        Ok(digester.finish())
    }

    fn content(&self, found: &Found) -> Result<Digest> {
        if let Some(known) = self.contents.and_then(|contents| contents.get(&found.stat)) {
            return Ok(known);
        }
        let path = &found.path;
        let (mut file, stat) = self.open(path)?;
        let mut digester = Digester::new(Algorithm::Sha256);
        // Most files are small: each gets a block that holds it.
        let block = usize::try_from(stat.st_size).unwrap_or(BLOCK).min(BLOCK);
        digester.update_from(&mut file, block).doing(|| format!("reading {}", path.display()))?;
        let digest = digester.finish();
        if let Some(contents) = self.contents {
            contents.keep(&stat, &digest);
        }
        Ok(digest)
    }
}

impl Contents {
    fn get(&self, stat: &Stat) -> Option<Digest> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let (stamp, digest) = known.get(&(stat.st_dev, stat.st_ino))?;
        (*stamp == stamp_of(stat)).then(|| digest.clone())
    }

    /// Files that changed just now may change again without a new time: they are not remembered.
    fn keep(&self, stat: &Stat, digest: &Digest) {
        if model::Timestamp::now().seconds() - stat.st_ctime < 2 {
            return;
        }
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= REMEMBERED {
            known.clear();
        }
        known.insert((stat.st_dev, stat.st_ino), (stamp_of(stat), digest.clone()));
    }
}

pub(super) fn is_regular(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile
}

fn stamp_of(stat: &Stat) -> Stamp {
    Stamp {
        size: stat.st_size,
        modified: (stat.st_mtime, i64::try_from(stat.st_mtime_nsec).unwrap_or_default()),
        changed: (stat.st_ctime, i64::try_from(stat.st_ctime_nsec).unwrap_or_default()),
    }
}

/// A path without links in it, of something that exists; the same path when that cannot be said.
pub(super) fn real_path(root: &RootDir, path: &Path) -> PathBuf {
    resolve(root, path).unwrap_or_else(|_| path.to_owned())
}

/// Follows all links of a path, also where the end of it does not exist yet. Never leads out of the root.
pub(super) fn resolve(root: &RootDir, path: &Path) -> Result<PathBuf> {
    let mut left: Vec<std::ffi::OsString> =
        path.components().rev().map(|part| part.as_os_str().to_owned()).collect();
    let mut done = PathBuf::new();
    let mut links = 0;
    while let Some(part) = left.pop() {
        match part.as_bytes() {
            b"/" | b"." | b"" => continue,
            b".." => {
                done.pop();
                continue;
            }
            _ => {}
        }
        let next = done.join(&part);
        let Ok(text) = root.read_link(&next) else {
            done = next;
            continue;
        };
        links += 1;
        if links > 40 {
            return Err(Error::invalid(format!("too many links in {}", path.display())));
        }
        let text = PathBuf::from(std::ffi::OsStr::from_bytes(text.to_bytes()));
        if text.is_absolute() {
            done = PathBuf::new();
        }
        left.extend(text.components().rev().map(|part| part.as_os_str().to_owned()));
    }
    Ok(done)
}

/// A name as a pattern that means only it.
pub(super) fn escaped(name: &str) -> String {
    let mut text = String::new();
    for letter in name.chars() {
        if matches!(letter, '*' | '?' | '[' | '\\') {
            text.push('\\');
        }
        text.push(letter);
    }
    text
}

/// The root itself has a name, too.
pub(super) fn here(path: &Path) -> &Path {
    if path.as_os_str().is_empty() { Path::new(".") } else { path }
}

fn not_found(path: &Path) -> Error {
    Error::not_found(format!(
        "file not found in build context or excluded by .dockerignore: stat {}: file does not exist",
        path.display()
    ))
}

pub(super) fn too_many() -> Error {
    Error::invalid(format!("more than {MOST} files in one instruction"))
}
