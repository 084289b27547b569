//! The daemon's own log: lines like dockerd's on standard error.

use std::io::Write;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

/// How important a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    Debug,
    Info,
    Warning,
    Error,
    Fatal,
}

static LEAST: AtomicU8 = AtomicU8::new(Level::Info as u8);
static JSON: AtomicBool = AtomicBool::new(false);

impl Level {
    /// The level of a name.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        match name.to_ascii_lowercase().as_str() {
            "trace" | "debug" => Some(Self::Debug),
            "info" => Some(Self::Info),
            "warn" | "warning" => Some(Self::Warning),
            "error" => Some(Self::Error),
            "fatal" | "panic" => Some(Self::Fatal),
            _ => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
            Self::Fatal => "fatal",
        }
    }
}

/// Lines below `least` are not written; `json` chooses one JSON object a line.
pub(crate) fn configure(least: Level, json: bool) {
    LEAST.store(least as u8, Ordering::Relaxed);
    JSON.store(json, Ordering::Relaxed);
}

/// Writes one line, if it is important enough.
pub(crate) fn write(level: Level, message: &str) {
    if (level as u8) < LEAST.load(Ordering::Relaxed) {
        return;
    }
    let line =
        format_line(level, message, &model::Timestamp::now().to_fixed_nanos(), JSON.load(Ordering::Relaxed));
    // Where the log can't be written there is nowhere to say so.
    let _ = std::io::stderr().lock().write_all(line.as_bytes());
}

fn format_line(level: Level, message: &str, time: &str, json: bool) -> String {
    if json {
        let line = serde_json::json!({"level": level.name(), "msg": message, "time": time});
        return format!("{line}\n");
    }
    let plain = !message.is_empty()
        && message.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._/@^+".contains(&byte));
    let message = if plain { message.to_owned() } else { format!("{message:?}") };
    format!("time=\"{time}\" level={} msg={message}\n", level.name())
}

/// Something a developer wants to know.
pub(crate) fn debug(message: &str) {
    write(Level::Debug, message);
}

/// Something that happened.
pub(crate) fn info(message: &str) {
    write(Level::Info, message);
}

/// Something that may surprise.
pub(crate) fn warn(message: &str) {
    write(Level::Warning, message);
}

/// Something that failed.
pub(crate) fn error(message: &str) {
    write(Level::Error, message);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_look_like_dockerds() {
        assert_eq!(
            format_line(Level::Info, "API listen on /run/x.sock", "2026-01-01T00:00:00.000000000Z", false),
            "time=\"2026-01-01T00:00:00.000000000Z\" level=info msg=\"API listen on /run/x.sock\"\n"
        );
        assert_eq!(format_line(Level::Warning, "done", "t", false), "time=\"t\" level=warning msg=done\n");
        assert_eq!(
            format_line(Level::Error, "a\n\"b\"", "t", false),
            "time=\"t\" level=error msg=\"a\\n\\\"b\\\"\"\n"
        );
        assert_eq!(
            format_line(Level::Debug, "x", "t", true),
            "{\"level\":\"debug\",\"msg\":\"x\",\"time\":\"t\"}\n"
        );
    }
}
