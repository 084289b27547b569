//! Contexts that are no folders of the client: fetched, or unpacked from an archive, into folders of the engine's own.

use std::io::Read;
use std::path::{Path, PathBuf};

use builder::operation::Remote;
use linux::root::RootDir;

use super::checksum::Checksum;
use super::remote::{self, Fetched};
use super::request::{self, Temporary};
use super::{Builds, Cancel};
use crate::error::Context;
use crate::{Error, Result};

/// The files of a context from elsewhere; they go with it.
pub struct ForeignContext {
    path: PathBuf,
    text: Option<Vec<u8>>,
    checksum: Option<Checksum>,
    _held: Held,
}

/// What removes the files.
enum Held {
    Unpacked { _folder: Temporary },
    Fetched { _files: Fetched },
}

impl ForeignContext {
    /// Where its files are.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its text, when it is nothing but a Dockerfile.
    pub fn text(&self) -> Option<&[u8]> {
        self.text.as_deref()
    }

    /// What was found where it comes from; none of what a client sent.
    pub fn checksum(&self) -> Option<&Checksum> {
        self.checksum.as_ref()
    }

    /// The bytes of one of its files; none when there is no such file.
    ///
    /// # Errors
    /// When it cannot be read, or is longer than a Dockerfile may be.
    pub fn read(&self, path: &str) -> Result<Option<Vec<u8>>> {
        let root = RootDir::open(&self.path).doing(|| format!("opening {}", self.path.display()))?;
        request::read(&root, path)
    }
}

impl Builds<'_> {
    /// Gets a main context: a repository, an archive, which is unpacked, or a Dockerfile.
    ///
    /// # Errors
    /// When it cannot be fetched, or is none of these.
    pub fn fetch_context(
        &self,
        address: &str,
        keep_git_dir: bool,
        cancel: &Cancel,
    ) -> Result<ForeignContext> {
        let folder = Temporary::new(self.inner)?;
        let found = request::remote(self.inner, address, &folder.0, keep_git_dir, &cancel.shared.pulls)?;
        let (path, text, checksum) = (found.files, found.dockerfile, Some(found.checksum));
        Ok(ForeignContext { path, text, checksum, _held: Held::Unpacked { _folder: folder } })
    }

    /// Gets a named context: a repository, or a file, which stays as it is; the file is called by a name, if one is given.
    ///
    /// # Errors
    /// When it cannot be fetched, or the name is none of a file.
    pub fn fetch_named_context(
        &self,
        wanted: &Remote,
        name: Option<&str>,
        cancel: &Cancel,
    ) -> Result<ForeignContext> {
        let files = remote::fetch(self.inner, wanted, &cancel.shared.pulls)?;
        if let (Some(found), Some(name)) = (&files.name, name) {
            if name.contains('/') || matches!(name, "" | "." | "..") {
                return Err(Error::invalid(format!("{name:?} is no name of a file")));
            }
            let (from, to) = (files.folder.join(found), files.folder.join(name));
            std::fs::rename(&from, &to).doing(|| format!("naming {}", to.display()))?;
        }
        let (path, checksum) = (files.folder.clone(), files.checksum.clone());
        Ok(ForeignContext { path, text: None, checksum, _held: Held::Fetched { _files: files } })
    }

    /// Unpacks a context from a tar, which may be compressed.
    ///
    /// # Errors
    /// When it is none.
    pub fn unpack_context(&self, stream: &mut (dyn Read + Send)) -> Result<ForeignContext> {
        let folder = Temporary::new(self.inner)?;
        request::unpack(stream, &folder.0)?;
        Ok(ForeignContext {
            path: folder.0.clone(),
            text: None,
            checksum: None,
            _held: Held::Unpacked { _folder: folder },
        })
    }
}
