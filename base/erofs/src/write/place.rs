//! Where everything of an image goes, before a byte is written.

use crate::ErofsError;
use crate::format::{
    BLOCK, CHUNK_BITS, CHUNK_ENTRY, INODE, S_IFBLK, S_IFCHR, S_IFDIR, S_IFIFO, S_IFLNK, S_IFREG, SLOT,
};
use crate::tree::{Content, Kind, Node, NodeId, Run, Tree};
use crate::write::directory;
use crate::write::inode::xattr_length;

/// Bytes of chunk entries one file may have.
const ENTRIES: u64 = 64 << 20;

/// The places of everything that is reachable.
pub(super) struct Places {
    /// Where inodes begin.
    pub(super) meta: u64,
    /// Contents kept in the image.
    pub(super) packed: u64,
    /// Bytes of the image, in whole blocks.
    pub(super) end: u64,
    /// Nodes in the order of their inodes.
    pub(super) order: Vec<NodeId>,
    slots: Vec<Slot>,
}

#[derive(Clone, Copy, Default)]
struct Slot {
    inode: u64,
    data: u64,
    links: u32,
    parent: Option<NodeId>,
}

impl Places {
    pub(super) fn new(tree: &Tree, meta: u64) -> Result<Self, ErofsError> {
        let slots = vec![Slot::default(); tree.len()];
        let mut places = Self { meta, packed: 0, end: meta, order: Vec::new(), slots };
        places.number(tree);
        for index in 0..places.order.len() {
            let Some(id) = places.order.get(index).copied() else { break };
            let node = tree.node(id);
            let start = fitting(places.end, tail_in_block(node));
            places.end = (start + INODE + xattr_length(&node.attributes, is_opaque(node)) + tail(node)?)
                .next_multiple_of(SLOT);
            places.slot(id).inode = start;
        }
        places.end = places.end.next_multiple_of(BLOCK);
        places.packed = places.end;
        places.take(tree.packed.len() as u64);
        for index in 0..places.order.len() {
            let Some(id) = places.order.get(index).copied() else { break };
            let length = match &tree.node(id).kind {
                Kind::Directory { children, .. } => directory::length(children),
                Kind::Symlink(text) if !is_short(text) => text.len() as u64,
                _ => continue,
            };
            places.slot(id).data = places.take(length);
        }
        Ok(places)
    }

    /// Where an inode is.
    pub(super) fn inode(&self, id: NodeId) -> u64 {
        self.get(id).inode
    }

    /// The inode's number.
    pub(super) fn nid(&self, id: NodeId) -> u64 {
        (self.get(id).inode.saturating_sub(self.meta)) / SLOT
    }

    /// Where a node's blocks are; 0 when it has none.
    pub(super) fn data(&self, id: NodeId) -> u64 {
        self.get(id).data
    }

    /// How many names a node has.
    pub(super) fn links(&self, id: NodeId) -> u32 {
        self.get(id).links
    }

    /// The directory a directory is in; the root is in itself.
    pub(super) fn parent(&self, id: NodeId) -> NodeId {
        self.get(id).parent.unwrap_or(Tree::ROOT)
    }

    fn get(&self, id: NodeId) -> Slot {
        self.slots.get(id.index()).copied().unwrap_or_default()
    }

    #[expect(clippy::indexing_slicing, reason = "there is a slot for every node of the tree")]
    fn slot(&mut self, id: NodeId) -> &mut Slot {
        &mut self.slots[id.index()]
    }

    fn take(&mut self, length: u64) -> u64 {
        let place = self.end;
        self.end = (place + length).next_multiple_of(BLOCK);
        place
    }

    /// Puts all reachable nodes in order, what is in one directory side by side, and counts names.
    fn number(&mut self, tree: &Tree) {
        self.order.push(Tree::ROOT);
        self.slot(Tree::ROOT).links = 2;
        let mut next = 0;
        // Directories in the order they were met.
        let mut directories = vec![Tree::ROOT];
        while let Some(directory) = directories.get(next).copied() {
            next += 1;
            for id in tree.node(directory).children().into_iter().flat_map(|children| children.values()) {
                let known = self.get(*id).links > 0;
                if !known {
                    self.order.push(*id);
                }
                if tree.node(*id).is_directory() {
                    self.slot(*id).links = 2;
                    self.slot(*id).parent = Some(directory);
                    self.slot(directory).links += 1;
                    directories.push(*id);
                } else {
                    self.slot(*id).links += 1;
                }
            }
        }
    }
}

/// The first place for an inode, which is not split by blocks, nor is what it has inline.
fn fitting(place: u64, unsplit: u64) -> u64 {
    if place % BLOCK + unsplit <= BLOCK { place } else { place.next_multiple_of(BLOCK) }
}

fn tail_in_block(node: &Node) -> u64 {
    match &node.kind {
        Kind::Symlink(text) if is_short(text) => INODE + text.len() as u64,
        _ => INODE,
    }
}

/// What is behind an inode and its attributes.
fn tail(node: &Node) -> Result<u64, ErofsError> {
    Ok(match &node.kind {
        Kind::Symlink(text) if is_short(text) => text.len() as u64,
        Kind::File(content) if content.size > 0 => {
            let bits = bits_of(content)?;
            let attributes = INODE + xattr_length(&node.attributes, false);
            let gap = attributes.next_multiple_of(CHUNK_ENTRY) - attributes;
            gap + chunks(content.size, bits) * CHUNK_ENTRY
        }
        _ => 0,
    })
}

/// Whether the text of a link is kept in its inode's block.
pub(super) fn is_short(text: &[u8]) -> bool {
    text.len() as u64 <= BLOCK - INODE
}

pub(super) fn is_opaque(node: &Node) -> bool {
    matches!(node.kind, Kind::Directory { opaque: true, .. })
}

/// The exponent of the largest chunks (in blocks) in which every run begins and ends: they need the fewest entries. None
/// when there are too many of them.
pub(crate) fn chunk_bits(runs: &[Run], size: u64) -> Option<u16> {
    let whole = |bits: u16| BLOCK << bits;
    let fits = |run: &Run, bits: u16| {
        run.offset.is_multiple_of(whole(bits))
            && (run.length.is_multiple_of(whole(bits)) || run.offset + run.length == size)
    };
    let mut bits = 0;
    while bits < CHUNK_BITS && whole(bits) < size && runs.iter().all(|run| fits(run, bits + 1)) {
        bits += 1;
    }
    (chunks(size, bits) * CHUNK_ENTRY <= ENTRIES).then_some(bits)
}

/// How many chunks a file has.
pub(crate) fn chunks(size: u64, bits: u16) -> u64 {
    size.div_ceil(BLOCK << bits)
}

/// The exponent for a file.
pub(super) fn bits_of(content: &Content) -> Result<u16, ErofsError> {
    chunk_bits(&content.runs, content.size)
        .ok_or(ErofsError::Limit { what: "bytes of a sparse file's map", limit: ENTRIES })
}

/// The bits of a mode that say the kind.
pub(super) fn kind_bits(kind: &Kind) -> u16 {
    match kind {
        Kind::Directory { .. } => S_IFDIR,
        Kind::File(_) => S_IFREG,
        Kind::Symlink(_) => S_IFLNK,
        Kind::CharacterDevice(..) => S_IFCHR,
        Kind::BlockDevice(..) => S_IFBLK,
        Kind::Fifo => S_IFIFO,
    }
}
