//! Processes started in running containers.

use api::exec::{CreateRequest, StartRequest};

use super::container_stream::{hijack_error, stream_type};
use crate::call::Call;
use crate::failure::Failure;

/// `POST /containers/{}/exec`
pub(crate) fn create(call: &mut Call<'_, '_>) -> Result<(), Failure> {
    let mut request: CreateRequest = call.read_json()?;
    if call.version.below(42) {
        request.console_size = None;
    }
    let id = call.engine.execs().create(&call.name(), request)?;
    call.json(201, &id)
}

/// `GET /exec/{}/json`
pub(crate) fn inspect(call: &mut Call<'_, '_>) -> Result<(), Failure> {
    let document = call.engine.execs().inspect(&call.name())?;
    call.json(200, &document)
}

/// `POST /exec/{}/resize`
pub(crate) fn resize(call: &mut Call<'_, '_>) -> Result<(), Failure> {
    let (height, width) = super::container::size(call)?;
    call.engine.execs().resize(&call.name(), height, width)?;
    call.empty(200)
}

/// `POST /exec/{}/start`: detached, or with the connection as the process's streams.
pub(crate) fn start(call: &mut Call<'_, '_>) -> Result<(), Failure> {
    let request: StartRequest = call.read_json()?;
    let start = call.engine.execs().start(&call.name(), &request)?;
    if request.detach {
        start.run_detached()?;
        return call.empty(200);
    }
    let upgraded = call.exchange.head.wants_upgrade();
    let taken = call.hijack(stream_type(start.framed, upgraded, call.version))?;
    // The client reads on its stream why a start failed; there is no other way to tell now.
    hijack_error(start.run(taken.socket.into(), taken.early))
}
