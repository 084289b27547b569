//! Results for the client: an archive as bytes, or a directory as files.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, Write};

use grpc::{Cancellation, Inbound, Metadata, Outbound, Status};
use linux::Errno;
use linux::root::RootDir;

use super::{Session, Under, tree};
use crate::fsutil::{Packet, PacketType, Stat, mode};
use crate::services::{BytesMessage, method};

/// Bytes in one message.
const PIECE: usize = 32 << 10;

/// A failure to send a directory.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The client failed, is gone, or the call was cancelled.
    #[error("{0}")]
    Peer(#[source] Status),
    /// The client says that it failed.
    #[error("error from receiver: {0}")]
    Receiver(String),
    /// The client asks for what there is not.
    #[error("the client asks for file {0}, which there is not")]
    Refused(u32),
    /// The directory cannot be read.
    #[error("reading the result")]
    Disk(#[from] Errno),
}

/// A directory, or one of several that go to the client together.
#[derive(Debug)]
pub struct Branch<'r> {
    /// The directory it gets there; empty for the uppermost one.
    pub name: String,
    /// The files.
    pub root: &'r RootDir,
    /// More files beside them, by their names.
    pub files: BTreeMap<String, Vec<u8>>,
}

impl<'r> Branch<'r> {
    /// All there is.
    pub fn whole(root: &'r RootDir) -> Self {
        Self { name: String::new(), root, files: BTreeMap::new() }
    }
}

/// An archive on its way to the client. It is only there when [`Self::finish`] succeeds.
#[derive(Debug)]
pub struct Archive {
    under: Under,
    buffer: Vec<u8>,
}

impl Session {
    /// Starts sending bytes to the output of the exporter with this number; `facts` are what the exporter says about
    /// them.
    ///
    /// # Errors
    /// When the client takes no output.
    pub fn send_archive(
        &self,
        exporter: usize,
        facts: &[(String, String)],
        until: &Cancellation,
    ) -> Result<Archive, Status> {
        let mut metadata = place(exporter);
        for (name, value) in facts {
            metadata.push(&format!("exporter-md-{name}"), value.as_str());
        }
        let under = self.start(method::FILE_SEND, metadata, until)?;
        Ok(Archive { under, buffer: Vec::with_capacity(PIECE) })
    }

    /// Sends directories to the output of the exporter with this number, sorted by their names; with a time (seconds since
    /// 1970) all files have that one. Nobody may change them meanwhile.
    ///
    /// # Errors
    /// When the client fails, or a directory cannot be read.
    pub fn send_tree(
        &self,
        exporter: usize,
        branches: &[Branch<'_>],
        time: Option<i64>,
        until: &Cancellation,
    ) -> Result<(), SendError> {
        let Under { mut call, _hook } =
            self.start(method::FILE_SEND, place(exporter), until).map_err(SendError::Peer)?;
        send_packets(&mut call.inbound, &call.outbound, branches, time)?;
        let mut rest = call.finish();
        while rest.recv_bytes().map_err(SendError::Peer)?.is_some() {}
        Ok(())
    }
}

/// The bytes of a file that was told of.
enum Source {
    /// A file of a branch.
    Disk(usize, String),
    Memory(Vec<u8>),
}

/// Tells the client what there is.
struct Teller<'t> {
    inbound: &'t mut Inbound,
    outbound: &'t Outbound,
    files: HashMap<u32, Source>,
    number: u32,
    time: Option<i64>,
}

impl Teller<'_> {
    fn tell(&mut self, mut stat: Stat, source: Option<Source>) -> Result<(), SendError> {
        if let Some(time) = self.time {
            stat.mod_time = time.saturating_mul(1_000_000_000);
        }
        self.files.extend(source.map(|source| (self.number, source)));
        self.number = self.number.wrapping_add(1);
        let packet = Packet { stat: Some(stat), ..Packet::default() };
        self.outbound.send(&packet).map_err(|status| ended(self.inbound, status))
    }

    fn branch(&mut self, index: usize, branch: &Branch<'_>) -> Result<(), SendError> {
        let prefix = if branch.name.is_empty() { String::new() } else { format!("{}/", branch.name) };
        if !branch.name.is_empty() {
            let folder = Stat { path: branch.name.clone(), mode: mode::DIR | 0o755, ..Stat::default() };
            self.tell(folder, None)?;
        }
        let mut more = branch.files.iter().peekable();
        tree::walk(branch.root, &mut |mut stat| -> Result<(), SendError> {
            let top = stat.path.split('/').next().unwrap_or_default().to_owned();
            while let Some((name, bytes)) = more.next_if(|(name, _)| **name <= top) {
                // What the result itself has under that name stays.
                if *name != top {
                    self.memory(&prefix, name, bytes)?;
                }
            }
            let source = (stat.mode & mode::KIND == 0).then(|| Source::Disk(index, stat.path.clone()));
            stat.path.insert_str(0, &prefix);
            self.tell(stat, source)
        })?;
        more.try_for_each(|(name, bytes)| self.memory(&prefix, name, bytes))
    }

    fn memory(&mut self, prefix: &str, name: &str, bytes: &[u8]) -> Result<(), SendError> {
        let size = i64::try_from(bytes.len()).unwrap_or(i64::MAX);
        let stat = Stat { path: format!("{prefix}{name}"), mode: 0o644, size, ..Stat::default() };
        self.tell(stat, Some(Source::Memory(bytes.to_vec())))
    }
}

/// The sender's side of the packets: every file, then the bytes of those that are asked for.
pub(super) fn send_packets(
    inbound: &mut Inbound,
    outbound: &Outbound,
    branches: &[Branch<'_>],
    time: Option<i64>,
) -> Result<(), SendError> {
    let mut teller = Teller { inbound, outbound, files: HashMap::new(), number: 0, time };
    for (index, branch) in branches.iter().enumerate() {
        teller.branch(index, branch)?;
    }
    let Teller { inbound, mut files, .. } = teller;
    outbound.send(&Packet::default()).map_err(|status| ended(inbound, status))?;
    while let Some(packet) = inbound.recv::<Packet>().map_err(SendError::Peer)? {
        match PacketType::try_from(packet.r#type) {
            Ok(PacketType::Req) => match files.remove(&packet.id) {
                Some(Source::Disk(index, path)) => {
                    let branch = branches.get(index).ok_or(SendError::Refused(packet.id))?;
                    send_file(outbound, packet.id, branch.root, &path)?;
                }
                Some(Source::Memory(bytes)) => send_bytes(outbound, packet.id, &mut bytes.as_slice())?,
                None => return Err(SendError::Refused(packet.id)),
            },
            Ok(PacketType::Fin) => {
                let fin = Packet { r#type: PacketType::Fin as i32, ..Packet::default() };
                outbound.send(&fin).map_err(SendError::Peer)?;
                return Ok(());
            }
            Ok(PacketType::Err) => {
                return Err(SendError::Receiver(String::from_utf8_lossy(&packet.data).into_owned()));
            }
            _ => {}
        }
    }
    // The client ended it without the word; how, says the end of the call.
    Ok(())
}

/// Which output is meant.
fn place(exporter: usize) -> Metadata {
    Metadata::new().with("buildkit-attachable-exporter-id", exporter.to_string())
}

/// Why a call takes no more: its own end says it better than the failure to send.
fn ended(inbound: &mut Inbound, otherwise: Status) -> SendError {
    loop {
        match inbound.recv_bytes() {
            Ok(Some(_)) => {}
            Ok(None) => return SendError::Peer(otherwise),
            Err(status) => return SendError::Peer(status),
        }
    }
}

/// Sends the bytes of a file that was asked for.
pub(crate) fn send_file(to: &Outbound, id: u32, root: &RootDir, path: &str) -> Result<(), SendError> {
    send_bytes(to, id, &mut std::fs::File::from(root.open_regular(path)?))
}

fn send_bytes(to: &Outbound, id: u32, file: &mut dyn io::Read) -> Result<(), SendError> {
    let packet = |data| Packet { r#type: PacketType::Data as i32, id, data, ..Packet::default() };
    loop {
        let mut data = vec![0; PIECE];
        let count = file.read(&mut data).map_err(|error| {
            SendError::Disk(error.raw_os_error().map_or(Errno::IO, Errno::from_raw_os_error))
        })?;
        data.truncate(count);
        to.send(&packet(data)).map_err(SendError::Peer)?;
        if count == 0 {
            return Ok(());
        }
    }
}

impl Archive {
    /// Sends the rest and waits until the client has everything.
    ///
    /// # Errors
    /// When the client could not keep it.
    pub fn finish(mut self) -> Result<(), Status> {
        self.send_buffer()?;
        let Under { call, _hook } = self.under;
        let mut rest = call.finish();
        while rest.recv_bytes()?.is_some() {}
        Ok(())
    }

    fn send_buffer(&mut self) -> Result<(), Status> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let data = std::mem::replace(&mut self.buffer, Vec::with_capacity(PIECE));
        let sent = self.under.call.outbound.send(&BytesMessage { data });
        sent.map_err(|status| match ended(&mut self.under.call.inbound, status) {
            SendError::Peer(status) => status,
            other => Status::new(grpc::Code::Unknown, other.to_string()),
        })
    }
}

impl Write for Archive {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = bytes.len().min(PIECE - self.buffer.len());
        self.buffer.extend_from_slice(&bytes[..count]);
        if self.buffer.len() == PIECE {
            self.send_buffer().map_err(io::Error::other)?;
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.send_buffer().map_err(io::Error::other)
    }
}
