//! A name server that does not answer: containers start at once, only the lookup fails, and says so.

use std::time::{Duration, Instant};

use testkit::Engine;

/// On the loopback range and never listening.
const DEAD: &str = "127.255.255.1";

/// Much more than a start takes, much less than a resolver waits.
const AT_ONCE: Duration = Duration::from_secs(4);

/// As long as that, and twice what the same took with nothing broken: an emulated machine takes its time anyway.
fn at_once_after(usual: Duration) -> Duration {
    AT_ONCE + usual * 2
}

#[test]
fn a_dead_name_server_delays_nothing() {
    let engine = Engine::with_busybox();
    let start = Instant::now();
    engine.wharf(&["run", "-d", "--name", "usual", "-p", "80", "busybox", "sleep", "600"]).ok();
    engine.wharf(&["run", "--rm", "--network", "host", "busybox", "true"]).ok();
    let at_once = at_once_after(start.elapsed());
    let start = Instant::now();
    engine.wharf(&["run", "-d", "--name", "box", "--dns", DEAD, "-p", "80", "busybox", "sleep", "600"]).ok();
    engine.wharf(&["run", "--rm", "--dns", DEAD, "--network", "host", "busybox", "true"]).ok();
    assert!(start.elapsed() < at_once, "started after {:?}", start.elapsed());
    let resolver = engine.wharf(&["exec", "box", "cat", "/etc/resolv.conf"]);
    assert!(resolver.ok().contains(&format!("nameserver {DEAD}")), "{resolver:?}");
    let mut lookup = engine.wharf_command(&["exec", "box", "timeout", "20", "nslookup", "name.invalid"]);
    let lookup = std::thread::spawn(move || testkit::engine::run(&mut lookup, None));
    // The engine does everything else meanwhile.
    let start = Instant::now();
    engine.wharf(&["run", "--rm", "busybox", "true"]).ok();
    engine.wharf(&["exec", "box", "true"]).ok();
    assert!(start.elapsed() < at_once, "others waited {:?}", start.elapsed());
    let lookup = lookup.join().expect("the lookup");
    assert_ne!(lookup.code, 0, "{lookup:?}");
    let said = format!("{}{}", lookup.stdout, lookup.stderr);
    assert!(!said.trim().is_empty(), "the lookup says why it failed");
    engine.wharf(&["rm", "-f", "box", "usual"]).ok();
}

/// The host's own file names a dead server, nothing sensible, or is not there.
#[test]
fn a_broken_resolver_of_the_host_delays_nothing() {
    let start = Instant::now();
    let engine = Engine::with_busybox();
    engine.wharf(&["run", "--rm", "busybox", "true"]).ok();
    let at_once = at_once_after(start.elapsed());
    for content in
        [format!("nameserver {DEAD}\n"), "nameserver not-an-address\n\u{1}\n".to_owned(), String::new()]
    {
        let mut engine = Engine::prepare(&[]);
        let file = engine.root().join("resolv.conf");
        std::fs::write(&file, &content).expect("write the host's file");
        let script = format!("mount --bind {} /etc/resolv.conf && exec \"$@\"", file.display());
        engine.start_through(&["unshare", "-m", "sh", "-c", &script, "sh"]);
        let start = Instant::now();
        engine.start_daemon();
        engine.import_busybox();
        let seen = engine.wharf(&["run", "--rm", "busybox", "cat", "/etc/resolv.conf"]);
        assert!(start.elapsed() < at_once, "{content:?}: {:?}", start.elapsed());
        // Loopback servers are not reachable from inside; Docker puts public ones there instead.
        assert!(seen.ok().contains("nameserver 8.8.8.8"), "{content:?}: {seen:?}");
        assert_eq!(engine.wharf(&["ps", "-aq"]).ok(), "");
    }
}
