//! One file per command.

pub(crate) mod create;
pub(crate) mod delete;
pub(crate) mod events;
pub(crate) mod exec;
pub(crate) mod features;
pub(crate) mod kill;
pub(crate) mod list;
pub(crate) mod pause;
pub(crate) mod ps;
pub(crate) mod run;
pub(crate) mod spec;
pub(crate) mod start;
pub(crate) mod state;
pub(crate) mod update;

mod console;
mod foreground;
mod preserve;

use crate::failure::Result;

/// Prints a document the way runc does.
fn print(document: &impl serde::Serialize) -> Result<()> {
    let text = serde_json::to_string_pretty(document)
        .map_err(|error| crate::failure::Failure::new(error.to_string()))?;
    println!("{text}");
    Ok(())
}

/// Writes a process id where the caller wants it, never half.
fn write_pid(path: Option<&str>, pid: i32) -> Result<()> {
    let Some(path) = path else { return Ok(()) };
    let path = std::path::Path::new(path);
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = path.with_file_name(format!(".{name}"));
    std::fs::write(&temporary, pid.to_string())?;
    Ok(std::fs::rename(temporary, path)?)
}
