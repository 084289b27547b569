//! One inode with what is behind it: attributes, the text of a link, the map of a file.

use crate::ErofsError;
use crate::format::{
    BLOCK, CHUNK_ENTRY, CHUNK_INDEXES, EXTENDED, HOLE, Layout, PREFIXES, XATTR_HEADER, encode_device,
};
use crate::tree::{Attributes, Content, Kind, NodeId, Run, Tree};
use crate::write::place::{Places, bits_of, chunks, is_opaque, is_short, kind_bits};
use crate::write::{directory, number32};

/// How overlayfs marks a directory that hides what is below.
pub(crate) const OPAQUE: (&[u8], &[u8]) = (b"trusted.overlay.opaque", b"y");

pub(super) fn encode(tree: &Tree, places: &Places, id: NodeId) -> Result<Vec<u8>, ErofsError> {
    let node = tree.node(id);
    let attributes = &node.attributes;
    let xattrs = xattr_length(attributes, is_opaque(node));
    let (layout, size, detail) = shape(places, id, &node.kind)?;
    let mut bytes = Vec::with_capacity(128);
    bytes.extend((EXTENDED | (layout as u16) << 1).to_le_bytes());
    let count = if xattrs == 0 { 0 } else { (xattrs - XATTR_HEADER) / 4 + 1 };
    bytes.extend(u16::try_from(count).unwrap_or_default().to_le_bytes());
    bytes.extend((attributes.mode | kind_bits(&node.kind)).to_le_bytes());
    bytes.extend([0; 2]);
    bytes.extend(size.to_le_bytes());
    bytes.extend(detail.to_le_bytes());
    // The number for old interfaces; the kernel shows the inode's place instead.
    bytes.extend(number32(places.nid(id)));
    bytes.extend(attributes.uid.to_le_bytes());
    bytes.extend(attributes.gid.to_le_bytes());
    bytes.extend(attributes.seconds.to_le_bytes());
    bytes.extend(attributes.nanoseconds.to_le_bytes());
    bytes.extend(places.links(id).to_le_bytes());
    bytes.extend([0; 16]);
    put_xattrs(&mut bytes, attributes, is_opaque(node));
    match &node.kind {
        Kind::Symlink(text) if layout == Layout::Inline => bytes.extend(text),
        Kind::File(content) if layout == Layout::Chunks => put_chunks(&mut bytes, places, content)?,
        _ => {}
    }
    Ok(bytes)
}

/// Where the data is, its size, and the four bytes that mean something else for each kind.
fn shape(places: &Places, id: NodeId, kind: &Kind) -> Result<(Layout, u64, u32), ErofsError> {
    let block = u32::try_from(places.data(id) / BLOCK).unwrap_or(u32::MAX);
    Ok(match kind {
        Kind::Directory { children, .. } => (Layout::Plain, directory::length(children), block),
        Kind::Symlink(text) if is_short(text) => (Layout::Inline, text.len() as u64, 0),
        Kind::Symlink(text) => (Layout::Plain, text.len() as u64, block),
        Kind::File(content) if content.size == 0 => (Layout::Plain, 0, 0),
        Kind::File(content) => (Layout::Chunks, content.size, u32::from(bits_of(content)? | CHUNK_INDEXES)),
        Kind::CharacterDevice(major, minor) | Kind::BlockDevice(major, minor) => {
            (Layout::Plain, 0, encode_device(*major, *minor))
        }
        Kind::Fifo => (Layout::Plain, 0, 0),
    })
}

/// Bytes of all attributes with their header; 0 when there are none.
pub(super) fn xattr_length(attributes: &Attributes, opaque: bool) -> u64 {
    let mark = opaque.then_some(OPAQUE);
    let all = attributes.xattrs.iter().map(|(name, value)| (&name[..], &value[..])).chain(mark);
    let length: u64 = all.filter_map(|(name, value)| entry_length(name, value)).sum();
    if length == 0 { 0 } else { XATTR_HEADER + length }
}

fn entry_length(name: &[u8], value: &[u8]) -> Option<u64> {
    let (_, rest) = split(name)?;
    Some((4 + rest.len() as u64 + value.len() as u64).next_multiple_of(4))
}

/// The number of a name's prefix, and the rest of it.
fn split(name: &[u8]) -> Option<(u8, &[u8])> {
    PREFIXES.iter().find_map(|(number, prefix)| Some((*number, name.strip_prefix(*prefix)?)))
}

fn put_xattrs(bytes: &mut Vec<u8>, attributes: &Attributes, opaque: bool) {
    let mark = opaque.then_some(OPAQUE);
    let all = attributes.xattrs.iter().map(|(name, value)| (&name[..], &value[..])).chain(mark);
    let mut entries = Vec::new();
    for (name, value) in all {
        let Some((prefix, rest)) = split(name) else { continue };
        entries.extend([u8::try_from(rest.len()).unwrap_or_default(), prefix]);
        entries.extend(u16::try_from(value.len()).unwrap_or_default().to_le_bytes());
        entries.extend(rest);
        entries.extend(value);
        entries.resize(entries.len().next_multiple_of(4), 0);
    }
    if !entries.is_empty() {
        bytes.extend([0; XATTR_HEADER as usize]);
        bytes.extend(entries);
    }
}

fn put_chunks(bytes: &mut Vec<u8>, places: &Places, content: &Content) -> Result<(), ErofsError> {
    bytes.resize(bytes.len().next_multiple_of(CHUNK_ENTRY as usize), 0);
    let bits = bits_of(content)?;
    let chunk = BLOCK << bits;
    let mut runs = content.runs.iter().peekable();
    for index in 0..chunks(content.size, bits) {
        let offset = index * chunk;
        while runs.peek().is_some_and(|run| run.offset + run.length <= offset) {
            runs.next();
        }
        let (device, block) = match runs.peek() {
            Some(run) if run.offset <= offset => (run.device, block_of(places, run, offset)),
            _ => (0, HOLE),
        };
        let high = if block == HOLE { u16::MAX } else { 0 };
        bytes.extend(high.to_le_bytes());
        bytes.extend(device.to_le_bytes());
        bytes.extend(block.to_le_bytes());
    }
    Ok(())
}

fn block_of(places: &Places, run: &Run, offset: u64) -> u32 {
    let base = if run.device == 0 { places.packed } else { 0 };
    u32::try_from((base + run.start + offset - run.offset) / BLOCK).unwrap_or(HOLE)
}
