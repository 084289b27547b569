//! Whole stories with software from Debian packages (MISSION rows 94 to 111): they fetch packages, so they run with
//! `cargo xtask long`. Their Dockerfiles are those that are compared with Docker's (`real/`).

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use testkit::{Engine, corpus, terminal};

/// An engine with a Debian image, as people have one.
pub(super) fn engine() -> Engine {
    let engine = Engine::start();
    let tar = testkit::image::debian_tar();
    engine.wharf(&["import", "-c", "CMD [\"bash\"]", &tar.to_string_lossy(), "debian:bookworm"]).ok();
    engine
}

/// The folder of a case's files.
fn folder(engine: &Engine, case: &str) -> PathBuf {
    let case = corpus::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("build/real/{case}.case")));
    let folder = engine.root().join(&case.name);
    corpus::write(&folder, &case);
    folder
}

/// Builds a case's image under a name.
fn build(engine: &Engine, case: &str, name: &str) {
    let folder = folder(engine, case);
    engine.wharf(&["build", "-t", name, &folder.to_string_lossy()]).ok();
}

/// A command line in words, as people write it.
fn wharf(engine: &Engine, line: &str) -> String {
    engine.wharf(&line.split_whitespace().collect::<Vec<_>>()).ok().to_owned()
}

fn pack(folder: &Path, content: &str, archive: &str) {
    let mut tar = Command::new("tar");
    tar.arg("-cf").arg(folder.join(archive)).arg("-C").arg(folder.join(content)).arg(".");
    assert!(tar.status().expect("tar runs").success());
}

/// What a published port answers, as soon as it does.
fn page(port: u16, path: &str) -> String {
    let end = Instant::now() + Duration::from_secs(120);
    loop {
        let address = format!("http://127.0.0.1:{port}{path}");
        let answer = Command::new("curl").args(["-fsSL", "-m", "20", &address]).output().expect("curl runs");
        if answer.status.success() {
            return String::from_utf8_lossy(&answer.stdout).into_owned();
        }
        assert!(Instant::now() < end, "{address}: {}", String::from_utf8_lossy(&answer.stderr));
        std::thread::sleep(Duration::from_millis(500));
    }
}

/// The port of this machine a container's port is published on.
fn published(engine: &Engine, name: &str, port: &str) -> u16 {
    let told = wharf(engine, &format!("port {name} {port}"));
    told.lines().next().and_then(|line| line.rsplit(':').next()?.parse().ok()).expect("a published port")
}

#[test]
#[ignore = "fetches packages: cargo xtask long"]
fn long_form_a_web_server_and_its_members() {
    let engine = engine();
    let nginx = folder(&engine, "nginx");
    pack(&nginx, "site", "image.tar");
    let nginx = nginx.to_string_lossy();
    engine.wharf(&["build", "-t", "rapa/newnginx100:1.0", &nginx]).ok();
    for name in ["rapanginx100", "rapanginx101"] {
        wharf(&engine, &format!("container run -d -p 127.0.0.1:0:80 --name {name} rapa/newnginx100:1.0"));
        assert_eq!(page(published(&engine, name, "80"), "/"), "<h1>rapa</h1>\n");
    }
    let httpd = folder(&engine, "httpd");
    engine
        .wharf(&[
            "build",
            "-t",
            "parity/web",
            "-f",
            &httpd.join("manager").to_string_lossy(),
            &httpd.to_string_lossy(),
        ])
        .ok();
    pack(&httpd, "web", "web.tar");
    engine
        .wharf(&[
            "build",
            "-t",
            "member",
            "-f",
            &httpd.join("member").to_string_lossy(),
            &httpd.to_string_lossy(),
        ])
        .ok();
    wharf(&engine, "container run -d -p 127.0.0.1:0:80 --name member member");
    assert_eq!(page(published(&engine, "member", "80"), "/"), "<h1>member</h1>\n");
    // A second build of the first one does nothing.
    let first = engine.wharf(&["image", "inspect", "-f", "{{.Id}}", "rapa/newnginx100:1.0"]).ok().to_owned();
    engine.wharf(&["build", "-t", "again", &nginx]).ok();
    assert_eq!(engine.wharf(&["image", "inspect", "-f", "{{.Id}}", "again"]).ok(), first);
}

#[test]
#[ignore = "fetches packages: cargo xtask long"]
fn long_form_a_database_and_a_web_application_linked_to_it() {
    let engine = engine();
    build(&engine, "mysql", "mysql:5.7");
    build(&engine, "wordpress", "wordpress");
    let start = || {
        wharf(
            &engine,
            "container run -d --name mysql -v mysql:/var/lib/mysql -e MYSQL_ROOT_PASSWORD=wordpress \
             -e MYSQL_DATABASE=wordpress -e MYSQL_USER=wordpress -e MYSQL_PASSWORD=wordpress mysql:5.7",
        );
        let end = Instant::now() + Duration::from_secs(60);
        while engine.wharf(&["exec", "mysql", "mariadb", "-pwordpress", "-e", "SELECT 1"]).code != 0 {
            assert!(Instant::now() < end, "{:?}", engine.wharf(&["logs", "mysql"]));
            std::thread::sleep(Duration::from_millis(300));
        }
    };
    start();
    wharf(
        &engine,
        "container run -d --name wordpress -v wordpress:/var/www/html --link mysql:mysql -p 127.0.0.1:0:80 \
         -e WORDPRESS_DB_HOST=mysql:3306 -e WORDPRESS_DB_NAME=wordpress -e WORDPRESS_DB_USER=wordpress \
         -e WORDPRESS_DB_PASSWORD=wordpress wordpress",
    );
    let port = published(&engine, "wordpress", "80");
    let form = page(port, "/wp-admin/install.php");
    assert!(form.contains("name=\"weblog_title\"") || form.contains("language-continue"), "{form}");
    // Installed by its form, as people do.
    let filled = "weblog_title=Rapa&user_name=a&admin_password=a-b-c-d-e&admin_password2=a-b-c-d-e&pw_weak=on&admin_email=a%40b.cc&blog_public=0&language=";
    let address = format!("http://127.0.0.1:{port}/wp-admin/install.php?step=2");
    let sent =
        Command::new("curl").args(["-fsS", "-m", "120", "-d", filled, &address]).output().expect("curl runs");
    assert!(sent.status.success(), "{}", String::from_utf8_lossy(&sent.stderr));
    let ask = "SELECT option_value FROM wp_options WHERE option_name = 'blogname'";
    let name = || {
        engine
            .wharf(&["exec", "mysql", "mariadb", "-pwordpress", "-N", "wordpress", "-e", ask])
            .ok()
            .to_owned()
    };
    assert_eq!(name(), "Rapa");
    // The volume outlives the container.
    wharf(&engine, "rm -f mysql");
    start();
    assert_eq!(name(), "Rapa");
}

#[test]
#[ignore = "fetches packages: cargo xtask long"]
fn long_form_a_database_shell_in_a_terminal() {
    let engine = engine();
    build(&engine, "mysql", "mysql:8");
    wharf(&engine, "run --name mysql-tutorial -e MYSQL_ROOT_PASSWORD=1234 -d -p 127.0.0.1:0:3306 mysql:8");
    let end = Instant::now() + Duration::from_secs(60);
    while engine.wharf(&["exec", "mysql-tutorial", "mariadb", "-p1234", "-e", "SELECT 1"]).code != 0 {
        assert!(Instant::now() < end, "{:?}", engine.wharf(&["logs", "mysql-tutorial"]));
        std::thread::sleep(Duration::from_millis(300));
    }
    let mut shell = terminal::Terminal::spawn(&mut engine.wharf_command(&[
        "exec",
        "-it",
        "mysql-tutorial",
        "mysql",
        "-uroot",
        "-p1234",
    ]));
    shell.wait_for("MariaDB [(none)]>");
    shell.type_text("SELECT 6 * 7;\r");
    shell.wait_for("42");
    shell.type_text("exit\r");
    assert_eq!(shell.exit_code(), 0);
}

#[test]
#[ignore = "fetches packages: cargo xtask long"]
fn long_form_a_web_api_in_python() {
    let engine = engine();
    build(&engine, "fastapi", "fastapi");
    wharf(&engine, "run -d --name api -p 127.0.0.1:0:8000 fastapi");
    assert_eq!(page(published(&engine, "api", "8000"), "/wharf"), "{\"text\":\"Hello wharf\"}");
    // What it needs is written down anew from the container.
    let frozen = wharf(&engine, "exec api pip freeze");
    assert!(frozen.lines().any(|line| line.starts_with("greeting")), "{frozen}");
}

#[test]
#[ignore = "fetches packages: cargo xtask long"]
fn long_form_a_virtual_environment_out_of_another_stage() {
    let engine = engine();
    build(&engine, "venv", "venv");
    wharf(&engine, "run -d --name api -p 127.0.0.1:0:8000 venv");
    assert_eq!(page(published(&engine, "api", "8000"), "/wharf"), "{\"text\": \"Hello wharf\"}");
    assert_eq!(wharf(&engine, "exec api greet wharf"), "Hello wharf");
    assert_eq!(wharf(&engine, "exec api id -un"), "app");
}

#[test]
#[ignore = "fetches packages: cargo xtask long"]
fn long_form_programs_that_are_put_in_place_by_triggers() {
    let engine = engine();
    let folder = folder(&engine, "onbuild");
    let (base, app) = (folder.join("base"), folder.join("app"));
    engine.wharf(&["build", "-t", "parity/python-onbuild", &base.to_string_lossy()]).ok();
    engine.wharf(&["build", "-t", "parity/app", "--build-arg", "VERSION=2", &app.to_string_lossy()]).ok();
    assert_eq!(wharf(&engine, "run --rm parity/app"), "Hello world");
    assert_eq!(wharf(&engine, "run --rm --entrypoint printenv parity/app APP_VERSION"), "2");
    assert_eq!(wharf(&engine, "run --rm --entrypoint id parity/app -un"), "python");
    let slim = app.join("slim");
    engine.wharf(&["build", "-t", "slim", "-f", &slim.to_string_lossy(), &app.to_string_lossy()]).ok();
    assert_eq!(wharf(&engine, "run --rm slim"), "Hello slim");
    assert_eq!(wharf(&engine, "run --rm slim cat /who"), "1600");
}

#[test]
#[ignore = "fetches packages: cargo xtask long"]
fn long_form_programs_in_other_languages() {
    let engine = engine();
    build(&engine, "node", "node");
    wharf(&engine, "run -d --name node -p 127.0.0.1:0:3000 node");
    assert_eq!(page(published(&engine, "node", "3000"), "/wharf"), "Hello wharf\n");
    build(&engine, "rust", "rust");
    assert_eq!(wharf(&engine, "run --rm rust wharf"), "Hello wharf");
    build(&engine, "c", "c");
    assert_eq!(wharf(&engine, "run --rm c"), "Hello from C, version 1.0");
    assert_eq!(wharf(&engine, "history -q c").lines().count(), 2);
}

#[test]
#[ignore = "fetches packages: cargo xtask long"]
fn long_form_an_application_out_of_a_repository() {
    let engine = engine();
    let xe = folder(&engine, "xe");
    let script = "git init -q xe-core && cp index.php xe-core/ && cd xe-core && git add . && \
                  git -c user.name=a -c user.email=a@b -c commit.gpgsign=false commit -q -m first";
    assert!(Command::new("sh").args(["-c", script]).current_dir(&xe).status().expect("git runs").success());
    let pathless = engine.wharf(&["build", "-t", "rapa/xe:1.0"]);
    assert_ne!(pathless.code, 0);
    assert!(pathless.stderr.contains("requires 1 argument"), "{pathless:?}");
    engine.wharf(&["build", "-t", "rapa/xe:1.0", &xe.to_string_lossy()]).ok();
    wharf(&engine, "run -d --name xe -p 127.0.0.1:0:80 rapa/xe:1.0");
    assert_eq!(page(published(&engine, "xe", "80"), "/xe/index.php"), "xe 42\n");
}

#[test]
#[ignore = "fetches packages: cargo xtask long"]
fn long_form_notebooks_in_a_folder_of_the_machine() {
    let engine = engine();
    build(&engine, "jupyter", "jupyter/minimal-notebook");
    let shared = engine.root().join("shared");
    std::fs::create_dir_all(&shared).expect("a folder");
    std::os::unix::fs::chown(&shared, Some(1000), Some(1000)).expect("give it to the notebook's user");
    let volume = format!("{}:/home/joyvan/workspace", shared.display());
    engine
        .wharf(&[
            "run",
            "-d",
            "--name",
            "notebook",
            "-p",
            "127.0.0.1:0:8888",
            "-v",
            &volume,
            "jupyter/minimal-notebook",
        ])
        .ok();
    let port = published(&engine, "notebook", "8888");
    page(port, "/api");
    // The address that people click in its log.
    let log = engine.wharf(&["logs", "notebook"]);
    let token = log.stderr.split("token=").nth(1).and_then(|rest| rest.split_whitespace().next());
    let token = token.unwrap_or_else(|| panic!("no token: {log:?}")).to_owned();
    let made = Command::new("curl")
        .args(["-fsS", "-X", "POST", "-H", &format!("Authorization: token {token}")])
        .args(["-d", "{\"type\": \"notebook\"}"])
        .arg(format!("http://127.0.0.1:{port}/api/contents"))
        .output()
        .expect("curl runs");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    assert!(shared.join("Untitled.ipynb").is_file());
}
