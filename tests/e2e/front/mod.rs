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

/// The lines of a request's head, for engines that a test plays; none when the client is gone.
fn head(reader: &mut impl std::io::BufRead) -> Option<Vec<String>> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 {
            return None;
        }
        if line.trim().is_empty() {
            return Some(lines);
        }
        lines.push(line.trim().to_owned());
    }
}
