//! `wharf-registry` as a process: conformance, accounts, crashes, collection, peers.

mod accounts;
mod conformance;
mod durable;
mod fixture;
mod howto;
mod killed;
mod limits;
mod mirror;
mod peers;
