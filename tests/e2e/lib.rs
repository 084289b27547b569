//! The end-to-end tests: one folder per noun, through the socket or the command line only; see `main.rs`.
