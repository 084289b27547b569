//! The runtime alone: create, start and delete of one bundle, beside crun, inside the reference root.

use std::path::Path;
use std::process::{Command, Stdio};

use super::Pair;
use super::measure::{self, milliseconds};
use super::report::{Better, Report};
use crate::Outcome;
use crate::reference::{reference_root, reference_tool};

const TURNS: u32 = 30;

/// Both runtimes run the same bundle in the same place: a private cgroup v2 mount, since crun refuses mixed layouts.
pub(crate) fn create_start_delete(_: &mut Pair, report: &mut Report) -> Outcome {
    let place = format!("var/tmp/wharf-bench-{}", std::process::id());
    let dir = reference_root().join(&place);
    let result = prepare(&dir).and_then(|()| {
        let inside = format!("/{place}");
        let mut crun = Vec::new();
        let mut wharf = Vec::new();
        for _ in 0..3 {
            crun.push(turns("crun", &inside)?);
            wharf.push(turns(&format!("{inside}/wharf-runtime"), &inside)?);
        }
        let wall = |costs: &[measure::Cost]| measure::median(costs.iter().map(|cost| cost.wall));
        let cpu = |costs: &[measure::Cost]| measure::median(costs.iter().map(|cost| cost.cpu));
        let name = "runtime create+start+delete";
        report.ratio(
            &format!("{name}: wall"),
            "ms",
            ("crun", wall(&crun)),
            wall(&wharf),
            Better::Less,
            1.5,
            3.0,
        );
        report.ratio(
            &format!("{name}: CPU"),
            "ms",
            ("crun", cpu(&crun)),
            cpu(&wharf),
            Better::Less,
            1.5,
            3.0,
        );
        Ok(())
    });
    testkit::census::remove_empty_groups("wharf-runtime");
    std::fs::remove_dir_all(&dir).map_err(|error| format!("{}: {error}", dir.display()))?;
    result
}

fn prepare(dir: &Path) -> Outcome {
    let text = |error: std::io::Error| format!("{}: {error}", dir.display());
    std::fs::create_dir_all(dir.join("rootfs")).map_err(text)?;
    let runtime = crate::build::binaries("release")?.join("wharf-runtime");
    std::fs::copy(runtime, dir.join("wharf-runtime")).map_err(text)?;
    let status = Command::new("tar")
        .arg("-xf")
        .arg(testkit::image::busybox_tar())
        .arg("-C")
        .arg(dir.join("rootfs"))
        .status()
        .map_err(text)?;
    if !status.success() {
        return Err("unpacking busybox failed".to_owned());
    }
    let output =
        Command::new(dir.join("wharf-runtime")).args(["spec"]).current_dir(dir).output().map_err(text)?;
    if !output.status.success() {
        return Err(format!("wharf-runtime spec: {}", String::from_utf8_lossy(&output.stderr)));
    }
    let path = dir.join("config.json");
    let mut spec: serde_json::Value = std::fs::read(&path)
        .map_err(text)
        .and_then(|bytes| serde_json::from_slice(&bytes).map_err(|error| error.to_string()))?;
    spec["process"]["args"] = serde_json::json!(["/bin/true"]);
    spec["process"]["terminal"] = serde_json::json!(false);
    std::fs::write(&path, spec.to_string()).map_err(text)
}

/// Milliseconds for each create+start+delete.
fn turns(runtime: &str, dir: &str) -> Result<measure::Cost, String> {
    let script = format!(
        "cd {dir}; mount -t cgroup2 none /sys/fs/cgroup 2>/dev/null; i=0; while [ $i -lt {TURNS} ]; do i=$((i+1)); \
         {runtime} --root {dir}/state create --bundle {dir} b$i </dev/null >/dev/null || exit 1; \
         {runtime} --root {dir}/state start b$i || exit 1; \
         until {runtime} --root {dir}/state delete b$i 2>/dev/null; do :; done; done"
    );
    let mut seconds = 0.0;
    let cost = measure::once(|| {
        let begin = std::time::Instant::now();
        let output = Command::new(reference_tool())
            .args(["run", "sh", "-c", &script])
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .output()
            .map_err(|error| error.to_string())?;
        seconds = milliseconds(begin.elapsed());
        if output.status.success() {
            return Ok(());
        }
        Err(format!("{runtime}: {}", String::from_utf8_lossy(&output.stderr)))
    })?;
    Ok(measure::Cost { wall: seconds / f64::from(TURNS), cpu: cost.cpu / f64::from(TURNS) })
}
