//! One binary for all end-to-end tests, so that they link once; each test has an engine of its own.

mod build;
mod container;
mod crash;
mod fault;
mod front;
mod image;
mod in_place;
mod isolation;
mod parity;
mod resource;
mod security;
mod smoke;
mod tutorial;
mod volume;
