//! The mission's rows on Dockerfiles and builds (71 to 98), each as a person sees it: the lines as they are written, in
//! a shell where `docker` is wharf's command line or Docker's own, by either door (a module each), and then what a
//! container shows.
//!
//! Each row has a test here that begins with its number (`docs/mission.md` has them all). What these images and their
//! history are to the last field is compared with what Docker made, in the corpus (`parity::dockerfiles`, cases in
//! `corpus/`); whole programs are built from Debian's packages in `stories` and, compared with Docker's images, from
//! `real/`. Beside the tests here:
//!
//! | row | also held by |
//! |---|---|
//! | 71 | corpus `from-*`, `stages-*`, `mistake-no-from` |
//! | 72 | corpus `run-*`, `heredoc-run*`; `classic::a_failing_step_tells_its_code_and_leaves_nothing` |
//! | 73 to 76 | corpus `cmd-exec`, `cmd-shell`, `cmd-empty`, `cmd-twice`, `cmd-single-quotes` |
//! | 77, 78 | corpus `entrypoint-*`, `stages-base` |
//! | 79, 80 | corpus `label-forms`, `arg-in-label`, `expose*` |
//! | 81, 89 | corpus `env-*`, `arg-*`, `platform-*` |
//! | 82, 83 | corpus `add-*`, `heredoc-add`; `stories::long_form_a_web_server_and_its_members` |
//! | 84 | corpus `add-checksum`, `add-url-refused`; `remote::fetched_files_stay_as_they_are` |
//! | 85 | corpus `copy-*`, `chmod-*`, `chown-*`, `link-*`; `classic::files_come_as_they_are_meant` |
//! | 86, 87, 88 | corpus `volume*`, `user`, `workdir*`, `run-user-*` |
//! | 90 | corpus `onbuild*`; `classic::triggers_of_an_image_run_first_and_once`; `real/httpd`, `real/onbuild` |
//! | 91 | corpus `stopsignal*` |
//! | 92 | corpus `healthcheck*`; `front::health::a_health_check_goes_both_ways` |
//! | 93 | corpus `shell`, `shell-bad`, `heredoc-run-shell` |
//! | 94, 95 | corpus `client-tags`, `client-quiet`, `client-mistakes`; `own::a_build_is_told_as_docker_tells_it` |
//! | 96 | corpus `ignore-*`, `context-*`, `client-cache*`, `client-file*`; `own::contexts_are_read_in_place_or_sent` |
//! | 97 | pip itself: `stories::long_form_a_web_api_in_python`, `real/fastapi`, `real/venv` |
//! | 98 | `remote::contexts_come_from_repositories`; `stories::long_form_an_application_out_of_a_repository` |

use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;

use testkit::engine::{binary_dir, run};
use testkit::{Engine, Output, census, http, peers};

use super::classic::wait_until;
use super::remote::{git, repository, server};
use super::support::{Files, has_git, pack};

/// Which program `docker` is, and what `DOCKER_BUILDKIT` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Door {
    /// wharf's command line through BuildKit's protocol, as it builds unless told otherwise.
    Wharf,
    /// wharf's command line and `POST /build`.
    WharfClassic,
    /// Docker's command line and its buildx.
    Docker,
    /// Docker's command line and `POST /build`.
    DockerClassic,
}

impl Door {
    fn is_classic(self) -> bool {
        matches!(self, Self::WharfClassic | Self::DockerClassic)
    }

    /// The program that is called `docker`, if this machine has it.
    fn program(self) -> Option<PathBuf> {
        match self {
            Self::Wharf | Self::WharfClassic => Some(binary_dir().join("wharf")),
            Self::Docker | Self::DockerClassic => crate::parity::docker_cli(),
        }
    }
}

/// An engine of its own, a folder to work in, and a door.
struct Place {
    engine: Engine,
    door: Door,
    work: PathBuf,
    bin: PathBuf,
}

/// Tells a row's story by a door, and looks that nothing of it stays.
fn by(door: Door, row: fn(&Place)) {
    let Some(place) = Place::new(door) else { return };
    let before = census::of(&place.engine);
    row(&place);
    census::assert_returns_to(&place.engine, &before);
}

macro_rules! rows {
    ($module:ident by $door:ident: $($row:ident),* $(,)?) => {
        mod $module {
            $(#[test]
            fn $row() {
                super::by(super::Door::$door, super::$row);
            })*
        }
    };
    ($($row:ident),* $(,)?) => {
        rows!(wharf by Wharf: $($row),*);
        rows!(wharf_classic by WharfClassic: $($row),*);
        rows!(docker by Docker: $($row),*);
    };
}

rows!(
    row_71_from_with_and_without_a_tag,
    row_72_run_in_both_forms,
    row_73_cmd_is_what_a_container_runs,
    row_74_only_the_last_cmd_counts,
    row_75_words_of_run_take_the_place_of_cmd,
    row_76_cmd_in_single_quotes_is_a_line_for_the_shell,
    row_77_cmd_comes_from_the_base_unless_there_is_one,
    row_78_entrypoint_always_runs,
    row_79_label,
    row_80_expose_is_what_publish_all_publishes,
    row_81_env_is_there_in_builds_and_containers,
    row_82_add_of_files_and_folders,
    row_83_add_unpacks_archives,
    row_84_add_from_an_address_unpacks_nothing,
    row_85_copy,
    row_86_volume_begins_with_what_the_image_has,
    row_87_user,
    row_88_workdir,
    row_89_arg_is_for_the_build_only,
    row_90_onbuild_waits_for_the_next_build,
    row_91_stopsignal_is_what_stop_sends,
    row_92_healthcheck_is_seen_in_ps_and_inspect,
    row_93_shell_is_what_runs_lines,
    row_94_build_gives_names,
    row_95_build_without_a_path_is_refused,
    row_96_the_context_is_the_folder_that_is_named,
    row_96_what_is_ignored_is_neither_sent_nor_seen_and_the_rest_is_cached,
    row_97_requirements_go_into_images_and_out_of_containers,
    row_98_a_dockerfile_is_kept_in_git,
    row_98_a_push_builds,
);

// There it is about what the client says and sends; an instruction does what it does for any client.
rows!(
    docker_classic by DockerClassic:
    row_94_build_gives_names,
    row_95_build_without_a_path_is_refused,
    row_96_the_context_is_the_folder_that_is_named,
    row_96_what_is_ignored_is_neither_sent_nor_seen_and_the_rest_is_cached,
    row_97_requirements_go_into_images_and_out_of_containers,
    row_98_a_dockerfile_is_kept_in_git,
    row_98_a_push_builds
);

impl Place {
    fn new(door: Door) -> Option<Self> {
        let program = door.program()?;
        let plugin = if door == Door::Docker { Some(peers::docker_plugin("buildx")?) } else { None };
        let engine = Engine::with_busybox();
        let [work, bin, plugins] = ["work", "bin", "config/cli-plugins"].map(|name| engine.root().join(name));
        for folder in [&work, &bin, &plugins] {
            std::fs::create_dir_all(folder).expect("folders");
        }
        std::os::unix::fs::symlink(program, bin.join("docker")).expect("a link");
        if let Some(plugin) = plugin {
            std::os::unix::fs::symlink(plugin, plugins.join("docker-buildx")).expect("a link");
        }
        Some(Self { engine, door, work, bin })
    }

    /// Files of the folder by name; folders are made.
    fn write(&self, files: Files<'_>) {
        for (path, text) in files {
            let path = self.work.join(path);
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("folders");
            std::fs::write(path, text).expect("a file");
        }
    }

    /// Runs a line in a shell in the folder.
    fn sh(&self, line: &str) -> Output {
        let mut command = Command::new("sh");
        let path = format!("{}:{}", self.bin.display(), std::env::var("PATH").unwrap_or_default());
        command.args(["-c", line]).current_dir(&self.work).env("PATH", path);
        command
            .env("DOCKER_HOST", self.engine.host())
            .env("DOCKER_CONFIG", self.engine.root().join("config"));
        command.env_remove("DOCKER_CONTEXT").env_remove("DOCKER_API_VERSION").env_remove("DOCKER_BUILDKIT");
        if self.door.is_classic() {
            command.env("DOCKER_BUILDKIT", "0");
        }
        run(&mut command, None)
    }

    /// What a line that succeeds prints.
    #[track_caller]
    fn ok(&self, line: &str) -> String {
        self.sh(line).ok().to_owned()
    }

    /// Builds the folder with this Dockerfile; all that is said.
    #[track_caller]
    fn build(&self, name: &str, dockerfile: &str) -> String {
        self.write(&[("Dockerfile", dockerfile)]);
        self.said(&format!("docker build -t {name} ."))
    }

    /// All that a build says that succeeds.
    #[track_caller]
    fn said(&self, line: &str) -> String {
        let output = self.sh(line);
        output.ok();
        format!("{}{}", output.stdout, output.stderr)
    }

    /// The reason of a build that fails.
    #[track_caller]
    fn refused(&self, dockerfile: &str) -> String {
        self.write(&[("Dockerfile", dockerfile)]);
        let output = self.sh("docker build -t refused .");
        assert_ne!(output.code, 0, "{output:?}");
        assert_eq!(self.ok("docker images -q refused"), "");
        format!("{}{}", output.stdout, output.stderr)
    }

    /// What a container of the image prints.
    #[track_caller]
    fn run(&self, image_and_words: &str) -> String {
        self.ok(&format!("docker run --rm {image_and_words}"))
    }
}

/// How many steps were taken from the cache; BuildKit may say of the base that it was there.
fn cached(said: &str) -> usize {
    let base = said.lines().find(|line| line.contains("] FROM ")).and_then(|line| line.split(' ').next());
    let is_base = |line: &str| base.is_some_and(|base| line == format!("{base} CACHED"));
    let is_cached = |line: &str| line.ends_with(" CACHED") || line == " ---> Using cache";
    said.lines().filter(|line| is_cached(line) && !is_base(line)).count()
}

/// Whether a step printed this line; a build's own words have it elsewhere.
fn printed(said: &str, line: &str) -> bool {
    let is = |told: &str| {
        told == line
            || told
                .strip_suffix(line)
                .is_some_and(|head| head.starts_with('#') && head.ends_with(' ') && !head.contains("RUN"))
    };
    said.lines().any(is)
}

fn row_71_from_with_and_without_a_tag(place: &Place) {
    place.build("centos", "FROM busybox\nRUN echo latest >/which\n");
    place.build("centos:7", "FROM busybox\nRUN echo seven >/which\n");
    for (from, which) in
        [("centos", "latest"), ("centos:latest", "latest"), ("centos:7", "seven"), ("'centos:7'", "seven")]
    {
        place.build("site", &format!("FROM {from}\nRUN cat /which >/seen\n"));
        assert_eq!(place.run("site cat /seen"), which, "{from}");
    }
    let layers =
        |name: &str| place.ok(&format!("docker image inspect -f '{{{{join .RootFS.Layers \" \"}}}}' {name}"));
    let (base, own) = (layers("centos:7"), layers("site"));
    assert!(own.starts_with(&base) && own.len() > base.len(), "{base} and one more are not {own}");
    let error = place.refused("RUN true\nFROM centos\n");
    assert!(error.to_lowercase().contains("no build stage in current context"), "{error}");
}

fn row_72_run_in_both_forms(place: &Place) {
    let dockerfile = "FROM busybox\nRUN [\"echo\", \"HELLO\"]\nRUN mkdir /a && [ $(id -u) = 0 ]\n\
        RUN [\"touch\", \"/a/$HOME\"]\nRUN echo one >/a/one &&\\\n    echo two $HOME >/a/two &&\\\n    echo three\n";
    let said = place.build("runs", dockerfile);
    assert!(printed(&said, "HELLO") && printed(&said, "three"), "{said}");
    assert_eq!(place.run("runs sh -c 'ls /a; cat /a/two'"), "$HOME\none\ntwo\ntwo /root");
    let error = place.refused("FROM busybox\nRUN false &&\\\n    echo never\n");
    assert!(!printed(&error, "never"), "{error}");
    let error = place.refused("FROM busybox\nRUN [\"nothere\", \"HELLO\"]\n");
    assert!(error.contains("nothere"), "{error}");
}

/// A program that prints its arguments, a line each.
const WORDS: &str = "#!/bin/sh\nfor word; do echo \"[$word]\"; done\n";

fn row_73_cmd_is_what_a_container_runs(place: &Place) {
    place.write(&[("nginx", WORDS)]);
    place.ok("chmod +x nginx");
    let begin = "FROM busybox\nCOPY nginx /usr/sbin/nginx\n";
    let said = place.build("web", &format!("{begin}CMD [\"nginx\", \"-g\", \"daemon off;\"]\n"));
    assert!(!printed(&said, "[-g]"), "it runs when a container does, not in a build: {said}");
    assert_eq!(place.run("web"), "[-g]\n[daemon off;]");
    place.build("web", &format!("{begin}CMD nginx -g $HOME; echo after\n"));
    assert_eq!(place.run("web"), "[-g]\n[/root]\nafter");
}

fn row_74_only_the_last_cmd_counts(place: &Place) {
    place.build("last", "FROM busybox\nCMD echo one\nRUN true\nCMD [\"echo\", \"two\"]\nRUN true\n");
    assert_eq!(place.run("last"), "two");
    place.build("last", "FROM busybox\nCMD [\"echo\", \"two\"]\nCMD echo three\n");
    assert_eq!(place.run("last"), "three");
}

fn row_75_words_of_run_take_the_place_of_cmd(place: &Place) {
    place.build("words", "FROM busybox\nCMD [\"echo\", \"of the image\"]\n");
    assert_eq!(place.run("words"), "of the image");
    assert_eq!(place.run("words echo of the command"), "of the command");
    assert_eq!(place.run("words true"), "");
    assert_eq!(place.sh("docker run --rm words sh -c 'exit 3'").code, 3);
}

fn row_76_cmd_in_single_quotes_is_a_line_for_the_shell(place: &Place) {
    place.write(&[("python", WORDS)]);
    place.ok("chmod +x python");
    let begin = "FROM busybox\nCOPY python /bin/python\n";
    place.build("single", &format!("{begin}CMD ['python', 'main.py']\n"));
    let told = place.ok("docker inspect -f '{{json .Config.Cmd}}' single");
    assert_eq!(told, r#"["/bin/sh","-c","['python', 'main.py']"]"#);
    let output = place.sh("docker run --rm single");
    assert_eq!(output.fails_with(127), "/bin/sh: [python,: not found");
    assert_eq!(output.stdout, "");
    assert_eq!(place.run("single python main.py"), "[main.py]");
    place.build("double", &format!("{begin}CMD [\"python\", \"main.py\"]\n"));
    assert_eq!(place.run("double"), "[main.py]");
}

fn row_77_cmd_comes_from_the_base_unless_there_is_one(place: &Place) {
    place.build("a", "FROM busybox\nCMD [\"echo\", \"of A\"]\n");
    place.build("b", "FROM a\nRUN true\nENV B=1\n");
    assert_eq!(place.run("b"), "of A");
    place.build("b", "FROM a\nCMD echo of B\n");
    assert_eq!(place.run("b"), "of B");
    place.build("c", "FROM b\nLABEL c=1\n");
    assert_eq!(place.run("c"), "of B");
    assert_eq!(place.run("a"), "of A");
    place.build("d", "FROM a\nENTRYPOINT [\"echo\", \"entry\"]\n");
    assert_eq!(place.run("d"), "entry", "a new ENTRYPOINT does not get another one's CMD");
}

fn row_78_entrypoint_always_runs(place: &Place) {
    place.build("entry", "FROM busybox\nENTRYPOINT [\"echo\", \"entry\"]\nCMD [\"by\", \"default\"]\n");
    assert_eq!(place.run("entry"), "entry by default");
    assert_eq!(place.run("entry ls -l"), "entry ls -l");
    assert_eq!(place.run("--entrypoint id entry -u"), "0");
    place.build("child", "FROM entry\nCMD [\"of the child\"]\n");
    assert_eq!(place.run("child"), "entry of the child");
    place.build("shell", "FROM busybox\nENTRYPOINT echo shell $HOME\nCMD [\"not seen\"]\n");
    assert_eq!(place.run("shell nor this"), "shell /root");
}

fn row_79_label(place: &Place) {
    let dockerfile =
        "FROM busybox\nLABEL maintainer=\"rapa\"\nLABEL a=1 \"b c\"='d e' \\\n    f=$HOSTNAME-\n";
    place.build("labelled", dockerfile);
    let labels = r#"{"a":"1","b c":"d e","f":"-","maintainer":"rapa"}"#;
    assert_eq!(place.ok("docker image inspect -f '{{json .Config.Labels}}' labelled"), labels);
    let listed = place.ok("docker images --format '{{.Repository}}' -f label=maintainer=rapa");
    assert_eq!(listed, "labelled");
    place.ok("docker create --name of --label a=2 labelled");
    assert_eq!(place.ok("docker ps -a --format '{{.Names}} {{.Label \"a\"}}' -f label=maintainer"), "of 2");
    place.ok("docker rm of");
}

fn row_80_expose_is_what_publish_all_publishes(place: &Place) {
    let dockerfile = "FROM busybox\nRUN mkdir /www && echo page >/www/index.html\nEXPOSE 80\nEXPOSE 53/udp\n\
        CMD [\"httpd\", \"-f\", \"-h\", \"/www\"]\n";
    place.build("web", dockerfile);
    let told = place.ok("docker image inspect -f '{{json .Config.ExposedPorts}}' web");
    assert_eq!(told, r#"{"53/udp":{},"80/tcp":{}}"#);
    place.ok("docker run -d --name closed web && docker run -d -P --name open web");
    assert_eq!(place.ok("docker port closed"), "");
    let ports = place.ok("docker port open");
    assert!(ports.contains("53/udp -> ") && ports.contains("80/tcp -> "), "{ports}");
    let address = place.ok("docker port open 80 | head -n 1");
    let port: u16 = address.rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port");
    wait_until("the page is there", || {
        let stream = TcpStream::connect(("127.0.0.1", port));
        let answer =
            stream.and_then(|mut stream| http::exchange(&mut stream, "GET", "/index.html", &[], b""));
        answer.is_ok_and(|answer| answer.text() == "page\n")
    });
    place.ok("docker rm -f closed open");
}

fn row_81_env_is_there_in_builds_and_containers(place: &Place) {
    let dockerfile = "FROM busybox\nENV DEBIAN_FRONTEND=noninteractive\nENV A=1 B=\"two words\" C=three\\ more\n\
        ENV OLD form of it\nENV TO=/$A/${MISSING:-none}\nRUN echo $DEBIAN_FRONTEND $B >/seen\n";
    place.build("variables", dockerfile);
    assert_eq!(place.run("variables cat /seen"), "noninteractive two words");
    let seen = place.run("-e A=mine variables env");
    for line in [
        "DEBIAN_FRONTEND=noninteractive",
        "A=mine",
        "B=two words",
        "C=three more",
        "OLD=form of it",
        "TO=/1/none",
    ] {
        assert!(seen.lines().any(|seen| seen == line), "{line} is not in {seen}");
    }
    place.build("child", "FROM variables\nENV A=2\nRUN echo $A $C >/seen\n");
    assert_eq!(place.run("child cat /seen"), "2 three more");
    let error = place.refused("FROM busybox\nENV 'NAME=a value'\n");
    let why =
        "failed to process \"'NAME\": unexpected end of statement while looking for matching single-quote";
    assert!(error.contains(why), "{error}");
}

fn row_82_add_of_files_and_folders(place: &Place) {
    place.write(&[("f", "file"), ("d/one", "1"), ("d/sub/two", "2"), ("t1.txt", "t1"), ("t2.txt", "t2")]);
    place.build("added", "FROM busybox\nADD f /to/g\nADD f /into/\nADD d /folder\nADD *.txt /texts/\n");
    assert_eq!(
        place.run("added sh -c 'cat /to/g /into/f; find /folder /texts -type f | sort'"),
        "filefile/folder/one\n/folder/sub/two\n/texts/t1.txt\n/texts/t2.txt"
    );
    let error = place.refused("FROM busybox\nADD nothere /x\n");
    assert!(error.contains("nothere"), "{error}");
}

fn row_83_add_unpacks_archives(place: &Place) {
    place.write(&[("site/index.html", "page"), ("site/css/a.css", "style")]);
    place
        .ok("tar -cf image.tar -C site . && tar -czf image.tgz -C site . && tar -cJf image.tar.xz -C site .");
    // Before the first file there are headers of more about it, as many programs write them.
    place.ok("tar --format=posix -cf posix.tar -C site . && tar --format=posix -czf posix.tgz -C site .");
    let posix = std::fs::read(place.work.join("posix.tar")).expect("the archive");
    assert_eq!(posix[156], b'x');
    let dockerfile = "FROM busybox\nADD image.tar /usr/share/nginx/html\nADD image.tgz /1/\nADD image.tar.xz /2/\n\
        ADD posix.tar /3/\nADD posix.tgz /4/\nRUN cp -r /usr/share/nginx/html /0\n";
    place.build("unpacked", dockerfile);
    let files = |at: usize| format!("/{at}/css/a.css\n/{at}/index.html\n");
    let all: String = (0..5).map(files).collect();
    assert_eq!(place.run("unpacked sh -c 'find /? -type f | sort; cat /?/*.html'"), all + &"page".repeat(5));
    place.write(&[("image.tar", "by its name only")]);
    place.build("file", "FROM busybox\nADD image.tar /usr/share/nginx/html\n");
    assert_eq!(place.run("file cat /usr/share/nginx/html"), "by its name only");
}

fn row_84_add_from_an_address_unpacks_nothing(place: &Place) {
    place.write(&[("site/index.html", "page")]);
    place.ok("tar -czf image.tgz -C site .");
    let zipped = std::fs::read(place.work.join("image.tgz")).expect("the archive");
    let server = server(vec![("/image.tar", pack(&place.work.join("site"))), ("/image.tgz", zipped)]);
    let at = server.address();
    let dockerfile =
        format!("FROM busybox\nADD http://{at}/image.tar /to/\nADD http://{at}/image.tgz /named\n");
    place.build("fetched", &dockerfile);
    assert_eq!(
        place
            .run("fetched sh -c 'ls /to; tar -tf /to/image.tar ./index.html; tar -xzOf /named ./index.html'"),
        "image.tar\n./index.html\npage"
    );
    let error = place.refused(&format!("FROM busybox\nADD http://{at}/gone.tar /to/\n"));
    assert!(error.contains("404"), "{error}");
}

fn row_85_copy(place: &Place) {
    place.write(&[("main.py", "print"), ("pkg/mod.py", "module"), ("site/index.html", "page")]);
    place.ok("tar -cf image.tar -C site . && chmod 0700 main.py");
    place.build("copied", "FROM busybox\nCOPY . /app\nCOPY main.py pkg/ /two/\nCOPY image.tar /archive/\n");
    assert_eq!(
        place.run("copied sh -c 'find /app /two /archive -type f | sort; stat -c \"%a %u\" /app/main.py'"),
        "/app/Dockerfile\n/app/image.tar\n/app/main.py\n/app/pkg/mod.py\n/app/site/index.html\n\
         /archive/image.tar\n/two/main.py\n/two/mod.py\n700 0"
    );
    let error = place.refused("FROM busybox\nCOPY http://127.0.0.1:1/f /f\n");
    assert!(error.to_lowercase().contains("source can't be a url for copy"), "{error}");
}

fn row_86_volume_begins_with_what_the_image_has(place: &Place) {
    place.build("kept", "FROM busybox\nRUN mkdir /data && echo seed >/data/seed\nVOLUME /data\n");
    place.ok("docker run -d --name keeper kept sleep 600");
    let mounts = place.ok("docker inspect -f '{{range .Mounts}}{{.Type}} {{.Destination}}{{end}}' keeper");
    assert_eq!(mounts, "volume /data");
    assert_eq!(place.ok("docker exec keeper sh -c 'echo new >/data/new; cat /data/seed'"), "seed");
    assert_eq!(place.run("--volumes-from keeper kept cat /data/new"), "new");
    assert_eq!(place.run("-v named:/data kept ls /data"), "seed");
    assert!(!place.ok("docker diff keeper").contains("/data/new"));
    assert_eq!(place.run("kept ls /data"), "seed");
    assert_eq!(place.ok("docker volume ls -q | wc -l"), "2", "those of --rm are gone");
    place.ok("docker rm -fv keeper");
    assert_eq!(place.ok("docker volume ls -q"), "named");
}

fn row_87_user(place: &Place) {
    place.write(&[("f", "file")]);
    place.build("user", "FROM busybox\nUSER nobody\nRUN id -un >/tmp/built\nCOPY f /f\n");
    assert_eq!(place.run("user sh -c 'id -un; cat /tmp/built; stat -c %u /f'"), "nobody\nnobody\n0");
    assert_eq!(place.run("-u 0 user id -u"), "0");
    assert_eq!(place.sh("docker run --rm user touch /x").code, 1);
    place.build("numbers", "FROM user\nUSER 1234:5678\n");
    place.ok("docker run -d --name numbers numbers sleep 600");
    assert_eq!(place.ok("docker exec numbers sh -c 'id -u; id -g'"), "1234\n5678");
    place.ok("docker rm -f numbers");
}

fn row_88_workdir(place: &Place) {
    place.write(&[("f", "file")]);
    let dockerfile =
        "FROM busybox\nWORKDIR /usr/share/nginx/html\nRUN echo made >here\nWORKDIR sub\nCOPY f .\n";
    place.build("there", dockerfile);
    assert_eq!(place.run("there sh -c 'pwd; cat ../here f'"), "/usr/share/nginx/html/sub\nmade\nfile");
    assert_eq!(place.run("-w /usr/share there pwd"), "/usr/share");
    place.ok("docker run -d --name there there sleep 600");
    assert_eq!(place.ok("docker exec there pwd"), "/usr/share/nginx/html/sub");
    place.ok("docker rm -f there");
    place.build("app", "FROM there\nWORKDIR /app\n");
    assert_eq!(place.run("app pwd"), "/app");
}

fn row_89_arg_is_for_the_build_only(place: &Place) {
    place.build("base:one", "FROM busybox\nRUN echo one >/base\n");
    place.build("base:two", "FROM busybox\nRUN echo two >/base\n");
    let dockerfile = "ARG TAG=one\nFROM base:${TAG}\nARG WHO=nobody\nARG NONE\n\
        RUN echo \"$(cat /base) $WHO-$NONE-$TAG\" >/who\nENV KEPT=$WHO\n";
    place.build("args", dockerfile);
    assert_eq!(place.run("args sh -c 'cat /who; echo $KEPT$WHO'"), "one nobody--\nnobody");
    place.ok("docker build --build-arg TAG=two --build-arg WHO=me --build-arg NONE=x -t args .");
    assert_eq!(place.run("args sh -c 'cat /who; echo $KEPT$WHO'"), "two me-x-\nme");
    place.ok("NONE=of-the-shell docker build --build-arg NONE -t args .");
    assert_eq!(place.run("args cat /who"), "one nobody-of-the-shell-");
}

fn row_90_onbuild_waits_for_the_next_build(place: &Place) {
    let page = "CMD cat /var/www/html/web/index.html\n";
    place.build("web:1.0", &format!("FROM busybox\nONBUILD ADD web.tar /var/www/html/\n{page}"));
    assert_eq!(place.sh("docker run --rm web:1.0").code, 1, "nothing is there yet");
    let error = place.refused("FROM web:1.0\n");
    assert!(error.contains("web.tar"), "{error}");
    place.write(&[("web/index.html", "member")]);
    place.ok("tar cf web.tar web/*");
    place.build("member", "FROM web:1.0\n");
    assert_eq!(place.run("member"), "member");
    place.ok("rm web.tar");
    place.build("grandchild", "FROM member\nLABEL a=1\n");
    assert_eq!(place.run("grandchild"), "member", "a trigger runs once");
}

fn row_91_stopsignal_is_what_stop_sends(place: &Place) {
    let begin = "FROM busybox\nCMD trap 'echo got it; exit 7' USR1; echo up; while :; do sleep 0.05; done\n";
    for signal in ["SIGUSR1", "10"] {
        place.build("stops", &format!("{begin}STOPSIGNAL {signal}\n"));
        assert_eq!(place.ok("docker inspect -f '{{.Config.StopSignal}}' stops"), signal);
        place.ok("docker run -d --name stops stops");
        wait_until("it is up", || place.ok("docker logs stops") == "up");
        place.ok("docker stop stops");
        assert_eq!(place.ok("docker logs stops"), "up\ngot it");
        assert_eq!(place.ok("docker inspect -f '{{.State.ExitCode}}' stops"), "7");
        place.ok("docker rm stops");
    }
}

fn row_92_healthcheck_is_seen_in_ps_and_inspect(place: &Place) {
    let check = "HEALTHCHECK --interval=100ms --timeout=3s --retries=1 CMD test -e /well || exit 1\n";
    place.build("checked", &format!("FROM busybox\n{check}CMD [\"sleep\", \"600\"]\n"));
    place.ok("docker run -d --name checked checked");
    let becomes = |health: &str| {
        let is = || place.ok("docker inspect -f '{{.State.Health.Status}}' checked");
        wait_until(health, || is() == health);
        let status = place.ok("docker ps --format '{{.Status}}' -f name=checked");
        assert!(status.starts_with("Up ") && status.ends_with(&format!(" ({health})")), "{status}");
    };
    becomes("unhealthy");
    place.ok("docker exec checked touch /well");
    becomes("healthy");
    place.build("unchecked", "FROM checked\nHEALTHCHECK NONE\n");
    place.ok("docker run -d --name unchecked unchecked");
    assert_eq!(place.ok("docker inspect -f '{{json .State.Health}}' unchecked"), "null");
    place.ok("docker rm -f checked unchecked");
}

fn row_93_shell_is_what_runs_lines(place: &Place) {
    let dockerfile = "FROM busybox\nSHELL [\"/bin/sh\", \"-xc\"]\nRUN echo hi\nRUN [\"echo\", \"ho\"]\nCMD echo of the container\n";
    let said = place.build("shell", dockerfile);
    // The classic door colours what goes to the standard error, each piece of it.
    let said = ["\u{1b}[91m", "\u{1b}[0m"].iter().fold(said, |said, colour| said.replace(colour, ""));
    assert!(said.contains("+ echo hi\n") && !said.contains("+ echo ho\n"), "{said}");
    let output = place.sh("docker run --rm shell");
    assert_eq!((output.ok(), output.stderr.as_str()), ("of the container", "+ echo of the container\n"));
    place.build("child", "FROM shell\nENTRYPOINT echo entry\n");
    assert_eq!(place.sh("docker run --rm child").stderr, "+ echo entry\n");
    let error = place.refused("FROM busybox\nSHELL /bin/sh -xc\n");
    assert!(error.contains("SHELL requires the arguments to be in JSON form"), "{error}");
}

fn row_94_build_gives_names(place: &Place) {
    place.write(&[("Dockerfile", "FROM busybox\nCMD echo first\n")]);
    let said = place.said("docker build -t rapa/newnginx100:1.0 .");
    let named = if place.door.is_classic() {
        "Successfully tagged rapa/newnginx100:1.0\n"
    } else {
        " naming to docker.io/rapa/newnginx100:1.0 "
    };
    assert!(said.contains(named), "{said}");
    assert_eq!(
        place.ok("docker images --format '{{.Repository}} {{.Tag}}' rapa/newnginx100"),
        "rapa/newnginx100 1.0"
    );
    assert_eq!(place.run("rapa/newnginx100:1.0"), "first");
    let id = "docker image inspect -f '{{.Id}}'";
    let old = place.ok(&format!("{id} rapa/newnginx100:1.0"));
    place.write(&[("Dockerfile", "FROM busybox\nCMD echo second\n")]);
    place.ok("docker build -t rapa/newnginx100:1.0 -t plain .");
    assert_eq!(place.run("rapa/newnginx100:1.0") + &place.run("plain:latest"), "secondsecond");
    assert_eq!(place.ok("docker images -q --no-trunc -f dangling=true"), old, "it lost its name");
    let told = place.ok("docker build -q .");
    assert_eq!(told, place.ok(&format!("{id} plain")));
}

fn row_95_build_without_a_path_is_refused(place: &Place) {
    place.write(&[("Dockerfile", "FROM busybox\n")]);
    let output = place.sh("docker build -t rapa/xe:1.0");
    let told = output.fails_with(1);
    let docker = "docker: 'docker build' requires 1 argument\n\n\
        Usage:  docker build [OPTIONS] PATH | URL | -\n\n\
        Run 'docker build --help' for more information";
    match place.door {
        Door::Wharf | Door::WharfClassic => {
            assert_eq!(told, docker);
            let own = place.engine.wharf(&["build", "-t", "rapa/xe:1.0"]);
            assert_eq!(own.fails_with(1), docker.replace("docker", "wharf"));
        }
        Door::DockerClassic => assert!(told.ends_with(docker), "{told}"),
        Door::Docker => assert!(told.contains(" requires exactly 1 argument."), "{told}"),
    }
    assert_eq!(output.stdout, "");
    assert_eq!(place.ok("docker images -q rapa/xe"), "");
    place.ok("docker build -t rapa/xe:1.0 .");
    assert_ne!(place.ok("docker images -q rapa/xe"), "");
}

fn row_96_the_context_is_the_folder_that_is_named(place: &Place) {
    place.write(&[
        ("Dockerfile", "FROM busybox\nCOPY a /a\n"),
        ("a", "outer"),
        ("site/Dockerfile", "FROM busybox\nCOPY a /a\n"),
        ("site/a", "inner"),
        ("other.Dockerfile", "FROM busybox\nCOPY site/a a /both/\nRUN echo other >/other\n"),
    ]);
    let seen = |arguments: &str, file: &str| {
        place.ok(&format!("docker build -t seen {arguments}"));
        place.run(&format!("seen cat {file}"))
    };
    assert_eq!(seen(".", "/a"), "outer");
    assert_eq!(seen("site", "/a"), "inner");
    assert_eq!(seen("-f site/Dockerfile .", "/a"), "outer", "paths are the context's, not the Dockerfile's");
    assert_eq!(seen("-f other.Dockerfile .", "/other"), "other");
    place.write(&[("alone", "FROM busybox\nRUN echo alone >/alone\n")]);
    assert_eq!(seen("- <alone", "/alone"), "alone", "a Dockerfile needs no folder");
    place.write(&[("site/Dockerfile", "FROM busybox\nCOPY ../a /a\n")]);
    let output = place.sh("docker build -t outside site && docker run --rm outside cat /a");
    assert!(!output.stdout.contains("outer"), "{output:?}");
}

fn row_96_what_is_ignored_is_neither_sent_nor_seen_and_the_rest_is_cached(place: &Place) {
    place.write(&[
        (".dockerignore", "# comment\n*.log\nsecret\n!kept.log\n"),
        ("a", "1"),
        ("b.log", "1"),
        ("kept.log", "1"),
        ("secret/key", "1"),
        ("sub/f", "1"),
    ]);
    let dockerfile = "FROM busybox\nCOPY . /x\nRUN echo work >/w\nCOPY a /a\n";
    assert_eq!(cached(&place.build("x", dockerfile)), 0);
    let seen = || place.run("x sh -c 'cd /x && find . -type f | sort'");
    assert_eq!(seen(), "./.dockerignore\n./Dockerfile\n./a\n./kept.log\n./sub/f");
    let id = || place.ok("docker image inspect -f '{{.Id}}' x");
    let first = id();
    assert_eq!(cached(&place.build("x", dockerfile)), 3);
    place.write(&[("b.log", "2"), ("secret/key", "2")]);
    assert_eq!(cached(&place.build("x", dockerfile)), 3, "nobody sees what changed");
    assert_eq!(id(), first);
    place.write(&[("sub/f", "2")]);
    assert_eq!(cached(&place.build("x", dockerfile)), 0);
    assert_eq!(place.run("x cat /x/sub/f"), "2");
    assert_eq!(cached(&place.said("docker build --no-cache -t x .")), 0);
    let error = place.refused("FROM busybox\nCOPY secret/key /key\n");
    assert!(error.contains("secret/key"), "{error}");
}

/// What pip does for a person, without packages: it remembers what it was told to install, and lists it.
const PIP: &str = "#!/bin/sh\ncase \"$1 $2\" in\n'install -r') cat \"$3\" >>/installed; echo took $(wc -l <\"$3\") ;;\n\
    'freeze ') sort /installed ;;\n*) exit 2 ;;\nesac\n";

fn row_97_requirements_go_into_images_and_out_of_containers(place: &Place) {
    place.write(&[("pip", PIP), ("main.py", "one"), ("requirements.txt", "uvicorn==0.1\nfastapi==0.90\n")]);
    place.ok("chmod +x pip");
    place.ok("mkdir base && mv pip base/ && printf 'FROM busybox\\nCOPY pip /bin/pip\\n' >base/Dockerfile");
    place.ok("docker build -t python base && rm -r base");
    let dockerfile = "FROM python\nWORKDIR /app\nCOPY requirements.txt .\nRUN pip install -r requirements.txt\n\
        COPY . /app\nCMD [\"cat\", \"main.py\"]\n";
    let said = place.build("api", dockerfile);
    assert!(printed(&said, "took 2"), "{said}");
    place.write(&[("main.py", "two")]);
    let said = place.build("api", dockerfile);
    assert!(!printed(&said, "took 2"), "only the program changed: {said}");
    assert_eq!(place.run("api"), "two");
    place.ok("docker run -d --name api api sleep 600");
    place.ok("docker exec api pip freeze > requeirements.txt && mv requeirements.txt requirements.txt");
    place.ok("docker rm -f api");
    let frozen = std::fs::read_to_string(place.work.join("requirements.txt")).expect("the list");
    assert_eq!(frozen, "fastapi==0.90\nuvicorn==0.1\n");
    assert!(printed(&place.build("again", dockerfile), "took 2"), "another file is installed again");
    assert_eq!(place.run("again pip freeze") + "\n", frozen);
}

/// Commits what is in the folder.
fn commit(folder: &Path, message: &str) {
    git(folder, &["add", "."]);
    git(folder, &["commit", "-qm", message]);
}

fn row_98_a_dockerfile_is_kept_in_git(place: &Place) {
    if !has_git() {
        return;
    }
    place.write(&[
        ("src/Dockerfile", "FROM busybox\nCOPY page /page\nCMD [\"cat\", \"/page\"]\n"),
        ("src/page", "one"),
        ("src/sub/Dockerfile", "FROM busybox\nCMD echo sub\n"),
    ]);
    let src = place.work.join("src");
    git(&src, &["init", "-q"]);
    commit(&src, "one");
    git(&src, &["tag", "v1"]);
    git(&place.work, &["clone", "-q", "--bare", "src", "served.git"]);
    let served = place.work.join("served.git");
    git(&served, &["update-server-info"]);
    let server = repository(served.clone());
    let at = format!("http://{}/served.git", server.address());
    let shown = |rest: &str| {
        place.ok(&format!("docker build -t site '{at}{rest}'"));
        place.run("site")
    };
    // Docker's command line fetches for the classic door itself, and a branch of the name it knows.
    let newest = if place.door == Door::DockerClassic { "#main" } else { "" };
    assert_eq!(shown(newest), "one");
    assert_eq!(shown("#main:sub"), "sub");
    place.write(&[("src/page", "two")]);
    commit(&src, "two");
    git(&src, &["push", "-q", "../served.git", "main"]);
    git(&served, &["update-server-info"]);
    assert_eq!(shown(newest), "two", "what was pushed since is built");
    assert_eq!(shown("#v1"), "one");
    let output = place.sh(&format!("docker build -t none '{at}#nothere'"));
    assert_ne!(output.code, 0, "{output:?}");
}

fn row_98_a_push_builds(place: &Place) {
    if !has_git() {
        return;
    }
    let src = place.work.join("src");
    git(&place.work, &["init", "-q", "src"]);
    git(&place.work, &["init", "-q", "--bare", "built.git"]);
    let hook = "#!/bin/sh\ngit archive main | docker build -q -t automated/site -\n";
    place.write(&[("built.git/hooks/post-receive", hook)]);
    place.ok("chmod +x built.git/hooks/post-receive");
    for text in ["one", "two"] {
        place.write(&[("src/Dockerfile", &format!("FROM busybox\nCMD echo {text}\n"))]);
        commit(&src, text);
        let output = place.sh("cd src && git push -q ../built.git main");
        assert_eq!(output.code, 0, "{output:?}");
        assert_eq!(place.run("automated/site"), text);
    }
}
