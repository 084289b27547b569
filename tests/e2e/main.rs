//! One binary for all end-to-end tests, so that they link once; each test has an engine of its own.

mod crash;
mod parity;
mod smoke;
