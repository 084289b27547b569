//! From an image back to the tree it was written from.
//!
//! Only what [`crate::write`] makes is understood; everything else is refused, whatever it says.

use std::collections::{BTreeMap, HashMap};

use crate::ErofsError;
use crate::format::{
    BLOCK, BLOCK_BITS, Bytes, CHUNK_BITS, CHUNK_ENTRY, CHUNK_INDEXES, CHUNKED, DEVICE_SIZE, DEVICE_TABLE,
    DIRENT, EXTENDED, HOLE, INODE, Layout, MAGIC, PREFIXES, S_IFBLK, S_IFCHR, S_IFDIR, S_IFIFO, S_IFLNK,
    S_IFMT, S_IFREG, SLOT, SUPER, SUPER_SIZE, XATTR_HEADER, decode_device,
};
use crate::tree::{Attributes, Content, Kind, Name, Node, NodeId, Run, Tree};

type Result<T> = std::result::Result<T, ErofsError>;

/// Reads an image.
///
/// # Errors
/// When it is damaged, or made by somebody else.
pub fn read(image: &[u8]) -> Result<Tree> {
    let bytes = Bytes(image);
    let at = SUPER as u64;
    if bytes.u32(at)? != MAGIC || bytes.u8(at + 12)? != BLOCK_BITS {
        return Err(damaged("no superblock"));
    }
    if bytes.u32(at + 80)? & !(CHUNKED | DEVICE_TABLE) != 0 {
        return Err(damaged("unknown features"));
    }
    let mut tree = Tree::new();
    for index in 0..u64::from(bytes.u16(at + 86)?) {
        let slot = at + SUPER_SIZE as u64 + index * DEVICE_SIZE as u64;
        tree.devices.push(u64::from(bytes.u32(slot + 64)?) * BLOCK);
    }
    let meta = u64::from(bytes.u32(at + 40)?) * BLOCK;
    let mut reading = Reading { bytes, meta, tree, known: HashMap::new(), packed: HashMap::new() };
    reading.all(u64::from(bytes.u16(at + 14)?))?;
    Ok(reading.tree)
}

struct Reading<'image> {
    bytes: Bytes<'image>,
    meta: u64,
    tree: Tree,
    /// Nodes that were read, by inode number: a file may have several names, a directory one.
    known: HashMap<u64, NodeId>,
    /// Contents in the image that were taken over, by place.
    packed: HashMap<u64, u64>,
}

fn damaged(what: &'static str) -> ErofsError {
    ErofsError::Damaged { what }
}

/// An inode's fields.
struct Inode {
    at: u64,
    layout: u16,
    xattrs: u64,
    mode: u16,
    size: u64,
    detail: u32,
}

impl Reading<'_> {
    fn all(&mut self, root: u64) -> Result<()> {
        let (inode, attributes) = self.inode(root)?;
        if inode.mode & S_IFMT != S_IFDIR {
            return Err(damaged("the root is no directory"));
        }
        self.known.insert(root, Tree::ROOT);
        self.directory(Tree::ROOT, &inode, attributes)
    }

    /// Fills a directory, and all below it.
    fn directory(&mut self, id: NodeId, inode: &Inode, attributes: Attributes) -> Result<()> {
        let mut waiting = vec![(id, self.names(inode)?)];
        self.set_attributes(id, attributes);
        while let Some((directory, names)) = waiting.pop() {
            let mut children = BTreeMap::new();
            for (name, number) in names {
                if let Some(known) = self.known.get(&number) {
                    if self.tree.node(*known).is_directory() {
                        return Err(damaged("a directory has two names"));
                    }
                    children.insert(name, *known);
                    continue;
                }
                let (inode, attributes) = self.inode(number)?;
                let kind = self.kind(&inode)?;
                let below = matches!(kind, Kind::Directory { .. }).then(|| self.names(&inode)).transpose()?;
                let node = Node { attributes: Attributes::default(), kind };
                let child = self.tree.add(node).ok_or(damaged("too many files"))?;
                self.set_attributes(child, attributes);
                self.known.insert(number, child);
                children.insert(name, child);
                waiting.extend(below.map(|names| (child, names)));
            }
            if let Some(place) = self.tree.node_mut(directory).children_mut() {
                *place = children;
            }
        }
        Ok(())
    }

    /// The mark of an opaque directory is no attribute of a tree.
    fn set_attributes(&mut self, id: NodeId, mut attributes: Attributes) {
        let marked = attributes.xattrs.remove(&b"trusted.overlay.opaque"[..]).is_some();
        let node = self.tree.node_mut(id);
        node.attributes = attributes;
        if let Kind::Directory { opaque, .. } = &mut node.kind {
            *opaque = marked;
        }
    }

    fn inode(&self, number: u64) -> Result<(Inode, Attributes)> {
        let bytes = self.bytes;
        let at = number.checked_mul(SLOT).and_then(|at| at.checked_add(self.meta));
        let at = at.ok_or(damaged("an inode is beyond its end"))?;
        let format = bytes.u16(at)?;
        if format & 1 != EXTENDED {
            return Err(damaged("a short inode"));
        }
        let xattrs = match u64::from(bytes.u16(at + 2)?) {
            0 => 0,
            count => XATTR_HEADER + (count - 1) * 4,
        };
        let mode = bytes.u16(at + 4)?;
        let inode = Inode {
            at,
            layout: format >> 1 & 7,
            xattrs,
            mode,
            size: bytes.u64(at + 8)?,
            detail: bytes.u32(at + 16)?,
        };
        let attributes = Attributes {
            mode: mode & 0o7777,
            uid: bytes.u32(at + 24)?,
            gid: bytes.u32(at + 28)?,
            seconds: bytes.u64(at + 32)?.cast_signed(),
            nanoseconds: bytes.u32(at + 40)?,
            xattrs: self.xattrs(&inode)?,
        };
        Ok((inode, attributes))
    }

    fn xattrs(&self, inode: &Inode) -> Result<BTreeMap<Vec<u8>, Vec<u8>>> {
        let mut found = BTreeMap::new();
        let end = inode.at + INODE + inode.xattrs;
        let mut at = inode.at + INODE + XATTR_HEADER;
        while at < end {
            let (name, value) = (u64::from(self.bytes.u8(at)?), u64::from(self.bytes.u16(at + 2)?));
            let number = self.bytes.u8(at + 1)?;
            let prefix = PREFIXES.iter().find(|(known, _)| *known == number);
            let (_, prefix) = prefix.ok_or(damaged("an unknown attribute"))?;
            let full = [prefix, self.bytes.get(at + 4, name)?].concat();
            found.insert(full, self.bytes.get(at + 4 + name, value)?.to_vec());
            at += (4 + name + value).next_multiple_of(4);
        }
        Ok(found)
    }

    fn kind(&mut self, inode: &Inode) -> Result<Kind> {
        Ok(match inode.mode & S_IFMT {
            S_IFDIR => Kind::directory(),
            S_IFREG => Kind::File(self.content(inode)?),
            S_IFLNK => Kind::Symlink(self.text(inode)?),
            S_IFIFO => Kind::Fifo,
            S_IFCHR => {
                let (major, minor) = decode_device(inode.detail);
                Kind::CharacterDevice(major, minor)
            }
            S_IFBLK => {
                let (major, minor) = decode_device(inode.detail);
                Kind::BlockDevice(major, minor)
            }
            _ => return Err(damaged("an unknown kind of file")),
        })
    }

    fn text(&self, inode: &Inode) -> Result<Vec<u8>> {
        let at = match inode.layout {
            layout if layout == Layout::Inline as u16 => inode.at + INODE + inode.xattrs,
            layout if layout == Layout::Plain as u16 => u64::from(inode.detail) * BLOCK,
            _ => return Err(damaged("a link in chunks")),
        };
        if inode.size > BLOCK * 8 {
            return Err(damaged("a long link"));
        }
        self.bytes.get(at, inode.size).map(<[u8]>::to_vec)
    }

    fn content(&mut self, inode: &Inode) -> Result<Content> {
        let mut content = Content { size: inode.size, runs: Vec::new() };
        if inode.size == 0 {
            return Ok(content);
        }
        if inode.layout != Layout::Chunks as u16 || inode.detail & u32::from(CHUNK_INDEXES) == 0 {
            return Err(damaged("a file not in chunks"));
        }
        let chunk = BLOCK << (inode.detail & u32::from(CHUNK_BITS));
        let table = (inode.at + INODE + inode.xattrs).next_multiple_of(CHUNK_ENTRY);
        for index in 0..inode.size.div_ceil(chunk) {
            let at = table + index * CHUNK_ENTRY;
            let (device, block) = (self.bytes.u16(at + 2)?, self.bytes.u32(at + 4)?);
            if block == HOLE {
                continue;
            }
            let offset = index * chunk;
            let length = chunk.min(inode.size - offset);
            let place = u64::from(block) * BLOCK;
            let start = if device == 0 { self.take_packed(place, length)? } else { place };
            if device as usize > self.tree.devices.len() {
                return Err(damaged("a device that is not there"));
            }
            match content.runs.last_mut() {
                Some(last)
                    if last.device == device
                        && last.offset + last.length == offset
                        && last.start + last.length == start =>
                {
                    last.length += length;
                }
                _ => content.runs.push(Run { offset, length, device, start }),
            }
        }
        Ok(content)
    }

    /// Takes bytes over that are in the image itself.
    fn take_packed(&mut self, place: u64, length: u64) -> Result<u64> {
        if let Some(start) = self.packed.get(&place) {
            return Ok(*start);
        }
        let start = self.tree.packed.len() as u64;
        let bytes = self.bytes.get(place, length)?;
        if start + length > self.bytes.0.len() as u64 {
            return Err(damaged("contents lie across each other"));
        }
        self.tree.packed.extend(bytes);
        let whole = self.tree.packed.len().next_multiple_of(BLOCK as usize);
        self.tree.packed.resize(whole, 0);
        self.packed.insert(place, start);
        Ok(start)
    }

    /// The names in a directory with their inodes, without `.` and `..`.
    fn names(&self, inode: &Inode) -> Result<Vec<(Name, u64)>> {
        if inode.layout != Layout::Plain as u16 {
            return Err(damaged("a directory not in blocks"));
        }
        let all = self.bytes.get(u64::from(inode.detail) * BLOCK, inode.size)?;
        let mut names = Vec::new();
        for block in all.chunks(BLOCK as usize) {
            let block = Bytes(block);
            let first = u64::from(block.u16(8)?);
            if first < DIRENT as u64 || first % DIRENT as u64 != 0 {
                return Err(damaged("a directory's block"));
            }
            let count = first / DIRENT as u64;
            for index in 0..count {
                let at = index * DIRENT as u64;
                let start = u64::from(block.u16(at + 8)?);
                let end = if index + 1 < count {
                    u64::from(block.u16(at + DIRENT as u64 + 8)?)
                } else {
                    block.0.len() as u64
                };
                let name = block.get(start, end.checked_sub(start).ok_or(damaged("a directory's name"))?)?;
                let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
                if name.is_empty() || name.contains(&b'/') {
                    return Err(damaged("a directory's name"));
                }
                if name != b"." && name != b".." {
                    names.push((name.into(), block.u64(at)?));
                }
            }
        }
        Ok(names)
    }
}
