//! What the machine takes away: space, records, features of the kernel, name servers. One clear error, and the engine goes on.

mod dns;
mod full_disk;
mod kernel;
mod records;
