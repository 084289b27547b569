//! Containers are made, run, entered and ended.

use crate::support::{self, Bundle, exec, process};
use linux::pidfd::Exit;

#[test]
fn a_command_runs_and_ends() {
    let bundle = Bundle::new();
    let (text, exit) =
        bundle.run(bundle.spec("echo hello; hostname; echo $$; id -u; pwd; echo $HOME; exit 7"));
    assert_eq!(text, "hello\nbox\n1\n0\n/\n/root\n");
    assert_eq!(exit, Exit::Code(7));
}

#[test]
fn nothing_runs_before_the_start() {
    let bundle = Bundle::new();
    let created = runtime::create(bundle.request(bundle.spec("touch /started"))).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(50));
    assert!(!bundle.root().join("started").exists());
    support::end(created);
    assert!(!bundle.root().join("started").exists());
}

#[test]
fn processes_are_added() {
    let bundle = Bundle::new();
    let created = bundle.sleeper(bundle.spec("sleep 100"));
    let (text, exit) =
        exec(&created, process(&["sh", "-c", "hostname; echo $HOME; readlink /proc/1/exe; exit 3"])).unwrap();
    assert_eq!(text, "box\n/root\n/bin/busybox\n");
    assert_eq!(exit, Exit::Code(3));
    support::end(created);
}
