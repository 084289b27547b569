//! Security options: seccomp profiles are read here, system paths become lists of their own.

use serde_json::Value as Json;

use crate::failure::{Failure, go_io_error};

/// The options for the engine, and whether system paths are left open.
///
/// # Errors
/// When an option is none, or a profile can't be read.
pub fn collect(options: &[String]) -> Result<(Vec<String>, bool), Failure> {
    let mut list = Vec::new();
    let mut open_paths = false;
    for option in options {
        if option == "systempaths=unconfined" {
            open_paths = true;
            continue;
        }
        let parts = option.split_once('=').or_else(|| option.split_once(':'));
        match parts {
            None if option != "no-new-privileges" => {
                return Err(Failure::text(format!(
                    "Invalid --security-opt: {}",
                    crate::value::quoted(option)
                )));
            }
            Some(("seccomp", value)) if !matches!(value, "unconfined" | "builtin") => {
                list.push(format!("seccomp={}", profile(value)?));
            }
            _ => list.push(option.clone()),
        }
    }
    Ok((list, open_paths))
}

fn profile(path: &str) -> Result<String, Failure> {
    let bytes = std::fs::read(path).map_err(|error| {
        Failure::text(format!(
            "opening seccomp profile ({path}) failed: open {path}: {}",
            go_io_error(&error)
        ))
    })?;
    let document: Json = serde_json::from_slice(&bytes).map_err(|error| {
        Failure::text(format!("compacting json for seccomp profile ({path}) failed: {error}"))
    })?;
    Ok(crate::json::compact(&document))
}
