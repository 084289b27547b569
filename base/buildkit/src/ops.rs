//! `pb`: graphs of operations as far as they cross this protocol: sources, platforms, places in a Dockerfile.

use std::collections::BTreeMap;

use oci::Digest;
use prost::Message as _;

/// A graph: its operations as bytes, each named by the digest of these, the last one naming the result.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Definition {
    /// The operations, each an [`Op`].
    #[prost(bytes = "vec", repeated, tag = "1")]
    pub def: Vec<Vec<u8>>,
    /// What is known about each.
    #[prost(btree_map = "string, message", tag = "2")]
    pub metadata: BTreeMap<String, OpMetadata>,
    /// Where they stand in files.
    #[prost(message, tag = "3")]
    pub source: Option<Source>,
}

/// An operation. What it does is read only when it is a source.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Op {
    /// What it works on.
    #[prost(message, repeated, tag = "1")]
    pub inputs: Vec<Input>,
    /// A command, when it is one.
    #[prost(bytes = "vec", optional, tag = "2")]
    pub exec: Option<Vec<u8>>,
    /// A source, when it is one.
    #[prost(message, tag = "3")]
    pub source: Option<SourceOp>,
    /// Changes of files, when it is that.
    #[prost(bytes = "vec", optional, tag = "4")]
    pub file: Option<Vec<u8>>,
    /// A build in the build, when it is one.
    #[prost(bytes = "vec", optional, tag = "5")]
    pub build: Option<Vec<u8>>,
    /// Roots above each other, when it is that.
    #[prost(bytes = "vec", optional, tag = "6")]
    pub merge: Option<Vec<u8>>,
    /// What one root has above another, when it is that.
    #[prost(bytes = "vec", optional, tag = "7")]
    pub diff: Option<Vec<u8>>,
    /// For which platform.
    #[prost(message, tag = "10")]
    pub platform: Option<Platform>,
}

/// An edge of a graph.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Input {
    /// The operation.
    #[prost(string, tag = "1")]
    pub digest: String,
    /// Which of its outputs.
    #[prost(int64, tag = "2")]
    pub index: i64,
}

/// A source.
#[derive(Clone, PartialEq, prost::Message)]
pub struct SourceOp {
    /// `docker-image://`, `local://`, `git://`, `https://` and what follows.
    #[prost(string, tag = "1")]
    pub identifier: String,
    /// Its options.
    #[prost(btree_map = "string, string", tag = "2")]
    pub attrs: BTreeMap<String, String>,
}

/// A platform.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Platform {
    /// As Go names it.
    #[prost(string, tag = "1")]
    pub architecture: String,
    /// As Go names it.
    #[prost(string, tag = "2")]
    pub os: String,
    /// Of the architecture.
    #[prost(string, tag = "3")]
    pub variant: String,
    /// Of the system.
    #[prost(string, tag = "4")]
    pub os_version: String,
    /// Of the system.
    #[prost(string, repeated, tag = "5")]
    pub os_features: Vec<String>,
}

/// What is known about an operation.
#[derive(Clone, PartialEq, prost::Message)]
pub struct OpMetadata {
    /// Whether to run it anew.
    #[prost(bool, tag = "1")]
    pub ignore_cache: bool,
    /// For people.
    #[prost(btree_map = "string, string", tag = "2")]
    pub description: BTreeMap<String, String>,
    /// Whether its result goes into exported cache.
    #[prost(message, tag = "4")]
    pub export_cache: Option<ExportCache>,
    /// What it needs of the builder.
    #[prost(btree_map = "string, bool", tag = "5")]
    pub caps: BTreeMap<String, bool>,
    /// Steps to be shown as one.
    #[prost(message, tag = "6")]
    pub progress_group: Option<ProgressGroup>,
}

/// A yes or no that may be missing.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ExportCache {
    /// Yes or no.
    #[prost(bool, tag = "1")]
    pub value: bool,
}

/// Steps to be shown as one.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ProgressGroup {
    /// Which group.
    #[prost(string, tag = "1")]
    pub id: String,
    /// For people.
    #[prost(string, tag = "2")]
    pub name: String,
    /// Whether other groups go before.
    #[prost(bool, tag = "3")]
    pub weak: bool,
}

/// Where operations stand in files.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Source {
    /// By operation.
    #[prost(btree_map = "string, message", tag = "1")]
    pub locations: BTreeMap<String, Locations>,
    /// The files.
    #[prost(message, repeated, tag = "2")]
    pub infos: Vec<SourceInfo>,
}

/// Places.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Locations {
    /// The places.
    #[prost(message, repeated, tag = "1")]
    pub locations: Vec<Location>,
}

/// Places in one file.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Location {
    /// Which file.
    #[prost(int32, tag = "1")]
    pub source_index: i32,
    /// The places.
    #[prost(message, repeated, tag = "2")]
    pub ranges: Vec<Range>,
}

/// A file.
#[derive(Clone, PartialEq, prost::Message)]
pub struct SourceInfo {
    /// Its name.
    #[prost(string, tag = "1")]
    pub filename: String,
    /// Its bytes.
    #[prost(bytes = "vec", tag = "2")]
    pub data: Vec<u8>,
    /// Where it came from.
    #[prost(message, tag = "3")]
    pub definition: Option<Definition>,
    /// `Dockerfile`.
    #[prost(string, tag = "4")]
    pub language: String,
}

/// A place in a file.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Range {
    /// From here.
    #[prost(message, tag = "1")]
    pub start: Option<Position>,
    /// To here, this line included.
    #[prost(message, tag = "2")]
    pub end: Option<Position>,
}

/// A point in a file.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Position {
    /// Counted from 1.
    #[prost(int32, tag = "1")]
    pub line: i32,
    /// Counted from 0.
    #[prost(int32, tag = "2")]
    pub character: i32,
}

impl Definition {
    /// A graph of one source.
    pub fn of_source(identifier: &str, attrs: BTreeMap<String, String>) -> Self {
        let source = SourceOp { identifier: identifier.to_owned(), attrs };
        let source = Op { source: Some(source), ..Op::default() }.encode_to_vec();
        let digest = Digest::of(&source).to_string();
        let end = Op { inputs: vec![Input { digest: digest.clone(), index: 0 }], ..Op::default() };
        // Clients look for what is known about each operation.
        let metadata = BTreeMap::from([(digest, OpMetadata::default())]);
        Self { def: vec![source, end.encode_to_vec()], metadata, source: None }
    }

    /// The source that is all of this graph; none when it is more than that.
    pub fn only_source(&self) -> Option<SourceOp> {
        // Clients end a graph with an operation that only names its result; the order before that is theirs.
        let mut found = None;
        for bytes in &self.def {
            let operation = Op::decode(bytes.as_slice()).ok()?;
            if operation.is_end() && operation.inputs.len() == 1 {
                continue;
            }
            // What is read twice, or needs something, is more than a source.
            if found.is_some() || !operation.inputs.is_empty() {
                return None;
            }
            found = Some(operation.source?);
        }
        found
    }
}

impl Op {
    /// Whether it does nothing.
    fn is_end(&self) -> bool {
        let kinds = [&self.exec, &self.file, &self.build, &self.merge, &self.diff];
        self.source.is_none() && kinds.iter().all(|kind| kind.is_none())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_graph_of_one_source_ends_with_it() {
        let graph = Definition::of_source("git://example.test/x", BTreeMap::new());
        assert_eq!(
            graph.only_source().map(|source| source.identifier).as_deref(),
            Some("git://example.test/x")
        );
        let end = Op::decode(graph.def[1].as_slice()).expect("decodes");
        assert_eq!(end.inputs[0].digest, Digest::of(&graph.def[0]).to_string());
        assert!(graph.metadata.contains_key(&end.inputs[0].digest));
        assert_eq!(Definition { def: vec![vec![0xff], Vec::new()], ..graph.clone() }.only_source(), None);
        // An operation of a kind that is not read here is not nothing: field 2, a command.
        let command = [graph.def[1].clone(), vec![0x12, 0]].concat();
        let with_command = Definition { def: vec![graph.def[0].clone(), command], ..graph };
        assert_eq!(with_command.only_source(), None);
    }
}
