//! A tree of files in memory, without the files' contents.

use std::collections::BTreeMap;

/// A name in a directory.
pub type Name = Box<[u8]>;

/// A tree and the tars its contents are in.
#[derive(Debug, Clone)]
pub struct Tree {
    nodes: Vec<Node>,
    /// Bytes in each tar; the first one is device 1.
    pub devices: Vec<u64>,
    /// Contents that could not stay in their tar (device 0), in whole blocks.
    pub packed: Vec<u8>,
}

/// One node of a tree, valid for that tree only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(u32);

/// A file, directory or other inode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Owner, mode, times, extended attributes.
    pub attributes: Attributes,
    /// What it is.
    pub kind: Kind,
}

/// What all kinds of nodes have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attributes {
    /// Permission, set-id and sticky bits.
    pub mode: u16,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Modification time, seconds since the epoch.
    pub seconds: i64,
    /// Modification time, nanoseconds within the second.
    pub nanoseconds: u32,
    /// Extended attributes by full name.
    pub xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
}

/// What a node is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A directory.
    Directory {
        /// What is in it.
        children: BTreeMap<Name, NodeId>,
        /// It hides everything that layers below have under its name.
        opaque: bool,
    },
    /// A file.
    File(Content),
    /// A symbolic link with its text.
    Symlink(Vec<u8>),
    /// A character device; 0:0 hides what layers below have under its name.
    CharacterDevice(u32, u32),
    /// A block device.
    BlockDevice(u32, u32),
    /// A FIFO.
    Fifo,
}

/// Where a file's content is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Content {
    /// Bytes, holes included.
    pub size: u64,
    /// Runs of data in order; what is between them is a hole.
    pub runs: Vec<Run>,
}

/// A run of data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// Where it begins in the file.
    pub offset: u64,
    /// Bytes.
    pub length: u64,
    /// Which tar it is in (0: the image itself).
    pub device: u16,
    /// Where it begins there.
    pub start: u64,
}

/// Sizes of a tree; a file with several names counts once.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Bytes in files, holes included, and in the texts of links.
    pub bytes: u64,
    /// Inodes without the root.
    pub inodes: u64,
}

impl Tree {
    /// The root directory.
    pub const ROOT: NodeId = NodeId(0);

    /// A tree with nothing but a root directory.
    pub fn new() -> Self {
        let attributes = Attributes { mode: 0o755, ..Attributes::default() };
        Self {
            nodes: vec![Node { attributes, kind: Kind::directory() }],
            devices: Vec::new(),
            packed: Vec::new(),
        }
    }

    /// A node.
    #[expect(clippy::indexing_slicing, reason = "ids are made by this tree, which never loses a node")]
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.index()]
    }

    /// A node, to be changed.
    #[expect(clippy::indexing_slicing, reason = "ids are made by this tree, which never loses a node")]
    pub fn node_mut(&mut self, id: NodeId) -> &mut Node {
        &mut self.nodes[id.index()]
    }

    /// Adds a node that has no name yet; none when there are four billion.
    pub fn add(&mut self, node: Node) -> Option<NodeId> {
        let id = NodeId(u32::try_from(self.nodes.len()).ok()?);
        self.nodes.push(node);
        Some(id)
    }

    /// Nodes, those without a name included.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there is nothing but the root.
    pub fn is_empty(&self) -> bool {
        self.nodes.len() == 1
    }

    /// What a directory has under a name.
    pub fn child(&self, directory: NodeId, name: &[u8]) -> Option<NodeId> {
        self.node(directory).children()?.get(name).copied()
    }

    /// The node at a path of plain names.
    pub fn find(&self, path: &[u8]) -> Option<NodeId> {
        let names = path.split(|byte| *byte == b'/').filter(|name| !name.is_empty());
        names.into_iter().try_fold(Self::ROOT, |directory, name| self.child(directory, name))
    }

    /// Takes all nodes of another tree in. Its devices come behind those here. Answers its root.
    pub(crate) fn import(&mut self, other: Self) -> Option<NodeId> {
        let shift = u32::try_from(self.nodes.len()).ok()?;
        shift.checked_add(u32::try_from(other.nodes.len()).ok()?)?;
        let devices = u16::try_from(self.devices.len()).ok()?;
        devices.checked_add(u16::try_from(other.devices.len()).ok()?)?;
        let packed = self.packed.len() as u64;
        self.devices.extend(other.devices);
        self.packed.extend(other.packed);
        self.nodes.extend(other.nodes.into_iter().map(|mut node| {
            node.shift(shift, devices, packed);
            node
        }));
        Some(NodeId(shift))
    }

    /// Sizes of everything that has a name.
    pub fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        let mut seen = vec![false; self.nodes.len()];
        let mut waiting = vec![Self::ROOT];
        while let Some(directory) = waiting.pop() {
            for id in self.node(directory).children().into_iter().flat_map(BTreeMap::values) {
                let known = seen.get_mut(id.index()).is_none_or(|seen| std::mem::replace(seen, true));
                if known {
                    continue;
                }
                totals.inodes += 1;
                match &self.node(*id).kind {
                    Kind::Directory { .. } => waiting.push(*id),
                    Kind::File(content) => totals.bytes += content.size,
                    Kind::Symlink(text) => totals.bytes += text.len() as u64,
                    _ => {}
                }
            }
        }
        totals
    }
}

impl Default for Tree {
    fn default() -> Self {
        Self::new()
    }
}

impl NodeId {
    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }
}

impl Node {
    /// What is in it, if it is a directory.
    pub fn children(&self) -> Option<&BTreeMap<Name, NodeId>> {
        match &self.kind {
            Kind::Directory { children, .. } => Some(children),
            _ => None,
        }
    }

    pub(crate) fn children_mut(&mut self) -> Option<&mut BTreeMap<Name, NodeId>> {
        match &mut self.kind {
            Kind::Directory { children, .. } => Some(children),
            _ => None,
        }
    }

    /// Whether it is a directory.
    pub fn is_directory(&self) -> bool {
        matches!(self.kind, Kind::Directory { .. })
    }

    /// Whether it only hides what is below.
    pub fn is_whiteout(&self) -> bool {
        matches!(self.kind, Kind::CharacterDevice(0, 0))
    }

    fn shift(&mut self, nodes: u32, devices: u16, packed: u64) {
        match &mut self.kind {
            Kind::Directory { children, .. } => {
                for child in children.values_mut() {
                    child.0 += nodes;
                }
            }
            Kind::File(content) => {
                for run in &mut content.runs {
                    match run.device {
                        0 => run.start += packed,
                        _ => run.device += devices,
                    }
                }
            }
            _ => {}
        }
    }
}

impl Kind {
    /// An empty directory.
    pub fn directory() -> Self {
        Self::Directory { children: BTreeMap::new(), opaque: false }
    }
}
