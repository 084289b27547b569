//! Files of `/etc` in a stack of overlay layers, read without a mount.
//!
//! Layers are from images: nothing in them is followed. What plain folders and files do not explain (links, renamed
//! folders) is left to a real mount.

use std::fs::File;
use std::io::Read;

use linux::overlay::Lower;
use linux::root::RootDir;
use rustix::fs::{FileType, Stat};
use rustix::io::Errno;

/// What one layer says about a file.
enum Found {
    /// Its content.
    Bytes(Vec<u8>),
    /// It is not there, whatever lower layers have.
    Removed,
    /// Lower layers decide.
    Below,
}

/// The content of a file in `/etc`, empty when there is none; `None` when only a mount can tell.
pub(crate) fn read(layers: &[Lower], name: &str, limit: u64) -> Option<Vec<u8>> {
    for layer in layers {
        match in_layer(layer, name, limit)? {
            Found::Bytes(bytes) => return Some(bytes),
            Found::Removed => return Some(Vec::new()),
            Found::Below => {}
        }
    }
    Some(Vec::new())
}

fn in_layer(layer: &Lower, name: &str, limit: u64) -> Option<Found> {
    let root = RootDir::from_fd(layer.open().ok()?);
    match root.stat_link("etc") {
        Err(Errno::NOENT) => return Some(Found::Below),
        Ok(stat) if is_whiteout(&stat) => return Some(Found::Removed),
        Ok(stat) if is_kind(&stat, FileType::Directory) => {}
        _ => return None,
    }
    let folder = root
        .open_file(
            "etc",
            rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::DIRECTORY,
            rustix::fs::Mode::empty(),
        )
        .ok()?;
    let attribute = |name: &str| rustix::fs::fgetxattr(&folder, name, &mut [0u8; 256][..]);
    if attribute("trusted.overlay.redirect").is_ok() {
        return None;
    }
    let path = format!("etc/{name}");
    match root.stat_link(path.as_str()) {
        Err(Errno::NOENT) if attribute("trusted.overlay.opaque").is_ok() => Some(Found::Removed),
        Err(Errno::NOENT) => Some(Found::Below),
        Ok(stat) if is_whiteout(&stat) => Some(Found::Removed),
        Ok(stat) if is_kind(&stat, FileType::RegularFile) => {
            let mut bytes = Vec::new();
            File::from(root.open_regular(path.as_str()).ok()?).take(limit).read_to_end(&mut bytes).ok()?;
            Some(Found::Bytes(bytes))
        }
        _ => None,
    }
}

fn is_kind(stat: &Stat, kind: FileType) -> bool {
    FileType::from_raw_mode(stat.st_mode) == kind
}

/// Overlayfs marks what is gone by a character device 0:0.
fn is_whiteout(stat: &Stat) -> bool {
    is_kind(stat, FileType::CharacterDevice) && stat.st_rdev == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_uppermost_plain_file_counts() {
        let root = std::env::temp_dir().join(format!("wharf-etc-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&root);
        let layer = |name: &str| root.join(name);
        for (name, content) in [("upper", ""), ("middle", "m"), ("lower", "l")] {
            std::fs::create_dir_all(layer(name).join("etc")).unwrap();
            if !content.is_empty() {
                std::fs::write(layer(name).join("etc/passwd"), content).unwrap();
            }
        }
        std::fs::write(layer("lower").join("etc/group"), "g").unwrap();
        std::os::unix::fs::symlink("/etc/shadow", layer("upper").join("etc/link")).unwrap();
        let layers = [layer("upper"), layer("middle"), layer("lower")];
        let layers = layers.map(Lower::from);
        assert_eq!(read(&layers, "passwd", 100), Some(b"m".to_vec()));
        assert_eq!(read(&layers, "group", 100), Some(b"g".to_vec()));
        assert_eq!(read(&layers, "nosuch", 100), Some(Vec::new()));
        assert_eq!(read(&layers, "link", 100), None);
        std::fs::remove_dir_all(&root).unwrap();
    }
}
