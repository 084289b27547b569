//! Programs `docker-credential-NAME` that keep credentials: one verb as argument, input and answer on the pipes.

use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};

use registry_client::Secret;
use serde::Deserialize;
use serde_json::json;

use super::entry::Credential;

/// A helper by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Helper {
    name: String,
}

/// Why a helper did not do it. Its own words are shown, as it has to know what it may say.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("error {doing} credentials - err: {reason}, out: `{said}`")]
pub struct HelperError {
    doing: &'static str,
    reason: String,
    said: String,
}

/// The text by which helpers say that they hold nothing; the protocol has no other sign.
const NOT_FOUND: &str = "credentials not found in native keychain";
const ANSWER_LIMIT: u64 = 1 << 20;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    #[serde(default)]
    username: String,
    #[serde(default)]
    secret: String,
}

impl Helper {
    /// The helper of that name.
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned() }
    }

    /// What it holds for a registry.
    ///
    /// # Errors
    /// When it fails for another reason than holding nothing.
    pub fn get(&self, server: &str) -> Result<Option<Credential>, HelperError> {
        let output = match self.ask("get", "getting", server.as_bytes()) {
            Ok(output) => output,
            Err(error) if error.said == NOT_FOUND => return Ok(None),
            Err(error) => return Err(error),
        };
        // The answer holds the secret: a fault in it is told without it.
        let answer: Answer = serde_json::from_slice(&output).map_err(|_| HelperError {
            doing: "getting",
            reason: "the answer is not the JSON it should be".to_owned(),
            said: String::new(),
        })?;
        Ok(Some(Credential::from_helper(server, &answer.username, Secret::new(answer.secret))))
    }

    /// Gives it a credential to keep.
    ///
    /// # Errors
    /// When it fails.
    pub fn store(&self, credential: &Credential) -> Result<(), HelperError> {
        let (user, secret) = credential.for_helper();
        let document = json!({"ServerURL": credential.server, "Username": user, "Secret": secret.reveal()});
        let text = crate::json::go_compact(&document) + "\n";
        self.ask("store", "storing", text.as_bytes()).map(drop)
    }

    /// Has it forget a registry.
    ///
    /// # Errors
    /// When it fails; to hold nothing is none.
    pub fn erase(&self, server: &str) -> Result<(), HelperError> {
        match self.ask("erase", "erasing", server.as_bytes()) {
            Err(error) if error.said != NOT_FOUND => Err(error),
            _ => Ok(()),
        }
    }

    /// The registries it holds something for.
    ///
    /// # Errors
    /// When it fails.
    pub fn list(&self) -> Result<Vec<String>, HelperError> {
        let output = self.ask("list", "listing", b"unused")?;
        let map: serde_json::Map<String, serde_json::Value> =
            serde_json::from_slice(&output).unwrap_or_default();
        Ok(map.into_iter().map(|(server, _)| server).collect())
    }

    /// Runs it with a verb; its standard error is ours.
    fn ask(&self, verb: &str, doing: &'static str, input: &[u8]) -> Result<Vec<u8>, HelperError> {
        let program = format!("docker-credential-{}", self.name);
        let failed = |reason: String, said: &[u8]| HelperError {
            doing,
            reason,
            said: String::from_utf8_lossy(said).trim().to_owned(),
        };
        let missing = || failed(format!("exec: {program:?}: executable file not found in $PATH"), b"");
        // A name with a slash would be a path, and the search in PATH be left out.
        if self.name.contains('/') {
            return Err(missing());
        }
        let mut child =
            Command::new(&program).arg(verb).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().map_err(
                |error| match error.kind() {
                    std::io::ErrorKind::NotFound => missing(),
                    _ => failed(crate::failure::go_io_error(&error), b""),
                },
            )?;
        if let Some(mut stdin) = child.stdin.take() {
            // A helper that does not read ends by itself; its exit code counts.
            let _ = stdin.write_all(input);
        }
        let mut said = Vec::new();
        let read = child.stdout.take().map(|stdout| stdout.take(ANSWER_LIMIT).read_to_end(&mut said));
        let status = child.wait().map_err(|error| failed(error.to_string(), b""))?;
        match (status.success(), read.transpose()) {
            (true, Ok(_)) => Ok(said),
            (true, Err(error)) => Err(failed(error.to_string(), b"")),
            (false, _) => Err(failed(status_text(status), &said)),
        }
    }
}

/// The end of a process in Go's words.
fn status_text(status: std::process::ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt as _;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(signal)) => format!("signal: {signal}"),
        (None, None) => status.to_string(),
    }
}
