//! From a tree to an image: superblock, devices, inodes, then directories and what else has blocks.

mod directory;
mod inode;
mod place;

use crate::ErofsError;
use crate::format::{
    BLOCK, BLOCK_BITS, CHUNKED, COMPATIBLE_MTIME, DEVICE_SIZE, DEVICE_TABLE, MAGIC, SLOT, SUPER, SUPER_SIZE,
};
use crate::tree::{Kind, Tree};
use place::Places;
pub(crate) use place::{chunk_bits, chunks};

/// Largest image; far above what real trees need (a thousandth to a hundredth of their contents).
const IMAGE: u64 = 1 << 30;

/// Writes the image of a tree. The same tree gives the same bytes.
///
/// # Errors
/// When it would be too large.
pub fn write(tree: &Tree) -> Result<Vec<u8>, ErofsError> {
    let meta = meta_start(tree);
    let places = Places::new(tree, meta)?;
    if places.end > IMAGE {
        return Err(ErofsError::Limit { what: "bytes in the index", limit: IMAGE });
    }
    let mut image = Image { bytes: vec![0; usize::try_from(places.end).unwrap_or_default()] };
    superblock(&mut image, tree, &places);
    image.put(places.packed, &tree.packed);
    for id in &places.order {
        let inode = inode::encode(tree, &places, *id)?;
        image.put(places.inode(*id), &inode);
        let node = tree.node(*id);
        match &node.kind {
            Kind::Directory { children, .. } => {
                image.put(places.data(*id), &directory::encode(tree, &places, *id, children));
            }
            Kind::Symlink(text) if places.data(*id) != 0 => image.put(places.data(*id), text),
            _ => {}
        }
    }
    Ok(image.bytes)
}

/// The image as it is filled; everything has its place already.
struct Image {
    bytes: Vec<u8>,
}

impl Image {
    fn put(&mut self, at: u64, bytes: &[u8]) {
        let at = usize::try_from(at).unwrap_or(usize::MAX);
        if let Some(place) = at.checked_add(bytes.len()).and_then(|end| self.bytes.get_mut(at..end)) {
            place.copy_from_slice(bytes);
        }
    }
}

/// Inodes begin at the first block behind the table of devices.
fn meta_start(tree: &Tree) -> u64 {
    let table = SUPER + SUPER_SIZE + tree.devices.len() * DEVICE_SIZE;
    (table as u64).next_multiple_of(BLOCK)
}

fn superblock(image: &mut Image, tree: &Tree, places: &Places) {
    let at = SUPER as u64;
    let features = CHUNKED | if tree.devices.is_empty() { 0 } else { DEVICE_TABLE };
    image.put(at, &MAGIC.to_le_bytes());
    image.put(at + 8, &COMPATIBLE_MTIME.to_le_bytes());
    image.put(at + 12, &[BLOCK_BITS]);
    image.put(at + 14, &number16(places.inode(Tree::ROOT).saturating_sub(places.meta) / SLOT));
    image.put(at + 16, &(places.order.len() as u64).to_le_bytes());
    image.put(at + 36, &number32(places.end / BLOCK));
    image.put(at + 40, &number32(places.meta / BLOCK));
    image.put(at + 80, &features.to_le_bytes());
    image.put(at + 86, &number16(tree.devices.len() as u64));
    image.put(at + 88, &number16(((SUPER + SUPER_SIZE) / DEVICE_SIZE) as u64));
    for (index, length) in tree.devices.iter().enumerate() {
        let slot = (SUPER + SUPER_SIZE + index * DEVICE_SIZE) as u64;
        image.put(slot + 64, &number32(length.div_ceil(BLOCK)));
    }
}

/// Numbers whose size was checked when places were given out.
fn number16(number: u64) -> [u8; 2] {
    u16::try_from(number).unwrap_or(u16::MAX).to_le_bytes()
}

fn number32(number: u64) -> [u8; 4] {
    u32::try_from(number).unwrap_or(u32::MAX).to_le_bytes()
}

#[cfg(test)]
mod judge;
#[cfg(test)]
mod tests;
