//! The graph: operations with their inputs, each after those it needs.

use std::sync::Arc;

use oci::Digest;
use oci::image::Descriptor;

use crate::operation::{Operation, VertexId};

/// A layer that exists.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Layer {
    /// Digest of its uncompressed tar.
    pub diff_id: Digest,
    /// The blob it is kept in.
    pub blob: Descriptor,
}

/// A root: its layers, lowest first. No layers is an empty root.
pub type State = Arc<[Layer]>;

/// One operation.
#[derive(Debug, Clone)]
pub struct Vertex {
    /// What is done.
    pub operation: Operation,
    /// What it is done with; all of them come before it.
    pub inputs: Vec<VertexId>,
    /// What people read of it.
    pub name: String,
    /// Do it even if the result is known.
    pub ignore_cache: bool,
    /// The result of a source.
    pub layers: Option<State>,
}

/// All operations of a build, each after its inputs.
#[derive(Debug, Clone, Default)]
pub struct Graph {
    vertices: Vec<Vertex>,
}

impl Graph {
    /// Adds a vertex; its inputs are there already.
    ///
    /// # Panics
    /// Never from outside: inputs are ids this graph gave.
    pub fn add(&mut self, vertex: Vertex) -> VertexId {
        debug_assert!(vertex.inputs.iter().all(|input| input.0 < self.vertices.len()));
        self.vertices.push(vertex);
        VertexId(self.vertices.len() - 1)
    }

    /// A vertex.
    pub fn get(&self, id: VertexId) -> Option<&Vertex> {
        self.vertices.get(id.0)
    }

    /// All vertices, in an order in which they can be worked off.
    pub fn vertices(&self) -> impl Iterator<Item = (VertexId, &Vertex)> {
        self.vertices.iter().enumerate().map(|(index, vertex)| (VertexId(index), vertex))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.vertices.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.vertices.is_empty()
    }

    /// Which vertices some targets need, by their places.
    pub fn needed(&self, targets: &[VertexId]) -> Vec<bool> {
        let mut needed = vec![false; self.vertices.len()];
        for target in targets {
            if let Some(mark) = needed.get_mut(target.0) {
                *mark = true;
            }
        }
        for index in (0..self.vertices.len()).rev() {
            if needed.get(index) != Some(&true) {
                continue;
            }
            for input in self.vertices.get(index).map(|vertex| vertex.inputs.as_slice()).unwrap_or_default() {
                if let Some(mark) = needed.get_mut(input.0) {
                    *mark = true;
                }
            }
        }
        needed
    }
}
