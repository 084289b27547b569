//! Builds: cache mounts out and in as tar archives, which only wharf has.

use crate::call::Call;
use crate::failure::Failure;
use crate::routes::container_archive::{BLOCK, finish};

type Answer = Result<(), Failure>;

/// `GET /build/mounts/archive?id=`
pub(crate) fn get(call: &mut Call<'_, '_>) -> Answer {
    let archive = call.engine.builds().export_mount(call.query.text("id"))?;
    let output = call.stream(api::stream::TAR)?;
    let mut output = std::io::BufWriter::with_capacity(BLOCK, output);
    archive.write_to(&mut output)?;
    finish(output)
}

/// `PUT /build/mounts/archive?id=`
pub(crate) fn put(call: &mut Call<'_, '_>) -> Answer {
    let id = call.query.text("id").to_owned();
    let engine = call.engine;
    let mut body = call.exchange.body()?;
    engine.builds().import_mount(&id, &mut body)?;
    call.empty(200)
}
