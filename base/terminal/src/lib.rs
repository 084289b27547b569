//! The terminal: what it is (size, colours), raw mode, tables, progress of layers.
//!
//! It owns everything about how text meets a terminal. It must not know Docker's documents or commands.
//! Nothing here reads the environment: what `NO_COLOR` or `COLUMNS` say is given by the caller.
//!
//! Reading order: [`tty`] (is it one, its size, raw mode), [`table`] (columns as docker prints them),
//! [`progress`] (many bars that redraw in place), [`colour`].

#![forbid(unsafe_code)]

pub mod amount;
pub mod colour;
pub mod progress;
pub mod table;
pub mod tty;

pub use table::Table;
pub use tty::{RawMode, Size, is_terminal, size};
