//! Starting the engine when nothing listens and nothing was configured.

use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use api_client::Endpoint;

const PATIENCE: Duration = Duration::from_secs(10);

/// Starts `wharfd` with its defaults when its socket is silent and we are root; waits until it answers.
///
/// A failure is not told here: the first request will say that nothing listens.
pub fn ensure(endpoint: &Endpoint) {
    if endpoint.connect().is_ok() || !rustix::process::geteuid().is_root() {
        return;
    }
    let Some(program) = engine_program() else { return };
    let started = Command::new(program)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        // A group of its own: a Ctrl-C for us is not one for the engine.
        .process_group(0)
        .spawn();
    let Ok(mut engine) = started else { return };
    let start = Instant::now();
    let mut pause = Duration::from_millis(1);
    while start.elapsed() < PATIENCE {
        if endpoint.connect().is_ok() || matches!(engine.try_wait(), Ok(Some(_))) {
            return;
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}

/// `wharfd` beside this program, else on the usual paths.
fn engine_program() -> Option<PathBuf> {
    let beside = std::env::current_exe().ok().and_then(|path| Some(path.parent()?.join("wharfd")));
    let usual = ["/usr/local/bin/wharfd", "/usr/bin/wharfd", "/usr/local/sbin/wharfd", "/usr/sbin/wharfd"];
    beside.into_iter().chain(usual.iter().map(PathBuf::from)).find(|path| path.exists())
}
