//! Each check with a Dockerfile that has what it is about, and one that has not.

use std::collections::BTreeMap;

use super::super::tests::{options, plan_with};
use super::super::{Options, Style};

fn buildkit() -> Options {
    options(Style::BuildKit)
}

fn found_with(text: &str, options: &Options) -> Vec<(String, usize)> {
    let plan = plan_with(text, options).unwrap_or_else(|error| panic!("{text}: {error}"));
    let all = plan.warnings.iter();
    all.map(|warning| (warning.finding.to_string(), warning.lines.first)).collect()
}

fn check(text: &str, expected: &[(&str, usize)]) {
    check_with(text, &buildkit(), expected);
}

fn check_with(text: &str, options: &Options, expected: &[(&str, usize)]) {
    let expected: Vec<(String, usize)> =
        expected.iter().map(|(told, line)| ((*told).to_owned(), *line)).collect();
    assert_eq!(found_with(text, options), expected, "{text}");
}

#[test]
fn arguments_in_from_are_declared() {
    check(
        "ARG VERSION=1\nFROM a:${VERSON}x\n",
        &[("FROM argument 'VERSON' is not declared (did you mean VERSION?)", 2)],
    );
    check(
        "FROM --platform=linux/${TARGETARC}amd64 a\n",
        &[("FROM argument 'TARGETARC' is not declared (did you mean TARGETARCH?)", 1)],
    );
    check("ARG VERSION=1\nARG X\nFROM a:${VERSION}-${X:-y}\nFROM --platform=$BUILDPLATFORM b\n", &[]);
}

#[test]
fn names_of_images_are_good_without_arguments_of_the_build() {
    let mut with = buildkit();
    with.arguments.insert("TAG".into(), Some("1".into()));
    check_with(
        "ARG TAG\nFROM a:${TAG}\n",
        &with,
        &[("Default value for ARG a:${TAG} results in empty or invalid base image name", 2)],
    );
    check_with("ARG TAG=2\nFROM a:${TAG}\nFROM scratch\n", &with, &[]);
}

#[test]
fn variables_are_declared() {
    check(
        "FROM a\nENV VERSION=1 B=$VERSON\nCOPY $DIR /\nARG X\nLABEL a=$X b=${Y:-z}\nRUN $nothing\n",
        &[
            // The values of an instruction are those from before it.
            ("Usage of undefined variable '$VERSON'", 2),
            ("Usage of undefined variable '$DIR'", 3),
        ],
    );
    check(
        "FROM a\nENV VERSION=1\nARG U=$VERSON\n",
        &[("Usage of undefined variable '$VERSON' (did you mean $VERSION?)", 3)],
    );
    check("FROM a\nARG B\nENV C=$B D=$PATH\nARG U=$C\nWORKDIR /$C\n", &[]);
    check(
        "FROM a\nCOPY <<E /x\n$WHAT\nE\nCOPY <<'E' /y\n$WHAT\nE\n",
        &[("Usage of undefined variable '$WHAT'", 2)],
    );
    check("FROM a\nENV C=$BUILDPLATFORM\n", &[("Usage of undefined variable '$BUILDPLATFORM'", 2)]);
}

#[test]
fn folders_of_work_begin_at_the_root() {
    check(
        "FROM a\nWORKDIR app\nWORKDIR x\n",
        &[("Relative workdir \"app\" can have unexpected results if the base image changes", 2)],
    );
    check("FROM a AS b\nWORKDIR /app\nWORKDIR x\nFROM b\nWORKDIR y\n", &[]);
}

#[test]
fn what_counts_once_stands_there_once() {
    let twice = |keyword: &str| {
        format!(
            "Multiple {keyword} instructions should not be used in the same stage because only the last one will be used"
        )
    };
    check("FROM a\nCMD [\"x\"]\nENTRYPOINT [\"y\"]\nCMD [\"z\"]\n", &[(&twice("CMD"), 2)]);
    check("FROM a\nHEALTHCHECK NONE\nHEALTHCHECK CMD x\n", &[(&twice("HEALTHCHECK"), 2)]);
    check("FROM a AS b\nCMD [\"x\"]\nFROM b\nCMD [\"y\"]\nENTRYPOINT [\"z\"]\n", &[]);
}

#[test]
fn commands_are_arrays_unless_a_shell_is_named() {
    let told = |keyword: &str| {
        format!(
            "JSON arguments recommended for {keyword} to prevent unintended behavior related to OS signals"
        )
    };
    check(
        "FROM a\nCMD x\nEntrypoint y\n",
        &[
            (&told("CMD"), 2),
            ("Command 'Entrypoint' should match the case of the command majority (uppercase)", 3),
            (&told("Entrypoint"), 3),
        ],
    );
    check("FROM a\nSHELL [\"/bin/sh\", \"-c\"]\nCMD x\n", &[]);
    check("FROM a\nCMD [\"x\"]\n", &[]);
}

#[test]
fn platforms_are_of_the_build() {
    check(
        "FROM --platform=$TARGETPLATFORM a\n",
        &[(
            "Setting platform to predefined $TARGETPLATFORM in FROM is redundant as this is the default behavior",
            1,
        )],
    );
    check(
        "FROM --platform=linux/amd64 a\n",
        &[("FROM --platform flag should not use constant value \"linux/amd64\"", 1)],
    );
    check("FROM --platform=linux/amd64 a AS build-amd64\nFROM --platform=$BUILDPLATFORM b\n", &[]);
    check(
        "FROM foreign\n",
        &[(
            "Base image foreign was pulled with platform \"linux/s390x\", expected \"linux/amd64\" for current build",
            1,
        )],
    );
}

#[test]
fn secrets_are_no_variables() {
    let told = |keyword: &str, name: &str| {
        format!("Do not use ARG or ENV instructions for sensitive data ({keyword} \"{name}\")")
    };
    check(
        "FROM a\nENV GITHUB_TOKEN=x\nARG api_Key\nARG passwd\n",
        &[(&told("ENV", "GITHUB_TOKEN"), 2), (&told("ARG", "api_Key"), 3), (&told("ARG", "passwd"), 4)],
    );
    check("FROM a\nENV TOKENIZER=x PUBLIC_KEY=y PASSWORD_FILE=z\nARG KEYS MONKEY\n", &[]);
}

#[test]
fn ports_are_of_the_container() {
    check(
        "FROM a\nEXPOSE 80/TCP 1\n",
        &[("Defined protocol '80/TCP' in EXPOSE instruction should be lowercase", 2)],
    );
    let told = |port: &str| {
        format!("EXPOSE instruction should not define an IP address or host-port mapping, found '{port}'")
    };
    check("FROM a\nEXPOSE 127.0.0.1:80:81 5:6\n", &[(&told("127.0.0.1:80:81"), 2), (&told("5:6"), 2)]);
    check("FROM a\nEXPOSE 80/udp 8000-8002\n", &[]);
}

#[test]
fn files_are_not_hidden() {
    let hides = Options { ignore: vec!["*.log".into(), "dir".into()], ..buildkit() };
    check_with(
        "FROM a\nCOPY x y.log ./\nADD dir/sub /\nCOPY --from=b z.log /\n",
        &hides,
        &[
            ("Attempting to Copy file \"y.log\" that is excluded by .dockerignore", 2),
            ("Attempting to Add file \"dir/sub\" that is excluded by .dockerignore", 3),
        ],
    );
    let shows = Options { ignore: vec!["*".into(), "!y.log".into()], ..buildkit() };
    check_with("FROM a\nCOPY x y.log ./\n", &shows, &[]);
    check("FROM a\nCOPY x y.log ./\n", &[]);
}

#[test]
fn directives_and_arguments_of_the_build_say_what_is_told() {
    let text = "# check=skip=JSONArgsRecommended\nFROM a\nCMD x\nMAINTAINER me\n";
    check(text, &[("Maintainer instruction is deprecated in favor of using label", 4)]);
    let arguments = BTreeMap::from([("BUILDKIT_DOCKERFILE_CHECK".to_owned(), Some("skip=all".to_owned()))]);
    check_with(text, &Options { arguments, ..buildkit() }, &[]);
    check(
        "# check=experimental=all;skip=all\nFROM a\n# what\nARG B\n",
        &[("Comment for ARG should follow the format: `# B <description>`", 4)],
    );
    let violation = |text: &str| {
        let plan = plan_with(text, &buildkit()).expect("plans");
        plan.violation.map(|error| error.to_string())
    };
    assert_eq!(
        violation("# check=error=true\nFROM a\nCMD x\nMAINTAINER me\n").as_deref(),
        Some("lint violation found for rules: JSONArgsRecommended, MaintainerDeprecated")
    );
    assert_eq!(violation("# check=error=true;skip=all\nFROM a\nCMD x\n"), None);
    assert_eq!(
        plan_with("# check=x\nFROM a\n", &buildkit()).expect_err("is wrong"),
        "failed to parse check options: invalid check option \"x\""
    );
    // The first builder never knew of them.
    let classic = options(Style::Classic);
    assert!(plan_with("# check=x\nFROM a\nRUN $x\n", &classic).expect("plans").violation.is_none());
}

#[test]
fn without_a_target_checks_are_made_of_all_stages() {
    let text = "FROM a AS unused\nWORKDIR x\nFROM b\n";
    check(text, &[]);
    let only = Options { only_checks: true, ..buildkit() };
    let told = ("Relative workdir \"x\" can have unexpected results if the base image changes", 2);
    check_with(text, &only, &[told]);
    check_with(text, &Options { target: Some("1".into()), ..only }, &[]);
}
