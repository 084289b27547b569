//! The client's content stores: blobs it lends to a build, and blobs it takes.

use std::io::Read;

use grpc::{Cancellation, Code, Inbound, Metadata, Status};

use super::pieces::Piece;
use super::{PATIENCE, Session, Under};
use crate::services::{
    InfoRequest, InfoResponse, ReadContentRequest, ReadContentResponse, WriteAction, WriteContentRequest,
    WriteContentResponse, method,
};

/// Says which store is meant.
pub(crate) const STORE: &str = "buildkit-attachable-store-id";
/// Bytes in one message.
const PIECE: usize = 1 << 20;

/// Bytes of one blob as they come; whether they are those of its digest is for the reader to find out.
#[derive(Debug)]
pub struct Blob {
    inbound: Inbound,
    _hook: grpc::cancellation::Hook,
    piece: Piece,
    /// Bytes that may still come.
    left: u64,
}

impl Session {
    /// The size of a blob of one of the client's stores; none when it does not have it.
    ///
    /// # Errors
    /// When the client fails or has no such store.
    pub fn blob_size(&self, store: &str, digest: &str) -> Result<Option<u64>, Status> {
        self.need(method::CONTENT_INFO)?;
        let metadata = Metadata::new().with(STORE, store);
        let request = InfoRequest { digest: digest.to_owned() };
        match self.client()?.unary::<InfoResponse>(method::CONTENT_INFO, metadata, Some(PATIENCE), &request) {
            Ok(answer) => Ok(answer.info.map(|info| u64::try_from(info.size).unwrap_or_default())),
            Err(status) if status.code == Code::NotFound => Ok(None),
            Err(status) => Err(status),
        }
    }

    /// Reads a blob of one of the client's stores; more than `size` bytes are an error.
    ///
    /// # Errors
    /// When the client does not serve that. Whether it has the blob shows when reading.
    pub fn read_blob(
        &self,
        store: &str,
        digest: &str,
        size: u64,
        until: &Cancellation,
    ) -> Result<Blob, Status> {
        let metadata = Metadata::new().with(STORE, store);
        let Under { call, _hook } = self.start(method::CONTENT_READ, metadata, until)?;
        let request = ReadContentRequest { digest: digest.to_owned(), offset: 0, size: 0 };
        // Why a call takes no message is what it ends with.
        let _ = call.outbound.send(&request);
        Ok(Blob { inbound: call.finish(), _hook, piece: Piece::default(), left: size })
    }

    /// Writes a blob into one of the client's stores; one it has already is left as it is.
    ///
    /// # Errors
    /// When the client cannot keep it, or reading the blob fails.
    pub fn write_blob(
        &self,
        store: &str,
        digest: &str,
        size: u64,
        content: &mut dyn Read,
        until: &Cancellation,
    ) -> Result<(), Status> {
        let mut under = self.start(method::CONTENT_WRITE, Metadata::new().with(STORE, store), until)?;
        let signed = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        let base = WriteContentRequest {
            reference: format!("wharf-{digest}"),
            total: signed(size),
            expected: digest.to_owned(),
            ..WriteContentRequest::default()
        };
        let mut offset = 0;
        let stat = WriteContentRequest { action: WriteAction::Stat as i32, ..base.clone() };
        match write(&mut under, &stat)? {
            None => return Ok(()),
            // What an earlier attempt left is no use: its bytes are not known here.
            Some(answer) if answer.offset != 0 => {
                return Err(Status::new(
                    Code::Aborted,
                    format!("{digest} is being written by somebody else"),
                ));
            }
            Some(_) => {}
        }
        loop {
            let mut data = Vec::new();
            let failed = |error: std::io::Error| Status::new(Code::Unknown, error.to_string());
            (&mut *content).take(PIECE as u64).read_to_end(&mut data).map_err(failed)?;
            if data.is_empty() {
                break;
            }
            let count = data.len() as u64;
            let action = WriteAction::Write as i32;
            let piece = WriteContentRequest { action, offset: signed(offset), data, ..base.clone() };
            if write(&mut under, &piece)?.is_none() {
                return Ok(());
            }
            offset += count;
        }
        let commit = WriteAction::Commit as i32;
        write(&mut under, &WriteContentRequest { action: commit, offset: signed(offset), ..base })?;
        let Under { call, _hook } = under;
        let mut rest = call.finish();
        while rest.recv_bytes()?.is_some() {}
        Ok(())
    }
}

/// One message and its answer; none when the store has the blob already.
fn write(under: &mut Under, request: &WriteContentRequest) -> Result<Option<WriteContentResponse>, Status> {
    let sent = under.call.outbound.send(request);
    match under.call.inbound.recv::<WriteContentResponse>() {
        Ok(Some(answer)) => Ok(Some(answer)),
        Ok(None) => Err(sent.err().unwrap_or_else(|| Status::new(Code::Unknown, "the store ended early"))),
        Err(status) if status.code == Code::AlreadyExists => Ok(None),
        Err(status) => Err(status),
    }
}

impl Read for Blob {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let Self { inbound, piece, left, .. } = self;
        piece.read(into, || {
            let next = inbound.recv::<ReadContentResponse>().map_err(std::io::Error::other)?;
            let Some(next) = next else { return Ok(None) };
            *left = left.checked_sub(next.data.len() as u64).ok_or_else(|| {
                std::io::Error::new(std::io::ErrorKind::InvalidData, "the blob is longer than it should be")
            })?;
            Ok(Some(next.data))
        })
    }
}
