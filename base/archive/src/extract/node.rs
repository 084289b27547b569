//! Makes one member in its directory, replacing what is there.

use std::ffi::OsStr;
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use crate::error::{ArchiveError, Result};
use crate::extract::attributes;
use crate::extract::remove::remove_tree;
use crate::extract::{ExtractOptions, Owner, Whiteouts};
use crate::reader::Reader;
use crate::{Entry, EntryKind};

/// Bytes copied at once.
const COPY: usize = 256 << 10;

/// What became of a member.
pub(super) enum Done {
    /// It was made; with its attributes unless it is a directory.
    Made(Option<Stat>),
    /// It was made, and what had its name is gone.
    Replaced,
    /// It is another name of something, or was there as it should be.
    Nothing,
    /// Something of its name was there, and has its attributes now.
    Found,
}

/// Where a member goes.
pub(super) struct Place<'a> {
    pub(super) parent: BorrowedFd<'a>,
    pub(super) name: &'a OsStr,
    pub(super) path: &'a Path,
    pub(super) options: &'a ExtractOptions,
}

impl Place<'_> {
    pub(super) fn directory(&self, entry: &Entry) -> Result<Done> {
        let mut done = Done::Made(None);
        let mut hides = false;
        match rustix::fs::mkdirat(self.parent, self.name, Mode::from_raw_mode(0o700)) {
            Err(Errno::EXIST) => {
                let stat = self.stat()?;
                done = Done::Found;
                if kind_of(&stat) != FileType::Directory {
                    hides = self.options.whiteouts == Whiteouts::Overlay && is_whiteout(&stat);
                    self.clear(&stat, true)?;
                    self.check("make the directory", self.make_dir())?;
                    done = Done::Replaced;
                }
            }
            result => self.check("make the directory", result)?,
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let directory = rustix::fs::openat(self.parent, self.name, flags, Mode::empty());
        let directory = self.check("open the directory", directory)?;
        self.check("set attributes of", attributes::set(directory.as_fd(), entry, self.options))?;
        if hides {
            self.check("mark as opaque", attributes::set_opaque(directory.as_fd()))?;
        }
        Ok(done)
    }

    pub(super) fn file(&self, entry: &Entry, reader: &mut Reader<impl Read>) -> Result<Done> {
        self.file_of(entry, |file| self.content(file, entry, reader))
    }

    /// A file whose content has been read.
    pub(super) fn small_file(&self, entry: &Entry, content: &[u8]) -> Result<Done> {
        self.file_of(entry, |file| self.write(file, content, 0))
    }

    fn file_of(&self, entry: &Entry, fill: impl FnOnce(&OwnedFd) -> Result<()>) -> Result<Done> {
        let (file, replaced) = self.create(|| {
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            rustix::fs::openat(self.parent, self.name, flags, attributes::first_mode(entry, self.options))
        })?;
        fill(&file)?;
        let stat = self.check("set attributes of", attributes::set(file.as_fd(), entry, self.options))?;
        let times = attributes::times(entry.seconds, entry.nanoseconds);
        self.check("set the time of", rustix::fs::futimens(&file, &times))?;
        Ok(if replaced { Done::Replaced } else { Done::Made(Some(stat)) })
    }

    pub(super) fn hard_link(&self, target_parent: BorrowedFd<'_>, target: &Path) -> Result<Done> {
        let Some(target_name) = target.file_name() else {
            return self.check("link", Err(Errno::INVAL));
        };
        let stat = |parent, name| rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW);
        let found = self.check("find the hard link's target of", stat(target_parent, target_name))?;
        if stat(self.parent, self.name)
            .is_ok_and(|here| (here.st_dev, here.st_ino) == (found.st_dev, found.st_ino))
        {
            return Ok(Done::Nothing);
        }
        let ((), replaced) = self.create(|| {
            rustix::fs::linkat(target_parent, target_name, self.parent, self.name, AtFlags::empty())
        })?;
        Ok(if replaced { Done::Replaced } else { Done::Nothing })
    }

    pub(super) fn symlink(&self, entry: &Entry) -> Result<Done> {
        let text = entry.link.as_os_str();
        let ((), replaced) = self.create(|| rustix::fs::symlinkat(text, self.parent, self.name))?;
        self.unopened(entry, true)?;
        self.made(replaced)
    }

    pub(super) fn special(&self, entry: &Entry) -> Result<Done> {
        let kind = match entry.kind {
            EntryKind::CharacterDevice => FileType::CharacterDevice,
            EntryKind::BlockDevice => FileType::BlockDevice,
            _ => FileType::Fifo,
        };
        if self.options.owner == Owner::Caller && kind != FileType::Fifo {
            return Ok(Done::Nothing);
        }
        // As much of the numbers as the kernel takes: what it cuts off must not hide that nothing is left.
        let device = rustix::fs::makedev(entry.device.0 & 0xfff, entry.device.1 & 0xf_ffff);
        if self.options.whiteouts == Whiteouts::Overlay && kind == FileType::CharacterDevice && device == 0 {
            // That would be overlayfs' own mark, which an archive has no business to make.
            return Ok(Done::Nothing);
        }
        let mode = Mode::from_raw_mode(0o600);
        let ((), replaced) =
            self.create(|| rustix::fs::mknodat(self.parent, self.name, kind, mode, device))?;
        self.unopened(entry, false)?;
        self.made(replaced)
    }

    fn made(&self, replaced: bool) -> Result<Done> {
        if replaced { Ok(Done::Replaced) } else { self.stat().map(|stat| Done::Made(Some(stat))) }
    }

    fn make_dir(&self) -> rustix::io::Result<()> {
        rustix::fs::mkdirat(self.parent, self.name, Mode::from_raw_mode(0o700))
    }

    fn unopened(&self, entry: &Entry, is_link: bool) -> Result<()> {
        let result = attributes::set_unopened(self.parent, self.name, entry, self.options, is_link);
        self.check("set attributes of", result)
    }

    /// Makes something; what has the name already is removed first.
    fn create<T>(&self, make: impl Fn() -> rustix::io::Result<T>) -> Result<(T, bool)> {
        match make() {
            Err(Errno::EXIST) => {
                self.clear(&self.stat()?, false)?;
                Ok((self.check("make", make())?, true))
            }
            result => Ok((self.check("make", result)?, false)),
        }
    }

    fn clear(&self, existing: &Stat, by_directory: bool) -> Result<()> {
        let is_directory = kind_of(existing) == FileType::Directory;
        if self.options.no_overwrite_dir_non_dir && is_directory != by_directory {
            return Err(ArchiveError::Overwrite {
                existing: self.path.to_owned(),
                path: self.path.to_owned(),
                directory: by_directory,
            });
        }
        let result = if is_directory {
            remove_tree(self.parent, self.name)
        } else {
            rustix::fs::unlinkat(self.parent, self.name, AtFlags::empty())
        };
        self.check("replace", result)
    }

    fn stat(&self) -> Result<Stat> {
        self.check("look at", rustix::fs::statat(self.parent, self.name, AtFlags::SYMLINK_NOFOLLOW))
    }

    fn content(&self, file: &OwnedFd, entry: &Entry, reader: &mut Reader<impl Read>) -> Result<()> {
        let Some(pieces) = reader.pieces().map(<[_]>::to_vec) else {
            return self.run(file, 0, entry.size, reader);
        };
        self.check("set the size of", rustix::fs::ftruncate(file, entry.size))?;
        for (offset, length) in pieces {
            self.run(file, offset, length, reader)?;
        }
        Ok(())
    }

    /// Copies a run of data to an offset.
    fn run(&self, file: &OwnedFd, offset: u64, length: u64, reader: &mut Reader<impl Read>) -> Result<()> {
        let mut buffer = vec![0; COPY.min(usize::try_from(length).unwrap_or(COPY))];
        let mut done = 0;
        while done < length {
            let wanted = usize::try_from(length - done).unwrap_or(usize::MAX).min(buffer.len());
            let count = reader.read_data(buffer.get_mut(..wanted).unwrap_or_default())?;
            if count == 0 {
                return Err(ArchiveError::Truncated);
            }
            self.write(file, buffer.get(..count).unwrap_or_default(), offset + done)?;
            done += count as u64;
        }
        Ok(())
    }

    fn write(&self, file: &OwnedFd, mut bytes: &[u8], mut offset: u64) -> Result<()> {
        while !bytes.is_empty() {
            let written = self.check("write", rustix::io::pwrite(file, bytes, offset))?;
            offset += written as u64;
            bytes = bytes.get(written..).unwrap_or_default();
        }
        Ok(())
    }

    fn check<T>(&self, operation: &'static str, result: rustix::io::Result<T>) -> Result<T> {
        result.map_err(|error| ArchiveError::Entry {
            operation,
            path: self.path.to_owned(),
            source: error.into(),
        })
    }
}

/// Hides a name of the layers below. Something of the same layer under that name stays: whiteouts speak about lower
/// layers only; a directory there then hides what is below it.
pub(super) fn whiteout(parent: BorrowedFd<'_>, name: &[u8]) -> rustix::io::Result<Done> {
    let name = OsStr::from_bytes(name);
    match rustix::fs::mknodat(parent, name, FileType::CharacterDevice, Mode::empty(), 0) {
        Err(Errno::EXIST) => {
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            match rustix::fs::openat(parent, name, flags, Mode::empty()) {
                Ok(directory) => attributes::set_opaque(directory.as_fd())?,
                Err(Errno::NOTDIR | Errno::LOOP) => {}
                Err(error) => return Err(error),
            }
            Ok(Done::Nothing)
        }
        result => result.and_then(|()| {
            rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW).map(|stat| Done::Made(Some(stat)))
        }),
    }
}

fn kind_of(stat: &Stat) -> FileType {
    FileType::from_raw_mode(stat.st_mode)
}

fn is_whiteout(stat: &Stat) -> bool {
    kind_of(stat) == FileType::CharacterDevice && stat.st_rdev == 0
}
