//! Whole Dockerfiles: stages, instructions, errors in Docker's words.

use std::time::Duration;

use proptest::prelude::*;

use super::*;

fn read(text: &str) -> Dockerfile {
    Dockerfile::read(text.as_bytes()).unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// The only instruction after `FROM a`.
fn only(line: &str) -> Instruction {
    let file = read(&format!("FROM a\n{line}\n"));
    let [one] = &file.stages[0].instructions[..] else { panic!("one instruction in {line}") };
    one.value.clone()
}

fn error(text: &str) -> String {
    Dockerfile::read(text.as_bytes()).expect_err(text).to_string()
}

#[test]
fn stages_have_names_and_platforms() {
    let file = read(
        "ARG V=1\nFROM --platform=$BUILDPLATFORM a:$V AS Build\nRUN make\nfrom scratch\nCOPY --from=build /x /\n",
    );
    assert_eq!(file.global_arguments[0].value[0].default.as_deref(), Some("1"));
    let [build, last] = &file.stages[..] else { panic!("two stages") };
    assert_eq!(build.from.value.platform.as_deref(), Some("$BUILDPLATFORM"));
    assert_eq!(build.from.value.name.as_deref(), Some("build"));
    assert_eq!((last.from.value.base.as_str(), last.from.lines), ("scratch", Lines::one(4)));
    assert_eq!(
        (file.stage("BUILD"), file.stage("1"), file.stage("2"), file.stage("x")),
        (Some(0), Some(1), None, None)
    );
}

#[test]
fn commands_have_two_forms() {
    assert_eq!(only("CMD [\"a\", \"b\"]"), Instruction::Cmd(Command::Exec(vec!["a".into(), "b".into()])));
    assert_eq!(only("CMD ['a', 'b']"), Instruction::Cmd(Command::Shell("['a', 'b']".into())));
    assert_eq!(only("entrypoint echo  hi"), Instruction::Entrypoint(Command::Shell("echo  hi".into())));
    assert_eq!(
        only("SHELL [\"/bin/bash\", \"-c\"]"),
        Instruction::Shell(vec!["/bin/bash".into(), "-c".into()])
    );
}

#[test]
fn commands_run_with_mounts_and_files() {
    let Instruction::Run(run) =
        only("RUN --mount=type=cache,target=/c --mount=type=tmpfs,target=/t --network=none <<E cat\nx\nE")
    else {
        panic!("RUN")
    };
    assert_eq!((run.mounts.len(), run.network.as_deref()), (2, Some("none")));
    assert_eq!(run.command, Command::Shell("<<E cat".into()));
    assert_eq!(run.heredocs[0].content, "x\n");
}

#[test]
fn files_are_copied_with_all_flags() {
    let Instruction::Copy(copy) = only(
        "COPY --from=b --chown=1:2 --chmod=u+x --link --parents --exclude=*.o --exclude=t a b <<F /d/\nhi\nF",
    ) else {
        panic!("COPY")
    };
    let sources = &copy.sources;
    assert_eq!(
        (sources.paths.as_slice(), sources.destination.as_str()),
        (["a".to_owned(), "b".to_owned()].as_slice(), "/d/")
    );
    assert_eq!((sources.heredocs[0].name.as_str(), sources.link, copy.parents), ("F", true, true));
    assert_eq!((sources.exclude.len(), copy.from.as_deref()), (2, Some("b")));
    let Instruction::Add(add) =
        only("ADD --checksum=sha256:0 --unpack=false --keep-git-dir [\"a b\", \"/c\"]")
    else {
        panic!("ADD")
    };
    assert_eq!(
        (add.unpack, add.keep_git_dir, add.sources.paths[0].as_str()),
        (Some(false), Some(true), "a b")
    );
}

#[test]
fn health_checks_have_times() {
    let Instruction::Healthcheck(health) =
        only("HEALTHCHECK --interval=1m30s --timeout=500ms --retries=5 --start-period=0s CMD curl x")
    else {
        panic!("HEALTHCHECK")
    };
    assert_eq!(health.interval, Some(Duration::from_secs(90)));
    assert_eq!((health.timeout, health.retries), (Some(Duration::from_millis(500)), Some(5)));
    assert_eq!(health.start_period, Some(Duration::ZERO));
    assert_eq!(
        only("HEALTHCHECK none"),
        Instruction::Healthcheck(Health {
            command: None,
            interval: None,
            timeout: None,
            start_period: None,
            start_interval: None,
            retries: None,
        })
    );
}

#[test]
fn triggers_are_kept_as_text() {
    assert_eq!(only("ONBUILD  RUN  make  it"), Instruction::Onbuild(Trigger { text: "RUN make  it".into() }));
    let Instruction::Onbuild(trigger) = only("ONBUILD COPY <<E /x\nhi\nE") else { panic!("ONBUILD") };
    let again = only(&trigger.text);
    assert!(matches!(again, Instruction::Copy(copy) if copy.sources.heredocs[0].content == "hi\n"));
}

#[test]
fn errors_are_those_of_docker() {
    let cases = [
        ("", "file with no instructions"),
        ("# only this\n", "file with no instructions"),
        ("RUN x", "no build stage in current context"),
        ("ARG A", "dockerfile contains no stages to build"),
        ("FROM", "dockerfile parse error on line 1: FROM requires either one or three arguments"),
        ("FROM a b", "dockerfile parse error on line 1: FROM requires either one or three arguments"),
        (
            "FROM a AS 1b",
            "dockerfile parse error on line 1: invalid name for build stage: \"1b\", name can't start with a number or contain symbols",
        ),
        (
            "FROM a\n\nCOPPY a b",
            "dockerfile parse error on line 3: unknown instruction: COPPY (did you mean COPY?)",
        ),
        (
            "FROM a\nCOPY a",
            "dockerfile parse error on line 2: COPY requires at least two arguments, but only one was provided. Destination could not be determined",
        ),
        ("FROM a\nCMD [1]", "when using JSON array syntax, arrays must be comprised of strings only"),
        (
            "FROM a\nSHELL sh",
            "dockerfile parse error on line 2: SHELL requires the arguments to be in JSON form",
        ),
        (
            "FROM a\nVOLUME [\"\"]",
            "dockerfile parse error on line 2: VOLUME specified can not be an empty string",
        ),
        (
            "FROM a\nONBUILD ONBUILD RUN x",
            "dockerfile parse error on line 2: Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed",
        ),
        (
            "FROM a\nONBUILD FROM b",
            "dockerfile parse error on line 2: FROM isn't allowed as an ONBUILD trigger",
        ),
        (
            "FROM a\nHEALTHCHECK NONE x",
            "dockerfile parse error on line 2: HEALTHCHECK NONE takes no arguments",
        ),
        (
            "FROM a\nHEALTHCHECK CMD",
            "dockerfile parse error on line 2: Missing command after HEALTHCHECK CMD",
        ),
        (
            "FROM a\nHEALTHCHECK curl",
            "dockerfile parse error on line 2: Unknown type \"CURL\" in HEALTHCHECK (try CMD)",
        ),
        ("FROM a\nWORKDIR", "dockerfile parse error on line 2: WORKDIR requires exactly one argument"),
        ("FROM a\nRUN --network=wifi x", "dockerfile parse error on line 2: invalid network mode \"wifi\""),
        (
            "FROM a\nHEALTHCHECK --interval=1us CMD x",
            "dockerfile parse error on line 2: Interval \"interval\" cannot be less than 1ms",
        ),
        (
            "FROM a\nHEALTHCHECK --interval=-1s CMD x",
            "dockerfile parse error on line 2: Interval \"interval\" cannot be less than 1ms",
        ),
        (
            "FROM a\nHEALTHCHECK --timeout=soon CMD x",
            "dockerfile parse error on line 2: time: invalid duration \"soon\"",
        ),
        (
            "FROM a\nHEALTHCHECK --retries=-1 CMD x",
            "dockerfile parse error on line 2: --retries cannot be negative (-1)",
        ),
        (
            "FROM a\nHEALTHCHECK --retries=x CMD x",
            "dockerfile parse error on line 2: strconv.ParseInt: parsing \"x\": invalid syntax",
        ),
        ("FROM a\nENV a", "ENV must have two arguments"),
        ("FROM a\nENV =b", "dockerfile parse error on line 2: ENV names can not be blank"),
        ("FROM a\nSHELL []", "dockerfile parse error on line 2: SHELL requires at least one argument"),
    ];
    for (text, expected) in cases {
        assert_eq!(error(text), expected, "{text}");
    }
    let many = format!("FROM a\n{}", "RUN x\n".repeat(MOST));
    assert_eq!(error(&many), "more than 20000 instructions");
}

proptest! {
    #[test]
    fn no_text_is_fatal(
        lines in prop::collection::vec(
            prop_oneof![
                Just("FROM a AS b".to_owned()),
                "(RUN|COPY|ADD|ENV|ARG|LABEL|CMD|ONBUILD|HEALTHCHECK|VOLUME|SHELL|EXPOSE) [ -~]{0,40}",
                "[ -~\\t]{0,20}",
                Just("<<EOF".to_owned()),
                Just("EOF".to_owned()),
            ],
            0..12,
        ),
        bytes in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        let _ = Dockerfile::read(lines.join("\n").as_bytes());
        let _ = Dockerfile::read(&bytes);
    }
}
