//! COPY, ADD and WORKDIR as layers: written as a tar straight from the files, no root is mounted to be written to.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use archive::{Decoder, Entry, EntryKind, Limits, Reader, Writer};
use builder::operation::{Copy, Inline};
use linux::root::RootDir;
use rustix::fs::{FileType, Stat};

use super::mode::Mode;
use super::tree::{Found, Source, Tree, here, is_regular, resolve};
use crate::error::Context;
use crate::{Error, Result};

/// Permissions of folders that are made on the way.
const FOLDER: u32 = 0o755;
/// Permissions of files that are written in the Dockerfile.
const INLINE: u32 = 0o644;

/// Where files go: a root as it is before, and the layer that is made above it.
pub(super) struct Target<'w> {
    root: &'w RootDir,
    writer: Writer<&'w mut dyn Write>,
    /// Folders the layer has already.
    folders: HashSet<PathBuf>,
    /// Whose what is made is.
    owner: Option<(u32, u32)>,
    /// Permissions of all.
    mode: Option<Mode>,
    now: i64,
    entries: usize,
}

impl<'w> Target<'w> {
    pub(super) fn new(
        root: &'w RootDir,
        out: &'w mut dyn Write,
        owner: Option<(u32, u32)>,
        mode: Option<Mode>,
    ) -> Self {
        Self {
            root,
            writer: Writer::new(out),
            folders: HashSet::new(),
            owner,
            mode,
            now: model::Timestamp::now().seconds(),
            entries: 0,
        }
    }

    /// Ends the layer; whether there is anything in it.
    pub(super) fn finish(self) -> Result<bool> {
        self.writer.finish().map_err(Error::from_kinded)?;
        Ok(self.entries > 0)
    }

    /// Puts the sources of one tree to a destination.
    pub(super) fn put(&mut self, copy: &Copy, tree: &Tree<'_>, sources: &[Source]) -> Result<()> {
        let many = sources.len() > 1;
        if many && !copy.destination.ends_with('/') {
            let keyword = if copy.archives { "ADD" } else { "COPY" };
            return Err(Error::invalid(format!(
                "When using {keyword} with more than one source file, the destination must be a directory and end with a /"
            )));
        }
        for source in sources {
            self.put_source(copy, tree, source)?;
        }
        Ok(())
    }

    fn put_source(&mut self, copy: &Copy, tree: &Tree<'_>, source: &Source) -> Result<()> {
        let Some(first) = source.files.first() else { return Ok(()) };
        let name = source.path.file_name().map(OsStr::to_owned).unwrap_or_default();
        let mut destination = copy.destination.clone();
        if copy.parents {
            let pivot = source.path.to_string_lossy();
            let kept = pivot.split_once("/./").map_or(&*pivot, |(_, kept)| kept);
            let above = Path::new(kept).parent().unwrap_or(Path::new("")).to_string_lossy().into_owned();
            destination = format!("{}/{above}/", destination.trim_end_matches('/'));
            if source.is_folder {
                destination.push_str(&format!("{}/", name.to_string_lossy()));
            }
        }
        if source.is_folder {
            return self.put_folder(Path::new(&destination), tree, source);
        }
        if copy.archives && copy.unpack != Some(false) && is_regular(&first.stat) {
            let (file, _) = tree.open(&first.path)?;
            if let Some(stream) = as_archive(file)? {
                return self.put_archive(Path::new(&destination), stream);
            }
        }
        let place = resolve(self.root, Path::new(&destination))?;
        let inside = destination.ends_with('/') || self.is_folder(&place);
        let place = if inside { place.join(&name) } else { place };
        self.parents(&place)?;
        self.put_file(tree, first, &place)
    }

    fn put_folder(&mut self, destination: &Path, tree: &Tree<'_>, source: &Source) -> Result<()> {
        let place = resolve(self.root, destination)?;
        if let Ok(stat) = self.root.stat_link(here(&place))
            && FileType::from_raw_mode(stat.st_mode) != FileType::Directory
        {
            return Err(Error::invalid(format!(
                "cannot copy to non-directory: {}",
                Path::new("/").join(&place).display()
            )));
        }
        self.folder(&place)?;
        for found in source.files.iter().filter(|found| !found.target.as_os_str().is_empty()) {
            let target = place.join(&found.target);
            self.put_file(tree, found, &target)?;
        }
        Ok(())
    }

    /// Puts one file, link or folder at its final place.
    fn put_file(&mut self, tree: &Tree<'_>, found: &Found, place: &Path) -> Result<()> {
        let stat = &found.stat;
        let Some(kind) = EntryKind::of(FileType::from_raw_mode(stat.st_mode)) else { return Ok(()) };
        let mut entry = Entry::new(place, kind, stat.st_mode & 0o7777);
        (entry.uid, entry.gid) = self.owner.unwrap_or_else(|| tree.owner(stat));
        entry.seconds = stat.st_mtime;
        if let Some(mode) = self.mode.as_ref().filter(|_| kind != EntryKind::Symlink) {
            entry.mode = mode.apply(entry.mode, kind == EntryKind::Directory);
        }
        self.entries += 1;
        match kind {
            EntryKind::File => {
                let (file, now) = tree.open(&found.path)?;
                entry.size = now.st_size.cast_unsigned();
                entry.xattrs = archive::tree::xattrs_of(&file)
                    .doing(|| format!("reading attributes of {}", place.display()))?;
                let size = entry.size;
                // A file that shrinks while it is read gets zeros for what is missing.
                self.append(&entry, &mut file.chain(std::io::repeat(0)).take(size))
            }
            EntryKind::Symlink => {
                let text = tree.link(&found.path)?;
                entry.link = OsStr::from_bytes(text.to_bytes()).to_owned();
                self.append(&entry, &mut std::io::empty())
            }
            EntryKind::Directory => {
                self.folders.insert(place.to_owned());
                self.append(&entry, &mut std::io::empty())
            }
            _ => {
                entry.device = (rustix::fs::major(stat.st_rdev), rustix::fs::minor(stat.st_rdev));
                self.append(&entry, &mut std::io::empty())
            }
        }
    }

    /// Puts files that are written in the Dockerfile.
    pub(super) fn put_inline(&mut self, copy: &Copy, files: &[Inline]) -> Result<()> {
        for file in files {
            let place = resolve(self.root, Path::new(&copy.destination))?;
            let inside = copy.destination.ends_with('/') || self.is_folder(&place);
            let place = if inside { place.join(&file.name) } else { place };
            self.parents(&place)?;
            let mut entry = Entry::file(&place, INLINE, file.content.len() as u64);
            (entry.uid, entry.gid) = self.owner.unwrap_or_default();
            entry.seconds = self.now;
            if let Some(mode) = &self.mode {
                entry.mode = mode.apply(entry.mode, false);
            }
            self.entries += 1;
            self.append(&entry, &mut file.content.as_bytes())?;
        }
        Ok(())
    }

    /// Makes a folder, if it is not there.
    pub(super) fn make_folder(&mut self, path: &Path) -> Result<()> {
        let place = resolve(self.root, path)?;
        match self.root.stat_link(here(&place)) {
            Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Directory => Ok(()),
            Ok(_) => Err(Error::invalid(format!("mkdir {}: not a directory", path.display()))),
            Err(_) => self.folder(&place),
        }
    }

    /// Unpacks an archive below a destination.
    fn put_archive(&mut self, destination: &Path, stream: impl Read) -> Result<()> {
        let place = resolve(self.root, destination)?;
        self.folder(&place)?;
        let mut reader = Reader::new(stream, Limits::DEFAULT);
        while let Some(mut entry) = reader.next_entry().map_err(Error::from_kinded)? {
            let path = archive::extract::clean(&entry.path).map_err(Error::from_kinded)?;
            if path.as_os_str().is_empty() {
                continue;
            }
            if entry.kind == EntryKind::HardLink {
                let target = archive::extract::clean(Path::new(&entry.link)).map_err(Error::from_kinded)?;
                entry.link = place.join(target).into_os_string();
            }
            entry.path = place.join(&path);
            if let Some((uid, gid)) = self.owner {
                (entry.uid, entry.gid) = (uid, gid);
            }
            (entry.user, entry.group) = (String::new(), String::new());
            // The folders it is in may have no entry of their own.
            if let Some(above) = entry.path.parent().filter(|above| !self.folders.contains(*above)) {
                let above = above.to_owned();
                self.folder(&above)?;
            }
            if entry.kind == EntryKind::Directory {
                self.folders.insert(entry.path.clone());
            }
            self.entries += 1;
            self.append(&entry, &mut reader)?;
        }
        Ok(())
    }

    fn is_folder(&self, place: &Path) -> bool {
        self.folders.contains(place)
            || self
                .root
                .stat_link(here(place))
                .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory)
    }

    /// The folders above a place.
    fn parents(&mut self, place: &Path) -> Result<()> {
        match place.parent() {
            Some(above) if !above.as_os_str().is_empty() => self.folder(above),
            _ => Ok(()),
        }
    }

    /// A folder with those above it: as they are in the root, else new ones.
    fn folder(&mut self, place: &Path) -> Result<()> {
        if place.as_os_str().is_empty() || self.folders.contains(place) {
            return Ok(());
        }
        self.parents(place)?;
        let entry = match self.root.stat_link(place) {
            Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Directory => {
                existing(self.root, place, &stat)?
            }
            _ => {
                self.entries += 1;
                let mut entry = Entry::directory(place, FOLDER);
                (entry.uid, entry.gid) = self.owner.unwrap_or_default();
                entry.seconds = self.now;
                entry
            }
        };
        self.folders.insert(place.to_owned());
        self.append(&entry, &mut std::io::empty())
    }

    fn append(&mut self, entry: &Entry, content: &mut dyn Read) -> Result<()> {
        self.writer.append(entry, content).map_err(Error::from_kinded)
    }
}

/// A folder that stays as it is.
fn existing(root: &RootDir, place: &Path, stat: &Stat) -> Result<Entry> {
    let mut entry = Entry::directory(place, stat.st_mode & 0o7777);
    (entry.uid, entry.gid) = (stat.st_uid, stat.st_gid);
    entry.seconds = stat.st_mtime;
    let flags = rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::DIRECTORY;
    let open = root
        .open_file(place, flags, rustix::fs::Mode::empty())
        .doing(|| format!("opening {}", place.display()))?;
    entry.xattrs =
        archive::tree::xattrs_of(&open).doing(|| format!("reading attributes of {}", place.display()))?;
    Ok(entry)
}

/// The file's tar stream, if it is an archive by its content.
fn as_archive(mut file: File) -> Result<Option<Box<dyn Read>>> {
    if !is_archive(&file) {
        return Ok(None);
    }
    file.seek(SeekFrom::Start(0)).doing(|| "reading an archive".to_owned())?;
    let decoder = Decoder::new(file).doing(|| "reading an archive".to_owned())?;
    Ok(Some(Box::new(decoder)))
}

/// Whether there is a first file in it, after whatever headers describe it. What does not decompress is a file like
/// others.
fn is_archive(file: &File) -> bool {
    let stream = Decoder::new(file);
    stream.is_ok_and(|stream| matches!(Reader::new(stream, Limits::DEFAULT).next_entry(), Ok(Some(_))))
}
