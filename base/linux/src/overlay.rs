//! Overlay file systems as detached mounts: nothing appears in any mount namespace until somebody attaches them.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags};

use crate::mount::Configuration;
use crate::{Errno, SysResult};

/// The layers of an overlay.
#[derive(Clone, Debug, Default)]
pub struct Overlay {
    /// Read-only layers, the uppermost first. A single one without an upper layer is mounted as a plain copy of it.
    pub lowers: Vec<PathBuf>,
    /// The writable layer and the work directory on the same file system.
    pub upper: Option<(PathBuf, PathBuf)>,
    /// Nothing is synced to disk; after a crash the upper layer has to be discarded.
    pub volatile: bool,
    /// Attribute bits of the mount (see [`crate::mount::attribute`]).
    pub attributes: u64,
}

impl Overlay {
    /// Makes the file system and a detached mount of it.
    pub fn mount(&self) -> io::Result<OwnedFd> {
        if let (None, [lower]) = (&self.upper, &self.lowers[..]) {
            return Ok(plain(lower, self.attributes)?);
        }
        let configuration = Configuration::new(c"overlay")?;
        self.configure(&configuration)
            .and_then(|()| configuration.mount(self.attributes))
            .map_err(|error| explain(error, &configuration))
    }

    fn configure(&self, configuration: &Configuration) -> SysResult<()> {
        configuration.string(c"source", c"overlay")?;
        for lower in &self.lowers {
            set_layer(configuration, c"lowerdir+", lower)?;
        }
        if let Some((upper, work)) = &self.upper {
            set_layer(configuration, c"upperdir", upper)?;
            set_layer(configuration, c"workdir", work)?;
            if self.volatile {
                configuration.flag(c"volatile")?;
            }
        }
        Ok(())
    }
}

/// Descriptors (Linux 6.13) take paths of any length; older kernels take strings of at most 255 bytes.
fn set_layer(configuration: &Configuration, key: &std::ffi::CStr, path: &Path) -> SysResult<()> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = rustix::fs::openat(CWD, path, flags, Mode::empty())?;
    match configuration.descriptor(key, directory.as_fd()) {
        Err(Errno::INVAL) => {
            let path = CString::new(path.as_os_str().as_bytes()).map_err(|_| Errno::INVAL)?;
            configuration.string(key, &path)
        }
        result => result,
    }
}

fn plain(lower: &Path, attributes: u64) -> SysResult<OwnedFd> {
    let tree = crate::mount::clone_tree(CWD, lower, false)?;
    let change = crate::mount::Change {
        set: attributes | crate::mount::attribute::READ_ONLY,
        propagation: Some(crate::mount::Propagation::Private),
        ..Default::default()
    };
    change.apply(tree.as_fd())?;
    Ok(tree)
}

fn explain(error: Errno, configuration: &Configuration) -> io::Error {
    match configuration.message() {
        Some(message) => io::Error::new(io::Error::from(error).kind(), format!("overlay: {message}")),
        None => error.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::root::RootDir;

    #[test]
    fn layers_show_through_a_detached_mount() {
        let base =
            std::env::temp_dir().join(format!("wharf-overlay-{}-{}", std::process::id(), "x".repeat(200)));
        for directory in ["lower", "upper", "work"] {
            std::fs::create_dir_all(base.join(directory)).unwrap();
        }
        std::fs::write(base.join("lower/a"), "below").unwrap();
        let overlay = Overlay {
            lowers: vec![base.join("lower")],
            upper: Some((base.join("upper"), base.join("work"))),
            volatile: true,
            attributes: 0,
        };
        let root = RootDir::from_fd(overlay.mount().unwrap());
        root.make_dirs("made/below", Mode::from_raw_mode(0o755)).unwrap();
        assert!(root.open_regular("a").is_ok());
        assert!(base.join("upper/made/below").is_dir());
        drop(root);
        let view = Overlay { lowers: vec![base.join("upper"), base.join("lower")], ..Overlay::default() };
        let root = RootDir::from_fd(view.mount().unwrap());
        assert!(root.resolve("made").is_ok() && root.resolve("a").is_ok());
        assert_eq!(root.make_dir(Path::new("no"), Mode::from_raw_mode(0o755)), Err(Errno::ROFS));
        drop(root);
        std::fs::remove_dir_all(&base).unwrap();
    }
}
