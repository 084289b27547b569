//! `linux.maskedPaths` and `linux.readonlyPaths`.

use conformance::Bundle;
use serde_json::json;

#[test]
fn masked_files_are_empty_and_masked_directories_too() {
    let script = "wc -c </etc/secret; ls /hidden | wc -l; touch /hidden/x 2>/dev/null || echo refused";
    let bundle = Bundle::script(script)
        .with("/linux/maskedPaths", json!(["/etc/secret", "/hidden", "/does/not/exist", "/proc/kcore"]));
    std::fs::write(bundle.root("etc/secret"), "secret").expect("write");
    std::fs::create_dir(bundle.root("hidden")).expect("make");
    std::fs::write(bundle.root("hidden/file"), "secret").expect("write");
    assert_eq!(bundle.run().ok(), "0\n0\nrefused");
}

#[test]
fn read_only_paths_cannot_be_written() {
    let script = "echo x 2>/dev/null >/proc/sys/kernel/hostname || echo refused; echo x 2>/dev/null >>/etc/passwd || echo refused; touch /data/x 2>/dev/null || echo refused; touch /tmp/x && echo allowed";
    let bundle = Bundle::script(script)
        .with("/linux/readonlyPaths", json!(["/proc/sys", "/etc/passwd", "/data", "/does/not/exist"]));
    std::fs::create_dir(bundle.root("data")).expect("make");
    assert_eq!(bundle.run().ok(), "refused\nrefused\nrefused\nallowed");
}

#[test]
fn masks_hold_against_links_in_the_root() {
    // The link names a file of the machine; whatever the runtime makes of it, that file may not be covered.
    let outside = std::env::temp_dir().join(format!("wharf-masked-{}", std::process::id()));
    std::fs::write(&outside, "text").expect("write");
    let bundle = Bundle::script("echo ok").with("/linux/maskedPaths", json!(["/link"]));
    std::os::unix::fs::symlink(&outside, bundle.root("link")).expect("link");
    let _ = bundle.run();
    assert_eq!(std::fs::read_to_string(&outside).expect("read"), "text");
    let _ = std::fs::remove_file(outside);
}
