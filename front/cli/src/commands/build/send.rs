//! The request itself: the context goes along as an archive, or is read in place by an engine on this machine.

use std::io::{BufWriter, PipeReader, Read, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use api_client::{Body, Client, ClientError, Query, Response};

use super::local::{Dockerfile, Local, Prepared};
use super::source::Source;
use super::{local, request};
use crate::failure::Failure;
use crate::human;
use crate::matches::Matches;
use crate::session::Session;

/// How an engine's refusal begins that does not see the folder we named.
const NOT_IN_PLACE: &str = "context not in place";
/// Bytes written to the request at once.
const PIECE: usize = 256 << 10;
/// How often an upload tells how far it is.
const TELL: Duration = Duration::from_millis(100);

/// What the flags ask of the way.
struct Way<'a> {
    client: &'a Client,
    query: Query,
    config: String,
    compress: bool,
    quiet: bool,
}

/// Sends the build and gives back the answer, whose body tells how it goes.
///
/// # Errors
/// When the context cannot be read, the engine not be reached, or refuses.
pub(super) fn send(
    session: &Session,
    matches: &Matches,
    source: Source,
    quiet: bool,
) -> Result<Answer, Failure> {
    let way = Way {
        client: session.client()?,
        query: request::query(session, matches)?,
        config: request::registry_config(session),
        compress: matches.on("compress"),
        quiet,
    };
    match source {
        Source::Local(local) => way.local(&local),
        Source::Archive(stream, dockerfile) => way.upload(&dockerfile, move |out| {
            std::io::copy(&mut { stream }, out).map(drop).map_err(|error| error.to_string())
        }),
        Source::Dockerfile(text) => way.upload(local::DEFAULT, move |out| lone_dockerfile(&text, out)),
        Source::Remote(address, dockerfile) => {
            let query = way.query.clone().set("remote", address).text("dockerfile", &dockerfile);
            Ok(Answer { response: way.post(&query, Body::Empty)?, fault: Fault::default() })
        }
    }
}

/// The engine's answer; a fault of ours while the context goes out explains one that breaks off.
pub(super) struct Answer {
    pub response: Response,
    pub fault: Fault,
}

/// Why the context could not be sent whole.
#[derive(Debug, Clone, Default)]
pub(super) struct Fault(Arc<Mutex<Option<String>>>);

impl Fault {
    fn tell(&self, text: String) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(text);
    }

    fn is_there(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Our own fault in place of what followed from it.
    pub fn or(&self, consequence: impl Into<Failure>) -> Failure {
        let text = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        text.map_or_else(|| consequence.into(), Failure::text)
    }
}

impl Way<'_> {
    fn local(&self, local: &Local) -> Result<Answer, Failure> {
        if let Some(answer) = self.in_place(local)? {
            return Ok(answer);
        }
        let Prepared { context, replacements, dockerfile } = local.prepare()?;
        self.upload(&dockerfile, move |out| {
            let packed = context.write_tar_with(&replacements, out);
            packed.map(drop).map_err(|error| model::error::chain(&error))
        })
    }

    /// Asks an engine of ours to read the folder itself; none when it cannot.
    fn in_place(&self, local: &Local) -> Result<Option<Answer>, Failure> {
        let Dockerfile::Inside(dockerfile) = &local.dockerfile else { return Ok(None) };
        let (Some(path), Some(dockerfile)) = (local.path.to_str(), dockerfile.to_str()) else {
            return Ok(None);
        };
        if !self.client.host().starts_with("unix://") || !self.client.ping()?.is_wharf {
            return Ok(None);
        }
        // Mistakes in the ignore file are told in the same words either way.
        let context = local.prepare()?.context;
        let (device, inode) = context.identity();
        let query = self
            .query
            .clone()
            .set("dockerfile", dockerfile)
            .set("wharf-context", path)
            .set("wharf-context-device", device.to_string())
            .set("wharf-context-inode", inode.to_string());
        match self.post(&query, Body::Empty) {
            Ok(response) => Ok(Some(Answer { response, fault: Fault::default() })),
            Err(ClientError::Refused { status: 409, message }) if message.starts_with(NOT_IN_PLACE) => {
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Sends what a thread writes.
    fn upload(
        &self,
        dockerfile: &str,
        write: impl FnOnce(&mut dyn Write) -> Result<(), String> + Send + 'static,
    ) -> Result<Answer, Failure> {
        let query = self.query.clone().text("dockerfile", dockerfile);
        let fault = Fault::default();
        let reader = packed_by_thread(write, self.compress, fault.clone())?;
        let upload = Upload { reader, fault: fault.clone(), meter: (!self.quiet).then(Meter::start) };
        match self.post(&query, Body::Stream(Box::new(upload))) {
            Ok(response) => Ok(Answer { response, fault }),
            Err(error) => Err(fault.or(error)),
        }
    }

    fn post(&self, query: &Query, body: Body) -> Result<Response, ClientError> {
        let headers = [("Content-Type", "application/x-tar"), ("X-Registry-Config", self.config.as_str())];
        self.client.send("POST", "/build", query, &headers, body)
    }
}

/// An archive with nothing but a Dockerfile.
fn lone_dockerfile(text: &[u8], out: &mut dyn Write) -> Result<(), String> {
    let mut entry = archive::Entry::file(local::DEFAULT, 0o644, 0);
    entry.seconds = model::Timestamp::now().seconds();
    let mut writer = archive::Writer::new(out);
    let written = writer.append_bytes(&entry, text).and_then(|()| writer.finish().map(drop));
    written.map_err(|error| model::error::chain(&error))
}

/// A thread writes while the request sends.
fn packed_by_thread(
    write: impl FnOnce(&mut dyn Write) -> Result<(), String> + Send + 'static,
    compress: bool,
    fault: Fault,
) -> std::io::Result<PipeReader> {
    let (reader, writer) = std::io::pipe()?;
    // A pipe holds 64 KiB unless it is told otherwise; when the kernel does not want to, that will do.
    let _ = rustix::pipe::fcntl_setpipe_size(&writer, PIECE);
    std::thread::spawn(move || {
        let mut out = BufWriter::with_capacity(PIECE, writer);
        let result = if compress {
            let mut gzip = flate2::write::GzEncoder::new(&mut out, flate2::Compression::default());
            write(&mut gzip).and_then(|()| gzip.finish().map(drop).map_err(|error| error.to_string()))
        } else {
            write(&mut out)
        };
        let flushed = result.and_then(|()| out.flush().map_err(|error| error.to_string()));
        if let Err(text) = flushed {
            fault.tell(text);
        }
    });
    Ok(reader)
}

/// The archive as it is written; a failure of the writer is one of reading.
struct Upload {
    reader: PipeReader,
    fault: Fault,
    meter: Option<Meter>,
}

impl Read for Upload {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.reader.read(buffer)?;
        if count == 0 && self.fault.is_there() {
            return Err(std::io::Error::other("the context could not be read"));
        }
        if let Some(meter) = &mut self.meter {
            meter.count(count);
        }
        Ok(count)
    }
}

/// Tells on standard output how much was sent: on the way where lines can be redrawn, and at the end.
struct Meter {
    sent: u64,
    told: Instant,
    redraws: bool,
    ended: bool,
}

impl Meter {
    fn start() -> Self {
        let redraws = terminal::is_terminal(std::io::stdout());
        Self { sent: 0, told: Instant::now(), redraws, ended: false }
    }

    fn count(&mut self, count: usize) {
        self.sent += count as u64;
        if count == 0 && !std::mem::replace(&mut self.ended, true) {
            self.tell("\r\r\n");
        } else if count > 0 && self.redraws && self.told.elapsed() >= TELL {
            self.told = Instant::now();
            self.tell("\r");
        }
    }

    fn tell(&self, end: &str) {
        let mut out = std::io::stdout().lock();
        let amount = human::size(self.sent as f64);
        let _ = write!(out, "Sending build context to Docker daemon {amount:>8}{end}");
        let _ = out.flush();
    }
}
