//! Messages as gRPC frames them: a flag, four bytes of length, the message.

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};

use crate::status::{Code, Status};

/// Puts messages together from the pieces HTTP/2 delivers.
#[derive(Debug)]
pub(crate) struct Assembler {
    buffer: BytesMut,
    limit: usize,
}

impl Assembler {
    /// For messages of at most `limit` bytes.
    pub(crate) fn new(limit: usize) -> Self {
        Self { buffer: BytesMut::new(), limit }
    }

    /// Adds what came.
    pub(crate) fn push(&mut self, piece: &[u8]) {
        self.buffer.extend_from_slice(piece);
    }

    /// The next whole message.
    pub(crate) fn next(&mut self) -> Result<Option<Bytes>, Status> {
        let Some((prefix, _)) = self.buffer.split_first_chunk::<PREFIX>() else { return Ok(None) };
        let [flag, a, b, c, d] = *prefix;
        let length = u32::from_be_bytes([a, b, c, d]) as usize;
        if flag > 1 {
            return Err(Status::new(Code::Internal, format!("a message starts with flag {flag}")));
        }
        if flag == 1 {
            return Err(Status::new(
                Code::Unimplemented,
                "a compressed message, and no compression was agreed on",
            ));
        }
        if length > self.limit {
            let text = format!("received message larger than max ({length} vs. {})", self.limit);
            return Err(Status::new(Code::ResourceExhausted, text));
        }
        if self.buffer.len() < PREFIX + length {
            return Ok(None);
        }
        self.buffer.advance(PREFIX);
        Ok(Some(self.buffer.split_to(length).freeze()))
    }

    /// Whether a message is begun and not whole.
    pub(crate) fn is_torn(&self) -> bool {
        !self.buffer.is_empty()
    }
}

const PREFIX: usize = 5;

/// A message with its prefix.
pub(crate) fn frame(message: &impl prost::Message, limit: usize) -> Result<Bytes, Status> {
    let length = message.encoded_len();
    let Some(size) = u32::try_from(length).ok().filter(|_| length <= limit) else {
        let text = format!("trying to send message larger than max ({length} vs. {limit})");
        return Err(Status::new(Code::ResourceExhausted, text));
    };
    let mut bytes = BytesMut::with_capacity(PREFIX + length);
    bytes.put_u8(0);
    bytes.put_u32(size);
    message.encode_raw(&mut bytes);
    Ok(bytes.freeze())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_come_out_whole_however_they_come_in() {
        let wire: Vec<u8> = [&b"\0\0\0\0\x03abc"[..], b"\0\0\0\0\0", b"\0\0\0\0\x01d"].concat();
        for step in 1..wire.len() {
            let mut assembler = Assembler::new(16);
            let mut messages = Vec::new();
            for piece in wire.chunks(step) {
                assembler.push(piece);
                while let Some(message) = assembler.next().expect("good framing") {
                    messages.push(message);
                }
            }
            assert_eq!(messages, [&b"abc"[..], b"", b"d"], "in steps of {step}");
            assert!(!assembler.is_torn());
        }
    }

    #[test]
    fn what_is_no_message_is_refused_before_it_is_kept() {
        for (wire, code) in [
            (&b"\0\0\0\0\x11"[..], Code::ResourceExhausted),
            (b"\0\xff\xff\xff\xff", Code::ResourceExhausted),
            (b"\x01\0\0\0\x01a", Code::Unimplemented),
            (b"\x02\0\0\0\x01a", Code::Internal),
        ] {
            let mut assembler = Assembler::new(16);
            assembler.push(wire);
            assert_eq!(assembler.next().expect_err("refused").code, code);
        }
    }

    #[test]
    fn a_message_beyond_the_limit_is_not_sent() {
        let message = crate::status::Any { type_url: "x".repeat(20), value: vec![] };
        assert_eq!(frame(&message, 16).expect_err("refused").code, Code::ResourceExhausted);
        assert_eq!(frame(&message, 22).expect("fits")[..5], [0, 0, 0, 0, 22]);
    }
}
