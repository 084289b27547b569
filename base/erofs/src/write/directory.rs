//! The blocks of a directory: entries sorted by name, then the names, each block for itself.

use std::collections::BTreeMap;

use crate::format::{BLOCK, DIRENT, entry_kind};
use crate::tree::{Name, NodeId, Tree};
use crate::write::place::{Places, kind_bits};

/// Bytes of a directory.
pub(super) fn length(children: &BTreeMap<Name, NodeId>) -> u64 {
    let mut blocks = 0;
    let mut used = 0;
    for name in sorted(children) {
        let wanted = DIRENT + name.len();
        if used + wanted > BLOCK as usize {
            blocks += 1;
            used = 0;
        }
        used += wanted;
    }
    blocks * BLOCK + used as u64
}

/// The bytes.
pub(super) fn encode(tree: &Tree, places: &Places, id: NodeId, children: &BTreeMap<Name, NodeId>) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut block: Vec<(&[u8], NodeId)> = Vec::new();
    let mut used = 0;
    for name in sorted(children) {
        let child = match name {
            b"." => id,
            b".." => places.parent(id),
            name => children.get(name).copied().unwrap_or(id),
        };
        let wanted = DIRENT + name.len();
        if used + wanted > BLOCK as usize {
            put_block(&mut bytes, tree, places, &block);
            bytes.resize(bytes.len().next_multiple_of(BLOCK as usize), 0);
            block.clear();
            used = 0;
        }
        used += wanted;
        block.push((name, child));
    }
    put_block(&mut bytes, tree, places, &block);
    bytes
}

fn put_block(bytes: &mut Vec<u8>, tree: &Tree, places: &Places, block: &[(&[u8], NodeId)]) {
    let mut name_at = block.len() * DIRENT;
    for (name, id) in block {
        bytes.extend(places.nid(*id).to_le_bytes());
        bytes.extend(u16::try_from(name_at).unwrap_or_default().to_le_bytes());
        bytes.extend([entry_kind(kind_bits(&tree.node(*id).kind)), 0]);
        name_at += name.len();
    }
    for (name, _) in block {
        bytes.extend(*name);
    }
}

/// All names with `.` and `..` in their place.
fn sorted(children: &BTreeMap<Name, NodeId>) -> impl Iterator<Item = &[u8]> {
    let before =
        children.range::<[u8], _>((std::ops::Bound::Unbounded, std::ops::Bound::Excluded(&b"."[..])));
    let after = children.range::<[u8], _>((std::ops::Bound::Excluded(&b"."[..]), std::ops::Bound::Unbounded));
    // A name such as `.-x` comes between the two.
    let (between, after): (Vec<&Name>, Vec<&Name>) =
        after.map(|(name, _)| name).partition(|name| name[..] < b".."[..]);
    let before = before.map(|(name, _)| &**name);
    before
        .chain(std::iter::once(&b"."[..]))
        .chain(between.into_iter().map(|name| &**name))
        .chain(std::iter::once(&b".."[..]))
        .chain(after.into_iter().map(|name| &**name))
}
