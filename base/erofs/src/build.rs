//! Puts the members of a tar into a tree, with the rules of unpacking to a directory.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use archive::error::Result;
use archive::extract::clean;
use archive::overlay::{Mark, is_overlay_xattr, mark};
use archive::{ArchiveError, Entry, EntryKind};
use rustix::io::Errno;

use crate::tree::{Attributes, Content, Kind, Node, NodeId, Tree};
use crate::xattr::set_xattr;

/// Bytes of memory a tree may take; millions of files.
const MEMORY: u64 = 512 << 20;
/// What a node takes beside its name and texts.
const NODE: u64 = 256;
/// Symbolic links followed in one path, as the kernel does it.
const LINKS: usize = 40;
/// Longest name of a file.
const NAME: usize = 255;
/// Bytes of all attributes of one file that the format can have.
const VALUES: usize = 200_000;

pub(crate) struct Builder {
    pub(crate) tree: Tree,
    memory: u64,
    /// The directory of the last member: most members are beside each other.
    parent: Option<(PathBuf, NodeId)>,
    /// Times of directories, set at the end: by path, as unpacking does it.
    times: Vec<(PathBuf, i64, u32)>,
}

type Step<T> = std::result::Result<T, Errno>;

impl Builder {
    pub(crate) fn new() -> Self {
        Self { tree: Tree::new(), memory: 0, parent: None, times: Vec::new() }
    }

    pub(crate) fn entry(&mut self, entry: &Entry, content: Content) -> Result<()> {
        let path = clean(&entry.path)?;
        let Some(name) = path.file_name().map(OsStr::as_bytes) else { return self.root_entry(entry) };
        let parent = self.enter(path.parent().unwrap_or(Path::new("")), entry)?;
        let failed = |operation| {
            let path = path.clone();
            move |error: Errno| match error {
                Errno::NOMEM => too_large(),
                error => ArchiveError::Entry { operation, path, source: error.into() },
            }
        };
        match mark(name) {
            Mark::Plain => {}
            Mark::Ignored => return Ok(()),
            Mark::Opaque => {
                self.set_opaque(parent);
                return Ok(());
            }
            Mark::Whiteout(hidden) => {
                return self.whiteout(parent, hidden).map_err(failed("make the whiteout"));
            }
        }
        self.spend(entry)?;
        let replaced = match entry.kind {
            EntryKind::Directory => {
                self.directory(parent, name, entry).map_err(failed("make the directory"))?
            }
            EntryKind::HardLink => {
                let target = clean(Path::new(&entry.link))?;
                self.hard_link(parent, name, &target).map_err(failed("link"))?
            }
            _ => match kind_of(entry, content).map_err(failed("make"))? {
                Some(kind) => self.node(parent, name, entry, kind).map_err(failed("make"))?,
                None => false,
            },
        };
        if replaced {
            self.parent = None;
        }
        if entry.kind == EntryKind::Directory {
            self.memory += path.as_os_str().len() as u64 + 64;
            self.times.push((path, entry.seconds, entry.nanoseconds));
        }
        Ok(())
    }

    /// The tree of everything so far.
    pub(crate) fn finish(mut self, length: u64) -> Tree {
        for (path, seconds, nanoseconds) in std::mem::take(&mut self.times).into_iter().rev() {
            let Some(id) = self.directory_at(&path) else { continue };
            let attributes = &mut self.tree.node_mut(id).attributes;
            (attributes.seconds, attributes.nanoseconds) = (seconds, nanoseconds);
        }
        self.tree.devices.push(length);
        self.tree
    }

    /// Where a path leads now, if that is a directory; a link in the last place is none.
    fn directory_at(&mut self, path: &Path) -> Option<NodeId> {
        let Some(name) = path.file_name() else { return Some(Tree::ROOT) };
        let parent = self.walk(path.parent()?, None).ok()?;
        self.tree.child(parent, name.as_bytes()).filter(|id| self.tree.node(*id).is_directory())
    }

    /// The member `.` says what the root directory is like.
    fn root_entry(&mut self, entry: &Entry) -> Result<()> {
        if entry.kind != EntryKind::Directory {
            return Ok(());
        }
        self.spend(entry)?;
        let root = Path::new("/");
        let failed = |error: Errno| ArchiveError::Entry {
            operation: "set attributes of",
            path: root.into(),
            source: error.into(),
        };
        self.set_attributes(Tree::ROOT, entry).map_err(failed)?;
        self.times.push((PathBuf::new(), entry.seconds, entry.nanoseconds));
        Ok(())
    }

    fn enter(&mut self, path: &Path, entry: &Entry) -> Result<NodeId> {
        if let Some((known, id)) = &self.parent
            && known == path
        {
            return Ok(*id);
        }
        let found = self.walk(path, Some(entry)).map_err(|error| match error {
            Errno::NOMEM => too_large(),
            error => ArchiveError::Entry {
                operation: "open the directory",
                path: path.to_owned(),
                source: error.into(),
            },
        })?;
        self.parent = Some((path.to_owned(), found));
        Ok(found)
    }

    /// Finds a directory, following links inside the tree. What is missing is made for a member, or an error.
    fn walk(&mut self, path: &Path, make_for: Option<&Entry>) -> Step<NodeId> {
        let mut done = vec![Tree::ROOT];
        let mut todo: Vec<Vec<u8>> = names(path.as_os_str().as_bytes());
        let mut links = 0;
        while let Some(name) = todo.pop() {
            let here = done.last().copied().unwrap_or(Tree::ROOT);
            if name == b".." {
                if done.len() > 1 {
                    done.pop();
                }
                continue;
            }
            let next = match (self.tree.child(here, &name), make_for) {
                (Some(id), _) => id,
                (None, _) if name.len() > NAME => return Err(Errno::NAMETOOLONG),
                (None, None) => return Err(Errno::NOENT),
                (None, Some(entry)) => self.make_parent(here, &name, entry)?,
            };
            match &self.tree.node(next).kind {
                Kind::Directory { .. } => done.push(next),
                Kind::Symlink(text) => {
                    links += 1;
                    if links > LINKS {
                        return Err(Errno::LOOP);
                    }
                    if text.starts_with(b"/") {
                        done.truncate(1);
                    }
                    todo.extend(names(text));
                }
                _ => return Err(Errno::NOTDIR),
            }
        }
        Ok(done.last().copied().unwrap_or(Tree::ROOT))
    }

    /// A directory that a member is in and nobody described. It gets the member's time, so that the same tar always
    /// makes the same tree.
    fn make_parent(&mut self, directory: NodeId, name: &[u8], entry: &Entry) -> Step<NodeId> {
        let inherited = self.inherited(directory);
        let attributes = Attributes {
            mode: 0o755 | inherited.mode,
            gid: inherited.gid,
            seconds: entry.seconds,
            nanoseconds: entry.nanoseconds,
            ..Attributes::default()
        };
        self.add(directory, name, Node { attributes, kind: Kind::directory() })
    }

    /// What a directory with the set-group-id bit gives to new ones in it: the bit and its group; others give nothing.
    fn inherited(&self, directory: NodeId) -> Attributes {
        const SET_GROUP: u16 = 0o2000;
        let above = &self.tree.node(directory).attributes;
        match above.mode & SET_GROUP {
            0 => Attributes::default(),
            mode => Attributes { mode, gid: above.gid, ..Attributes::default() },
        }
    }

    fn directory(&mut self, parent: NodeId, name: &[u8], entry: &Entry) -> Step<bool> {
        let existing = self.tree.child(parent, name);
        let is_directory = |id: NodeId| self.tree.node(id).is_directory();
        let (id, replaced, hides) = match existing {
            Some(id) if is_directory(id) => (id, false, false),
            existing => {
                let hides = existing.is_some_and(|id| self.tree.node(id).is_whiteout());
                self.clear(parent, name);
                let node = Node { attributes: Attributes::default(), kind: Kind::directory() };
                (self.add(parent, name, node)?, existing.is_some(), hides)
            }
        };
        self.set_attributes(id, entry)?;
        if hides {
            self.set_opaque(id);
        }
        Ok(replaced)
    }

    fn hard_link(&mut self, parent: NodeId, name: &[u8], target: &Path) -> Step<bool> {
        let target_name = target.file_name().map(OsStr::as_bytes).ok_or(Errno::INVAL)?;
        let directory = self.walk(target.parent().unwrap_or(Path::new("")), None)?;
        let id = self.tree.child(directory, target_name).ok_or(Errno::NOENT)?;
        let existing = self.tree.child(parent, name);
        if existing == Some(id) {
            return Ok(false);
        }
        if self.tree.node(id).is_directory() {
            return Err(Errno::PERM);
        }
        self.clear(parent, name);
        // It may have been in the directory that made room.
        let id = self.tree.child(directory, target_name).ok_or(Errno::NOENT)?;
        self.name(parent, name, id)?;
        Ok(existing.is_some())
    }

    fn node(&mut self, parent: NodeId, name: &[u8], entry: &Entry, kind: Kind) -> Step<bool> {
        let replaced = self.clear(parent, name);
        let is_file = matches!(kind, Kind::File(_));
        let is_link = matches!(kind, Kind::Symlink(_));
        let id = self.add(parent, name, Node { attributes: Attributes::default(), kind })?;
        if is_file {
            self.set_attributes(id, entry)?;
        } else {
            // Links and devices have no attributes beside the usual ones, and a link no mode.
            let mode = if is_link { 0o777 } else { mode(entry) };
            self.tree.node_mut(id).attributes = Attributes { mode, ..plain(entry) };
        }
        let attributes = &mut self.tree.node_mut(id).attributes;
        (attributes.seconds, attributes.nanoseconds) = (entry.seconds, entry.nanoseconds);
        Ok(replaced)
    }

    /// Hides a name of the layers below. Something of the same layer under that name stays; a directory there then
    /// hides what is below it.
    fn whiteout(&mut self, parent: NodeId, name: &[u8]) -> Step<()> {
        match self.tree.child(parent, name) {
            None => {
                let kind = Kind::CharacterDevice(0, 0);
                let attributes = Attributes { mode: 0, ..self.inherited(parent) };
                self.add(parent, name, Node { attributes, kind }).map(drop)
            }
            Some(id) => {
                self.set_opaque(id);
                Ok(())
            }
        }
    }

    fn set_opaque(&mut self, id: NodeId) {
        if let Kind::Directory { opaque, .. } = &mut self.tree.node_mut(id).kind {
            *opaque = true;
        }
    }

    /// Sets everything but times; attributes that were there stay.
    fn set_attributes(&mut self, id: NodeId, entry: &Entry) -> Step<()> {
        let before = std::mem::take(&mut self.tree.node_mut(id).attributes);
        let is_directory = self.tree.node(id).is_directory();
        let mut attributes = Attributes {
            seconds: before.seconds,
            nanoseconds: before.nanoseconds,
            xattrs: before.xattrs,
            ..plain(entry)
        };
        for (name, value) in &entry.xattrs {
            if !is_overlay_xattr(name) {
                set_xattr(&mut attributes, name, value, is_directory)?;
            }
        }
        let total: usize = attributes.xattrs.iter().map(|(name, value)| name.len() + value.len() + 8).sum();
        if total > VALUES {
            return Err(Errno::NOSPC);
        }
        self.tree.node_mut(id).attributes = attributes;
        Ok(())
    }

    /// Takes a name away, with everything below it.
    fn clear(&mut self, parent: NodeId, name: &[u8]) -> bool {
        let Some(gone) = self.tree.node_mut(parent).children_mut().and_then(|children| children.remove(name))
        else {
            return false;
        };
        let mut waiting = vec![gone];
        while let Some(id) = waiting.pop() {
            if let Some(children) = self.tree.node_mut(id).children_mut() {
                waiting.extend(std::mem::take(children).into_values());
            }
        }
        true
    }

    fn add(&mut self, parent: NodeId, name: &[u8], node: Node) -> Step<NodeId> {
        if name.len() > NAME {
            return Err(Errno::NAMETOOLONG);
        }
        self.memory += NODE + name.len() as u64;
        if self.memory > MEMORY {
            return Err(Errno::NOMEM);
        }
        let id = self.tree.add(node).ok_or(Errno::NOMEM)?;
        self.name(parent, name, id)?;
        Ok(id)
    }

    fn name(&mut self, parent: NodeId, name: &[u8], id: NodeId) -> Step<()> {
        if name.len() > NAME {
            return Err(Errno::NAMETOOLONG);
        }
        let children = self.tree.node_mut(parent).children_mut().ok_or(Errno::NOTDIR)?;
        children.insert(name.into(), id);
        Ok(())
    }

    /// Counts what a member keeps in memory.
    fn spend(&mut self, entry: &Entry) -> Result<()> {
        let xattrs: usize = entry.xattrs.iter().map(|(name, value)| name.len() + value.len() + 64).sum();
        self.memory += NODE + (entry.link.len() + xattrs) as u64;
        if self.memory > MEMORY { Err(too_large()) } else { Ok(()) }
    }
}

fn too_large() -> ArchiveError {
    ArchiveError::Limit { what: "bytes of names and attributes", limit: MEMORY }
}

/// What a member becomes; nothing for overlayfs' own mark, which an archive has no business to make.
fn kind_of(entry: &Entry, content: Content) -> Step<Option<Kind>> {
    // As much of a device's numbers as the kernel takes.
    let (major, minor) = (entry.device.0 & 0xfff, entry.device.1 & 0xf_ffff);
    Ok(Some(match entry.kind {
        EntryKind::Symlink if entry.link.is_empty() => return Err(Errno::NOENT),
        EntryKind::Symlink => Kind::Symlink(entry.link.as_bytes().to_vec()),
        EntryKind::CharacterDevice if (major, minor) == (0, 0) => return Ok(None),
        EntryKind::CharacterDevice => Kind::CharacterDevice(major, minor),
        EntryKind::BlockDevice => Kind::BlockDevice(major, minor),
        EntryKind::Fifo => Kind::Fifo,
        _ => Kind::File(content),
    }))
}

fn plain(entry: &Entry) -> Attributes {
    Attributes { mode: mode(entry), uid: entry.uid, gid: entry.gid, ..Attributes::default() }
}

fn mode(entry: &Entry) -> u16 {
    (entry.mode & 0o7777) as u16
}

/// The names of a path, the last one first.
fn names(path: &[u8]) -> Vec<Vec<u8>> {
    let components = Path::new(OsStr::from_bytes(path)).components();
    let name = |component: Component<'_>| match component {
        Component::Normal(name) => Some(name.as_bytes().to_vec()),
        Component::ParentDir => Some(b"..".to_vec()),
        _ => None,
    };
    components.filter_map(name).rev().collect()
}
