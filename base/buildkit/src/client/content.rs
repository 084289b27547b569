//! Content stores: folders in OCI layout whose blobs a builder may ask for, and those it may put blobs into.
//!
//! ```text
//! Info    is it there, and how long
//! Read    the bytes in pieces; the last piece goes only when all of them are those of the digest
//! Write   Stat, Write ..., Commit: into a file without a name, which gets its name when everything is right
//! ```

use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use grpc::{Call, Code, Status};
use model::error::{ErrorKind, Kinded};
use oci::Digest;
use oci::digest::{Algorithm, DigestError, Digester};

use super::Offer;
use super::layout::{Layout, LayoutError, Temporary};
use crate::services::{
    BlobInfo, InfoRequest, InfoResponse, ReadContentRequest, ReadContentResponse, WriteAction,
    WriteContentRequest, WriteContentResponse,
};
use crate::session::content::STORE;

/// Bytes in one message.
const PIECE: u64 = 1 << 20;
/// Bytes of a blob that is taken.
const LONGEST_BLOB: u64 = 1 << 37;

/// A folder and whether a builder may put something into it.
#[derive(Debug)]
pub(super) struct Store {
    pub layout: Arc<Layout>,
    pub is_writable: bool,
}

/// Why a builder does not get what it asks for.
#[derive(Debug, thiserror::Error)]
enum ContentError {
    #[error("unknown store {0:?}")]
    NoStore(String),
    #[error("the store {0:?} is there to be read only")]
    ReadOnly(String),
    #[error("invalid digest {text:?}")]
    Digest { text: String, source: DigestError },
    #[error("content {digest} has {size} bytes: there are no {count} bytes from {offset} on")]
    Range { digest: Digest, size: u64, offset: i64, count: i64 },
    #[error("bytes of {0} come in the wrong place")]
    Order(String),
    #[error("{name} has more bytes than {limit}")]
    TooLong { name: String, limit: u64 },
    #[error("{name} has {size} bytes instead of {total}")]
    Size { name: String, size: u64, total: u64 },
    #[error("{name} is not what it should be: its bytes have the digest {found}")]
    Unexpected { name: String, found: Digest },
    #[error("there is nothing that can be done to content by {0}")]
    Action(i32),
    #[error("content {0} already exists")]
    Exists(Digest),
    #[error(transparent)]
    Layout(#[from] LayoutError),
}

impl From<ContentError> for Status {
    fn from(error: ContentError) -> Self {
        let code = match &error {
            ContentError::NoStore(_) => Code::NotFound,
            ContentError::ReadOnly(_) => Code::PermissionDenied,
            ContentError::Digest { .. } | ContentError::Action(_) => Code::InvalidArgument,
            ContentError::Range { .. } | ContentError::Order(_) => Code::OutOfRange,
            ContentError::TooLong { .. } => Code::ResourceExhausted,
            ContentError::Size { .. } | ContentError::Unexpected { .. } => Code::FailedPrecondition,
            ContentError::Exists(_) => Code::AlreadyExists,
            ContentError::Layout(LayoutError::Unfit { .. }) => Code::DataLoss,
            ContentError::Layout(error) => match error.kind() {
                ErrorKind::NotFound => Code::NotFound,
                ErrorKind::Unavailable => Code::Unavailable,
                _ => Code::Unknown,
            },
        };
        Status::new(code, model::error::chain(&error))
    }
}

impl Offer {
    /// Whether a blob is there.
    pub(super) fn blob_info(&self, mut call: Call) -> Result<(), Status> {
        call.unary(|call, request: InfoRequest| {
            let digest = parse(&request.digest)?;
            let size = self.store_for(call)?.layout.size(&digest).map_err(ContentError::from)?;
            let info = BlobInfo { digest: request.digest, size: signed(size) };
            Ok(InfoResponse { info: Some(info) })
        })
    }

    /// A blob, or a part of it.
    pub(super) fn read_blob(&self, mut call: Call) -> Result<(), Status> {
        let request: ReadContentRequest = call.request()?;
        let digest = parse(&request.digest)?;
        let layout = &self.store_for(&call)?.layout;
        let (file, size) = layout.blob(&digest).map_err(ContentError::from)?;
        let (mut offset, end) = range(&request, size).ok_or_else(|| ContentError::Range {
            digest: digest.clone(),
            size,
            offset: request.offset,
            count: request.size,
        })?;
        let mut digester = (offset == 0 && end == size).then(|| Digester::new(digest.algorithm()));
        loop {
            let count = (end - offset).min(PIECE);
            let mut data = vec![0; usize::try_from(count).unwrap_or_default()];
            let read = file.read_exact_at(&mut data, offset);
            read.map_err(|error| ContentError::from(layout.failed("read", &digest.blob_path())(error)))?;
            if let Some(digester) = &mut digester {
                digester.update(&data);
            }
            let piece = ReadContentResponse { offset: signed(offset), data };
            offset += count;
            if offset < end {
                call.outbound.send(&piece)?;
                continue;
            }
            let found = digester.map_or_else(|| digest.clone(), Digester::finish);
            if found != digest {
                let path = layout.path().join(digest.blob_path());
                return Err(ContentError::from(LayoutError::Unfit { path, found }).into());
            }
            return call.outbound.send(&piece);
        }
    }

    /// Takes a blob.
    pub(super) fn write_blob(&self, mut call: Call) -> Result<(), Status> {
        let store = self.store_for(&call)?;
        if !store.is_writable {
            return Err(ContentError::ReadOnly(store_name(&call)).into());
        }
        let mut ingest = None;
        while let Some(request) = call.inbound.recv::<WriteContentRequest>()? {
            let under: &mut Ingest<'_> = match &mut ingest {
                Some(ingest) => ingest,
                none => none.insert(Ingest::begin(&store.layout, &request)?),
            };
            match WriteAction::try_from(request.action) {
                Ok(WriteAction::Stat) => {}
                Ok(WriteAction::Write) => under.write(&request)?,
                Ok(WriteAction::Commit) => {
                    under.write(&request)?;
                    let done = ingest.take().map(|ingest| ingest.commit(&request)).transpose()?;
                    return done.map_or(Ok(()), |done| call.outbound.send(&done));
                }
                Err(_) => return Err(ContentError::Action(request.action).into()),
            }
            call.outbound.send(&under.answer(request.action))?;
        }
        Ok(())
    }

    /// The store a call is about.
    fn store_for(&self, call: &Call) -> Result<&Store, ContentError> {
        let name = store_name(call);
        self.store_named(&name).ok_or(ContentError::NoStore(name))
    }
}

fn store_name(call: &Call) -> String {
    call.metadata.text(STORE).unwrap_or_default().to_owned()
}

fn parse(text: &str) -> Result<Digest, ContentError> {
    text.parse().map_err(|source| ContentError::Digest { text: text.to_owned(), source })
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Where a part begins and ends; none when it is not within the blob.
fn range(request: &ReadContentRequest, size: u64) -> Option<(u64, u64)> {
    let offset = u64::try_from(request.offset).ok().filter(|offset| *offset <= size)?;
    let end = match u64::try_from(request.size).ok()? {
        0 => size,
        count => offset.checked_add(count).filter(|end| *end <= size)?,
    };
    Some((offset, end))
}

/// A blob that comes.
struct Ingest<'l> {
    layout: &'l Layout,
    file: Temporary<'l>,
    /// What it is called in errors.
    name: String,
    expected: Option<Digest>,
    digester: Digester,
    offset: u64,
    /// Bytes there will be; 0 when nobody has said so.
    total: u64,
}

impl<'l> Ingest<'l> {
    /// Makes room for a blob, unless it is there.
    fn begin(layout: &'l Layout, request: &WriteContentRequest) -> Result<Self, ContentError> {
        let expected = if request.expected.is_empty() { None } else { Some(parse(&request.expected)?) };
        let total = u64::try_from(request.total).unwrap_or_default();
        let name = expected.as_ref().map_or_else(|| request.reference.clone(), ToString::to_string);
        if total > LONGEST_BLOB {
            return Err(ContentError::TooLong { name, limit: LONGEST_BLOB });
        }
        if let Some(digest) = &expected {
            match layout.size(digest) {
                // One of another size is what a crash has left.
                Ok(size) if total == 0 || total == size => {
                    layout.note(digest);
                    return Err(ContentError::Exists(digest.clone()));
                }
                _ => {}
            }
        }
        let algorithm = expected.as_ref().map_or(Algorithm::Sha256, Digest::algorithm);
        let file = layout.temporary(&format!("blobs/{}", algorithm.name()))?;
        let digester = Digester::new(algorithm);
        Ok(Self { layout, file, name, expected, digester, offset: 0, total })
    }

    /// Adds bytes.
    fn write(&mut self, request: &WriteContentRequest) -> Result<(), ContentError> {
        // Whoever commits without bytes need not say where they would be.
        let is_silent = request.offset == 0 && request.data.is_empty();
        if !is_silent && request.offset != signed(self.offset) {
            return Err(ContentError::Order(self.name.clone()));
        }
        let end = self.offset.saturating_add(request.data.len() as u64);
        let limit = if self.total == 0 { LONGEST_BLOB } else { self.total };
        if end > limit {
            return Err(ContentError::TooLong { name: self.name.clone(), limit });
        }
        self.file.file.write_all(&request.data).map_err(self.layout.failed("write", &self.name))?;
        self.digester.update(&request.data);
        self.offset = end;
        Ok(())
    }

    /// Gives the blob its name if it is the one it should be.
    fn commit(self, request: &WriteContentRequest) -> Result<WriteContentResponse, ContentError> {
        let mut answer = self.answer(request.action);
        let Self { layout, file, name, expected, digester, offset, total } = self;
        let total = u64::try_from(request.total).ok().filter(|total| *total != 0).unwrap_or(total);
        if total != 0 && total != offset {
            return Err(ContentError::Size { name, size: offset, total });
        }
        let found = digester.finish();
        let expected = if request.expected.is_empty() { expected } else { Some(parse(&request.expected)?) };
        if expected.is_some_and(|expected| expected != found) {
            return Err(ContentError::Unexpected { name, found });
        }
        file.keep(&found.blob_path())?;
        layout.note(&found);
        answer.digest = found.to_string();
        Ok(answer)
    }

    /// How far it is.
    fn answer(&self, action: i32) -> WriteContentResponse {
        let (offset, total) = (signed(self.offset), signed(self.total));
        WriteContentResponse { action, offset, total, digest: String::new() }
    }
}
