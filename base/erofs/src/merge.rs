//! Several layers as the one tree that overlayfs would show of them.

use crate::ErofsError;
use crate::tree::{Kind, NodeId, Tree};

/// Puts layers together, the lowest first: whiteouts and opaque directories have done their work afterwards. The
/// devices of the result are those of the layers, in the same order.
///
/// # Errors
/// When the layers together have more files than the format can number.
pub fn merge(layers: Vec<Tree>) -> Result<Tree, ErofsError> {
    let mut merged = Tree::new();
    for layer in layers {
        let root =
            merged.import(layer).ok_or(ErofsError::Limit { what: "files", limit: u64::from(u32::MAX) })?;
        lay_over(&mut merged, root);
    }
    Ok(merged)
}

/// Lays a tree that was imported over what is there. That the root of a layer is opaque means nothing to overlayfs.
fn lay_over(tree: &mut Tree, layer: NodeId) {
    let mut waiting = vec![(Tree::ROOT, layer)];
    let mut fresh = Vec::new();
    while let Some((below, above)) = waiting.pop() {
        let attributes = std::mem::take(&mut tree.node_mut(above).attributes);
        tree.node_mut(below).attributes = attributes;
        let children = tree.node_mut(above).children_mut().map(std::mem::take).unwrap_or_default();
        for (name, id) in children {
            let existing = tree.child(below, &name);
            let (hides, is_directory) = (tree.node(id).is_whiteout(), tree.node(id).is_directory());
            let continues = matches!(tree.node(id).kind, Kind::Directory { opaque: false, .. });
            if let Some(existing) = existing
                && continues
                && tree.node(existing).is_directory()
            {
                waiting.push((existing, id));
                continue;
            }
            let Some(names) = tree.node_mut(below).children_mut() else { continue };
            if hides {
                names.remove(&name);
                continue;
            }
            names.insert(name, id);
            if is_directory {
                fresh.push(id);
            }
        }
    }
    forget_marks(tree, fresh);
}

/// Takes whiteouts and opaque marks out of directories that nothing is below of.
fn forget_marks(tree: &mut Tree, mut waiting: Vec<NodeId>) {
    while let Some(id) = waiting.pop() {
        let Kind::Directory { children, opaque } = &mut tree.node_mut(id).kind else { continue };
        *opaque = false;
        let mut kept = std::mem::take(children);
        kept.retain(|_, child| !tree.node(*child).is_whiteout());
        waiting.extend(kept.values().filter(|child| tree.node(**child).is_directory()));
        if let Some(children) = tree.node_mut(id).children_mut() {
            *children = kept;
        }
    }
}
