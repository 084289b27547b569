//! Output: from processes to the log and to clients.

use rustix::io::Errno;

use crate::shim::Shim;

/// Bytes read at once: what a pipe holds.
const PIECE: usize = 64 << 10;
/// Reads in a row before others get their turn.
const TURNS: usize = 4;
/// Most bytes taken from an ended exec whose output somebody else still holds open.
const LAST_WORDS: usize = 1 << 20;
/// A pipe that was found full so often gets a larger buffer.
const FULL_READS: u32 = 64;
const LARGE_PIPE: usize = 1 << 20;

impl Shim {
    /// A process has written, or nobody can write any more.
    pub(crate) fn output_ready(&mut self, index: u32, stream: u8) {
        for _ in 0..TURNS {
            if self.read_output(index, stream).is_none_or(|count| count < PIECE) {
                return;
            }
        }
    }

    /// Reads once and passes it on; None when there is nothing now or for ever.
    fn read_output(&mut self, index: u32, stream: u8) -> Option<usize> {
        let process = self.processes.get_mut(&index)?;
        let output = process.outputs[usize::from(stream & 1)].as_ref().filter(|output| !output.held)?;
        let mut buffer = std::mem::take(&mut self.output_buffer);
        if buffer.is_empty() {
            buffer.resize(PIECE, 0);
        }
        let result = rustix::io::read(&output.descriptor, &mut buffer);
        let count = match result {
            Ok(count) if count > 0 => Some(count),
            Err(Errno::AGAIN | Errno::INTR) => None,
            // 0 for pipes, EIO for terminals: nobody can write any more.
            _ => {
                process.close_output(stream, &self.watch);
                None
            }
        };
        if count == Some(PIECE) && !process.tty {
            self.full_reads += 1;
            if self.full_reads == FULL_READS
                && let Some(output) = &process.outputs[usize::from(stream & 1)]
            {
                let _ = rustix::pipe::fcntl_setpipe_size(&output.descriptor, LARGE_PIPE);
            }
        }
        if let Some(bytes) = count.and_then(|count| buffer.get(..count)) {
            self.pass_on(index, stream, bytes);
        }
        self.output_buffer = buffer;
        if count.is_none() {
            self.output_ended(index, stream);
        }
        count
    }

    fn pass_on(&mut self, index: u32, stream: u8, bytes: &[u8]) {
        if index == crate::shim::INIT
            && let Some(log) = &mut self.log
        {
            // A full disk loses log lines, it does not stop the container.
            let _ = log.write(log_stream(stream), bytes);
        }
        let mut is_full = false;
        for client in self.clients.values_mut().filter(|client| client.process == index) {
            if client.wants(stream) {
                client.push(stream, bytes, &self.watch);
                is_full |= client.is_full();
            }
        }
        if is_full && let Some(process) = self.processes.get_mut(&index) {
            process.hold_outputs(index, true, &self.watch);
        }
    }

    /// A stream may have ended: its last line is logged.
    fn output_ended(&mut self, index: u32, stream: u8) {
        let ended = self
            .processes
            .get(&index)
            .is_some_and(|process| process.outputs[usize::from(stream & 1)].is_none());
        if ended
            && index == crate::shim::INIT
            && let Some(log) = &mut self.log
        {
            let _ = log.end(log_stream(stream));
        }
    }

    /// A client has taken some of its queue: its process may go on when no other one is full.
    pub(crate) fn release_outputs(&mut self, index: u32) {
        let is_full = self.clients.values().any(|client| client.process == index && client.is_full());
        if !is_full && let Some(process) = self.processes.get_mut(&index) {
            process.hold_outputs(index, false, &self.watch);
        }
    }

    /// Takes what an ended process has left in its streams and gives them up, whoever else may still write to them.
    pub(crate) fn drain_outputs(&mut self, index: u32) {
        if let Some(process) = self.processes.get_mut(&index) {
            // What is left is less than a pipe holds; full clients queue it above their limit.
            process.hold_outputs(index, false, &self.watch);
        }
        for stream in 0..2 {
            let mut taken = 0;
            while taken < LAST_WORDS {
                match self.read_output(index, stream) {
                    Some(count) => taken += count,
                    None => break,
                }
                if let Some(process) = self.processes.get_mut(&index) {
                    process.hold_outputs(index, false, &self.watch);
                }
            }
            if let Some(process) = self.processes.get_mut(&index) {
                process.close_output(stream, &self.watch);
            }
            self.output_ended(index, stream);
        }
    }
}

fn log_stream(stream: u8) -> jsonlog::Stream {
    if stream == 0 { jsonlog::Stream::Stdout } else { jsonlog::Stream::Stderr }
}
