//! Images in and out: pull, import, load, save.

use std::io::{Read, Write};

use api::image::Progress;
use engine::image::{FileSink, ImportParameters};
use oci::Platform;
use transport::server::StreamWriter;

use super::container_archive::finish;
use super::image::platforms;
use crate::call::{Call, write_progress};
use crate::failure::Failure;

type Answer = Result<(), Failure>;

/// Bytes gathered before they become one chunk of the answer.
const BLOCK: usize = 128 * 1024;

/// `POST /images/create`: pull with `fromImage`, import with `fromSrc`.
pub(crate) fn create(call: &mut Call<'_, '_>) -> Answer {
    if call.query.text("fromImage").is_empty() && !call.query.text("fromSrc").is_empty() {
        return import(call);
    }
    super::registry::pull(call)
}

fn import(call: &mut Call<'_, '_>) -> Answer {
    let query = &call.query;
    let source = query.text("fromSrc").to_owned();
    let parameters = ImportParameters {
        source: source.clone(),
        repository: query.text("repo").to_owned(),
        tag: query.text("tag").to_owned(),
        message: query.text("message").to_owned(),
        changes: query.all("changes"),
        platform: query.non_empty("platform"),
    };
    if source != "-" {
        let engine = call.engine;
        return super::registry::streamed(call, |progress, stop| {
            engine.images().import_from_url(&parameters, progress, stop)
        });
    }
    let images = call.engine.images();
    let id = images.import(&parameters, &mut call.exchange.body()?)?;
    let version = call.version;
    let mut output = call.stream(api::stream::JSON)?;
    write_progress(&mut output, &Progress::status("", id), version)?;
    Ok(output.finish()?)
}

/// `POST /images/load`: progress while the archive still comes in.
pub(crate) fn load(call: &mut Call<'_, '_>) -> Answer {
    let quiet = call.query.flag_or("quiet", true);
    let platforms = wanted_platforms(call)?;
    let (images, version) = (call.engine.images(), call.version);
    let head = call.head(200).content_type(api::stream::JSON);
    let (mut body, mut output) = call.exchange.duplex(&head)?;
    // A client that stops listening still gets its images loaded, as with Docker.
    let mut tell = |progress: Progress| {
        if !(quiet && progress.progress_detail.is_some()) {
            let _ = write_progress(&mut output, &progress, version);
        }
    };
    if let Err(error) = images.load(&mut body, &platforms, &mut tell) {
        write_progress(&mut output, &Progress::failure(error.message()), version)?;
    }
    Ok(output.finish()?)
}

/// Platforms of an archive; more than one from 1.52 on.
fn wanted_platforms(call: &Call<'_, '_>) -> Result<Vec<Platform>, Failure> {
    let wanted = platforms(call, "platform", 48)?;
    if wanted.len() > 1 && call.version.below(52) {
        return Err(Failure::new(400, "multiple platform parameters not supported"));
    }
    Ok(wanted)
}

/// `GET /images/{*}/get`
pub(crate) fn save_one(call: &mut Call<'_, '_>) -> Answer {
    let name = call.name();
    save(call, &[name])
}

/// `GET /images/get`
pub(crate) fn save_many(call: &mut Call<'_, '_>) -> Answer {
    let names = call.query.all("names");
    save(call, &names)
}

fn save(call: &mut Call<'_, '_>, names: &[String]) -> Answer {
    let platforms = wanted_platforms(call)?;
    let engine = call.engine;
    let archive = engine.images().save(names, &platforms)?;
    let output = call.stream(api::stream::TAR)?;
    let mut output = Blobs(std::io::BufWriter::with_capacity(BLOCK, output));
    archive.write_to(engine, &mut output)?;
    finish(output.0)
}

/// An answer that gathers small pieces, and sends files by themselves.
struct Blobs<'e>(std::io::BufWriter<StreamWriter<'e>>);

impl std::io::Write for Blobs<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.0.flush()
    }
}

impl FileSink for Blobs<'_> {
    fn send_file(&mut self, mut file: &std::fs::File, count: u64) -> std::io::Result<()> {
        if count < BLOCK as u64 {
            let copied = std::io::copy(&mut (&mut file).take(count), &mut self.0)?;
            return if copied == count { Ok(()) } else { Err(std::io::ErrorKind::UnexpectedEof.into()) };
        }
        self.0.flush()?;
        self.0.get_mut().send_file(file, count)
    }
}
