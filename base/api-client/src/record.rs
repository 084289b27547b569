//! Streams of JSON records (events, progress, stats): read one by one as they come.

use std::io::Read;

use serde::de::DeserializeOwned;

use crate::ClientError;

/// Iterates over the records of a stream.
pub struct Records<R, T> {
    source: R,
    buffer: Vec<u8>,
    scanned: Scan,
    ended: bool,
    kind: std::marker::PhantomData<T>,
}

/// How far the first record in the buffer is known.
#[derive(Debug, Default)]
struct Scan {
    position: usize,
    depth: usize,
    in_text: bool,
    escaped: bool,
    started: bool,
}

impl<R: Read, T: DeserializeOwned> Records<R, T> {
    /// Reads from the source.
    pub fn new(source: R) -> Self {
        Self {
            source,
            buffer: Vec::new(),
            scanned: Scan::default(),
            ended: false,
            kind: std::marker::PhantomData,
        }
    }

    /// Where the first whole record ends, if it is all there.
    fn record_end(&mut self) -> Option<usize> {
        let scan = &mut self.scanned;
        for byte in self.buffer.get(scan.position..).unwrap_or_default() {
            scan.position += 1;
            match byte {
                _ if scan.escaped => scan.escaped = false,
                b'\\' if scan.in_text => scan.escaped = true,
                b'"' => scan.in_text = !scan.in_text,
                _ if scan.in_text => {}
                b'{' | b'[' => {
                    scan.depth += 1;
                    scan.started = true;
                }
                b'}' | b']' => {
                    scan.depth = scan.depth.saturating_sub(1);
                    if scan.depth == 0 && scan.started {
                        return Some(scan.position);
                    }
                }
                _ => {}
            }
        }
        None
    }

    fn fill(&mut self) -> std::io::Result<usize> {
        let held = self.buffer.len();
        self.buffer.resize(held + 16 * 1024, 0);
        let count = self.source.read(self.buffer.get_mut(held..).unwrap_or_default());
        self.buffer.truncate(held + count.as_ref().copied().unwrap_or(0));
        count
    }
}

impl<R: Read, T: DeserializeOwned> Iterator for Records<R, T> {
    type Item = Result<T, ClientError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(end) = self.record_end() {
                let text: Vec<u8> = self.buffer.drain(..end).collect();
                self.scanned = Scan::default();
                // 0x1E starts each record of a json-seq stream.
                let start = text.iter().position(|byte| matches!(byte, b'{' | b'[')).unwrap_or(0);
                return Some(
                    serde_json::from_slice(text.get(start..).unwrap_or_default()).map_err(Into::into),
                );
            }
            if self.ended {
                return None;
            }
            match self.fill() {
                Ok(0) => self.ended = true,
                Ok(_) => {}
                Err(error) => {
                    self.ended = true;
                    return Some(Err(ClientError::Broken(error.to_string())));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_split_anywhere() {
        struct Bytewise<'a>(&'a [u8]);
        impl Read for Bytewise<'_> {
            fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
                let Some((first, rest)) = self.0.split_first() else { return Ok(0) };
                out[0] = *first;
                self.0 = rest;
                Ok(1)
            }
        }
        let text = b"{\"a\":\"}\\\"{\"}\r\n\x1e{\"b\":[1,{}]}{\"c\":null}\n";
        let found: Vec<serde_json::Value> = Records::new(Bytewise(text)).map(Result::unwrap).collect();
        assert_eq!(found.len(), 3);
        assert_eq!(found[0]["a"], "}\"{");
        assert_eq!(found[1]["b"][0], 1);
    }
}
