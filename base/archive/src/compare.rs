//! Compares a layer's tree with the tar it was unpacked from: everything of the tar is there as it says, and no more.

use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use linux::root::RootDir;
use rustix::fs::{FileType, Mode, OFlags, Stat};

use crate::entry::{Entry, EntryKind};
use crate::error::{ArchiveError, Result};
use crate::limits::Limits;
use crate::overlay::{Mark, mark};
use crate::reader::Reader;
use crate::tree::{is_opaque, sorted_names};

/// A name whose file is not what the tar says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Path in the layer.
    pub path: PathBuf,
    /// What differs.
    pub what: &'static str,
}

impl std::fmt::Display for Difference {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{}: {}", self.path.display(), self.what)
    }
}

/// Compares the tree of a layer, with overlayfs' whiteouts, with the uncompressed tar of the layer, which is read to its
/// end. Answers the differences, sorted by path; for each name the last entry of the tar counts.
pub fn compare_layer(root: &RootDir, tar: impl Read) -> Result<Vec<Difference>> {
    let mut comparison = Comparison {
        root,
        found: HashMap::new(),
        expected: HashSet::new(),
        block: vec![0; BLOCK],
        other: vec![0; BLOCK],
    };
    let mut reader = Reader::new(tar, Limits::DEFAULT);
    while let Some(entry) = reader.next_entry()? {
        comparison.entry(&entry, &mut reader)?;
    }
    reader.drain()?;
    comparison.look_for_more(Path::new(""), 0)?;
    let mut found: Vec<Difference> =
        comparison.found.into_iter().map(|(path, what)| Difference { path, what }).collect();
    found.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(found)
}

/// Bytes compared at once.
const BLOCK: usize = 64 << 10;

struct Comparison<'a> {
    root: &'a RootDir,
    /// What differs now; a later entry for the same name may put it right.
    found: HashMap<PathBuf, &'static str>,
    /// Hashes of all names that belong there: the tree may be larger than the memory for its names.
    expected: HashSet<u64>,
    block: Vec<u8>,
    other: Vec<u8>,
}

impl Comparison<'_> {
    fn entry(&mut self, entry: &Entry, content: &mut impl Read) -> Result<()> {
        let path = clean(&entry.path);
        let Some(name) = path.file_name() else { return Ok(()) };
        match mark(name.as_bytes()) {
            Mark::Ignored => Ok(()),
            Mark::Opaque => {
                let directory = path.parent().unwrap_or(Path::new("")).to_owned();
                let what = self.opaque(&directory);
                self.note(directory, what);
                Ok(())
            }
            Mark::Whiteout(hidden) => {
                let path = path.with_file_name(OsStr::from_bytes(hidden));
                let there = self.root.stat_link(&path);
                // Something of the same layer under that name stays.
                let what = there.is_err().then_some("the whiteout is missing");
                self.note(path, what);
                Ok(())
            }
            Mark::Plain => {
                let what = self.plain(entry, &path, content)?;
                self.note(path, what);
                Ok(())
            }
        }
    }

    fn note(&mut self, path: PathBuf, what: Option<&'static str>) {
        for ancestor in path.ancestors() {
            if !self.expected.insert(hash(ancestor)) && ancestor != path {
                break;
            }
        }
        match what {
            Some(what) => drop(self.found.insert(path, what)),
            None => drop(self.found.remove(&path)),
        }
    }

    fn opaque(&self, directory: &Path) -> Option<&'static str> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        let path = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
        match self.root.open_file(path, flags, Mode::empty()) {
            Ok(open) if is_opaque(open.as_fd()) => None,
            Ok(_) => Some("it does not hide the layers below"),
            Err(_) => Some("missing"),
        }
    }

    fn plain(&mut self, entry: &Entry, path: &Path, content: &mut impl Read) -> Result<Option<&'static str>> {
        let Ok(stat) = self.root.stat_link(path) else { return Ok(Some("missing")) };
        if entry.kind == EntryKind::HardLink {
            let target = self.root.stat_link(clean(Path::new(&entry.link)));
            let same =
                target.is_ok_and(|target| (target.st_dev, target.st_ino) == (stat.st_dev, stat.st_ino));
            return Ok((!same).then_some("not the link it should be"));
        }
        if FileType::from_raw_mode(stat.st_mode) != file_type(entry.kind) {
            return Ok(Some("of another kind"));
        }
        if let Some(what) = attributes(entry, &stat) {
            return Ok(Some(what));
        }
        match entry.kind {
            EntryKind::File => self.content(path, content),
            EntryKind::Symlink => {
                let text = self.root.read_link(path).map(|text| text.as_bytes().to_vec());
                let same = text.is_ok_and(|text| text == entry.link.as_bytes());
                Ok((!same).then_some("points elsewhere"))
            }
            EntryKind::CharacterDevice | EntryKind::BlockDevice => {
                let device = (rustix::fs::major(stat.st_rdev), rustix::fs::minor(stat.st_rdev));
                Ok((device != entry.device).then_some("another device"))
            }
            _ => Ok(None),
        }
    }

    fn content(&mut self, path: &Path, content: &mut impl Read) -> Result<Option<&'static str>> {
        let Ok(file) = self.root.open_regular(path) else { return Ok(Some("cannot be opened")) };
        let mut file = File::from(file);
        loop {
            let count = fill(content, &mut self.block).map_err(ArchiveError::Read)?;
            let own = self.other.get_mut(..count).unwrap_or_default();
            // A medium that fails shows here.
            if file.read_exact(own).is_err() || Some(&*own) != self.block.get(..count) {
                return Ok(Some("its content changed"));
            }
            if count < self.block.len() {
                return Ok(None);
            }
        }
    }

    /// Names the tar does not have.
    fn look_for_more(&mut self, path: &Path, depth: usize) -> Result<()> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW;
        let shown = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        let failed = |error: rustix::io::Errno| ArchiveError::Tree {
            operation: "list",
            path: path.to_owned(),
            source: error.into(),
        };
        if depth > Limits::DEFAULT.depth {
            return Err(ArchiveError::Limit { what: "components in a name", limit: depth as u64 });
        }
        let directory = self.root.open_file(shown, flags, Mode::empty()).map_err(failed)?;
        for name in sorted_names(&directory).map_err(failed)? {
            let child = path.join(OsStr::from_bytes(name.to_bytes()));
            if !self.expected.contains(&hash(&child)) {
                self.found.insert(child, "not part of the layer");
                continue;
            }
            let stat = rustix::fs::statat(&directory, &name, rustix::fs::AtFlags::SYMLINK_NOFOLLOW);
            if stat.is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory) {
                self.look_for_more(&child, depth + 1)?;
            }
        }
        Ok(())
    }
}

/// Directories get new times when something in them changes, links have no mode.
fn attributes(entry: &Entry, stat: &Stat) -> Option<&'static str> {
    if (stat.st_uid, stat.st_gid) != (entry.uid, entry.gid) {
        return Some("of another owner");
    }
    if entry.kind != EntryKind::Symlink && stat.st_mode & 0o7777 != entry.mode & 0o7777 {
        return Some("with other permissions");
    }
    if entry.kind != EntryKind::File {
        return None;
    }
    if stat.st_size.cast_unsigned() != entry.size {
        return Some("of another size");
    }
    (stat.st_mtime != entry.seconds).then_some("with another time")
}

fn file_type(kind: EntryKind) -> FileType {
    match kind {
        EntryKind::File | EntryKind::HardLink => FileType::RegularFile,
        EntryKind::Directory => FileType::Directory,
        EntryKind::Symlink => FileType::Symlink,
        EntryKind::CharacterDevice => FileType::CharacterDevice,
        EntryKind::BlockDevice => FileType::BlockDevice,
        EntryKind::Fifo => FileType::Fifo,
    }
}

/// As many bytes as there are, up to the buffer's length.
fn fill(source: &mut impl Read, buffer: &mut [u8]) -> std::io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match source.read(rest) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

fn clean(path: &Path) -> PathBuf {
    let mut clean = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => clean.push(name),
            Component::ParentDir => drop(clean.pop()),
            _ => {}
        }
    }
    clean
}

fn hash(path: &Path) -> u64 {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    path.as_os_str().hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ExtractOptions, Writer, extract};

    fn layer() -> Vec<u8> {
        let mut writer = Writer::new(Vec::new());
        let own = |mut entry: Entry| {
            (entry.uid, entry.gid) = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
            entry
        };
        writer.append_bytes(&own(Entry::file("twice", 0o600, 0)), b"first").unwrap();
        writer.append_empty(&own(Entry::directory("etc", 0o755))).unwrap();
        writer.append_bytes(&own(Entry::file("etc/passwd", 0o644, 0)), &b"root".repeat(50_000)).unwrap();
        writer.append_bytes(&own(Entry::file("implied/deep/file", 0o644, 0)), b"x").unwrap();
        let mut link = own(Entry::new("link", EntryKind::Symlink, 0o777));
        link.link = "etc/passwd".into();
        writer.append_empty(&link).unwrap();
        let mut hard = own(Entry::new("hard", EntryKind::HardLink, 0o644));
        hard.link = "etc/passwd".into();
        writer.append_empty(&hard).unwrap();
        writer.append_bytes(&own(Entry::file("twice", 0o644, 0)), b"second").unwrap();
        writer.finish().unwrap()
    }

    #[test]
    fn every_difference_is_found() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let base = std::env::temp_dir().join(format!("wharf-compare-{}", std::process::id()));
        type Change = fn(&Path);
        let cases: [(&str, Change, &[&str]); 9] = [
            ("nothing", |_| {}, &[]),
            (
                "content",
                |root| {
                    let path = root.join("etc/passwd");
                    let time = std::fs::metadata(&path).unwrap().modified().unwrap();
                    let mut bytes = std::fs::read(&path).unwrap();
                    bytes[150_000] ^= 1;
                    std::fs::write(&path, bytes).unwrap();
                    File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
                },
                &["etc/passwd: its content changed"],
            ),
            (
                "size",
                |root| std::fs::write(root.join("twice"), "longer than before").unwrap(),
                &["twice: of another size"],
            ),
            ("gone", |root| std::fs::remove_file(root.join("link")).unwrap(), &["link: missing"]),
            (
                "more",
                |root| std::fs::write(root.join("implied/more"), "x").unwrap(),
                &["implied/more: not part of the layer"],
            ),
            (
                "mode",
                |root| {
                    std::fs::set_permissions(root.join("etc"), std::fs::Permissions::from_mode(0o777))
                        .unwrap()
                },
                &["etc: with other permissions"],
            ),
            (
                "link",
                |root| {
                    std::fs::remove_file(root.join("link")).unwrap();
                    symlink("elsewhere", root.join("link")).unwrap();
                },
                &["link: points elsewhere"],
            ),
            (
                "hard link",
                |root| {
                    std::fs::remove_file(root.join("hard")).unwrap();
                    std::fs::copy(root.join("etc/passwd"), root.join("hard")).unwrap();
                },
                &["hard: not the link it should be"],
            ),
            (
                "kind",
                |root| {
                    std::fs::remove_file(root.join("twice")).unwrap();
                    std::fs::create_dir(root.join("twice")).unwrap();
                },
                &["twice: of another kind"],
            ),
        ];
        for (name, change, expected) in cases {
            let _ = std::fs::remove_dir_all(&base);
            std::fs::create_dir_all(&base).unwrap();
            let root = RootDir::open(&base).unwrap();
            extract(layer().as_slice(), &root, Path::new(""), &ExtractOptions::copy()).unwrap();
            change(&base);
            let found: Vec<String> =
                compare_layer(&root, layer().as_slice()).unwrap().iter().map(ToString::to_string).collect();
            assert_eq!(found, expected, "{name}");
        }
        std::fs::remove_dir_all(&base).unwrap();
    }
}
