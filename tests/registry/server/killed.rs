//! kill -9 of the registry at random moments of uploads of every form: what was acknowledged is there, nothing is half there,
//! chunks go on where they stopped, and nothing is left of what nobody finished.

use std::time::Duration;

use oci::digest::Digest;
use registry_conformance::Client;
use serde_json::json;
use testkit::chance::{Dice, Killer};

use crate::fixture::Server;

/// Bytes of a chunk.
const CHUNK: usize = 300_000;

/// One upload, and what became of it.
struct Attempt {
    client: Client,
    bytes: Vec<u8>,
    /// Where it is, when it began with a request of its own.
    place: Option<String>,
    /// Bytes that were acknowledged.
    taken: usize,
    /// The whole of it was acknowledged.
    finished: bool,
}

impl Attempt {
    fn new(client: &Client, number: u64, dice: &mut Dice) -> Self {
        // Some stay in memory, some are rows, most are files.
        let size = [900, 20_000, 1_000_000, 3_000_000][dice.roll(4) as usize] + dice.roll(999);
        let bytes = (0..size).map(|at| (at.wrapping_mul(number * 2 + 1) >> 3) as u8 ^ number as u8).collect();
        let client = client.in_repository(&format!("killed/r{}", number % 3));
        Self { client, bytes, place: None, taken: 0, finished: false }
    }

    fn digest(&self) -> Digest {
        Digest::of(&self.bytes)
    }

    /// Uploads in one of the forms that there are; `None` when there was no answer.
    fn run(&mut self, form: u64) -> Option<()> {
        if form == 0 {
            let target = self.client.path(&format!("blobs/uploads/?digest={}", self.digest()));
            self.finished = self.client.try_send("POST", &target, &[], &self.bytes).ok()?.status == 201;
            return Some(());
        }
        let begun = self.client.try_send("POST", &self.client.path("blobs/uploads/"), &[], b"").ok()?;
        self.place = begun.header("location").map(str::to_owned);
        if form == 1 {
            return self.finish();
        }
        while self.bytes.len() - self.taken > CHUNK {
            let chunk = &self.bytes[self.taken..self.taken + CHUNK];
            let sent = self.client.try_send("PATCH", self.place.as_ref()?, &[], chunk).ok()?;
            assert_eq!(sent.status, 202, "{}", sent.text());
            self.taken += CHUNK;
        }
        self.finish()
    }

    /// Sends what is not acknowledged and ends the upload.
    fn finish(&mut self) -> Option<()> {
        let target = format!("{}?digest={}", self.place.as_ref()?, self.digest());
        let answer = self.client.try_send("PUT", &target, &[], &self.bytes[self.taken..]).ok()?;
        assert_eq!(answer.status, 201, "{}", answer.text());
        self.finished = true;
        Some(())
    }

    /// After the registry came back: what it says, and the rest of what can go on.
    fn verify(&mut self) {
        let path = self.client.path(&format!("blobs/{}", self.digest()));
        let got = self.client.get(&path);
        match got.status {
            200 => assert!(got.body == self.bytes, "{path}: other bytes"),
            404 => assert!(!self.finished, "{path}: acknowledged and lost"),
            other => panic!("{path}: {other}"),
        }
        let Some(place) = self.place.clone().filter(|_| got.status == 404) else { return };
        let asked = self.client.get(&place);
        if asked.status == 404 {
            // In memory, and never acknowledged but for its beginning.
            assert_eq!(self.taken, 0, "{place}: chunks were acknowledged and are lost");
            return;
        }
        assert_eq!(asked.status, 204, "{}", asked.text());
        let range = asked.header("range").and_then(|range| range.strip_prefix("0-")).expect("a range");
        let last: usize = range.parse().expect("a number");
        if last == 0 {
            // One byte and none look the same.
            self.client.send("DELETE", &place, &[], b"");
            return;
        }
        let held = last + 1;
        assert!(held >= self.taken && held <= self.bytes.len(), "{place}: {held} of {}", self.taken);
        self.taken = held;
        self.finish().expect("nobody kills it now");
        assert!(self.client.get(&path).body == self.bytes, "{path}: resumed to other bytes");
    }
}

#[test]
fn killed_registries_keep_uploads_whole() {
    let config = json!({"collect": {"grace": 0}});
    let mut server = Server::start(config.clone());
    let mut dice = Dice(0x0dd5_eed5_0dd5_eed5);
    let (mut interrupted, mut resumed, mut number) = (0, 0, 0);
    let mut all: Vec<Attempt> = Vec::new();
    for round in 0..12 {
        let moment = Duration::from_micros(dice.roll(120_000));
        let killer = Killer::of(server.pid(), moment);
        let mut attempts: Vec<Attempt> = std::thread::scope(|scope| {
            let killer = &killer;
            let writers: Vec<_> = (0..3u64)
                .map(|writer| {
                    let (client, mut dice) = (server.client(), Dice(1 + round * 31 + writer));
                    let first = number + writer * 1000;
                    scope.spawn(move || {
                        let mut attempts = Vec::new();
                        while !killer.is_done() && attempts.len() < 40 {
                            let at = first + attempts.len() as u64;
                            let mut attempt = Attempt::new(&client, at, &mut dice);
                            // No answer: the registry is gone.
                            let _ = attempt.run(dice.roll(4));
                            attempts.push(attempt);
                        }
                        attempts
                    })
                })
                .collect();
            writers.into_iter().flat_map(|writer| writer.join().expect("a writer")).collect()
        });
        number += 3000;
        killer.wait();
        server.kill();
        server.run();
        for attempt in &mut attempts {
            let before = attempt.finished;
            interrupted += u32::from(!before);
            attempt.verify();
            resumed += u32::from(!before && attempt.finished && attempt.taken > 0);
        }
        attempts.retain(|attempt| attempt.finished);
        all.extend(attempts.into_iter().take(4));
    }
    assert!(interrupted > 0, "no upload was interrupted");
    println!("{interrupted} were interrupted, {resumed} went on");
    // What was acknowledged rounds ago is still there.
    all.iter_mut().for_each(Attempt::verify);
    // Only uploads that broke off are left, and they go when their time is over.
    server.kill();
    let mut config = config;
    config["uploadLifetime"] = json!(0);
    server.configure(config);
    server.run();
    assert_eq!(server.files("uploads"), Vec::<std::path::PathBuf>::new());
    for attempt in &all {
        let path = attempt.client.path(&format!("blobs/{}", attempt.digest()));
        assert_eq!(attempt.client.get(&path).status, 200);
        attempt.client.send("DELETE", &path, &[], b"");
    }
}
