//! Volumes.

use api::volume::CreateRequest;

use crate::call::Call;
use crate::failure::Failure;

type Answer = Result<(), Failure>;

/// `GET /volumes`
pub(crate) fn list(call: &mut Call<'_, '_>) -> Answer {
    let list = call.engine.volumes().list(&call.query.filters()?)?;
    call.json(200, &list)
}

/// `GET /volumes/{}`
pub(crate) fn inspect(call: &mut Call<'_, '_>) -> Answer {
    let volume = call.engine.volumes().inspect(&call.name())?;
    call.json(200, &volume)
}

/// `POST /volumes/create`
pub(crate) fn create(call: &mut Call<'_, '_>) -> Answer {
    let request: CreateRequest = call.read_json()?;
    let volume = call.engine.volumes().create(request)?;
    call.json(201, &volume)
}

/// `DELETE /volumes/{}`
pub(crate) fn remove(call: &mut Call<'_, '_>) -> Answer {
    call.engine.volumes().remove(&call.name(), call.query.flag("force"))?;
    call.empty(204)
}

/// `POST /volumes/prune`: before 1.42 named volumes went, too.
pub(crate) fn prune(call: &mut Call<'_, '_>) -> Answer {
    let response = call.engine.volumes().prune(&call.query.filters()?, call.version)?;
    call.json(200, &response)
}
