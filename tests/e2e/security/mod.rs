//! The holes engines have had, each tried by an attacker; the numbers are the rows of docs/security.md.

mod attacker;
mod files;
mod kernel;
mod limit_table;
mod limits;
mod process;
