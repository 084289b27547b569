//! Whole stories with software from Debian packages (MISSION rows 94, 99 to 103, 106, 107): they fetch packages, so they run with
//! `cargo xtask long`.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use testkit::Engine;

/// An engine with a Debian image, as people have one.
fn engine() -> Engine {
    let engine = Engine::start();
    let tar = testkit::image::debian_tar();
    engine.wharf(&["import", "-c", "CMD [\"bash\"]", &tar.to_string_lossy(), "debian:bookworm"]).ok();
    engine
}

fn write(folder: &Path, files: &[(&str, &str)]) -> String {
    for (path, text) in files {
        let path = folder.join(path);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("folders");
        std::fs::write(path, text).expect("a file");
    }
    folder.to_string_lossy().into_owned()
}

fn pack(folder: &Path, content: &str, archive: &Path) {
    let packed =
        Command::new("tar").arg("-cf").arg(archive).arg("-C").arg(folder.join(content)).arg(".").status();
    assert!(packed.expect("tar runs").success());
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
    let told = engine.wharf(&["port", name, port]).ok().to_owned();
    told.lines().next().and_then(|line| line.rsplit(':').next()?.parse().ok()).expect("a published port")
}

const NGINX: &str = "FROM debian:bookworm\nLABEL maintainer=\"rapa\"\nENV DEBIAN_FRONTEND=noninteractive\n\
    RUN apt-get update -q && apt-get install -y -q --no-install-recommends nginx-light\n\
    ADD image.tar /var/www/html\nWORKDIR /etc/nginx\nEXPOSE 80\nCMD [\"nginx\", \"-g\", \"daemon off;\"]\n";

#[test]
#[ignore = "fetches packages: cargo xtask long"]
fn long_form_a_web_server_and_its_members() {
    let engine = engine();
    let nginx = engine.root().join("nginx");
    let folder = write(&nginx, &[("Dockerfile", NGINX), ("site/index.html", "<h1>rapa</h1>\n")]);
    pack(&nginx, "site", &nginx.join("image.tar"));
    engine.wharf(&["build", "-t", "rapa/newnginx100:1.0", &folder]).ok();
    for name in ["rapanginx100", "rapanginx101"] {
        engine
            .wharf(&[
                "container",
                "run",
                "-d",
                "-p",
                "127.0.0.1:0:80",
                "--name",
                name,
                "rapa/newnginx100:1.0",
            ])
            .ok();
        assert_eq!(page(published(&engine, name, "80"), "/"), "<h1>rapa</h1>\n");
    }
    let manager = write(
        &engine.root().join("manager"),
        &[("Dockerfile", "FROM rapa/newnginx100:1.0\nONBUILD ADD web.tar /var/www/html/\n")],
    );
    engine.wharf(&["build", "-t", "web:1.0", &manager]).ok();
    let folder = engine.root().join("member");
    let member = write(&folder, &[("Dockerfile", "FROM web:1.0\n"), ("web/index.html", "<h1>member</h1>\n")]);
    pack(&folder, "web", &folder.join("web.tar"));
    engine.wharf(&["build", "-t", "member", &member]).ok();
    engine.wharf(&["container", "run", "-d", "-p", "127.0.0.1:0:80", "--name", "member", "member"]).ok();
    assert_eq!(page(published(&engine, "member", "80"), "/"), "<h1>member</h1>\n");
    // A second build of the first one fetches nothing.
    let again = engine.wharf(&["build", "-t", "again", &nginx.to_string_lossy()]);
    assert_eq!(again.ok().matches("Using cache").count(), 7, "{again:?}");
}

const MYSQL: &str = "FROM debian:bookworm\nENV DEBIAN_FRONTEND=noninteractive\n\
    RUN apt-get update -q && apt-get install -y -q --no-install-recommends mariadb-server\n\
    COPY --chmod=755 start /usr/local/bin/start\nVOLUME /var/lib/mysql\nEXPOSE 3306\nCMD [\"start\"]\n";

const MYSQL_START: &str = "#!/bin/sh\nset -e\nmkdir -p /run/mysqld; chown mysql /run/mysqld /var/lib/mysql\n\
    [ -d /var/lib/mysql/mysql ] || mariadb-install-db --user=mysql >/dev/null\n\
    cat >/tmp/init.sql <<E\nCREATE DATABASE IF NOT EXISTS $MYSQL_DATABASE;\n\
    CREATE USER IF NOT EXISTS '$MYSQL_USER'@'%' IDENTIFIED BY '$MYSQL_PASSWORD';\n\
    GRANT ALL ON $MYSQL_DATABASE.* TO '$MYSQL_USER'@'%';\nE\n\
    exec mariadbd --user=mysql --bind-address=0.0.0.0 --init-file=/tmp/init.sql\n";

const CLIENT: &str = "FROM mysql:5.7\nCMD for i in $(seq 60); do \
    mariadb -h$DB_HOST -u$DB_USER -p$DB_PASSWORD $DB_NAME -e 'CREATE TABLE IF NOT EXISTS posts (t TEXT); INSERT INTO posts VALUES (\"hello\"); \
    SELECT t FROM posts' 2>/dev/null && exit 0; sleep 1; done; exit 1\n";

#[test]
#[ignore = "fetches packages: cargo xtask long"]
fn long_form_a_database_that_another_container_is_linked_to() {
    let engine = engine();
    let folder = engine.root().join("mysql");
    let mysql = write(&folder, &[("Dockerfile", MYSQL), ("start", MYSQL_START)]);
    engine.wharf(&["build", "-t", "mysql:5.7", &mysql]).ok();
    let client = write(&engine.root().join("client"), &[("Dockerfile", CLIENT)]);
    engine.wharf(&["build", "-t", "client", &client]).ok();
    let start = || {
        let words = "container run -d --name mysql -v mysql:/var/lib/mysql -e MYSQL_DATABASE=wordpress \
                     -e MYSQL_USER=wordpress -e MYSQL_PASSWORD=wordpress mysql:5.7";
        engine.wharf(&words.split_whitespace().collect::<Vec<_>>()).ok();
    };
    let ask = || {
        let words = "run --rm --link mysql:db -e DB_HOST=db -e DB_USER=wordpress -e DB_PASSWORD=wordpress -e DB_NAME=wordpress client";
        engine.wharf(&words.split_whitespace().collect::<Vec<_>>()).ok().to_owned()
    };
    start();
    assert_eq!(ask(), "t\nhello");
    engine.wharf(&["rm", "-f", "mysql"]).ok();
    start();
    assert_eq!(ask(), "t\nhello\nhello", "the volume outlives the container");
}
