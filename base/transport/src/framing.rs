//! Stdout and stderr over one connection: frames of eight header bytes and a payload (Docker calls it stdcopy).

use std::io::{self, Read, Write};

pub use api::stream::{Channel, HEADER_LENGTH};

/// Payload bytes of one frame at most; a longer length means that the stream isn't framed.
pub const MAX_PAYLOAD: u32 = 64 << 20;

/// Writes one frame, header and payload in one call where the payload is small.
///
/// # Errors
/// What the writer gives.
pub fn write_frame(output: &mut impl Write, channel: Channel, payload: &[u8]) -> io::Result<()> {
    for part in payload.chunks(MAX_PAYLOAD as usize) {
        let length = u32::try_from(part.len()).unwrap_or(MAX_PAYLOAD);
        let mut frame = Vec::with_capacity(HEADER_LENGTH + part.len());
        frame.extend_from_slice(&channel.header(length));
        frame.extend_from_slice(part);
        output.write_all(&frame)?;
    }
    Ok(())
}

/// Reads frames until the stream ends and hands each piece of payload to `take`.
///
/// # Errors
/// `InvalidData` for a header that is none, `UnexpectedEof` for a stream cut inside a frame, and what `take` gives.
pub fn read_frames(
    input: &mut impl Read,
    mut take: impl FnMut(Channel, &[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let mut block = vec![0u8; 32 * 1024];
    while let Some(header) = read_header(input)? {
        let (channel, length) = Channel::parse(header)
            .filter(|(_, length)| *length <= MAX_PAYLOAD)
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "unrecognized input header"))?;
        let mut left = length as usize;
        while left > 0 {
            let most = left.min(block.len());
            let count = match input.read(block.get_mut(..most).unwrap_or_default()) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            take(channel, block.get(..count).unwrap_or_default())?;
            left -= count;
        }
    }
    Ok(())
}

/// The next header, `None` at the end of the stream.
fn read_header(input: &mut impl Read) -> io::Result<Option<[u8; HEADER_LENGTH]>> {
    let mut header = [0u8; HEADER_LENGTH];
    let mut held = 0;
    while held < HEADER_LENGTH {
        match input.read(header.get_mut(held..).unwrap_or_default()) {
            Ok(0) if held == 0 => return Ok(None),
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => held += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(Some(header))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_read_back() {
        let mut wire = Vec::new();
        write_frame(&mut wire, Channel::Stdout, b"out").unwrap();
        write_frame(&mut wire, Channel::Stderr, &[7; 100_000]).unwrap();
        write_frame(&mut wire, Channel::Stdout, b"").unwrap();
        let (mut out, mut err) = (Vec::new(), Vec::new());
        read_frames(&mut wire.as_slice(), |channel, bytes| {
            match channel {
                Channel::Stdout => out.extend_from_slice(bytes),
                _ => err.extend_from_slice(bytes),
            }
            Ok(())
        })
        .unwrap();
        assert_eq!((out.as_slice(), err.len()), (&b"out"[..], 100_000));
    }

    #[test]
    fn broken_streams_are_errors() {
        for wire in [
            &b"\x01\0\0\0"[..],
            b"\x01\0\0\0\0\0\0\x05ab",
            b"\x09\0\0\0\0\0\0\0",
            b"\x01\0\0\0\xff\xff\xff\xff",
        ] {
            assert!(read_frames(&mut &*wire, |_, _| Ok(())).is_err(), "{wire:?}");
        }
    }
}
