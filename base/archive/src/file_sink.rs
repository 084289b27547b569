//! Where archives go that hold whole files: some places take a file without its bytes being read here.

use std::fs::File;
use std::io::{self, Read, Write};

/// A sink that can be given files.
pub trait FileSink: Write {
    /// Writes the first `count` bytes of a file, behind everything written before.
    ///
    /// # Errors
    /// `UnexpectedEof` when the file is shorter, and what writing gives.
    fn send_file(&mut self, file: &File, count: u64) -> io::Result<()>;
}

impl<S: FileSink + ?Sized> FileSink for &mut S {
    fn send_file(&mut self, file: &File, count: u64) -> io::Result<()> {
        (**self).send_file(file, count)
    }
}

impl FileSink for Vec<u8> {
    fn send_file(&mut self, mut file: &File, count: u64) -> io::Result<()> {
        let copied = io::copy(&mut (&mut file).take(count), self)?;
        if copied == count { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }
}
