//! The kernel's network configuration over netlink: interfaces and routes, nf_tables, conntrack.
//!
//! Purpose: typed encoders and long-lived sockets, so that connecting a container is one or two system calls and
//! no program is executed. Nothing here knows about containers or Docker.
//!
//! Owns: the wire format ([`message`]), the request and dump discipline ([`socket`]: several messages per send,
//! extended-acknowledgement texts, interrupted dumps, overrun buffers), rtnetlink ([`route`]), nf_tables ([`nft`]:
//! one transaction per change, generation check, change notifications) and deletion of flows ([`conntrack`]).
//!
//! Must not know: where namespaces come from (a socket stays in the namespace of the thread that opened it),
//! what tables and rules are for.
//!
//! Sockets are meant to be kept: closing an nf_tables socket after deletions waits about 12 ms for the kernel.
//!
//! Reading order: [`message`], [`socket`], [`route`], [`nft`], [`conntrack`].
#![forbid(unsafe_code)]

pub mod conntrack;
pub mod message;
pub mod nft;
pub mod route;
pub mod socket;

pub use message::{Attributes, Message};
pub use socket::{Error, Protocol, Socket};
