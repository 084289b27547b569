//! Websocket connections (RFC 6455), bridged so that the other side is a plain stream of bytes.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;

use super::exchange::Exchange;

/// What RFC 6455 appends to the client's key.
const KEY_SUFFIX: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/// Payload of a control frame at most.
const MAX_CONTROL: u64 = 125;

/// A request can't become a websocket.
#[derive(Debug, thiserror::Error)]
pub enum WebSocketError {
    /// Headers are missing.
    #[error("not a websocket handshake: {0}")]
    Handshake(&'static str),
    /// The connection failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl model::Kinded for WebSocketError {
    fn kind(&self) -> model::ErrorKind {
        model::ErrorKind::Invalid
    }
}

/// Accepts the handshake and returns the plain side: what is written to it becomes binary frames, what the client
/// sends is read from it, closing either side closes the other.
///
/// # Errors
/// When the request is no handshake, or the client is gone.
pub fn accept_websocket(exchange: &mut Exchange<'_>) -> Result<UnixStream, WebSocketError> {
    let accept = check_handshake(exchange)?;
    let (ours, plain) = UnixStream::pair()?;
    let head = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
    );
    let taken = exchange.hand_over(&head)?;
    let reader = BufferedSocket { early: taken.early, used: 0, socket: taken.socket.try_clone()? };
    let client = Arc::new(Mutex::new(taken.socket));
    let (writer, output) = (Arc::clone(&client), ours.try_clone()?);
    let spawn = |name: &str| std::thread::Builder::new().name(name.to_owned()).stack_size(128 * 1024);
    spawn("websocket-out").spawn(move || send_frames(&output, &writer))?;
    spawn("websocket-in").spawn(move || receive_frames(reader, &ours, &client))?;
    Ok(plain)
}

/// The key that proves we understood.
fn check_handshake(exchange: &Exchange<'_>) -> Result<String, WebSocketError> {
    let head = &exchange.head;
    if !head.has_token("connection", "upgrade") || !head.has_token("upgrade", "websocket") {
        return Err(WebSocketError::Handshake("no upgrade to websocket asked for"));
    }
    if head.header("sec-websocket-version") != Some("13") {
        return Err(WebSocketError::Handshake("unsupported version"));
    }
    let key = head.header("sec-websocket-key").ok_or(WebSocketError::Handshake("no key"))?;
    let hash = ring::digest::digest(
        &ring::digest::SHA1_FOR_LEGACY_USE_ONLY,
        format!("{key}{KEY_SUFFIX}").as_bytes(),
    );
    Ok(base64::engine::general_purpose::STANDARD.encode(hash))
}

/// What a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Opcode {
    Data,
    Close,
    Ping,
    Pong,
}

/// Bytes that came with the head first, then the socket.
struct BufferedSocket {
    early: Vec<u8>,
    used: usize,
    socket: UnixStream,
}

impl Read for BufferedSocket {
    fn read(&mut self, output: &mut [u8]) -> io::Result<usize> {
        let early = self.early.get(self.used..).unwrap_or_default();
        if early.is_empty() {
            return self.socket.read(output);
        }
        let count = early.len().min(output.len());
        output.iter_mut().zip(early).for_each(|(to, from)| *to = *from);
        self.used += count;
        Ok(count)
    }
}

/// A frame's head: what, how long, masked with what.
fn read_frame_head(input: &mut impl Read) -> io::Result<(Opcode, u64, [u8; 4])> {
    let invalid = |text| io::Error::new(io::ErrorKind::InvalidData, text);
    let mut start = [0u8; 2];
    input.read_exact(&mut start)?;
    let [first, second] = start;
    let opcode = match first & 0x0f {
        0..=2 => Opcode::Data,
        8 => Opcode::Close,
        9 => Opcode::Ping,
        10 => Opcode::Pong,
        _ => return Err(invalid("unknown frame")),
    };
    if first & 0x70 != 0 {
        return Err(invalid("reserved bits are set"));
    }
    if second & 0x80 == 0 {
        return Err(invalid("a client has to mask its frames"));
    }
    let length = match second & 0x7f {
        126 => {
            let mut bytes = [0u8; 2];
            input.read_exact(&mut bytes)?;
            u64::from(u16::from_be_bytes(bytes))
        }
        127 => {
            let mut bytes = [0u8; 8];
            input.read_exact(&mut bytes)?;
            u64::from_be_bytes(bytes)
        }
        short => u64::from(short),
    };
    if opcode != Opcode::Data && length > MAX_CONTROL {
        return Err(invalid("control frame too long"));
    }
    let mut mask = [0u8; 4];
    input.read_exact(&mut mask)?;
    Ok((opcode, length, mask))
}

fn receive_frames(mut input: BufferedSocket, mut plain: &UnixStream, client: &Mutex<UnixStream>) {
    let result: io::Result<()> = (|| {
        let mut block = vec![0u8; 16 * 1024];
        loop {
            let (opcode, length, mask) = read_frame_head(&mut input)?;
            let mut keep = Vec::new();
            let mut left = length;
            let mut mask = mask.iter().copied().cycle();
            while left > 0 {
                let most = usize::try_from(left).unwrap_or(usize::MAX).min(block.len());
                let part = block.get_mut(..most).unwrap_or_default();
                input.read_exact(part)?;
                part.iter_mut().zip(mask.by_ref()).for_each(|(byte, key)| *byte ^= key);
                match opcode {
                    Opcode::Data => plain.write_all(part)?,
                    _ => keep.extend_from_slice(part),
                }
                left -= most as u64;
            }
            match opcode {
                Opcode::Ping => write_frame(client, 0x8a, &keep)?,
                Opcode::Close => return write_frame(client, 0x88, &keep),
                Opcode::Data | Opcode::Pong => {}
            }
        }
    })();
    drop(result);
    // The client sends no more; what the container still says goes on to it.
    let _ = plain.shutdown(Shutdown::Write);
}

fn send_frames(mut plain: &UnixStream, client: &Mutex<UnixStream>) {
    let mut block = vec![0u8; 16 * 1024];
    loop {
        match plain.read(&mut block) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Ok(count) if count > 0 => {
                if write_frame(client, 0x82, block.get(..count).unwrap_or_default()).is_err() {
                    break;
                }
            }
            _ => break,
        }
    }
    // 1000: normal end.
    let _ = write_frame(client, 0x88, &1000u16.to_be_bytes());
    let _ = client.lock().unwrap_or_else(PoisonError::into_inner).shutdown(Shutdown::Both);
    let _ = plain.shutdown(Shutdown::Both);
}

/// Sends one unmasked, final frame; `first` is its first byte.
fn write_frame(client: &Mutex<UnixStream>, first: u8, payload: &[u8]) -> io::Result<()> {
    let mut frame = vec![first];
    match payload.len() {
        length @ 0..126 => frame.push(u8::try_from(length).unwrap_or_default()),
        length @ 126..=0xffff => {
            frame.push(126);
            frame.extend_from_slice(&u16::try_from(length).unwrap_or_default().to_be_bytes());
        }
        length => {
            frame.push(127);
            frame.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(payload);
    client.lock().unwrap_or_else(PoisonError::into_inner).write_all(&frame)
}
