//! A session: what is offered is served on a connection of its own. It is opened beside the build, which waits for it as
//! soon as it wants something.

use std::os::fd::OwnedFd;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use api_client::Client;
use buildkit::client::Offer;
use buildkit::session::info;
use grpc::Limits;
use rustix::io::Errno;
use rustix::net::{RecvFlags, Shutdown};

use super::connect;
use crate::failure::Failure;

/// A session that serves until the program ends or this is dropped.
#[derive(Debug)]
pub(super) struct Serving {
    /// What builds name it by.
    pub id: String,
    line: Arc<Line>,
}

/// What the session's thread and the build share.
#[derive(Debug, Default)]
struct Line {
    state: Mutex<State>,
    ended: Condvar,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Opening,
    Open(OwnedFd),
    Failed(Option<Failure>),
    Ended,
}

impl Serving {
    /// Why a build failed: without a session it lacks what it wanted, and that is what is told.
    pub fn cause(&self, failure: Failure) -> Failure {
        match &mut *self.line.lock() {
            State::Failed(cause) => cause.take().unwrap_or(failure),
            _ => failure,
        }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        if let State::Open(socket) = std::mem::replace(&mut *self.line.lock(), State::Ended) {
            let _ = rustix::net::shutdown(&socket, Shutdown::Both);
        }
        self.line.ended.notify_all();
    }
}

impl Line {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits a while; whether the session is wanted still.
    fn outlasts(&self, patience: Duration) -> bool {
        let waited =
            self.ended.wait_timeout_while(self.lock(), patience, |state| !matches!(state, State::Ended));
        !matches!(*waited.unwrap_or_else(PoisonError::into_inner).0, State::Ended)
    }

    /// Notes that the connection is there; whether anybody still wants it.
    fn is_wanted(&self, socket: &OwnedFd) -> bool {
        let mut state = self.lock();
        if matches!(*state, State::Ended) {
            return false;
        }
        *state = socket.try_clone().map_or_else(|error| State::Failed(Some(error.into())), State::Open);
        matches!(*state, State::Open(_))
    }
}

/// Opens a session, unless it is no longer wanted after a while.
///
/// # Errors
/// When no thread is to be had. An engine that has no sessions shows in [`Serving::cause`].
pub(super) fn serve(
    client: &Client,
    offer: Offer,
    name: &str,
    shared_key: &str,
    patience: Duration,
) -> Result<Serving, Failure> {
    let id = model::id::random_hex()[..25].to_owned();
    let [uuid, label, key, method] = info::HEADERS;
    let said = [(uuid, id.as_str()), (label, name), (key, shared_key), (info::WHEN_ASKED, "1")];
    let methods = offer.methods();
    let said = said.into_iter().chain(methods.iter().map(|one| (method, *one)));
    let headers: Vec<(&str, String)> = said.map(|(name, value)| (name, value.to_owned())).collect();
    let line = Arc::new(Line::default());
    let (client, open) = (client.another(), Arc::clone(&line));
    let serving = move || {
        if !open.outlasts(patience) {
            return;
        }
        let headers: Vec<(&str, &str)> =
            headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        match connect::door(&client, "/session", &headers) {
            Err(failure) => *open.lock() = State::Failed(Some(failure)),
            // Most builds ask for nothing.
            Ok((socket, early)) if open.is_wanted(&socket) && (!early.is_empty() || is_asked(&socket)) => {
                // How a builder leaves is its own affair; what it wanted and did not get fails the build.
                drop(grpc::serve(socket, early, Arc::new(offer), Limits::DEFAULT));
            }
            Ok(_) => {}
        }
    };
    std::thread::Builder::new().name("session".into()).spawn(serving)?;
    Ok(Serving { id, line })
}

/// Waits until something comes; whether it does before the end.
fn is_asked(socket: &OwnedFd) -> bool {
    loop {
        match rustix::net::recv(socket, &mut [0], RecvFlags::PEEK) {
            Ok((count, _)) => return count > 0,
            Err(Errno::INTR) => {}
            Err(_) => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::os::unix::net::UnixListener;
    use std::time::Instant;

    use api_client::client::Options;
    use transport::client::Endpoint;

    use super::*;

    #[test]
    fn an_engine_without_sessions_is_why_a_build_fails() {
        let path = std::env::temp_dir().join(format!("wharf-serving-{}", std::process::id()));
        let listener = UnixListener::bind(&path).unwrap();
        let engine = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut head = [0; 4096];
            let count = stream.read(&mut head).unwrap();
            let answer =
                "HTTP/1.1 404 Not Found\r\nContent-Length: 28\r\n\r\n{\"message\":\"page not found\"}";
            stream.write_all(answer.as_bytes()).unwrap();
            String::from_utf8_lossy(&head[..count]).into_owned()
        });
        let client = Client::new(Options {
            endpoint: Endpoint::Unix(path.clone()),
            host: format!("unix://{}", path.display()),
            version: None,
            user_agent: String::new(),
            headers: Vec::new(),
        });
        let serving = serve(&client, Offer::default(), "folder", "key", Duration::ZERO).unwrap();
        let asked = engine.join().unwrap();
        std::fs::remove_file(&path).unwrap();
        assert!(asked.starts_with("POST /session ") && asked.contains(&serving.id), "{asked}");
        let end = Instant::now() + Duration::from_secs(20);
        while matches!(*serving.line.lock(), State::Opening) {
            assert!(Instant::now() < end, "the answer is not heard");
            std::thread::sleep(Duration::from_millis(5));
        }
        assert!(serving.cause(Failure::text("of the build")).message().contains("page not found"));
        assert_eq!(serving.cause(Failure::text("of the build")).message(), "of the build", "told once");
    }
}
