//! `spec`: writes a specification to start from.

use std::io::Write as _;

use crate::arguments::{Flag, parse};
use crate::failure::{Failure, Result};

pub(crate) fn run(arguments: &[String]) -> Result<i32> {
    let parsed = parse(arguments, &[Flag::short_value("bundle", 'b'), Flag::switch("rootless")], false)?;
    let path = std::path::Path::new(parsed.get("bundle").unwrap_or(".")).join("config.json");
    let ids = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
    let spec = runtime::template::template(parsed.has("rootless").then_some(ids));
    let text = serde_json::to_string_pretty(&spec).map_err(|error| Failure::new(error.to_string()))?;
    let file = std::fs::OpenOptions::new().write(true).create_new(true).open(path);
    match file {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            Err(Failure::new("File config.json exists. Remove it first"))
        }
        file => Ok(file?.write_all(text.as_bytes()).map(|()| 0)?),
    }
}
