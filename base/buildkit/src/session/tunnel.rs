//! Bytes of a socket as messages: connections inside a call.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::thread;

use grpc::{Inbound, Outbound, Status};

use crate::services::BytesMessage;

/// Bytes in one message.
const PIECE: usize = 32 << 10;

/// Carries bytes both ways until both have ended, or one has failed. Whoever gives the call up ends it too.
///
/// # Errors
/// The status the call ended with when that is not success; a thread that is not to be had.
pub fn carry(socket: UnixStream, mut inbound: Inbound, outbound: Outbound) -> Result<(), Status> {
    let failed = |error: io::Error| Status::new(grpc::Code::Unavailable, error.to_string());
    let reader = socket.try_clone().map_err(failed)?;
    let sending = thread::Builder::new()
        .name("tunnel".into())
        .spawn(move || send(reader, &outbound))
        .map_err(failed)?;
    let received = receive(&socket, &mut inbound);
    // A failure ends the other direction as well; a plain end is only the end of this one.
    let _ = socket.shutdown(if received.is_ok() { Shutdown::Write } else { Shutdown::Both });
    let _ = sending.join();
    received
}

/// Sends what a socket gives until it ends; nobody is told why: the other side sees the end.
fn send(mut from: UnixStream, to: &Outbound) {
    let mut buffer = vec![0; PIECE];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        if to.send(&BytesMessage { data: buffer[..count].to_vec() }).is_err() {
            break;
        }
    }
    let _ = from.shutdown(Shutdown::Read);
}

fn receive(mut to: &UnixStream, from: &mut Inbound) -> Result<(), Status> {
    while let Some(message) = from.recv::<BytesMessage>()? {
        if to.write_all(&message.data).is_err() {
            // Whoever holds the socket's other end reads no more; that is its own affair.
            break;
        }
    }
    Ok(())
}
