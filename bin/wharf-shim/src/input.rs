//! Standard input: from clients to processes, with the detach keys taken out.

use rustix::event::epoll::EventFlags;
use rustix::io::Errno;

use crate::client::Incoming;
use crate::shim::Shim;
use crate::watch::Token;

/// Bytes read from a client at once; a process that does not take them holds the client up.
const PIECE: usize = 32 << 10;

/// Recognises the keys that end an attachment.
#[derive(Debug, Default)]
pub(crate) struct DetachKeys {
    keys: Vec<u8>,
    matched: usize,
}

impl DetachKeys {
    /// No keys never match.
    pub(crate) fn new(keys: Vec<u8>) -> Self {
        Self { keys, matched: 0 }
    }

    /// Copies input without the keys to `out`; true when they were typed in full.
    pub(crate) fn filter(&mut self, input: &[u8], out: &mut Vec<u8>) -> bool {
        if self.keys.is_empty() {
            out.extend_from_slice(input);
            return false;
        }
        for &byte in input {
            if self.keys.get(self.matched) == Some(&byte) {
                self.matched += 1;
                if self.matched == self.keys.len() {
                    self.matched = 0;
                    return true;
                }
                continue;
            }
            // What looked like the beginning of the keys was ordinary input.
            out.extend_from_slice(&self.keys[..self.matched]);
            self.matched = usize::from(self.keys.first() == Some(&byte));
            if self.matched == 0 {
                out.push(byte);
            }
        }
        false
    }
}

impl Shim {
    /// A client has sent something, ended its input, or gone.
    pub(crate) fn client_readable(&mut self, number: u32) {
        let Some(client) = self.clients.get_mut(&number).filter(|client| client.can_read()) else { return };
        let mut buffer = std::mem::take(&mut self.input_buffer);
        buffer.resize(PIECE, 0);
        let incoming = client.read(&mut buffer);
        match incoming {
            Incoming::Bytes(count) => self.client_typed(number, buffer.get(..count).unwrap_or_default()),
            Incoming::Nothing => {}
            Incoming::End => self.client_input_ended(number),
        }
        self.input_buffer = buffer;
    }

    /// Gives input of a client to its process.
    pub(crate) fn client_typed(&mut self, number: u32, input: &[u8]) {
        let Some(client) = self.clients.get_mut(&number) else { return };
        let index = client.process;
        let Some(process) = self.processes.get_mut(&index) else { return };
        let detached = client.keys.filter(input, &mut process.stdin_queue);
        if process.exit.is_some() || process.stdin_ending {
            process.stdin_queue.clear();
        }
        self.write_stdin(index);
        if detached {
            self.end_client(number, true);
        }
    }

    fn client_input_ended(&mut self, number: u32) {
        let Some(client) = self.clients.get_mut(&number) else { return };
        client.stdin_open = false;
        if client.broken {
            return self.end_client(number, false);
        }
        client.hold_stdin(false, &self.watch);
        let index = client.process;
        match self.processes.get_mut(&index) {
            Some(process) if process.stdin_once && !process.tty => {
                process.stdin_ending = true;
                self.write_stdin(index);
            }
            // As with Docker: a client whose input ends without ending the process's is done.
            _ => self.end_client(number, false),
        }
    }

    /// Writes what is queued for a process; holds its clients' input while something is left.
    pub(crate) fn write_stdin(&mut self, index: u32) {
        let Some(process) = self.processes.get_mut(&index) else { return };
        let was_waiting = process.stdin_waiting;
        let mut written = 0;
        if let Some(stdin) = &process.stdin {
            while written < process.stdin_queue.len() {
                match rustix::io::write(stdin, &process.stdin_queue[written..]) {
                    Ok(count) => written += count,
                    Err(Errno::INTR) => {}
                    Err(Errno::AGAIN) => break,
                    // Nobody reads any more: input is thrown away, as into a closed pipe.
                    Err(_) => written = process.stdin_queue.len(),
                }
            }
        }
        if process.pid != 0 && process.stdin.is_none() {
            written = process.stdin_queue.len();
        }
        process.stdin_queue.drain(..written);
        let left = !process.stdin_queue.is_empty();
        if left
            && !was_waiting
            && let Some(stdin) = &process.stdin
        {
            let _ = self.watch.add(stdin, Token::Input(index), EventFlags::OUT);
            process.stdin_waiting = true;
        }
        if !left {
            process.stdin_queue.shrink_to(0);
            if was_waiting && let Some(stdin) = &process.stdin {
                self.watch.remove(stdin);
            }
            process.stdin_waiting = false;
            if process.stdin_ending {
                process.stdin = None;
            }
        }
        for client in self.clients.values_mut().filter(|client| client.process == index && client.stdin_open)
        {
            client.hold_stdin(left, &self.watch);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(keys: &[u8], pieces: &[&[u8]], expected: &[u8], detached: bool) {
        let mut filter = DetachKeys::new(keys.to_vec());
        let mut out = Vec::new();
        let hit = pieces.iter().any(|piece| filter.filter(piece, &mut out));
        assert_eq!((out.as_slice(), hit), (expected, detached), "{pieces:?}");
    }

    #[test]
    fn keys_are_found_in_and_across_pieces() {
        let keys = [16, 17];
        check(&keys, &[b"ab\x10\x11cd"], b"ab", true);
        check(&keys, &[b"ab\x10", b"\x11"], b"ab", true);
        check(&keys, &[b"\x10", b"x\x10\x10\x11"], b"\x10x\x10", true);
        check(&keys, &[b"\x10\x10", b"y"], b"\x10\x10y", false);
        check(&[], &[b"\x10\x11"], b"\x10\x11", false);
        check(b"a,b", &[b"xa,,ba,b"], b"xa,,b", true);
    }
}
