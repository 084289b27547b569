//! Events: what happened, published once, kept for latecomers.

mod bus;
mod filter;

pub use bus::{Bus, Event, EventType, Subscription};
pub use filter::EventFilter;
