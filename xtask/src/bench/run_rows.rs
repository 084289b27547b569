//! Starting containers: one at a time, by exec, many at once, and where the time of a start goes.

use std::time::Instant;

use super::Pair;
use super::measure::{alternate, milliseconds, once};
use super::report::{Better, Report};
use crate::Outcome;

const TURNS: usize = 15;

/// `run --rm busybox true` and `exec C true`, by each engine's own command line.
pub(crate) fn run_and_exec(pair: &mut Pair, report: &mut Report) -> Outcome {
    let run = ["run", "--rm", "busybox", "true"];
    let (docker, wharf) = alternate(TURNS, || pair.docker.cli(&run), || pair.wharf.cli(&run))?;
    report.ratio(
        "run --rm busybox true: CPU",
        "ms",
        ("docker", docker.cpu),
        wharf.cpu,
        Better::Less,
        12.0,
        30.0,
    );
    report.ratio(
        "run --rm busybox true: wall",
        "ms",
        ("docker", docker.wall),
        wharf.wall,
        Better::Less,
        10.0,
        25.0,
    );
    for contender in [&pair.docker, &pair.wharf] {
        contender.cli(&["run", "-d", "--name", "target", "busybox", "sleep", "3600"])?;
    }
    let exec = ["exec", "target", "true"];
    let (docker, wharf) = alternate(TURNS, || pair.docker.cli(&exec), || pair.wharf.cli(&exec))?;
    report.ratio("exec C true: CPU", "ms", ("docker", docker.cpu), wharf.cpu, Better::Less, 12.0, 25.0);
    report.ratio("exec C true: wall", "ms", ("docker", docker.wall), wharf.wall, Better::Less, 12.0, 25.0);
    pair.docker.remove_all()?;
    pair.wharf.remove_all()
}

/// Which call of a start takes what, over the API of wharf alone.
pub(crate) fn parts(pair: &mut Pair, report: &mut Report) -> Outcome {
    let body = serde_json::json!({"Image": "busybox", "Cmd": ["true"]});
    let none = serde_json::Value::Null;
    let (mut create, mut start, mut wait, mut remove) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..TURNS {
        let wharf = &pair.wharf;
        let mut id = String::new();
        create.push(once(|| {
            id = wharf.post("/containers/create", &body)?["Id"].as_str().unwrap_or_default().to_owned();
            Ok(())
        })?);
        start.push(once(|| wharf.post(&format!("/containers/{id}/start"), &none).map(|_| ()))?);
        wait.push(once(|| wharf.post(&format!("/containers/{id}/wait"), &none).map(|_| ()))?);
        remove.push(once(|| {
            testkit::http::request(&wharf.socket, "DELETE", &format!("/containers/{id}"), &[], b"")
                .map(|_| ())
                .map_err(|error| error.to_string())
        })?);
    }
    for (name, costs) in [("create", create), ("start", start), ("wait", wait), ("remove", remove)] {
        let wall = super::measure::median(costs.iter().map(|cost| cost.wall));
        report.fact(&format!("part of a run: {name}, wall"), wall, "ms", "");
    }
    Ok(())
}

/// Fifty containers, started by eight clients at once.
pub(crate) fn parallel_starts(pair: &mut Pair, report: &mut Report) -> Outcome {
    let docker = starts_per_second(&pair.docker)?;
    let wharf = starts_per_second(&pair.wharf)?;
    report.ratio("50 starts in parallel", "/s", ("docker", docker), wharf, Better::More, 10.0, 25.0);
    pair.docker.remove_all()?;
    pair.wharf.remove_all()
}

fn starts_per_second(contender: &super::Contender) -> Result<f64, String> {
    const COUNT: usize = 50;
    const CLIENTS: usize = 8;
    let body = serde_json::json!({"Image": "busybox", "Cmd": ["sleep", "3600"]});
    let mut ids = Vec::new();
    for _ in 0..COUNT {
        ids.push(contender.post("/containers/create", &body)?["Id"].as_str().unwrap_or_default().to_owned());
    }
    let begin = Instant::now();
    let failures: Vec<String> = std::thread::scope(|scope| {
        let clients: Vec<_> = ids
            .chunks(COUNT.div_ceil(CLIENTS))
            .map(|chunk| {
                scope.spawn(move || {
                    chunk
                        .iter()
                        .filter_map(|id| {
                            contender.post(&format!("/containers/{id}/start"), &serde_json::Value::Null).err()
                        })
                        .collect::<Vec<String>>()
                })
            })
            .collect();
        clients.into_iter().flat_map(|client| client.join().unwrap_or_default()).collect()
    });
    if let Some(failure) = failures.first() {
        return Err(failure.clone());
    }
    #[expect(clippy::cast_precision_loss, reason = "a small count")]
    let rate = COUNT as f64 / (milliseconds(begin.elapsed()) / 1e3);
    Ok(rate)
}
