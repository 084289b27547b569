//! Five hundred mixed operations while the engine, or shims, are killed at random moments.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};
use testkit::chance::{Dice, Killer};
use testkit::{Engine, census, http};

/// What is known of a container: nothing after an operation whose answer was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Known {
    Stopped,
    Running,
    Unsure,
}

/// The containers by name, as the acknowledged operations left them.
#[derive(Default)]
struct Book {
    containers: BTreeMap<String, Known>,
    made: u32,
}

fn send(engine: &Engine, method: &str, target: &str, body: &Value) -> Option<u16> {
    let headers = [("Content-Type", "application/json")];
    let text = if body.is_null() { String::new() } else { body.to_string() };
    http::request(&engine.socket_path(), method, target, &headers, text.as_bytes())
        .ok()
        .map(|answer| answer.status)
}

impl Book {
    fn pick(&self, dice: &mut Dice) -> Option<String> {
        let count = self.containers.len() as u64;
        (count > 0).then(|| self.containers.keys().nth(dice.roll(count) as usize).cloned()).flatten()
    }

    /// One random operation; its answer, or its silence, is written into the book.
    fn operate(&mut self, engine: &Engine, dice: &mut Dice) {
        let kind = dice.roll(10);
        if kind < 3 || self.containers.is_empty() {
            self.made += 1;
            let name = format!("m{}", self.made);
            let body = json!({"Image": "busybox", "Cmd": ["sleep", "3600"], "Volumes": {"/v": {}}});
            let status = send(engine, "POST", &format!("/containers/create?name={name}"), &body);
            self.containers.insert(name, if status == Some(201) { Known::Stopped } else { Known::Unsure });
            return;
        }
        let Some(name) = self.pick(dice) else { return };
        let (method, target, after) = match kind {
            3..=5 => ("POST", format!("/containers/{name}/start"), Known::Running),
            6 => ("POST", format!("/containers/{name}/stop?t=0"), Known::Stopped),
            7 => ("POST", format!("/containers/{name}/kill"), Known::Stopped),
            8 => ("POST", format!("/containers/{name}/restart?t=0"), Known::Running),
            _ => ("DELETE", format!("/containers/{name}?force=1&v=1"), Known::Stopped),
        };
        match send(engine, method, &target, &Value::Null) {
            Some(204 | 404) if method == "DELETE" => {
                self.containers.remove(&name);
            }
            // The kill is acknowledged before the process is gone.
            Some(204) if kind == 7 => {
                send(engine, "POST", &format!("/containers/{name}/wait"), &Value::Null);
                self.containers.insert(name, Known::Unsure);
            }
            Some(204 | 304) => {
                self.containers.insert(name, after);
            }
            Some(404 | 409) => {}
            _ => {
                self.containers.insert(name, Known::Unsure);
            }
        }
    }

    /// Compares the book with what the engine says now.
    fn verify(&self, engine: &Engine) {
        let listed = http::get(&engine.socket_path(), "/containers/json?all=1").expect("list").json();
        let states: BTreeMap<String, String> = listed
            .as_array()
            .expect("a list")
            .iter()
            .map(|container| {
                let name =
                    container["Names"][0].as_str().unwrap_or_default().trim_start_matches('/').to_owned();
                (name, container["State"].as_str().unwrap_or_default().to_owned())
            })
            .collect();
        for (name, known) in &self.containers {
            match known {
                Known::Unsure => {}
                Known::Running => assert_eq!(states.get(name).map(String::as_str), Some("running"), "{name}"),
                Known::Stopped => {
                    assert!(
                        states.get(name).is_some_and(|state| state != "running"),
                        "{name}: {:?}",
                        states.get(name)
                    );
                }
            }
        }
        for name in states.keys() {
            assert!(self.containers.contains_key(name), "{name} exists, but was removed or never made");
        }
    }
}

fn remove_all(engine: &Engine) {
    let listed = http::get(&engine.socket_path(), "/containers/json?all=1").expect("list").json();
    for container in listed.as_array().expect("a list") {
        let id = container["Id"].as_str().expect("an id");
        assert_eq!(send(engine, "DELETE", &format!("/containers/{id}?force=1&v=1"), &Value::Null), Some(204));
    }
    send(engine, "POST", "/volumes/prune?all=1", &json!({}));
}

#[test]
fn killed_engines_lose_nothing_acknowledged() {
    operations_while_the_engine_is_killed(25);
}

#[test]
#[ignore = "the long form: cargo xtask long"]
fn long_form_killed_engines() {
    operations_while_the_engine_is_killed(100);
}

/// Twenty operations a round, each round with a kill in it.
fn operations_while_the_engine_is_killed(rounds: u32) {
    let mut engine = Engine::with_busybox();
    let before = census::of(&engine);
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let mut book = Book::default();
    for round in 0..rounds {
        let moment = Duration::from_micros(dice.roll(60_000));
        let killer = Killer::of(engine.daemon_pid(), moment);
        let mut operations = 0;
        let start = Instant::now();
        while operations < 20 && start.elapsed() < testkit::patience(5) {
            book.operate(&engine, &mut dice);
            operations += 1;
        }
        killer.wait();
        engine.kill_daemon();
        engine.start_daemon();
        book.verify(&engine);
        if round % 8 == 7 {
            remove_all(&engine);
            book.containers.clear();
        }
    }
    remove_all(&engine);
    census::assert_returns_to(&engine, &before);
    let volumes = http::get(&engine.socket_path(), "/volumes").expect("volumes").json();
    assert_eq!(volumes["Volumes"], json!([]), "no volume is left of removed containers");
}

fn shims(engine: &Engine) -> Vec<u32> {
    census::of(engine)
        .iter()
        .filter_map(|line| line.strip_prefix("process ")?.split(' ').next()?.parse().ok())
        .collect()
}

#[test]
fn killed_shims_leave_nothing() {
    let engine = Engine::with_busybox();
    let before = census::of(&engine);
    let mut dice = Dice(0x1234_5678_9abc_def1);
    let mut book = Book::default();
    for _ in 0..500 {
        book.operate(&engine, &mut dice);
        if dice.roll(10) == 0 {
            let all = shims(&engine);
            if !all.is_empty() {
                testkit::engine::signal(all[dice.roll(all.len() as u64) as usize], Signal::KILL);
            }
        }
    }
    let deadline = Instant::now() + testkit::patience(10);
    loop {
        let listed = http::get(&engine.socket_path(), "/containers/json").expect("list").json();
        let dead: Vec<String> = listed
            .as_array()
            .expect("a list")
            .iter()
            .filter_map(|container| {
                let id = container["Id"].as_str()?;
                let document =
                    http::get(&engine.socket_path(), &format!("/containers/{id}/json")).ok()?.json();
                let pid = document["State"]["Pid"].as_u64()?;
                (document["State"]["Running"] == true && !Path::new(&format!("/proc/{pid}")).exists())
                    .then(|| id.to_owned())
            })
            .collect();
        if dead.is_empty() {
            break;
        }
        assert!(Instant::now() < deadline, "said to run, but dead: {dead:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
    remove_all(&engine);
    census::assert_returns_to(&engine, &before);
}
