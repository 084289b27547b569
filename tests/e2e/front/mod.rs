//! What the command line and the daemon promise besides running containers.

mod build;
mod buildkit;
mod completion;
mod config;
mod context;
mod credentials;
mod daemon;
mod folder;
mod follow;
mod health;
mod help;
mod plugin;
mod tls;
mod transfer;
mod width;
