//! Operations: all a build is made of, whatever language described it.
//!
//! An operation is a plain value: what makes it different from another one is in its fields, and its cache key is made
//! of all of them that are serialized. Fields that only say how it runs, not what comes out, are skipped there.

use serde::Serialize;

use crate::dockerfile::{CacheMount, Heredoc};

/// A vertex of a graph, by its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct VertexId(pub usize);

/// Where files come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum Origin {
    /// A folder of the client, by its name; the main one has none.
    Context(String),
    /// The result of another vertex: the input of this number.
    Input(usize),
    /// Text in the Dockerfile: each becomes a file of its name.
    Inline(Vec<Inline>),
    /// Files that are fetched.
    Remote(Remote),
}

/// A file whose content is part of the build's description.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Inline {
    /// Its name.
    pub name: String,
    /// Its content.
    pub content: String,
}

impl From<&Heredoc> for Inline {
    fn from(heredoc: &Heredoc) -> Self {
        Self { name: heredoc.name.clone(), content: heredoc.text() }
    }
}

/// Something that is fetched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Remote {
    /// `http://`, `https://` or an address of a git repository.
    pub address: String,
    /// What it has to be: `sha256:...`, or the beginning of a commit.
    pub checksum: Option<String>,
    /// Of a git repository: keep `.git`.
    pub keep_git_dir: bool,
}

/// Some files of an origin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Selection {
    /// Where they come from.
    pub origin: Origin,
    /// Paths and patterns in it. Of inline files: none, all are meant.
    pub paths: Vec<String>,
    /// Patterns of what is left out.
    pub exclude: Vec<String>,
}

/// Files are put into a root.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Copy {
    /// What, in this order.
    pub selections: Vec<Selection>,
    /// Where: an absolute path; with a slash at its end a folder is meant.
    pub destination: String,
    /// Owner: `user[:group]`, by name or number; root when absent.
    pub owner: Option<String>,
    /// Permissions: octal, or symbolic.
    pub mode: Option<String>,
    /// The paths' folders are made, too.
    pub parents: bool,
    /// Archives are unpacked: none leaves it to the origin (local archives are, fetched ones are not).
    pub unpack: Option<bool>,
    /// Whether archives are unpacked at all (ADD).
    pub archives: bool,
    /// The layer does not depend on what is below.
    pub link: bool,
}

/// A command runs in a root.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Exec {
    /// The command line.
    pub arguments: Vec<String>,
    /// `NAME=value`.
    pub environment: Vec<String>,
    /// Variables that are given to it without being part of what it is: proxies.
    #[serde(skip)]
    pub hidden_environment: Vec<String>,
    /// Where it runs.
    pub working_directory: String,
    /// As whom; root when empty.
    pub user: String,
    /// `default`, `none`, `host`, or what the engine knows.
    pub network: String,
    /// Without the sandbox.
    pub insecure: bool,
    /// What it sees besides its root.
    pub mounts: Vec<Mount>,
    /// Volumes of the image: what is written there is thrown away.
    pub volumes: Vec<String>,
    /// The machine it is for.
    pub platform: String,
    /// A command that changed nothing makes a layer, too.
    pub keep_empty: bool,
}

/// Something a command sees besides its root.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Mount {
    /// Where.
    pub target: String,
    /// What.
    pub kind: MountKind,
}

/// What is mounted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum MountKind {
    /// One path of an origin.
    Bind {
        /// The path.
        selection: Selection,
        /// What is written is thrown away; else it is refused.
        writable: bool,
    },
    /// A folder that stays.
    Cache {
        /// What it is known by.
        id: String,
        /// What it has at first.
        from: Option<Selection>,
        /// Its options.
        options: CacheMount,
    },
    /// Memory.
    Tmpfs {
        /// Bytes at most.
        size: Option<u64>,
    },
    /// A secret, as a file or as a variable. Its value is no part of the key.
    Secret(Secret),
    /// The client's agent of keys.
    Ssh(Secret),
}

/// Something only the client has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Secret {
    /// What the client knows it by.
    pub id: String,
    /// Whether it has to be there.
    pub required: bool,
    /// The variable it is in.
    pub variable: Option<String>,
    /// Permissions of the file.
    pub mode: u32,
    /// Owner of the file.
    pub uid: u32,
    /// Group of the file.
    pub gid: u32,
}

/// What is done at a vertex.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum Operation {
    /// Layers that are there from the beginning: an image's. The text says which; the layers are in the vertex.
    Source(String),
    /// A command runs in the first input.
    Exec(Exec),
    /// Files are put into the first input.
    Copy(Copy),
    /// A folder is made in the first input if it is not there.
    MakeDirectory {
        /// Its absolute path.
        path: String,
        /// Owner of what is made; root when empty.
        owner: String,
        /// A folder that was there makes a layer, too.
        keep_empty: bool,
    },
    /// The layers of all inputs, one above the other.
    Merge,
    /// What the second input has above the first.
    Diff,
    /// An instruction that cannot be: whoever gets so far is told why.
    Refuse(String),
}

impl Operation {
    /// The selections of files it depends on.
    pub fn selections(&self) -> Vec<&Selection> {
        match self {
            Self::Copy(copy) => copy.selections.iter().collect(),
            Self::Exec(exec) => exec.mounts.iter().filter_map(Mount::selection).collect(),
            _ => Vec::new(),
        }
    }
}

impl Mount {
    fn selection(&self) -> Option<&Selection> {
        match &self.kind {
            MountKind::Bind { selection, .. } | MountKind::Cache { from: Some(selection), .. } => {
                Some(selection)
            }
            _ => None,
        }
    }
}
