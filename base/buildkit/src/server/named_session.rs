//! The session that a build names: looked for when it is first wanted.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use grpc::{Cancellation, Hook};

use crate::session::{Session, Sessions};

/// How long a build waits for its session.
const PATIENCE: Duration = Duration::from_secs(6);

/// A session by its name. Clones look for it once together.
#[derive(Debug, Clone, Default)]
pub struct NamedSession(Option<Arc<Name>>);

#[derive(Debug)]
struct Name {
    id: String,
    sessions: Arc<Sessions>,
    /// Given up when the client has left its session: nothing can be built for it either.
    build: Cancellation,
    found: OnceLock<Option<Arc<Session>>>,
    hook: Mutex<Option<Hook>>,
}

impl NamedSession {
    /// The session of an id; an empty one names none.
    pub(super) fn new(id: &str, sessions: &Arc<Sessions>, build: &Cancellation) -> Self {
        let name = || Name {
            id: id.to_owned(),
            sessions: Arc::clone(sessions),
            build: build.clone(),
            found: OnceLock::new(),
            hook: Mutex::default(),
        };
        Self((!id.is_empty()).then(|| Arc::new(name())))
    }

    /// The session, which may come a moment later than the build; none when the client named none or it is gone.
    pub fn get(&self) -> Option<&Arc<Session>> {
        let name = self.0.as_ref()?;
        let look = || {
            let session = name.sessions.get(&name.id, PATIENCE)?;
            let build = name.build.clone();
            let hook = session.gone().on_cancel(move || build.cancel());
            *name.hook.lock().unwrap_or_else(PoisonError::into_inner) = Some(hook);
            Some(session)
        };
        name.found.get_or_init(look).as_ref()
    }

    /// The build is over: the client may leave.
    pub(super) fn release(&self) {
        if let Some(name) = &self.0 {
            name.hook.lock().unwrap_or_else(PoisonError::into_inner).take();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;
    use crate::session::SessionInfo;

    /// A session that is known as long as the client's end, which is answered, is open.
    fn open(sessions: &Arc<Sessions>, id: &str) -> (UnixStream, std::thread::JoinHandle<()>) {
        let (ours, theirs) = UnixStream::pair().expect("a pair");
        let info = SessionInfo { id: id.to_owned(), ..SessionInfo::default() };
        let listed = sessions.add(Session::when_asked(info, ours.into(), Vec::new()).expect("a session"));
        (theirs, std::thread::spawn(move || listed.wait()))
    }

    #[test]
    fn who_leaves_its_session_gives_its_build_up_until_it_is_over() {
        let sessions = Arc::new(Sessions::default());
        assert!(NamedSession::new("", &sessions, &Cancellation::default()).get().is_none());
        for over in [false, true] {
            let build = Cancellation::default();
            let named = NamedSession::new("s", &sessions, &build);
            let again = named.clone();
            // It comes later than the build that names it.
            let (client, watching) = open(&sessions, "s");
            assert_eq!(named.get().expect("a session").info().id, "s");
            if over {
                again.release();
            }
            drop(client);
            watching.join().expect("no panic");
            assert_eq!(build.is_cancelled(), !over);
            assert!(again.get().is_some(), "looked for once");
        }
    }
}
