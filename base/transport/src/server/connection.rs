//! One connection: request after request until somebody closes it.

use std::io;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use super::Handler;
use super::body::{BodyState, Buffer, FramingError};
use super::exchange::{Exchange, ResponseHead};
use super::head::{HeadError, PREFACE, RequestHead};
use super::pace::Pace;

/// A head that has begun has to be complete within this time; between requests a client may sleep for ever.
const HEAD_PATIENCE: Duration = Duration::from_secs(30);

/// A client that is turned away has to have sent its request within this time.
const TURN_AWAY_PATIENCE: Duration = Duration::from_secs(5);

/// Serves a client until the connection ends; its errors are the client's loss only. With `patience` it may not keep
/// us waiting longer.
pub(crate) fn serve(socket: UnixStream, handler: &dyn Handler, patience: Option<Duration>) {
    if patience.is_some() && set_timeouts(&socket, patience).is_err() {
        return;
    }
    let mut socket = Some(socket);
    let mut buffer = Buffer::default();
    while let Some(present) = socket.as_ref() {
        let head = match read_head(present, &mut buffer, patience) {
            Ok(Some(head)) => head,
            Ok(None) => return,
            Err(error) => return refuse(&mut socket, &mut buffer, error),
        };
        let body = match BodyState::of(&head) {
            Ok(body) => body.at_pace(patience.map(Pace::new)),
            Err(FramingError::Coding) => return refuse(&mut socket, &mut buffer, Refusal::NotImplemented),
            Err(FramingError::Length) => return refuse(&mut socket, &mut buffer, Refusal::Malformed),
        };
        let mut exchange = Exchange::new(head, body, &mut socket, &mut buffer);
        handler.handle(&mut exchange);
        if !exchange.finish() {
            break;
        }
    }
    if let Some(socket) = socket {
        close_gently(&socket);
    }
}

/// Reads one request of a client that is one too many, and has it answered.
pub(crate) fn turn_away(socket: UnixStream, handler: &dyn Handler) {
    let patience = Some(TURN_AWAY_PATIENCE);
    if set_timeouts(&socket, patience).is_err() {
        return;
    }
    let mut buffer = Buffer::default();
    let Ok(Some(head)) = read_head(&socket, &mut buffer, patience) else { return };
    let Ok(body) = BodyState::of(&head) else { return };
    let mut socket = Some(socket);
    let mut exchange = Exchange::new(head, body, &mut socket, &mut buffer);
    exchange.close_after();
    handler.turn_away(&mut exchange);
    if let Some(socket) = socket {
        close_gently(&socket);
    }
}

fn set_timeouts(socket: &UnixStream, patience: Option<Duration>) -> io::Result<()> {
    socket.set_read_timeout(patience)?;
    socket.set_write_timeout(patience)
}

/// Why a connection ends before there is a request.
#[derive(Debug, Clone, Copy)]
enum Refusal {
    Malformed,
    TooLarge,
    TooSlow,
    NotImplemented,
    Gone,
}

/// The next head; none when the client is done, or has slept too long between requests.
fn read_head(
    socket: &UnixStream,
    buffer: &mut Buffer,
    patience: Option<Duration>,
) -> Result<Option<RequestHead>, Refusal> {
    let mut timed = false;
    let mut begun: Option<Instant> = None;
    let head = loop {
        skip_blank_lines(buffer);
        match parse(buffer.unread()) {
            Ok(Some((head, length))) => {
                buffer.consume(length);
                break head;
            }
            Ok(None) => {}
            Err(HeadError::Malformed) => return Err(Refusal::Malformed),
            Err(HeadError::TooLarge) => return Err(Refusal::TooLarge),
        }
        if !buffer.unread().is_empty() {
            if begun.get_or_insert_with(Instant::now).elapsed() > patience.unwrap_or(HEAD_PATIENCE) {
                return Err(Refusal::TooSlow);
            }
            if patience.is_none() && !timed {
                timed = socket.set_read_timeout(Some(HEAD_PATIENCE)).is_ok();
            }
        }
        match buffer.fill(socket) {
            Ok(0) => return Ok(None),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                return if begun.is_some() { Err(Refusal::TooSlow) } else { Ok(None) };
            }
            Err(_) => return Err(Refusal::Gone),
        }
    };
    if timed {
        socket.set_read_timeout(None).map_err(|_| Refusal::Gone)?;
    }
    Ok(Some(head))
}

/// A head in HTTP/1, or the first bytes of HTTP/2, of which none are consumed.
fn parse(bytes: &[u8]) -> Result<Option<(RequestHead, usize)>, HeadError> {
    if bytes.starts_with(PREFACE) {
        return Ok(Some((RequestHead::preface(), 0)));
    }
    if PREFACE.starts_with(bytes) {
        return Ok(None);
    }
    RequestHead::parse(bytes)
}

/// Old clients end a body with a line end that no header counts.
fn skip_blank_lines(buffer: &mut Buffer) {
    let blank = buffer.unread().iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
    buffer.consume(blank);
}

fn refuse(socket: &mut Option<UnixStream>, buffer: &mut Buffer, refusal: Refusal) {
    let (status, text) = match refusal {
        Refusal::Malformed => (400, "400 Bad Request"),
        Refusal::TooLarge => (431, "431 Request Header Fields Too Large"),
        Refusal::TooSlow => (408, "408 Request Timeout"),
        Refusal::NotImplemented => (501, "501 Not Implemented: unsupported transfer encoding"),
        Refusal::Gone => return,
    };
    let head = RequestHead::unread();
    if let Ok(body) = BodyState::of(&head) {
        let mut exchange = Exchange::new(head, body, socket, buffer);
        exchange.close_after();
        let head = ResponseHead::new(status).content_type("text/plain; charset=utf-8");
        let _ = exchange.respond(&head, text.as_bytes());
    }
    if let Some(socket) = socket {
        close_gently(socket);
    }
}

/// Closing with unread bytes resets the connection and may take our answer with it, so a little is read first.
fn close_gently(socket: &UnixStream) {
    let _ = socket.shutdown(std::net::Shutdown::Write);
    if socket.set_read_timeout(Some(Duration::from_millis(500))).is_err() {
        return;
    }
    let mut block = [0u8; 4096];
    let mut reader = socket;
    for _ in 0..64 {
        match io::Read::read(&mut reader, &mut block) {
            Ok(count) if count > 0 => {}
            _ => return,
        }
    }
}
