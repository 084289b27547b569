//! A build under way: its end from one call, its news from another, time for a live view in between.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use buildkit::client::Builder;
use buildkit::control::StatusResponse;
use grpc::{Cancellation, Code, Status};

use super::progress::Display;

/// How long the last news of a build may take after its end.
const LAST_NEWS: Duration = Duration::from_secs(3);

/// What happened.
enum Event<T> {
    News(StatusResponse),
    /// No more news will come.
    Silence,
    End(Result<T, Status>),
}

/// The step by which wharf's engine says that a shell is ready, in the container its only part names.
const SHELL: &str = "[internal] shell in the state of the failed step";

/// Does a build's work and shows meanwhile what the builder says about the build of this name; what the work gives.
/// `shell` is called when a shell in a container is ready for whoever asked for one.
///
/// # Errors
/// Why it failed.
pub(super) fn under<T: Send + 'static>(
    builder: &Builder,
    reference: &str,
    display: &mut Display,
    shell: &dyn Fn(&str),
    work: impl FnOnce(&Builder, &Cancellation) -> Result<T, Status> + Send + 'static,
) -> Result<T, Status> {
    let until = Cancellation::new();
    if !display.wants_news() {
        return unseen(builder, reference, display, work(builder, &until));
    }
    let (events, happened) = channel();
    let solving = {
        let (builder, until, events) = (builder.clone(), until.clone(), events.clone());
        move || drop(events.send(Event::End(work(&builder, &until))))
    };
    let listening = {
        let (builder, reference, until) = (builder.clone(), reference.to_owned(), until.clone());
        move || listen(&builder, &reference, &until, &events)
    };
    for (name, work) in
        [("solve", Box::new(solving) as Box<dyn FnOnce() + Send>), ("status", Box::new(listening))]
    {
        thread::Builder::new()
            .name(name.into())
            .spawn(work)
            .map_err(|error| Status::new(Code::Internal, error.to_string()))?;
    }
    let outcome = follow(&happened, display, shell);
    // Whoever still listens to a build that has ended is sent home.
    until.cancel();
    outcome
}

/// What nobody watched has ended: only a failure has something to show.
fn unseen<T>(
    builder: &Builder,
    reference: &str,
    display: &mut Display,
    outcome: Result<T, Status>,
) -> Result<T, Status> {
    if outcome.is_err() {
        // Builders remember what builds said; one that does not has still said why it failed.
        let _ = builder.status(reference, &Cancellation::new(), &mut |news| drop(display.news(&news)));
    }
    outcome
}

fn listen<T>(builder: &Builder, reference: &str, until: &Cancellation, events: &Sender<Event<T>>) {
    // Why there is no news is said by the end of the build.
    let _ = builder.status(reference, until, &mut |news| drop(events.send(Event::News(news))));
    let _ = events.send(Event::Silence);
}

/// Shows what happens until there is an end and no more news.
fn follow<T>(
    happened: &Receiver<Event<T>>,
    display: &mut Display,
    shell: &dyn Fn(&str),
) -> Result<T, Status> {
    let mut asked: Option<String> = None;
    let mut end = None;
    let mut is_silent = false;
    let mut last = None;
    loop {
        if let Some(outcome) = end.take_if(|_| is_silent || last.is_some_and(|last| Instant::now() >= last)) {
            return outcome;
        }
        let left = last.map(|last: Instant| last.saturating_duration_since(Instant::now()));
        let event = match display.patience().into_iter().chain(left).min() {
            Some(patience) => happened.recv_timeout(patience),
            None => happened.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        let shown = match event {
            Ok(Event::News(news)) => {
                let shells = news.vertexes.iter().find(|vertex| vertex.name == SHELL);
                asked = asked.or_else(|| shells.map(|vertex| vertex.digest.clone()));
                let part = news.statuses.iter().find(|part| asked.as_ref() == Some(&part.vertex));
                display.news(&news).and_then(|()| match part {
                    Some(part) => display.aside(|| shell(&part.id)),
                    None => Ok(()),
                })
            }
            Ok(Event::Silence) => {
                is_silent = true;
                Ok(())
            }
            Ok(Event::End(outcome)) => {
                end = Some(outcome);
                last = Some(Instant::now() + LAST_NEWS);
                Ok(())
            }
            Err(RecvTimeoutError::Timeout) => display.beat(),
            Err(RecvTimeoutError::Disconnected) => {
                return end.unwrap_or_else(|| Err(Status::new(Code::Internal, "nobody builds any more")));
            }
        };
        if let Err(failure) = shown {
            return Err(Status::new(Code::Unknown, failure.message()));
        }
    }
}
