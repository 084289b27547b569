//! The engine with many containers: memory, start-up, lists, stopping, logs, size on disk.

use std::process::Stdio;
use std::time::{Duration, Instant};

use super::measure::{self, alternate, milliseconds};
use super::report::{Better, Report};
use super::{Contender, Pair};
use crate::Outcome;

/// Memory per running container, and of an idle engine.
pub(crate) fn memory(pair: &mut Pair, report: &mut Report) -> Outcome {
    for contender in [&mut pair.docker, &mut pair.wharf] {
        contender.remove_all()?;
        contender.stop();
        contender.start()?;
    }
    std::thread::sleep(Duration::from_secs(2));
    let idle = measure::memory(&pair.wharf.family(), "Rss") / 1024.0;
    report.fact("engine idle, RSS", idle, "MiB", "reach 15 MiB, aim 8 MiB");
    if let Some(pid) = pair.wharf.daemon_pid() {
        let before = measure::wakeups(pid);
        std::thread::sleep(Duration::from_secs(10));
        #[expect(clippy::cast_precision_loss, reason = "a small count")]
        report.fact(
            "wake-ups in 10 idle seconds",
            measure::wakeups(pid).saturating_sub(before) as f64,
            "",
            "none",
        );
    }
    let docker = per_container(&pair.docker)?;
    let wharf = per_container(&pair.wharf)?;
    report.ratio(
        "memory per running container, PSS",
        "KiB",
        ("docker", docker),
        wharf,
        Better::Less,
        17.0,
        35.0,
    );
    report.fact("memory per running container, PSS", wharf, "KiB", "reach 256 KiB, aim 128 KiB");
    pair.docker.remove_all()?;
    pair.wharf.remove_all()
}

fn per_container(contender: &Contender) -> Result<f64, String> {
    const COUNT: u32 = 50;
    let before = measure::memory(&contender.family(), "Pss");
    for _ in 0..COUNT {
        contender.cli(&["run", "-d", "busybox", "sleep", "3600"])?;
    }
    std::thread::sleep(Duration::from_secs(2));
    Ok((measure::memory(&contender.family(), "Pss") - before) / f64::from(COUNT))
}

/// Five hundred stopped containers: start of the engine, `ps -a`; two hundred running ones: `rm -f`, `stop`.
pub(crate) fn many_containers(pair: &mut Pair, report: &mut Report) -> Outcome {
    let (docker, wharf) = (restart(&mut pair.docker)?, restart(&mut pair.wharf)?);
    report.ratio("engine start, no containers", "ms", ("docker", docker), wharf, Better::Less, 20.0, 100.0);
    for contender in [&pair.docker, &pair.wharf] {
        create(contender, 500)?;
    }
    let (docker, wharf) = (restart(&mut pair.docker)?, restart(&mut pair.wharf)?);
    report.ratio(
        "engine start, 500 stopped containers",
        "ms",
        ("docker", docker),
        wharf,
        Better::Less,
        20.0,
        100.0,
    );
    let ps = ["ps", "-a"];
    let (docker, wharf) = alternate(7, || pair.docker.cli(&ps), || pair.wharf.cli(&ps))?;
    report.ratio(
        "ps -a, 500 containers: wall",
        "ms",
        ("docker", docker.wall),
        wharf.wall,
        Better::Less,
        10.0,
        25.0,
    );
    report.ratio(
        "ps -a, 500 containers: CPU",
        "ms",
        ("docker", docker.cpu),
        wharf.cpu,
        Better::Less,
        10.0,
        25.0,
    );
    pair.docker.remove_all()?;
    pair.wharf.remove_all()?;
    let (docker_stop, docker_remove) = stop_and_remove(&pair.docker)?;
    let (wharf_stop, wharf_remove) = stop_and_remove(&pair.wharf)?;
    report.ratio(
        "rm -f, each of 200",
        "ms",
        ("docker", docker_remove),
        wharf_remove,
        Better::Less,
        10.0,
        20.0,
    );
    report.ratio("stop, each of 20", "ms", ("docker", docker_stop), wharf_stop, Better::Less, 10.0, 20.0);
    Ok(())
}

fn restart(contender: &mut Contender) -> Result<f64, String> {
    let mut times = Vec::new();
    for _ in 0..3 {
        contender.stop();
        times.push(contender.start()?);
    }
    Ok(measure::median(times.into_iter()))
}

fn create(contender: &Contender, count: usize) -> Result<Vec<String>, String> {
    // The init process ends at SIGTERM, so that `stop` measures the engine and not the container's patience.
    let script = "trap 'exit 0' TERM; while :; do sleep 3600 & wait; done";
    let body = serde_json::json!({"Image": "busybox", "Cmd": ["sh", "-c", script]});
    (0..count)
        .map(|_| {
            Ok(contender.post("/containers/create", &body)?["Id"].as_str().unwrap_or_default().to_owned())
        })
        .collect()
}

fn stop_and_remove(contender: &Contender) -> Result<(f64, f64), String> {
    let ids = create(contender, 220)?;
    for id in &ids {
        contender.post(&format!("/containers/{id}/start"), &serde_json::Value::Null)?;
    }
    let words = |verb: &[&'static str], ids: &[String]| -> Vec<String> {
        verb.iter().map(|&word| word.to_owned()).chain(ids.iter().cloned()).collect()
    };
    let timed = |words: Vec<String>| -> Result<f64, String> {
        let begin = Instant::now();
        contender.cli(&words.iter().map(String::as_str).collect::<Vec<_>>())?;
        Ok(milliseconds(begin.elapsed()))
    };
    let stop = timed(words(&["stop"], &ids[..20]))? / 20.0;
    let remove = timed(words(&["rm", "-f"], &ids[20..]))? / 200.0;
    contender.remove_all()?;
    Ok((stop, remove))
}

/// Two hundred megabytes of lines, written to the log and read back.
pub(crate) fn logs(pair: &mut Pair, report: &mut Report) -> Outcome {
    let (docker_write, docker_read) = log_rates(&pair.docker)?;
    let (wharf_write, wharf_read) = log_rates(&pair.wharf)?;
    report.ratio(
        "200 MB of log lines, written",
        "MB/s",
        ("docker", docker_write),
        wharf_write,
        Better::More,
        10.0,
        20.0,
    );
    report.ratio("`logs` reading it", "MB/s", ("docker", docker_read), wharf_read, Better::More, 20.0, 60.0);
    pair.docker.remove_all()?;
    pair.wharf.remove_all()
}

fn log_rates(contender: &Contender) -> Result<(f64, f64), String> {
    const MEGABYTES: f64 = 200.0;
    let line = "0123456789abcdefghijklmnopqrstuvwxyz".repeat(3);
    // busybox's own `head` takes longer than any log, so it works before the measurement; copying a file takes little.
    let script = format!(
        "yes '{}' | head -c 10000000 > /dev/shm/lines; trap go=1 USR1; touch /dev/shm/ready; \
         until [ \"$go\" ]; do usleep 10000; done; \
         i=0; while [ $i -lt 20 ]; do cat /dev/shm/lines; i=$((i+1)); done",
        &line[..99]
    );
    contender.cli(&[
        "run",
        "--name",
        "talker",
        "-d",
        "--log-opt",
        "max-size=1g",
        "busybox",
        "sh",
        "-c",
        &script,
    ])?;
    while contender.cli(&["exec", "talker", "test", "-e", "/dev/shm/ready"]).is_err() {
        std::thread::sleep(Duration::from_millis(100));
    }
    let begin = Instant::now();
    contender.cli(&["kill", "--signal", "USR1", "talker"])?;
    contender.cli(&["wait", "talker"])?;
    let write = MEGABYTES / begin.elapsed().as_secs_f64();
    let begin = Instant::now();
    let status = contender
        .command(&["logs", "talker"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .map_err(|error| error.to_string())?;
    if !status.success() {
        return Err("logs failed".to_owned());
    }
    Ok((write, MEGABYTES / begin.elapsed().as_secs_f64()))
}

/// All binaries a user installs, as shipped (`dist` profile).
pub(crate) fn size(_: &mut Pair, report: &mut Report) -> Outcome {
    let dir = crate::build::binaries("dist")?;
    let total: u64 = crate::build::PROGRAMS
        .iter()
        .map(|program| std::fs::metadata(dir.join(program)).map_or(0, |metadata| metadata.len()))
        .sum();
    #[expect(clippy::cast_precision_loss, reason = "a size, shown with two digits")]
    report.fact("cold install, all binaries", total as f64 / 1e6, "MB", "reach 30 MB, aim 15 MB");
    Ok(())
}
