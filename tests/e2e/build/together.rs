//! Builds at the same time: what several of them want is made once, and none ends another's.

use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use super::buildx::Bench;
use super::classic::wait_until;

/// A step that takes a moment and counts how often it ran; it waits for nobody who never comes.
const STEP: &str = "FROM busybox
RUN --mount=type=cache,target=/count,id=together echo ran >> /count/runs; sleep 3; wc -l < /count/runs > /runs
";

struct Case {
    bench: Bench,
    folder: PathBuf,
}

impl Case {
    fn new() -> Option<Self> {
        let bench = Bench::new()?;
        let folder = bench.folder("together", &[("Dockerfile", STEP)]);
        Some(Self { bench, folder })
    }

    fn begin(&self, name: &str) -> Child {
        let folder = self.folder.display().to_string();
        let mut command = self.bench.command(&["build", "--progress=plain", "-t", name, &folder]);
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("starts")
    }

    fn runs(&self, image: &str) -> String {
        self.bench.engine.wharf(&["run", "--rm", image, "cat", "/runs"]).ok().trim().to_owned()
    }

    /// Waits until the step runs for the nth time.
    fn wait_for_run(&self, number: usize) {
        let caches = self.bench.engine.data_root().join("build-mounts");
        wait_until("the step runs", || count(&caches) >= number);
    }
}

/// Lines of the counting file, wherever below a folder it is.
fn count(folder: &Path) -> usize {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let lines = entries.map(|entry| match entry.path() {
        path if path.is_dir() => count(&path),
        path if path.ends_with("runs") => std::fs::read_to_string(path).unwrap_or_default().lines().count(),
        _ => 0,
    });
    lines.sum()
}

#[test]
fn a_step_of_two_builds_runs_once() {
    let Some(case) = Case::new() else { return };
    let mut builds = [case.begin("one"), case.begin("other")];
    for build in &mut builds {
        assert!(build.wait().expect("ends").success());
    }
    assert_eq!((case.runs("one"), case.runs("other")), ("1".to_owned(), "1".to_owned()));
    // Who wants everything anew waits for nobody and takes nothing.
    case.bench.build(&case.folder, &["-t", "anew", "--no-cache"]);
    assert_eq!(case.runs("anew"), "2");
}

#[test]
fn a_build_that_ends_early_takes_no_step_from_another() {
    let Some(case) = Case::new() else { return };
    let mut first = case.begin("gone");
    case.wait_for_run(1);
    let mut second = case.begin("stays");
    std::thread::sleep(std::time::Duration::from_millis(500));
    first.kill().expect("killed");
    first.wait().expect("ends");
    assert!(second.wait().expect("ends").success());
    assert_eq!(case.runs("stays"), "2", "the second one did it itself");
}
