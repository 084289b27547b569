//! Runtimes: which there are by name, and which is taken.

use std::collections::BTreeMap;

use engine::Config;
use engine::config::RuntimeConfig;
use serde_json::Value;

use super::Reader;

/// Fills in the runtimes.
pub(super) fn fill(config: &mut Config, read: &Reader<'_>) -> Result<(), String> {
    config.runtimes = runtimes(read)?;
    check_default(config)
}

fn check_default(config: &Config) -> Result<(), String> {
    let name = &config.default_runtime;
    match config.runtimes.get(name) {
        Some(runtime) if !runtime.is_ours() => Err(format!(
            "specified default runtime '{name}' cannot be used: containers are run with the engine's own runtime only"
        )),
        None if !engine::config::BUILT_IN_RUNTIMES.contains(&name.as_str()) => {
            Err(format!("specified default runtime '{name}' does not exist"))
        }
        _ => Ok(()),
    }
}

fn runtimes(read: &Reader<'_>) -> Result<BTreeMap<String, RuntimeConfig>, String> {
    read.map("runtimes")
        .into_iter()
        .map(|(name, value)| {
            if name == "runc" {
                return Err("runtime name 'runc' is reserved".to_owned());
            }
            let path = value.get("path").and_then(Value::as_str).unwrap_or_default();
            let words = value.get("runtimeArgs").and_then(Value::as_array);
            let words = words.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned);
            if path.is_empty() && value.get("runtimeType").is_none() {
                return Err(format!("runtime {name}: either a runtimeType or a path must be configured"));
            }
            Ok((name, RuntimeConfig { path: path.to_owned(), arguments: words.collect() }))
        })
        .collect()
}
