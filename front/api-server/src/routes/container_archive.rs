//! Containers: files in and out as tar archives.

use std::io::Write;

use base64::Engine as _;

use engine::container::parameters::ArchivePutParameters;

use crate::call::Call;
use crate::failure::Failure;

type Answer = Result<(), Failure>;

/// Bytes gathered before they become one chunk of the answer.
pub(crate) const BLOCK: usize = 128 * 1024;

fn path(call: &Call<'_, '_>) -> Result<String, Failure> {
    match call.query.text("path") {
        "" => Err(Failure::new(400, "bad parameter: pathcannot be empty")),
        path => Ok(path.to_owned()),
    }
}

/// The header with the description of a path.
fn stat_header(stat: &api::container::ArchiveStat) -> Result<String, Failure> {
    let text = serde_json::to_vec(stat).map_err(|error| Failure::new(500, error.to_string()))?;
    Ok(base64::engine::general_purpose::STANDARD.encode(text))
}

/// `HEAD /containers/{}/archive`
pub(crate) fn stat(call: &mut Call<'_, '_>) -> Answer {
    let path = path(call)?;
    let stat = call.engine.containers().archive_stat(&call.name(), &path)?;
    let head = call.head(200).with("X-Docker-Container-Path-Stat", stat_header(&stat)?);
    Ok(call.exchange.respond(&head, b"")?)
}

/// `GET /containers/{}/archive`
pub(crate) fn get(call: &mut Call<'_, '_>) -> Answer {
    let path = path(call)?;
    let (stat, archive) = call.engine.containers().archive_get(&call.name(), &path)?;
    let head = call
        .head(200)
        .content_type(api::stream::TAR)
        .with("X-Docker-Container-Path-Stat", stat_header(&stat)?);
    let output = call.exchange.stream(&head)?;
    let mut output = std::io::BufWriter::with_capacity(BLOCK, output);
    archive.write_to(&mut output)?;
    finish(output)
}

/// `GET /containers/{}/export`
pub(crate) fn export(call: &mut Call<'_, '_>) -> Answer {
    let export = call.engine.containers().export(&call.name())?;
    let output = call.stream("application/octet-stream")?;
    let mut output = std::io::BufWriter::with_capacity(BLOCK, output);
    export.write_to(&mut output)?;
    finish(output)
}

/// Sends what is left and ends the answer.
pub(crate) fn finish(mut output: std::io::BufWriter<transport::server::StreamWriter<'_>>) -> Answer {
    output.flush()?;
    let output = output.into_inner().map_err(std::io::IntoInnerError::into_error)?;
    Ok(output.finish()?)
}

/// `PUT /containers/{}/archive`
pub(crate) fn put(call: &mut Call<'_, '_>) -> Answer {
    let parameters = ArchivePutParameters {
        path: path(call)?,
        no_overwrite_dir_non_dir: call.query.flag("noOverwriteDirNonDir"),
        copy_uid_gid: call.query.flag("copyUIDGID"),
    };
    let name = call.name();
    let containers = call.engine.containers();
    let mut body = call.exchange.body()?;
    containers.archive_put(&name, &parameters, &mut body)?;
    call.empty(200)
}
