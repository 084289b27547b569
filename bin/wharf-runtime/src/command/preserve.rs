//! Descriptors the command inherits: those of `--preserve-fds` and of socket activation.

use oci::runtime::Spec;

use crate::arguments::Parsed;
use crate::failure::{Failure, Result};

/// How many descriptors after standard error are handed on. They must be open now, or something opened later would be.
pub(super) fn count(parsed: &Parsed, spec: &mut Spec) -> Result<u32> {
    let asked = parsed.number::<u32>("preserve-fds")?.unwrap_or(0);
    let activated = activation(spec);
    let count = asked.saturating_add(activated);
    for number in 3..3 + i64::from(count) {
        if !std::path::Path::new(&format!("/proc/self/fd/{number}")).exists() {
            return Err(Failure::new(format!("--preserve-fds={asked}: fd {number} is not open")));
        }
    }
    Ok(count)
}

/// Sockets the service manager passed to this very process; the command learns of them, as process 1.
fn activation(spec: &mut Spec) -> u32 {
    let value = |name| std::env::var(name).ok();
    let count = value("LISTEN_FDS").and_then(|count| count.parse().ok()).unwrap_or(0);
    let mine = value("LISTEN_PID").is_some_and(|pid| pid == std::process::id().to_string());
    if count == 0 || !mine {
        return 0;
    }
    if let Some(process) = &mut spec.process {
        process.env.push(format!("LISTEN_FDS={count}"));
        process.env.push("LISTEN_PID=1".to_owned());
        process.env.extend(value("LISTEN_FDNAMES").map(|names| format!("LISTEN_FDNAMES={names}")));
    }
    count
}
