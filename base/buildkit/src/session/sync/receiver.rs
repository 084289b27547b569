//! The receiver's side of the packets.

use std::collections::{HashMap, VecDeque};
use std::fs::File;
use std::io::Write as _;
use std::os::fd::AsFd as _;
use std::path::PathBuf;

use grpc::{Inbound, Outbound};
use linux::root::RootDir;
use linux::{Errno, SysResult};

use super::folder::{self, Open, Placed};
use super::order::Order;
use super::{SyncError, SyncLimits, Synced};
use crate::fsutil::{Packet, PacketType, Stat, mode};

/// Files whose bytes are under way at once. Bounded, so that neither side waits to write while the other does too.
const UNDER_WAY: usize = 64;

/// A transfer into a directory.
#[derive(Debug)]
pub(super) struct Receiver<'r> {
    root: &'r RootDir,
    limits: SyncLimits,
    order: Order,
    open: Vec<Open>,
    announced: bool,
    next_id: u32,
    said_bytes: u64,
    queue: VecDeque<(u32, Stat)>,
    under_way: HashMap<u32, Writing>,
    finished: bool,
    synced: Synced,
    /// What is there and not announced stays, and owners are not changed.
    merging: bool,
}

/// A file whose bytes come.
#[derive(Debug)]
struct Writing {
    file: File,
    stat: Stat,
}

/// Adds the path to a failure of the disk.
fn on_disk<T>(outcome: SysResult<T>, action: &'static str, path: &str) -> Result<T, SyncError> {
    outcome.map_err(|source| SyncError::Disk { action, path: PathBuf::from(path), source })
}

impl<'r> Receiver<'r> {
    /// For a directory.
    pub(super) fn new(root: &'r RootDir, limits: SyncLimits) -> SysResult<Self> {
        Ok(Self {
            root,
            limits,
            order: Order::new(limits.depth),
            open: vec![Open::root(root)?],
            announced: false,
            next_id: 0,
            said_bytes: 0,
            queue: VecDeque::new(),
            under_way: HashMap::new(),
            finished: false,
            synced: Synced::default(),
            merging: false,
        })
    }

    /// The same for a folder that others have things in too.
    pub(super) fn merging(self) -> Self {
        Self { merging: true, ..self }
    }

    /// Takes packets until the transfer is over.
    pub(super) fn run(
        &mut self,
        mut inbound: Inbound,
        outbound: Outbound,
        progress: &mut dyn FnMut(u64),
    ) -> Result<Synced, SyncError> {
        let outcome = self.exchange(&mut inbound, &outbound, progress);
        if let Err(error) = &outcome
            && !matches!(error, SyncError::Peer(_))
        {
            // So that the client can say why it stops.
            let data = error.to_string().into_bytes();
            let _ = outbound.send(&Packet { r#type: PacketType::Err as i32, data, ..Packet::default() });
        }
        outcome
    }

    fn exchange(
        &mut self,
        inbound: &mut Inbound,
        outbound: &Outbound,
        progress: &mut dyn FnMut(u64),
    ) -> Result<Synced, SyncError> {
        while let Some(packet) = inbound.recv::<Packet>().map_err(SyncError::Peer)? {
            let before = self.synced.sent_bytes;
            if self.take(packet)? {
                return self.summary();
            }
            for answer in self.requests()? {
                outbound.send(&answer).map_err(SyncError::Peer)?;
            }
            if self.synced.sent_bytes != before {
                progress(self.synced.sent_bytes);
            }
        }
        self.summary()
    }

    /// What came, when everything came.
    pub(super) fn summary(&self) -> Result<Synced, SyncError> {
        if self.finished {
            return Ok(self.synced);
        }
        Err(SyncError::Refused { what: "an end before the end", path: String::new() })
    }

    /// Takes a packet; whether it was the last.
    pub(super) fn take(&mut self, packet: Packet) -> Result<bool, SyncError> {
        let refused = |what| SyncError::Refused { what, path: String::new() };
        match PacketType::try_from(packet.r#type) {
            Ok(PacketType::Stat) if self.announced => return Err(refused("a file after the last")),
            Ok(PacketType::Stat) => match packet.stat {
                Some(stat) => self.announce(stat)?,
                None => {
                    self.announced = true;
                    self.close(0)?;
                }
            },
            Ok(PacketType::Data) => self.data(packet.id, &packet.data)?,
            Ok(PacketType::Fin) if self.finished => return Ok(true),
            Ok(PacketType::Fin) => return Err(refused("an end before the end")),
            Ok(PacketType::Err) => {
                let text = String::from_utf8_lossy(&packet.data[..packet.data.len().min(4096)]).into_owned();
                return Err(SyncError::Sender(text));
            }
            Ok(PacketType::Req) | Err(_) => return Err(refused("a packet nobody sends")),
        }
        Ok(false)
    }

    /// What the client is to be sent now: requests for bytes, or the word that all is there.
    pub(super) fn requests(&mut self) -> Result<Vec<Packet>, SyncError> {
        let mut packets = Vec::new();
        while self.under_way.len() < UNDER_WAY
            && let Some((id, stat)) = self.queue.pop_front()
        {
            let file = on_disk(folder::open_for_bytes(self.root, &stat.path), "open", &stat.path)?;
            self.under_way.insert(id, Writing { file: file.into(), stat });
            packets.push(Packet { r#type: PacketType::Req as i32, id, ..Packet::default() });
        }
        if self.announced && self.under_way.is_empty() && !self.finished {
            self.finished = true;
            packets.push(Packet { r#type: PacketType::Fin as i32, ..Packet::default() });
        }
        Ok(packets)
    }

    /// A file of the client: made here, or noted as wanted.
    fn announce(&mut self, mut stat: Stat) -> Result<(), SyncError> {
        if self.merging {
            // All bits set leave the owner.
            (stat.uid, stat.gid) = (u32::MAX, u32::MAX);
        }
        let id = self.next_id;
        self.next_id = self.next_id.wrapping_add(1);
        self.synced.entries += 1;
        if self.synced.entries > self.limits.entries {
            return Err(SyncError::TooMuch { what: "files", limit: self.limits.entries });
        }
        let place = self.order.next(&stat.path)?;
        let (keep, name) = (place.keep, place.name.to_owned());
        self.close(keep)?;
        let is_directory = stat.mode & mode::KIND == mode::DIR;
        check(&stat)?;
        if stat.mode & mode::KIND == 0 {
            self.said_bytes = self.said_bytes.saturating_add(stat.size.cast_unsigned());
            self.within_bytes(self.said_bytes)?;
        }
        let root = self.root;
        let Some(directory) = self.open.last_mut() else {
            return Err(SyncError::Refused { what: "a file after the last", path: stat.path });
        };
        if is_directory {
            self.order.enter(&stat.path)?;
            let inner = directory.enter(&name, stat.clone());
            self.open.push(on_disk(inner, "create", &stat.path)?);
        } else if stat.mode & mode::KIND == mode::SOCKET {
            // A socket of the client's means nothing here; the name stays free.
        } else if on_disk(directory.place(root, &name, &stat), "create", &stat.path)? == Placed::WantsBytes {
            self.queue.push_back((id, stat));
        }
        Ok(())
    }

    /// Completes all directories but the outermost `keep`.
    fn close(&mut self, keep: usize) -> Result<(), SyncError> {
        while self.open.len() > keep
            && let Some(directory) = self.open.pop()
        {
            self.synced.removed += on_disk(directory.complete(self.merging), "complete a directory in", ".")?;
        }
        Ok(())
    }

    /// Bytes of a file; none at its end.
    fn data(&mut self, id: u32, data: &[u8]) -> Result<(), SyncError> {
        let Some(writing) = self.under_way.get_mut(&id) else {
            return Err(SyncError::Refused { what: "bytes nobody asked for", path: id.to_string() });
        };
        if !data.is_empty() {
            self.synced.sent_bytes += data.len() as u64;
            let written = writing.file.write_all(data).map_err(errno);
            on_disk(written, "write", &writing.stat.path)?;
            return self.within_bytes(self.synced.sent_bytes);
        }
        let finished = folder::finish(writing.file.as_fd(), &writing.stat);
        on_disk(finished, "finish", &writing.stat.path)?;
        self.under_way.remove(&id);
        self.synced.sent_files += 1;
        Ok(())
    }

    fn within_bytes(&self, bytes: u64) -> Result<(), SyncError> {
        if bytes > self.limits.bytes {
            return Err(SyncError::TooMuch { what: "bytes", limit: self.limits.bytes });
        }
        Ok(())
    }
}

/// Refuses what no file looks like.
fn check(stat: &Stat) -> Result<(), SyncError> {
    let refused = |what| Err(SyncError::Refused { what, path: stat.path.clone() });
    let kind = stat.mode & mode::KIND;
    let known = [
        0,
        mode::DIR,
        mode::SYMLINK,
        mode::NAMED_PIPE,
        mode::SOCKET,
        mode::DEVICE,
        mode::DEVICE | mode::CHAR_DEVICE,
    ];
    if !known.contains(&kind) {
        return refused("a file of no known kind");
    }
    if stat.size < 0 {
        return refused("a file of negative size");
    }
    let link = &stat.linkname;
    if kind == mode::SYMLINK && (link.is_empty() || link.len() > 4095 || link.contains('\0')) {
        return refused("a link to nowhere");
    }
    let clean =
        |link: &str| link.split('/').all(|name| !matches!(name, "" | "." | "..") && !name.contains('\0'));
    if kind == 0 && !link.is_empty() && !clean(link) {
        return refused("a hard link that leads out of the folder");
    }
    if kind & mode::DEVICE != 0 && [stat.devmajor, stat.devminor].iter().any(|n| u32::try_from(*n).is_err()) {
        return refused("a device of no number");
    }
    Ok(())
}

fn errno(error: std::io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::IO, Errno::from_raw_os_error)
}
