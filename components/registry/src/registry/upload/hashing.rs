//! A long body on its way to a file: one thread reads and writes, another hashes and has the kernel write back.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd as _;
use std::os::unix::fs::FileExt as _;
use std::sync::mpsc::{Receiver, Sender, channel, sync_channel};

use oci::digest::Digester;

use super::bytes::{BLOCK, fill};

/// Blocks that may wait to be hashed.
const WAITING: usize = 2;
/// After so many bytes the kernel is told to write them to the disk, so that the wait at the end is short.
const PORTION: u64 = 4 * 1024 * 1024;

/// Why a body ended early.
pub(super) enum End {
    /// The client's bytes stopped coming.
    Client(io::Error),
    /// A block could not be written; a part of it may be in the file.
    Disk(io::Error),
    /// No thread was to be had.
    Thread,
}

/// What came of a body.
pub(super) struct Streamed {
    /// Bytes of whole blocks that are in the file, and in the digester.
    pub(super) written: u64,
    /// None when the thread was lost.
    pub(super) digester: Option<Digester>,
    pub(super) end: Result<(), End>,
}

/// Writes the first block and the rest of the body behind `start`, the end of the file.
pub(super) fn stream(
    file: &File,
    start: u64,
    digester: Digester,
    first: Vec<u8>,
    body: &mut dyn Read,
) -> Streamed {
    let unused = digester.clone();
    std::thread::scope(|scope| {
        let (full, waiting) = sync_channel(WAITING);
        let (emptied, empty) = channel();
        let hash = move || hash(digester, file, start, &waiting, &emptied);
        let Ok(thread) = std::thread::Builder::new().name("hash".to_owned()).spawn_scoped(scope, hash) else {
            return Streamed { written: 0, digester: Some(unused), end: Err(End::Thread) };
        };
        let mut written = 0;
        let mut block = first;
        let end = loop {
            if let Err(error) = file.write_all_at(&block, start + written) {
                break Err(End::Disk(error));
            }
            written += block.len() as u64;
            let is_last = block.len() < BLOCK;
            if full.send(block).is_err() {
                break Err(End::Thread);
            }
            if is_last {
                break Ok(());
            }
            block = empty.try_recv().unwrap_or_default();
            block.resize(BLOCK, 0);
            match fill(body, &mut block) {
                Ok(0) => break Ok(()),
                Ok(count) => block.truncate(count),
                Err((count, error)) => {
                    block.truncate(count);
                    match file.write_all_at(&block, start + written) {
                        Ok(()) if full.send(block).is_ok() => written += count as u64,
                        Ok(()) => {}
                        Err(error) => break Err(End::Disk(error)),
                    }
                    break Err(End::Client(error));
                }
            }
        };
        drop(full);
        Streamed { written, digester: thread.join().ok(), end }
    })
}

/// Hashes blocks that were written, and gives them back empty.
fn hash(
    mut digester: Digester,
    file: &File,
    start: u64,
    waiting: &Receiver<Vec<u8>>,
    emptied: &Sender<Vec<u8>>,
) -> Digester {
    let (mut pushed, mut hashed) = (start, start);
    for block in waiting {
        digester.update(&block);
        hashed += block.len() as u64;
        // Nobody needs it any more after the last one.
        let _ = emptied.send(block);
        if hashed - pushed >= PORTION {
            // Where this can't be done, the wait at the end is longer.
            let _ = linux::file::start_write_back(file.as_fd(), pushed..hashed);
            pushed = hashed;
        }
    }
    digester
}
