//! Networks.

use api::network::{ConnectRequest, CreateRequest, DisconnectRequest};

use crate::call::Call;
use crate::failure::Failure;
use crate::shape;

type Answer = Result<(), Failure>;

/// `GET /networks`
pub(crate) fn list(call: &mut Call<'_, '_>) -> Answer {
    let list = call.engine.networks().list(&call.query.filters()?)?;
    let shown = shape::network_list(list, call.version);
    call.json(200, &shown)
}

/// `GET /networks/{}`
pub(crate) fn inspect(call: &mut Call<'_, '_>) -> Answer {
    let network = call.engine.networks().inspect(&call.name())?;
    let shown = shape::network_inspect(network, call.version);
    call.json(200, &shown)
}

/// `POST /networks/create`
pub(crate) fn create(call: &mut Call<'_, '_>) -> Answer {
    let request: CreateRequest = call.read_json()?;
    let response = call.engine.networks().create(request)?;
    call.json(201, &response)
}

/// `POST /networks/{}/connect`
pub(crate) fn connect(call: &mut Call<'_, '_>) -> Answer {
    let request: ConnectRequest = call.read_json()?;
    call.engine.networks().connect(&call.name(), &request)?;
    call.empty(200)
}

/// `POST /networks/{}/disconnect`
pub(crate) fn disconnect(call: &mut Call<'_, '_>) -> Answer {
    let request: DisconnectRequest = call.read_json()?;
    call.engine.networks().disconnect(&call.name(), &request)?;
    call.empty(200)
}

/// `DELETE /networks/{}`
pub(crate) fn remove(call: &mut Call<'_, '_>) -> Answer {
    call.engine.networks().remove(&call.name())?;
    call.empty(204)
}

/// `POST /networks/prune`
pub(crate) fn prune(call: &mut Call<'_, '_>) -> Answer {
    let response = call.engine.networks().prune(&call.query.filters()?)?;
    call.json(200, &response)
}
