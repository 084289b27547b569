//! `-it`: a shell, detaching and coming back, resizing.

use testkit::{Engine, Terminal};

#[test]
fn a_shell_answers_and_its_exit_code_comes_back() {
    let engine = Engine::with_busybox();
    let mut shell = Terminal::spawn(&mut engine.wharf_command(&["run", "-it", "--rm", "busybox", "sh"]));
    shell.wait_for("# ");
    shell.type_text("echo $((6*7))-answer; tty; stty size\n");
    shell.wait_for("42-answer");
    shell.wait_for("/dev/pts/0");
    shell.wait_for("24 80");
    shell.type_text("exit 9\n");
    assert_eq!(shell.exit_code(), 9);
}

#[test]
fn interactive_without_a_terminal_reads_input_to_its_end() {
    let engine = Engine::with_busybox();
    let counted =
        engine.wharf_with_input(&["run", "-i", "--rm", "busybox", "wc", "-c"], &vec![b'x'; 300_000]);
    assert_eq!(counted.ok(), "300000");
}

#[test]
fn a_shell_without_it_ends_at_once() {
    let engine = Engine::with_busybox();
    assert_eq!(engine.wharf(&["run", "--rm", "busybox", "/bin/sh"]).ok(), "");
}

#[test]
fn a_terminal_without_interactive_takes_no_input() {
    let engine = Engine::with_busybox();
    let script = "read -t 1 line; echo got=$line";
    let mut shell =
        Terminal::spawn(&mut engine.wharf_command(&["run", "-t", "--rm", "busybox", "sh", "-c", script]));
    shell.type_text("typed\n");
    shell.wait_for("got=");
    shell.exit_code();
    assert!(!shell.screen().contains("got=typed"), "{:?}", shell.screen());
}

#[test]
fn detach_keys_leave_the_container_running() {
    let engine = Engine::with_busybox();
    let mut shell =
        Terminal::spawn(&mut engine.wharf_command(&["run", "-it", "--name", "stays", "busybox", "sh"]));
    shell.wait_for("# ");
    shell.type_text("X=kept\n\x10\x11");
    assert_eq!(shell.exit_code(), 0);
    assert_eq!(engine.wharf(&["inspect", "-f", "{{.State.Running}}", "stays"]).ok(), "true");
    let mut again = Terminal::spawn(&mut engine.wharf_command(&["attach", "stays"]));
    again.type_text("echo value-$X\n");
    again.wait_for("value-kept");
    again.type_text("exit\n");
    assert_eq!(again.exit_code(), 0);
    let mut started = Terminal::spawn(&mut engine.wharf_command(&["start", "-ai", "stays"]));
    started.wait_for("# ");
    started.type_text("exit 3\n");
    assert_eq!(started.exit_code(), 3);
}

#[test]
fn other_detach_keys_can_be_chosen() {
    let engine = Engine::with_busybox();
    let arguments = ["run", "-it", "--name", "keys", "--detach-keys", "ctrl-x,x", "busybox", "sh"];
    let mut shell = Terminal::spawn(&mut engine.wharf_command(&arguments));
    shell.wait_for("# ");
    shell.type_text("\x18x");
    assert_eq!(shell.exit_code(), 0);
    assert_eq!(engine.wharf(&["inspect", "-f", "{{.State.Running}}", "keys"]).ok(), "true");
    engine.wharf(&["rm", "-f", "keys"]).ok();
}

#[test]
fn the_window_size_follows() {
    let engine = Engine::with_busybox();
    let mut shell = Terminal::spawn(&mut engine.wharf_command(&["run", "-it", "--rm", "busybox", "sh"]));
    shell.wait_for("# ");
    shell.resize(40, 100);
    std::thread::sleep(std::time::Duration::from_millis(300));
    shell.type_text("stty size\n");
    shell.wait_for("40 100");
    shell.type_text("exit\n");
    shell.exit_code();
}

#[test]
fn exec_it_opens_a_shell_in_a_running_container() {
    let engine = Engine::with_busybox();
    engine.wharf(&["run", "-d", "--name", "box", "busybox", "sleep", "600"]).ok();
    let mut shell = Terminal::spawn(&mut engine.wharf_command(&["exec", "-it", "box", "/bin/sh"]));
    shell.wait_for("# ");
    shell.type_text("ps -o pid,args | head -2; exit 4\n");
    shell.wait_for("sleep 600");
    assert_eq!(shell.exit_code(), 4);
    engine.wharf(&["rm", "-f", "box"]).ok();
}

#[test]
fn ctrl_c_reaches_the_process() {
    let engine = Engine::with_busybox();
    let script = "trap 'echo caught; exit 11' INT; echo ready; while :; do sleep 0.1; done";
    let mut shell =
        Terminal::spawn(&mut engine.wharf_command(&["run", "-it", "--rm", "busybox", "sh", "-c", script]));
    shell.wait_for("ready");
    shell.type_text("\x03");
    shell.wait_for("caught");
    assert_eq!(shell.exit_code(), 11);
}
