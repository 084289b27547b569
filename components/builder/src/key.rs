//! Cache keys: what an operation is, and the content of everything it works on.
//!
//! A key holds the diff ids of the root below and the content digests of the files an operation reads: never names
//! alone, never times. Equal keys mean equal work; so a hit can make a build faster, but not different.

use oci::Digest;
use oci::digest::{Algorithm, Digester};
use serde::Serialize;

use crate::graph::Layer;
use crate::operation::Operation;

/// Changed when the meaning of operations or results changes: older records are not found any more.
const VERSION: u32 = 1;

/// What a result is kept under.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Key(Digest);

impl Key {
    /// As text.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

#[derive(Serialize)]
struct Parts<'a> {
    version: u32,
    kind: &'a str,
    operation: &'a Operation,
    root: Vec<&'a Digest>,
    sources: Vec<String>,
}

/// The key of an operation above a root, with what says which files it reads.
pub(crate) fn of(operation: &Operation, kind: &str, root: &[Layer], sources: Vec<String>) -> Key {
    let root = root.iter().map(|layer| &layer.diff_id).collect();
    let parts = Parts { version: VERSION, kind, operation, root, sources };
    let mut digester = Digester::new(Algorithm::Sha256);
    // Values of these types always have a JSON form.
    digester.update(&serde_json::to_vec(&parts).unwrap_or_default());
    Key(digester.finish())
}

/// A digest that stands for the layers of a root.
pub(crate) fn of_state(state: &[Layer]) -> String {
    let mut digester = Digester::new(Algorithm::Sha256);
    for layer in state {
        digester.update(layer.diff_id.as_str().as_bytes());
        digester.update(b"\n");
    }
    format!("layers {}", digester.finish())
}
