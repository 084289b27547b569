//! Files for mounts of commands: a folder of the engine's own is shown as it is, everything else is copied.

use std::path::{Path, PathBuf};

use archive::ExtractOptions;
use builder::State;
use builder::operation::{Copy, Origin, Selection};
use linux::root::RootDir;

use super::Folder;
use super::copying::Target;
use super::job::Job;
use super::tree::{here, resolve};
use crate::error::Context;
use crate::{Error, Result};

impl Job<'_> {
    /// The files of a selection in a folder on disk; where the file or folder that was meant is. What may be written
    /// to is always a copy.
    pub(super) fn materialise(
        &self,
        selection: &Selection,
        inputs: &[State],
        folder: &Path,
        writable: bool,
    ) -> Result<PathBuf> {
        if !writable
            && let Origin::Context(name) = &selection.origin
            && let Some(path) = self.folder(name)?.plain(selection)?
        {
            return Ok(path);
        }
        store::file::make_private_dir(folder).doing(|| format!("making folder {}", folder.display()))?;
        if let Origin::Inline(files) = &selection.origin {
            use std::os::unix::fs::PermissionsExt as _;
            let shared = std::fs::Permissions::from_mode(0o755);
            std::fs::set_permissions(folder, shared.clone()).doing(|| "making a script".to_owned())?;
            for file in files {
                let path = folder.join(&file.name);
                std::fs::write(&path, &file.content).doing(|| format!("writing {}", path.display()))?;
                std::fs::set_permissions(&path, shared.clone()).doing(|| "making a script".to_owned())?;
            }
            return Ok(folder.to_owned());
        }
        self.fill(selection, inputs, folder)
    }

    /// Copies a selection into a folder; where the file or folder that was meant is.
    pub(super) fn fill(&self, selection: &Selection, inputs: &[State], folder: &Path) -> Result<PathBuf> {
        let Some(tree) = self.tree(&selection.origin, inputs)? else { return Ok(folder.to_owned()) };
        let sources = self.sources(&tree, selection)?;
        let single = sources.first().filter(|source| sources.len() == 1 && !source.is_folder);
        let place = single.and_then(|source| source.path.file_name()).map(|name| folder.join(name));
        let copy = Copy {
            selections: Vec::new(),
            destination: "/".to_owned(),
            owner: None,
            mode: None,
            parents: false,
            unpack: Some(false),
            archives: false,
            link: false,
        };
        let empty = self.view(&State::default())?;
        let mut file = tempfile_in(&self.inner.layout.temporary_dir())?;
        let mut target = Target::new(&empty, &mut file, None, None);
        target.put(&copy, &tree, &sources)?;
        target.finish()?;
        std::io::Seek::rewind(&mut file).doing(|| "copying files for a mount".to_owned())?;
        let root = RootDir::open(folder).doing(|| format!("opening {}", folder.display()))?;
        archive::extract(std::io::BufReader::new(file), &root, Path::new(""), &ExtractOptions::copy())
            .map_err(Error::from_kinded)?;
        Ok(place.unwrap_or_else(|| folder.to_owned()))
    }
}

fn tempfile_in(folder: &Path) -> Result<std::fs::File> {
    use rustix::fs::{CWD, Mode, OFlags, openat};
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    let file = openat(CWD, folder, flags, Mode::from_raw_mode(0o600));
    file.map(std::fs::File::from).doing(|| "making a temporary file".to_owned())
}

impl Folder {
    /// The path on disk of what a selection means, if a container may see it just as it is.
    fn plain(&self, selection: &Selection) -> Result<Option<PathBuf>> {
        let [path] = selection.paths.as_slice() else { return Ok(None) };
        if !self.own || !self.ignore.is_empty() || !selection.exclude.is_empty() {
            return Ok(None);
        }
        let real = resolve(&self.root, Path::new(path))?;
        let there = self.root.stat_link(here(&real)).is_ok();
        Ok(there.then(|| self.path.join(real)))
    }
}
