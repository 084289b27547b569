//! What a build says while it goes on, and the id of its image.

use std::io::{Read, Write};

use api_client::record::Records;
use serde_json::Value as Json;

use super::send::Answer;
use crate::failure::Failure;
use crate::matches::Matches;
use crate::progress;
use crate::session::Session;

/// How much is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::commands) enum Mode {
    /// Everything; lines of pulls are redrawn on a terminal.
    Auto,
    /// The same, also where there is no terminal.
    Terminal,
    /// Everything, line by line.
    Plain,
    /// Only the id at the end, or everything when it fails.
    Quiet,
    /// The engine's records as they are.
    Records,
}

impl Mode {
    /// From `--progress` and `--quiet`.
    ///
    /// # Errors
    /// When they contradict, or there is no such mode.
    pub fn of(session: &Session, matches: &Matches) -> Result<Self, Failure> {
        let text = match matches.given("progress") {
            true => matches.text("progress"),
            false => session.environment.get("BUILDKIT_PROGRESS").unwrap_or("auto"),
        };
        match (text, matches.on("quiet")) {
            ("auto" | "quiet", true) | ("quiet", false) => Ok(Self::Quiet),
            (_, true) => Err(Failure::text(format!("progress={text} and quiet cannot be used together"))),
            ("auto" | "", false) => Ok(Self::Auto),
            ("tty", false) => Ok(Self::Terminal),
            ("plain", false) => Ok(Self::Plain),
            ("rawjson", false) => Ok(Self::Records),
            _ => Err(Failure::text(format!("invalid progress mode {text}"))),
        }
    }

    /// Whether nothing is shown on the way.
    pub fn is_quiet(self) -> bool {
        matches!(self, Self::Quiet | Self::Records)
    }
}

/// Shows the answer to its end; the image's id, empty when the engine did not tell it.
///
/// # Errors
/// When the build fails, with the exit code the engine names.
pub(super) fn show(answer: Answer, mode: Mode) -> Result<String, Failure> {
    let Answer { response, fault } = answer;
    let mut id = String::new();
    let mut quiet_id = String::new();
    let mut aux = |value: &Json| {
        if let Some(found) = value.get("ID").and_then(Json::as_str) {
            found.clone_into(&mut id);
        }
    };
    let shown = match mode {
        Mode::Records => records(response.body, &mut aux),
        Mode::Quiet => quietly(response.body, &mut aux).map(|said| quiet_id = said),
        Mode::Auto | Mode::Terminal | Mode::Plain => {
            let screen = if mode != Mode::Plain { progress::screen(std::io::stdout()) } else { None };
            progress::write(response.body, screen, &mut std::io::stdout().lock(), &mut aux)
        }
    };
    shown.map_err(|failure| fault.or(failure))?;
    Ok(if id.is_empty() { quiet_id } else { id })
}

/// What the build says is kept, and told only when it fails; of one that went well it is the id.
fn quietly(source: impl Read, aux: &mut dyn FnMut(&Json)) -> Result<String, Failure> {
    let mut said = Vec::new();
    let result = progress::write(source, None, &mut said, aux);
    match &result {
        Ok(()) => std::io::stdout().write_all(&said)?,
        Err(_) => std::io::stderr().write_all(&said)?,
    }
    result.map(|()| String::from_utf8_lossy(&said).into_owned())
}

fn records(source: impl Read, aux: &mut dyn FnMut(&Json)) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    let mut fault = None;
    for record in Records::<_, Json>::new(source) {
        let record = record?;
        writeln!(out, "{}", crate::json::compact(&record))?;
        if let Some(value) = record.get("aux") {
            aux(value);
        }
        fault = fault.or_else(|| progress::fault_in(&record));
    }
    out.flush()?;
    fault.map_or(Ok(()), Err)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_are_the_engines() {
        let failure = |text: &str| {
            let mut out = Vec::new();
            progress::write(text.as_bytes(), None, &mut out, &mut |_| {}).unwrap_err()
        };
        let told =
            failure(r#"{"errorDetail":{"code":3,"message":"returned a non-zero code: 3"},"error":"x"}"#);
        assert_eq!((told.code(), told.message().as_str()), (3, "returned a non-zero code: 3"));
        let told =
            failure(r#"{"errorDetail":{"message":"pull access denied"},"error":"pull access denied"}"#);
        assert_eq!(told.code(), 1);
        let told = failure(r#"{"errorDetail":{"code":256,"message":"x"},"error":"x"}"#);
        assert_eq!(told.code(), 1);
    }
}
