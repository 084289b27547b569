//! A body to a descriptor: most of its bytes are moved by the kernel and never come through this process.

use std::io::{Error, ErrorKind, Read, Result};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice};

use super::BodyReader;
use super::body::Framing;

/// Bytes a pipe takes where the kernel lets it grow that far.
const PIPE: usize = 1 << 20;
/// Bytes read at once where the kernel does not move them, and up to which it is not asked to.
const BLOCK: usize = 256 << 10;

impl BodyReader {
    /// Copies what is left of the body; answers its bytes.
    ///
    /// # Errors
    /// When the body is cut, and what writing gives.
    pub fn copy_to(&mut self, target: BorrowedFd<'_>) -> Result<u64> {
        let mut pipe = Pipe::new();
        let mut buffer = vec![0; BLOCK];
        let mut total = 0;
        loop {
            let left = self.unbuffered();
            let moved = match &pipe {
                Some(pipe) if left >= BLOCK as u64 => pipe.move_some(self, left, target)?,
                _ => None,
            };
            let count = match moved {
                Some(count) => count,
                None => {
                    if left >= BLOCK as u64 {
                        pipe = None;
                    }
                    let count = read(self, &mut buffer)?;
                    write_all(target, buffer.get(..count).unwrap_or_default())?;
                    count
                }
            };
            if count == 0 {
                return Ok(total);
            }
            total += count as u64;
        }
    }

    /// Bytes of the body that come next, and of which none was read ahead.
    fn unbuffered(&self) -> u64 {
        match (self.framing, &self.connection) {
            (_, Some(connection)) if !connection.pending().is_empty() => 0,
            (Framing::Length(left) | Framing::Chunked(Some(left)), Some(_)) => left,
            _ => 0,
        }
    }
}

fn read(body: &mut BodyReader, buffer: &mut [u8]) -> Result<usize> {
    loop {
        match body.read(buffer) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            outcome => return outcome,
        }
    }
}

fn write_all(target: BorrowedFd<'_>, mut bytes: &[u8]) -> Result<()> {
    while !bytes.is_empty() {
        match rustix::io::write(target, bytes) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Where bytes are between the socket and the target.
struct Pipe {
    out: OwnedFd,
    into: OwnedFd,
    size: usize,
}

impl Pipe {
    /// None where there is none to be had.
    fn new() -> Option<Self> {
        let (out, into) = pipe_with(PipeFlags::CLOEXEC).ok()?;
        let size = fcntl_setpipe_size(&into, PIPE).unwrap_or(64 << 10);
        Some(Self { out, into, size })
    }

    /// Moves some of the next `left` bytes; none when the kernel does not do it between these two.
    fn move_some(&self, body: &mut BodyReader, left: u64, target: BorrowedFd<'_>) -> Result<Option<usize>> {
        let Some(connection) = body.connection.as_ref() else { return Ok(None) };
        let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(self.size);
        let count = match retry(|| {
            splice(connection.socket.as_fd(), None, &self.into, None, wanted, SpliceFlags::MOVE)
        }) {
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => return Ok(None),
            // A limit on waiting shows as "would block".
            Err(Errno::AGAIN) => return Err(Error::new(ErrorKind::TimedOut, "i/o timeout")),
            Err(error) => return Err(error.into()),
            Ok(0) => return Err(Error::new(ErrorKind::UnexpectedEof, "unexpected EOF")),
            Ok(count) => count,
        };
        body.taken(count as u64)?;
        self.empty(count, target)?;
        Ok(Some(count))
    }

    /// Moves all that is in the pipe; through this process where the target is none the kernel moves to.
    fn empty(&self, mut count: usize, target: BorrowedFd<'_>) -> Result<()> {
        while count > 0 {
            match retry(|| splice(&self.out, None, target, None, count, SpliceFlags::MOVE)) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(moved) => count -= moved,
                Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
                    return self.empty_by_hand(count, target);
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn empty_by_hand(&self, mut count: usize, target: BorrowedFd<'_>) -> Result<()> {
        let mut buffer = vec![0; count.min(BLOCK)];
        while count > 0 {
            let wanted = count.min(buffer.len());
            let place = buffer.get_mut(..wanted).unwrap_or_default();
            let got = match rustix::io::read(&self.out, place) {
                Err(Errno::INTR) => continue,
                other => other?,
            };
            write_all(target, buffer.get(..got).unwrap_or_default())?;
            count -= got;
        }
        Ok(())
    }
}

fn retry(mut call: impl FnMut() -> rustix::io::Result<usize>) -> rustix::io::Result<usize> {
    loop {
        match call() {
            Err(Errno::INTR) => {}
            outcome => return outcome,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::os::unix::net::UnixListener;

    use super::*;
    use crate::client::{Body, Endpoint, HttpClient, Request};

    const PIECES: [usize; 6] = [10, 700_000, 1, BLOCK, 1_200_001, 5];

    fn bytes(count: usize) -> Vec<u8> {
        let mut bytes = (0..=250).cycle().take(count).collect::<Vec<u8>>();
        bytes.rotate_left(count % 97);
        bytes
    }

    fn whole() -> Vec<u8> {
        PIECES.iter().flat_map(|count| bytes(*count)).collect()
    }

    fn chunked() -> Vec<u8> {
        let mut message = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
        for count in PIECES {
            message.extend(format!("{count:x}\r\n").bytes());
            message.extend(bytes(count));
            message.extend(b"\r\n");
        }
        message.extend(b"0\r\n\r\n");
        message
    }

    fn sized() -> Vec<u8> {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", whole().len());
        [head.into_bytes(), whole()].concat()
    }

    /// Gives these answers on one connection, one for each request, to somebody who does this with each body.
    fn with_answers<T>(answers: &[Vec<u8>], mut look: impl FnMut(&mut BodyReader) -> T) -> Vec<T> {
        let path = std::env::temp_dir().join(format!("wharf-copy-{}", model::id::random_hex()));
        let listener = UnixListener::bind(&path).unwrap();
        let client = HttpClient::new(Endpoint::Unix(path.clone()));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let (mut stream, _) = listener.accept().unwrap();
                for answer in answers {
                    assert!(stream.read(&mut [0; 4096]).unwrap() > 0);
                    // Who asks may not want all of it.
                    let _ = stream.write_all(answer);
                }
            });
            let ask = |_: &Vec<u8>| {
                let request = Request { method: "GET", path: "/", headers: &[], body: Body::Empty };
                look(&mut client.send(request).unwrap().body)
            };
            let found = answers.iter().map(ask).collect();
            std::fs::remove_file(&path).unwrap();
            found
        })
    }

    fn file(name: &str, append: bool) -> (std::path::PathBuf, std::fs::File) {
        let path = std::env::temp_dir().join(format!("wharf-copy-{name}-{}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        let file =
            std::fs::OpenOptions::new().create_new(true).append(append).write(true).open(&path).unwrap();
        (path, file)
    }

    #[test]
    fn every_byte_arrives_and_the_connection_serves_the_next_request() {
        // Files for appending are none the kernel moves to.
        for (name, append) in [("file", false), ("append", true)] {
            let (path, out) = file(name, append);
            let found =
                with_answers(&[chunked(), sized(), chunked()], |body| body.copy_to(out.as_fd()).unwrap());
            let size = whole().len() as u64;
            assert_eq!(found, [size, size, size]);
            assert!(std::fs::read(&path).unwrap() == [whole(), whole(), whole()].concat(), "{name}");
            std::fs::remove_file(path).unwrap();
        }
    }

    #[test]
    fn what_was_read_before_is_not_copied_again() {
        let (path, out) = file("rest", false);
        with_answers(&[chunked()], |body| {
            body.read_exact(&mut [0; 300_000]).unwrap();
            body.copy_to(out.as_fd()).unwrap()
        });
        assert!(std::fs::read(&path).unwrap() == whole()[300_000..]);
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn a_pipe_takes_them_too() {
        let (reader, writer) = std::io::pipe().unwrap();
        std::thread::scope(|scope| {
            let held = scope.spawn(move || {
                let mut held = Vec::new();
                { reader }.read_to_end(&mut held).map(|_| held)
            });
            with_answers(&[chunked()], |body| body.copy_to(writer.as_fd()).unwrap());
            drop(writer);
            assert!(held.join().unwrap().unwrap() == whole());
        });
    }

    #[test]
    fn a_cut_body_and_a_full_target_are_errors() {
        let (path, out) = file("cut", false);
        for message in [chunked(), sized()] {
            let cut = message.get(..1_500_000).unwrap().to_vec();
            let error = with_answers(&[cut], |body| body.copy_to(out.as_fd()).unwrap_err());
            assert_eq!(error.first().unwrap().kind(), ErrorKind::UnexpectedEof);
        }
        std::fs::remove_file(path).unwrap();
        let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        let error = with_answers(&[sized().get(..400_000).unwrap().to_vec()], |body| {
            body.copy_to(full.as_fd()).unwrap_err()
        });
        assert_eq!(error.first().unwrap().kind(), ErrorKind::StorageFull);
    }
}
