//! The bus: publishers never wait, subscribers wake by a descriptor, the last 256 events are replayed.

use std::collections::{BTreeMap, VecDeque};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use model::Timestamp;
use rustix::event::EventfdFlags;

use super::EventFilter;

/// How many past events a new subscriber may ask for (Docker's number).
const REPLAY: usize = 256;
/// Events a subscriber that does not read may have waiting; older ones are dropped beyond.
const BACKLOG: usize = 8192;

/// What an event is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventType {
    /// A container or one of its execs.
    Container,
    /// An image.
    Image,
    /// A network.
    Network,
    /// A volume.
    Volume,
    /// The engine itself.
    Daemon,
    /// The build cache.
    Builder,
}

impl EventType {
    /// Docker's word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Container => "container",
            Self::Image => "image",
            Self::Network => "network",
            Self::Volume => "volume",
            Self::Daemon => "daemon",
            Self::Builder => "builder",
        }
    }
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// What it is about.
    pub kind: EventType,
    /// `start`, `exec_create: sh`, `health_status: healthy`.
    pub action: String,
    /// Id (or name) of the thing.
    pub id: String,
    /// Docker's attributes.
    pub attributes: BTreeMap<String, String>,
    /// When.
    pub time: Timestamp,
}

/// Where events are published.
#[derive(Debug, Default)]
pub struct Bus {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    past: VecDeque<Arc<Event>>,
    subscribers: Vec<Weak<Shared>>,
}

#[derive(Debug)]
struct Shared {
    queue: Mutex<VecDeque<Arc<Event>>>,
    wake: OwnedFd,
    filter: EventFilter,
}

/// A reader of events. Dropping it ends the subscription.
#[derive(Debug)]
pub struct Subscription {
    shared: Arc<Shared>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Bus {
    /// Tells everybody; never waits for a reader.
    pub fn publish(
        &self,
        kind: EventType,
        action: impl Into<String>,
        id: impl Into<String>,
        attributes: BTreeMap<String, String>,
    ) {
        let mut state = lock(&self.state);
        // The time is taken under the lock, so that the order of times is the order of events.
        let event = Arc::new(Event {
            kind,
            action: action.into(),
            id: id.into(),
            attributes,
            time: Timestamp::now(),
        });
        if state.past.len() == REPLAY {
            state.past.pop_front();
        }
        state.past.push_back(Arc::clone(&event));
        state
            .subscribers
            .retain(|subscriber| subscriber.upgrade().inspect(|shared| shared.offer(&event)).is_some());
    }

    /// Past events since a time, then everything new, as far as the filter takes it.
    ///
    /// # Errors
    /// When there are no descriptors left.
    pub fn subscribe(&self, filter: EventFilter, since: Option<Timestamp>) -> std::io::Result<Subscription> {
        let wake = rustix::event::eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let shared = Arc::new(Shared { queue: Mutex::default(), wake, filter });
        let mut state = lock(&self.state);
        if let Some(since) = since {
            for event in state.past.iter().filter(|event| event.time >= since) {
                shared.offer(event);
            }
        }
        state.subscribers.push(Arc::downgrade(&shared));
        Ok(Subscription { shared })
    }

    /// How many readers there are.
    pub fn listeners(&self) -> usize {
        lock(&self.state).subscribers.iter().filter(|subscriber| subscriber.strong_count() > 0).count()
    }
}

impl Shared {
    fn offer(&self, event: &Arc<Event>) {
        if !self.filter.takes(event) {
            return;
        }
        let mut queue = lock(&self.queue);
        if queue.len() == BACKLOG {
            queue.pop_front();
        }
        queue.push_back(Arc::clone(event));
        // Counting up cannot fail before 2^64 events wait.
        let _ = rustix::io::write(&self.wake, &1u64.to_ne_bytes());
    }
}

impl Subscription {
    /// The next event that is there; `None` when the caller has to poll the descriptor.
    pub fn try_next(&self) -> Option<Arc<Event>> {
        let mut queue = lock(&self.shared.queue);
        let event = queue.pop_front();
        if queue.is_empty() {
            let _ = rustix::io::read(&self.shared.wake, &mut [0u8; 8]);
        }
        event
    }
}

impl AsFd for Subscription {
    /// Readable while events wait.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.shared.wake.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latecomers_get_the_replay_and_then_the_news() {
        let bus = Bus::default();
        for number in 0..300 {
            bus.publish(EventType::Container, "start", number.to_string(), BTreeMap::new());
        }
        let all = bus.subscribe(EventFilter::default(), Some(Timestamp::from_unix(0, 0))).unwrap();
        let new = bus.subscribe(EventFilter::default(), None).unwrap();
        bus.publish(EventType::Container, "die", "x", BTreeMap::new());
        let count = std::iter::from_fn(|| all.try_next()).count();
        assert_eq!(count, REPLAY + 1);
        assert_eq!(new.try_next().unwrap().action, "die");
        assert!(new.try_next().is_none());
        assert_eq!(bus.listeners(), 2);
    }
}
