//! Failures written where the caller wants them: standard error and the log file clients read.

use std::io::Write as _;
use std::process::ExitCode;

use crate::failure::Failure;

/// Where and how to log.
#[derive(Debug, Default)]
pub(crate) struct Log {
    path: Option<String>,
    json: bool,
}

#[derive(serde::Serialize)]
struct Line<'a> {
    level: &'a str,
    msg: &'a str,
    time: String,
}

impl Log {
    /// From the flags.
    pub(crate) fn new(path: Option<&str>, format: Option<&str>) -> Self {
        let path = path.filter(|path| !path.is_empty() && *path != "/dev/stderr");
        Self { path: path.map(str::to_owned), json: format == Some("json") }
    }

    /// Tells a failure and gives its exit code.
    pub(crate) fn fail(&self, failure: &Failure) -> ExitCode {
        let message = failure.to_string();
        let line = self.line(message.trim_end());
        match &self.path {
            Some(path) => {
                let file = std::fs::OpenOptions::new().append(true).create(true).open(path);
                if let Ok(mut file) = file {
                    let _ = file.write_all(line.as_bytes());
                }
                eprintln!("{}", message.trim_end());
            }
            None => eprint!("{line}"),
        }
        ExitCode::from(failure.code)
    }

    fn line(&self, message: &str) -> String {
        let time = model::Timestamp::now().to_string();
        if self.json {
            let line = Line { level: "error", msg: message, time };
            return serde_json::to_string(&line).unwrap_or_default() + "\n";
        }
        format!("time={time:?} level=error msg={message:?}\n")
    }
}
