//! Programs `docker-<name>` that add commands (compose, buildx): found in docker's folders and given our words.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::failure::{Failure, Outcome};
use crate::session::Session;

fn folders(session: &Session) -> Vec<PathBuf> {
    let mut folders = vec![session.config_dir().join("cli-plugins")];
    if let Some(extra) = session.config().field("cliPluginsExtraDirs").and_then(serde_json::Value::as_array) {
        folders.extend(extra.iter().filter_map(|folder| folder.as_str().map(PathBuf::from)));
    }
    for folder in ["/usr/local/lib", "/usr/local/libexec", "/usr/lib", "/usr/libexec"] {
        folders.push(PathBuf::from(folder).join("docker/cli-plugins"));
    }
    folders
}

fn is_name(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
}

/// Runs the plugin of that name with all words, if there is one.
pub fn forward(session: &Session, word: &str, words: &[String]) -> Option<Outcome> {
    if !is_name(word) {
        return None;
    }
    let program = folders(session)
        .into_iter()
        .map(|folder| folder.join(format!("docker-{word}")))
        .find(|p| p.is_file())?;
    let own = std::env::current_exe().unwrap_or_default();
    let status = Command::new(program)
        .args(words)
        .env("DOCKER_CLI_PLUGIN_ORIGINAL_CLI_COMMAND", own)
        .env("DOCKER_HOST", session.target().map(|target| target.host).unwrap_or_default())
        .status();
    Some(match status {
        Ok(status) => match status.code() {
            Some(0) => Ok(()),
            Some(code) => Err(Failure::Status(u8::try_from(code).unwrap_or(1))),
            None => Err(Failure::Status(1)),
        },
        Err(error) => Err(Failure::Local(error)),
    })
}

/// The plugins that answer with their metadata: name and sentence.
pub fn list(session: &Session) -> Vec<(String, String)> {
    let mut found: Vec<(String, String)> = Vec::new();
    for folder in folders(session) {
        let Ok(entries) = std::fs::read_dir(folder) else { continue };
        for entry in entries.filter_map(Result::ok) {
            let file = entry.file_name().to_string_lossy().into_owned();
            let Some(name) = file.strip_prefix("docker-").filter(|name| is_name(name)) else { continue };
            if found.iter().any(|(held, _)| held == name) {
                continue;
            }
            let answer = Command::new(entry.path())
                .arg("docker-cli-plugin-metadata")
                .stderr(Stdio::null())
                .output()
                .ok();
            let about = answer
                .and_then(|answer| serde_json::from_slice::<serde_json::Value>(&answer.stdout).ok())
                .and_then(|document| document.get("ShortDescription")?.as_str().map(str::to_owned));
            found.extend(about.map(|about| (name.to_owned(), about)));
        }
    }
    found.sort();
    found
}
