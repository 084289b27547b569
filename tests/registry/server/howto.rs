//! What docs/howto/registry.md tells people to do.

use std::process::Command;

use serde_json::{Value, json};

use crate::fixture::{Server, program};

const HOWTO: &str = include_str!("../../../docs/howto/registry.md");

#[test]
fn the_configuration_shown_is_one() {
    let dir = std::env::temp_dir().join(format!("wharf-registry-howto-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let shown =
        HOWTO.split("```json\n").nth(1).and_then(|rest| rest.split("```").next()).expect("a configuration");
    let hash = testkit::engine::run(Command::new(program()).arg("passwd"), Some(b"pw\n")).stdout;
    let mut config: Value = serde_json::from_str(&shown.replace("$2b$10$...", hash.trim())).expect("JSON");
    // What lies in files of the machine is left out.
    config.as_object_mut().unwrap().remove("tls");
    config["accounts"].as_object_mut().unwrap().remove("htpasswd");
    config["root"] = dir.to_str().into();
    std::fs::write(dir.join("config.json"), config.to_string()).unwrap();
    let mut check = Command::new(program());
    check.args(["serve", "--check", "--config"]).arg(dir.join("config.json"));
    let output = testkit::engine::run(&mut check, None);
    assert_eq!((output.code, output.stdout.as_str()), (0, "configuration OK\n"), "{output:?}");
    let mut gc = Command::new(program());
    gc.args(["gc", "--root"]).arg(&dir);
    let output = testkit::engine::run(&mut gc, None);
    std::fs::remove_dir_all(&dir).unwrap();
    assert_eq!(output.code, 0, "{output:?}");
    assert!(HOWTO.contains(&output.stdout), "{output:?}");
}

/// The image of the program, as any engine loads it; its only file answers there.
#[test]
fn the_image_holds_the_program() {
    let image = testkit::engine::run(
        Command::new("sh")
            .args(["-c", "\"$0\" image --name preregistry | tar -xO manifest.json"])
            .arg(program()),
        None,
    );
    let manifest: Value = serde_json::from_str(&image.stdout).unwrap();
    assert_eq!(manifest[0]["RepoTags"][0], "preregistry:latest");
}

#[test]
fn the_page_has_what_is_told_of_it() {
    let server = Server::start(json!({}));
    server.client().in_repository("deep/app").push_image("1.0", "page");
    let (digest, _) = server.client().in_repository("deep/app").push_image("2.0", "page, other");
    let list = server.client().get("/");
    assert!(list.text().contains("<a href=\"/ui/deep/app\">deep/app</a><td class=n>2"), "{}", list.text());
    let page = server.client().get("/ui/deep/app").text();
    let told = HOWTO.split("| column |").nth(1).and_then(|rest| rest.split("\n\n").next()).expect("a table");
    let columns: Vec<&str> =
        told.lines().skip(2).filter_map(|line| line.split('|').nth(1)).map(str::trim).collect();
    assert_eq!(columns.len(), 5);
    let heads = page.split("<th").skip(1).map(|head| head.split(['>', '<']).nth(1).unwrap_or_default());
    assert_eq!(heads.map(str::trim).collect::<Vec<_>>(), columns, "{page}");
    assert!(page.contains(&format!("title=\"{digest}\">{}</code>", digest.short())), "{page}");
    assert!(page.contains("<summary>2</summary>") && !page.contains("<script"), "{page}");
    let policy = list.header("content-security-policy").expect("a policy");
    assert!(policy.starts_with("default-src 'none'"), "{policy}");
}
