//! HTTP over unix sockets, TCP and TLS, client and server, and the framing of streams.

#![forbid(unsafe_code)]

pub mod client;
