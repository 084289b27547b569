//! A folder of the client as packets, as far as the builder wants to see it.
//!
//! A builder asks with three lists: paths to follow (with what the links on the way lead to), patterns of what to see
//! and patterns of what not to see. Only folders in which something wanted may lie are looked through.

use std::collections::HashMap;
use std::ffi::OsString;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::OsStringExt as _;
use std::sync::{Mutex, PoisonError};
use std::thread;

use build_context::{Above, Ignore};
use grpc::{Code, Inbound, Metadata, Outbound, Status};
use linux::Errno;
use linux::root::RootDir;
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat as Kernel};

use super::follow;
use crate::fsutil::{Packet, PacketType, Stat, mode};
use crate::session::{send, tree};

/// Folders in each other that are followed.
const DEEPEST: usize = 256;

/// What the builder wants to see of a folder.
#[derive(Debug)]
pub(super) struct View {
    /// Where to begin looking, sorted, none below another; the empty path is the folder itself.
    starts: Vec<String>,
    /// What is seen; everything when absent.
    include: Option<Ignore>,
    exclude: Ignore,
}

impl View {
    /// Reads the lists beside a call.
    pub(super) fn read(root: &RootDir, metadata: &Metadata) -> Result<Self, Status> {
        let mut include = list(metadata, "include-patterns")?;
        let follow = list(metadata, "followpaths")?;
        if !follow.is_empty() {
            include.extend(follow::resolve(root, &follow)?);
        }
        let exclude = list(metadata, "exclude-patterns")?;
        let patterns = |texts: &[String]| {
            Ignore::new(texts.iter().map(String::as_str))
                .map_err(|error| Status::new(Code::InvalidArgument, error.to_string()))
        };
        let is_whole =
            include.is_empty() || include.iter().any(|path| matches!(path.as_str(), "" | "." | "/"));
        Ok(Self {
            starts: if is_whole { vec![String::new()] } else { starts(&include) },
            include: if is_whole { None } else { Some(patterns(&include)?) },
            exclude: patterns(&exclude)?,
        })
    }
}

/// One of the lists; values that no header can carry come escaped.
fn list(metadata: &Metadata, name: &str) -> Result<Vec<String>, Status> {
    let encoded = metadata.text(&format!("{name}-encoded")) == Some("1");
    let read = |text: &str| if encoded { unescape(text) } else { Some(text.to_owned()) };
    let invalid = || Status::new(Code::InvalidArgument, format!("{name} cannot be read"));
    metadata.texts(name).map(|text| read(text).ok_or_else(invalid)).collect()
}

/// Text of the query of an address.
fn unescape(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        match byte {
            b'+' => bytes.push(b' '),
            b'%' => {
                let pair = std::str::from_utf8(tail.get(..2)?).ok()?;
                bytes.push(u8::from_str_radix(pair, 16).ok()?);
                rest = tail.get(2..)?;
            }
            byte => bytes.push(byte),
        }
    }
    String::from_utf8(bytes).ok()
}

/// The parts of patterns before their first wildcard.
fn starts(patterns: &[String]) -> Vec<String> {
    let plain = |pattern: &String| {
        let pattern = pattern.trim_start_matches('/').trim_end_matches('/');
        let parts = pattern.split('/').take_while(|part| !part.contains(['*', '?', '[', '\\', '!']));
        parts.filter(|part| !matches!(*part, "" | ".")).collect::<Vec<_>>().join("/")
    };
    let mut starts: Vec<String> = patterns.iter().map(plain).collect();
    starts.sort_by(|one, other| one.split('/').cmp(other.split('/')));
    starts.dedup_by(|later, earlier| is_in(later, earlier));
    starts
}

/// Whether a path is another one or below it.
fn is_in(path: &str, folder: &str) -> bool {
    folder.is_empty() || path == folder || path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'))
}

/// Sends what is seen of a folder, then the bytes that are asked for.
pub(super) fn send(
    root: &RootDir,
    view: &View,
    inbound: &mut Inbound,
    outbound: &Outbound,
) -> Result<(), Status> {
    let files = Mutex::new(HashMap::new());
    thread::scope(|scope| {
        // Requests come while files are still told: whoever only talked would wait for a listener that waits too.
        let telling = scope.spawn(|| tell(root, view, &files, outbound));
        let answered = answer(root, &files, inbound, outbound);
        match telling.join() {
            Ok(told) => told.and(answered),
            Err(_) => Err(Status::new(Code::Internal, "the files could not be told")),
        }
    })
}

/// Tells all files; those with bytes are noted by their numbers.
fn tell(
    root: &RootDir,
    view: &View,
    files: &Mutex<HashMap<u32, String>>,
    outbound: &Outbound,
) -> Result<(), Status> {
    let mut number = 0u32;
    let told = walk(root, view, &mut |stat| {
        if stat.mode & mode::KIND == 0 && stat.linkname.is_empty() {
            files.lock().unwrap_or_else(PoisonError::into_inner).insert(number, stat.path.clone());
        }
        number = number.wrapping_add(1);
        outbound.send(&Packet { stat: Some(stat), ..Packet::default() })
    });
    match told {
        Ok(()) => outbound.send(&Packet::default()),
        Err(status) => {
            let data = status.message.clone().into_bytes();
            let _ = outbound.send(&Packet { r#type: PacketType::Err as i32, data, ..Packet::default() });
            Err(status)
        }
    }
}

/// Sends bytes until the builder has everything.
fn answer(
    root: &RootDir,
    files: &Mutex<HashMap<u32, String>>,
    inbound: &mut Inbound,
    outbound: &Outbound,
) -> Result<(), Status> {
    while let Some(packet) = inbound.recv::<Packet>()? {
        match PacketType::try_from(packet.r#type) {
            Ok(PacketType::Req) => {
                let path = files.lock().unwrap_or_else(PoisonError::into_inner).remove(&packet.id);
                let path = path.ok_or_else(|| {
                    Status::new(Code::InvalidArgument, format!("there is no file {}", packet.id))
                })?;
                send::send_file(outbound, packet.id, root, &path).map_err(|error| match error {
                    send::SendError::Peer(status) => status,
                    error => Status::new(Code::Unknown, format!("{path}: {}", model::error::chain(&error))),
                })?;
            }
            Ok(PacketType::Fin) => {
                return outbound.send(&Packet { r#type: PacketType::Fin as i32, ..Packet::default() });
            }
            Ok(PacketType::Err) => {
                let text = String::from_utf8_lossy(&packet.data).into_owned();
                return Err(Status::new(Code::Unknown, format!("error from receiver: {text}")));
            }
            _ => {}
        }
    }
    Ok(())
}

/// A walk under way.
struct Walker<'w> {
    root: &'w RootDir,
    view: &'w View,
    /// Folders that were told, each in the one before.
    told: Vec<String>,
    /// Files with several names, by device and number: the first name told.
    names: HashMap<(u64, u64), String>,
    visit: &'w mut dyn FnMut(Stat) -> Result<(), Status>,
}

/// What a folder's patterns say about everything in it.
struct Said {
    include: Above,
    exclude: Above,
}

/// Walks what is seen, in the order the protocol wants: folders before what is in them, names sorted.
fn walk(
    root: &RootDir,
    view: &View,
    visit: &mut dyn FnMut(Stat) -> Result<(), Status>,
) -> Result<(), Status> {
    let mut walker = Walker { root, view, told: Vec::new(), names: HashMap::new(), visit };
    for start in &view.starts {
        walker.start(start)?;
    }
    Ok(())
}

impl Walker<'_> {
    /// Walks from one place on; a place that is not there shows nothing.
    fn start(&mut self, path: &str) -> Result<(), Status> {
        let mut above = Said { include: Above::default(), exclude: Above::default() };
        if path.is_empty() {
            let fd = open_dir(self.root.as_fd(), ".").map_err(|error| failed("", error))?;
            return self.folder(&fd, "", &above, 0);
        }
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        for part in folder.match_indices('/').map(|(at, _)| &folder[..at]).chain([folder]) {
            if !part.is_empty() {
                above = self.enter(&above, part);
            }
        }
        match self.root.resolve_plain(if folder.is_empty() { "." } else { folder }) {
            Ok(fd) => self.look(&fd, name, folder, &above, path.matches('/').count()),
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(()),
            Err(error) => Err(failed(folder, error)),
        }
    }

    fn enter(&self, above: &Said, folder: &str) -> Said {
        let include = self.view.include.as_ref();
        Said {
            include: include.map_or_else(Above::default, |seen| seen.enter(&above.include, folder)),
            exclude: self.view.exclude.enter(&above.exclude, folder),
        }
    }

    fn folder(&mut self, fd: &OwnedFd, path: &str, above: &Said, depth: usize) -> Result<(), Status> {
        if depth > DEEPEST {
            return Err(failed(path, Errno::LOOP));
        }
        for name in names(fd, path)? {
            self.look(fd, &name, path, above, depth)?;
        }
        Ok(())
    }

    fn look(
        &mut self,
        fd: &OwnedFd,
        name: &str,
        folder: &str,
        above: &Said,
        depth: usize,
    ) -> Result<(), Status> {
        let path = if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") };
        let is_excluded = self.view.exclude.is_ignored_in(&above.exclude, &path);
        if is_excluded && !self.view.exclude.may_show_below(&path) {
            return Ok(());
        }
        let included = self.view.include.as_ref();
        let is_seen = !is_excluded && included.is_none_or(|seen| seen.is_ignored_in(&above.include, &path));
        let found = match rustix::fs::statat(fd, name, AtFlags::SYMLINK_NOFOLLOW) {
            // It went away meanwhile.
            Err(Errno::NOENT) => return Ok(()),
            found => found.map_err(|error| failed(&path, error))?,
        };
        let kind = FileType::from_raw_mode(found.st_mode);
        if is_seen && kind != FileType::Socket {
            self.show(fd, name, &path, &found)?;
        }
        if kind != FileType::Directory {
            return Ok(());
        }
        let inner = open_dir(fd.as_fd(), name).map_err(|error| failed(&path, error))?;
        let above = self.enter(above, &path);
        self.folder(&inner, &path, &above, depth + 1)
    }

    /// Tells of something, after the folders it is in.
    fn show(&mut self, fd: &OwnedFd, name: &str, path: &str, found: &Kernel) -> Result<(), Status> {
        while self.told.last().is_some_and(|folder| !is_in(path, folder)) {
            self.told.pop();
        }
        let known = self.told.last().map_or(0, String::len);
        for at in path.match_indices('/').map(|(at, _)| at).filter(|at| *at > known) {
            let folder = &path[..at];
            let found = self.root.stat_link(folder).map_err(|error| failed(folder, error))?;
            let stat = tree::describe(self.root.as_fd(), folder, folder.to_owned(), &found);
            (self.visit)(of_root(stat.map_err(|error| failed(folder, error))?))?;
            self.told.push(folder.to_owned());
        }
        let described = tree::describe(fd.as_fd(), name, path.to_owned(), found);
        let mut stat = of_root(described.map_err(|error| failed(path, error))?);
        match stat.mode & mode::KIND {
            mode::DIR => self.told.push(path.to_owned()),
            0 if found.st_nlink > 1 => {
                let first = self.names.entry((found.st_dev, found.st_ino)).or_insert_with(|| path.to_owned());
                if first != path {
                    stat.linkname.clone_from(first);
                    stat.size = 0;
                }
            }
            _ => {}
        }
        (self.visit)(stat)
    }
}

/// Builds see files of root, whoever's they are here.
fn of_root(stat: Stat) -> Stat {
    Stat { uid: 0, gid: 0, ..stat }
}

fn names(fd: &OwnedFd, folder: &str) -> Result<Vec<String>, Status> {
    let mut names = Vec::new();
    for entry in Dir::read_from(fd).map_err(|error| failed(folder, error))? {
        let entry = entry.map_err(|error| failed(folder, error))?;
        let name = OsString::from_vec(entry.file_name().to_bytes().to_vec());
        match name.into_string() {
            Ok(name) if name == "." || name == ".." => {}
            Ok(name) => names.push(name),
            Err(name) => {
                let text = format!("{folder}/{}: the name is no text", name.to_string_lossy());
                return Err(Status::new(Code::InvalidArgument, text));
            }
        }
    }
    names.sort_unstable();
    Ok(names)
}

fn open_dir(at: std::os::fd::BorrowedFd<'_>, name: &str) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(at, name, flags, Mode::empty())
}

fn failed(path: &str, error: Errno) -> Status {
    let text = std::io::Error::from(error).to_string();
    Status::new(Code::Unknown, format!("{path}: {text}"))
}

#[cfg(test)]
mod unit {
    use super::*;

    #[test]
    fn looking_begins_where_patterns_become_wild() {
        let of =
            |patterns: &[&str]| starts(&patterns.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>());
        assert_eq!(of(&["b/c", "a-x", "a/y", "b", "a/y/z"]), ["a/y", "a-x", "b"]);
        assert_eq!(of(&["src/*/x", "/src/a/"]), ["src"]);
        assert_eq!(of(&["x", "*.c"]), [""]);
    }

    #[test]
    fn escaped_texts_come_back() {
        assert_eq!(unescape("%C3%A4+b%2F%25").as_deref(), Some("ä b/%"));
        for broken in ["%", "%4", "%zz", "%ff"] {
            assert_eq!(unescape(broken), None, "{broken}");
        }
    }
}
