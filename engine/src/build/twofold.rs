//! A layer's tar and its files in one go: the files are made while the tar is still being written.

use std::io::{self, Read, Write};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use image::LayerWriter;
use snapshot::{Snapshots, Unnamed};

/// Bytes handed over at once. Tars that are no larger are unpacked when they are there: that takes no thread.
const PIECE: usize = 128 << 10;
/// Pieces that wait at most.
const DEPTH: usize = 8;

/// Writes the tar of a layer, which becomes files on the way if it is large.
pub(super) struct Twofold {
    tar: LayerWriter,
    files: Files,
}

/// What becomes of the files.
enum Files {
    /// Nobody asked for them, or they could not be made on the way: the tar is unpacked later, or says why not.
    Later,
    /// The tar is small up to now.
    Small(Snapshots, Vec<u8>),
    /// They are made.
    Making(Making),
}

/// A thread that makes files, and what it has not got yet.
struct Making {
    piece: Vec<u8>,
    pieces: SyncSender<Vec<u8>>,
    thread: JoinHandle<Option<Unnamed>>,
}

impl Twofold {
    /// A layer that is only a tar.
    pub(super) fn tar_only(tar: LayerWriter) -> Self {
        Self { tar, files: Files::Later }
    }

    /// A layer that is going to be shown.
    pub(super) fn new(tar: LayerWriter, snapshots: &Snapshots) -> Self {
        Self { tar, files: Files::Small(snapshots.clone(), Vec::new()) }
    }

    /// The tar, and what becomes of its files.
    pub(super) fn finish(self) -> (LayerWriter, Unpacking) {
        let thread = match self.files {
            Files::Making(making) => making.end(),
            Files::Later | Files::Small(..) => None,
        };
        (self.tar, Unpacking(thread))
    }
}

impl Write for Twofold {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.tar.write(bytes)?;
        let bytes = bytes.get(..count).unwrap_or_default();
        self.files = match std::mem::replace(&mut self.files, Files::Later) {
            Files::Later => Files::Later,
            Files::Small(snapshots, mut begin) => {
                begin.extend_from_slice(bytes);
                if begin.len() < PIECE {
                    Files::Small(snapshots, begin)
                } else {
                    Making::begin(snapshots, begin).map_or(Files::Later, Files::Making)
                }
            }
            Files::Making(making) => making.add(bytes).map_or(Files::Later, Files::Making),
        };
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.tar.flush()
    }
}

impl Making {
    fn begin(snapshots: Snapshots, piece: Vec<u8>) -> Option<Self> {
        let (pieces, receiver) = sync_channel(DEPTH);
        // A cut tar has no name to be called by, and what cannot be unpacked says why when its blob is.
        let make = move || snapshots.unpack_unnamed(&mut Pieces::new(receiver)).ok().flatten();
        let thread = std::thread::Builder::new().name("layer-files".into()).spawn(make).ok()?;
        Self { piece, pieces, thread }.pass()
    }

    fn add(mut self, bytes: &[u8]) -> Option<Self> {
        self.piece.extend_from_slice(bytes);
        if self.piece.len() < PIECE { Some(self) } else { self.pass() }
    }

    /// Hands over what there is; none when nobody takes it any more.
    fn pass(mut self) -> Option<Self> {
        let piece = std::mem::replace(&mut self.piece, Vec::with_capacity(PIECE));
        self.pieces.send(piece).ok()?;
        Some(self)
    }

    fn end(self) -> Option<JoinHandle<Option<Unnamed>>> {
        self.pass().map(|making| making.thread)
    }
}

/// The files of a complete tar, soon.
pub(super) struct Unpacking(Option<JoinHandle<Option<Unnamed>>>);

impl Unpacking {
    /// Waits for them; none when they are to be made of the tar.
    pub(super) fn wait(self) -> Option<Unnamed> {
        self.0?.join().ok().flatten()
    }
}

/// The stream of the pieces.
struct Pieces {
    receiver: Receiver<Vec<u8>>,
    piece: Vec<u8>,
    position: usize,
}

impl Pieces {
    fn new(receiver: Receiver<Vec<u8>>) -> Self {
        Self { receiver, piece: Vec::new(), position: 0 }
    }
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.position >= self.piece.len() {
            let Ok(piece) = self.receiver.recv() else { return Ok(0) };
            (self.piece, self.position) = (piece, 0);
        }
        let count = self.piece.get(self.position..).unwrap_or_default().read(buffer)?;
        self.position += count;
        Ok(count)
    }
}
