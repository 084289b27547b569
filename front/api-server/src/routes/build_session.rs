//! BuildKit's doors on the API's socket: a connection becomes HTTP/2, with the client as its client or as its server.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use buildkit::session::{Session, SessionInfo, info};
use grpc::Limits;
use transport::server::Exchange;

use crate::buildkit::Doors;
use crate::call::Call;
use crate::failure::Failure;

type Answer = Result<(), Failure>;

/// `POST /grpc`: the client calls BuildKit's services.
pub(crate) fn grpc(call: &mut Call<'_, '_>) -> Answer {
    upgrade_wanted(call)?;
    let doors = Arc::clone(call.doors);
    // An addition, as in the answer to a ping: clients of ours need not ask.
    let version = ("Wharf-Version".to_owned(), call.engine.config().version.clone());
    let taken = call.exchange.hijack("", &[version])?;
    // How a client breaks off is its own affair; there is nobody to tell.
    let _ = grpc::serve(OwnedFd::from(taken.socket), taken.early, doors, Limits::DEFAULT);
    Ok(())
}

/// A client that speaks HTTP/2 from its first byte, as BuildKit's remote drivers do.
pub(crate) fn direct(exchange: &mut Exchange<'_>, doors: &Arc<Doors>) {
    if let Ok(taken) = exchange.surrender() {
        // As above.
        let _ =
            grpc::serve(OwnedFd::from(taken.socket), taken.early, Arc::clone(doors) as _, Limits::DEFAULT);
    }
}

/// `POST /session`: builds call the client's services.
pub(crate) fn session(call: &mut Call<'_, '_>) -> Answer {
    upgrade_wanted(call)?;
    let head = &call.exchange.head;
    let headers = info::HEADERS.iter().flat_map(|name| head.headers(name).map(move |value| (*name, value)));
    let info = SessionInfo::read(headers).ok_or_else(|| Failure::new(400, "session ID not provided"))?;
    let waits = head.header(info::WHEN_ASKED).is_some();
    let sessions = Arc::clone(call.doors.sessions());
    let taken = call.exchange.hijack("", &[])?;
    let socket = OwnedFd::from(taken.socket);
    let session = match waits {
        true => Session::when_asked(info, socket, taken.early),
        false => Session::new(info, socket, taken.early),
    }?;
    sessions.add(session).wait();
    Ok(())
}

/// Both doors speak HTTP/2 without TLS after an upgrade, and nothing else.
fn upgrade_wanted(call: &Call<'_, '_>) -> Answer {
    if !call.exchange.head.wants_upgrade() {
        return Err(Failure::new(400, "no upgrade proto in request"));
    }
    match call.exchange.head.header("upgrade") {
        Some(protocol) if protocol.eq_ignore_ascii_case("h2c") => Ok(()),
        other => Err(Failure::new(400, format!("protocol {} not supported", other.unwrap_or_default()))),
    }
}
