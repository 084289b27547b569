//! Dockerfiles planned without an engine: what is needed, what the configuration comes to, what the history says.

use oci::image::ContainerConfig;

use super::*;
use crate::operation::{Exec, Operation, Origin};

/// Every name is an image with one layer; `trigger` has triggers, `foreign` is of another machine.
struct Everything(Vec<String>);

impl Bases for Everything {
    type Error = String;

    fn base(&mut self, name: &str, platform: &Platform) -> Result<Base, String> {
        if name == "missing" {
            return Err("no such image".to_owned());
        }
        self.0.push(name.to_owned());
        let on_build = (name == "trigger").then(|| vec!["RUN from trigger".to_owned(), "ENV T=1".to_owned()]);
        let config = ContainerConfig {
            env: Some(vec!["PATH=/bin".to_owned(), format!("NAME={name}")]),
            cmd: Some(vec!["inherited".to_owned()]),
            on_build,
            ..ContainerConfig::default()
        };
        let platform =
            if name == "foreign" { "linux/s390x".parse().expect("parses") } else { platform.clone() };
        let config = ImageConfig { config, platform, ..ImageConfig::default() };
        Ok(Base { layers: State::from([]), config, id: format!("id of {name}") })
    }
}

pub(super) fn options(style: Style) -> Options {
    let host = Platform { os: "linux".into(), architecture: "amd64".into(), ..Platform::default() };
    Options { platform: host.clone(), host, style, ..Options::default() }
}

pub(super) fn plan_with(text: &str, options: &Options) -> Result<Plan, String> {
    let file = Dockerfile::read(text.as_bytes()).map_err(|error| error.to_string())?;
    Plan::new(&file, options, &mut Everything(Vec::new())).map_err(|error| match error {
        PlanError::File(error) => error.to_string(),
        PlanError::Base { name, error, .. } => format!("{name}: {error}"),
    })
}

fn plan(text: &str) -> Plan {
    plan_with(text, &options(Style::Classic)).expect("plans")
}

fn execs(plan: &Plan) -> Vec<Exec> {
    let operations = plan.graph.vertices().map(|(_, vertex)| &vertex.operation);
    let exec = |operation: &Operation| match operation {
        Operation::Exec(exec) => Some(exec.clone()),
        _ => None,
    };
    operations.filter_map(exec).collect()
}

fn words(plan: &Plan) -> Vec<String> {
    let new = |past: &Past| match past {
        Past::New { created_by, .. } => Some(created_by.clone()),
        Past::Known(_) => None,
    };
    plan.history.iter().filter_map(new).collect()
}

#[test]
fn stages_nobody_needs_are_not_looked_at() {
    let text = "FROM missing AS unused\nRUN x\nFROM a AS used\nRUN y\nFROM b\nCOPY --from=used /f /\n";
    let planned = plan(text);
    assert_eq!(execs(&planned).len(), 1);
    let steps: Vec<&str> = planned.steps.iter().map(|step| step.text.as_str()).collect();
    assert_eq!(steps, ["FROM a AS used", "RUN y", "FROM b", "COPY --from=used /f /"]);
    assert_eq!(plan_with("FROM missing\n", &options(Style::Classic)).unwrap_err(), "missing: no such image");
}

#[test]
fn a_target_ends_the_build() {
    let text = "FROM a AS one\nENV A=1\nFROM b AS two\nENV B=1\n";
    let of = |target: &str| {
        let options = Options { target: Some(target.to_owned()), ..options(Style::Classic) };
        plan_with(text, &options).map(|plan| plan.config.config.env.unwrap().pop().unwrap())
    };
    assert_eq!(of("ONE"), Ok("A=1".to_owned()));
    assert_eq!(of("1"), Ok("B=1".to_owned()));
    assert_eq!(of("three"), Err("failed to reach build target three in Dockerfile".to_owned()));
}

#[test]
fn arguments_have_scopes() {
    let text = "ARG BASE=a\nARG UNSEEN=1\nFROM $BASE\nARG BASE\nARG OWN=own\nARG GIVEN=no\nENV HIDDEN=env\nARG HIDDEN=arg\n\
        RUN x\nENV R=$BASE-$UNSEEN-$OWN-$GIVEN-$HIDDEN\n";
    let mut options = options(Style::Classic);
    options.arguments.insert("GIVEN".to_owned(), Some("yes".to_owned()));
    options.arguments.insert("HTTP_PROXY".to_owned(), Some("http://proxy".to_owned()));
    options.arguments.insert("UNKNOWN".to_owned(), Some("x".to_owned()));
    let planned = plan_with(text, &options).expect("plans");
    assert_eq!(planned.config.config.env.as_ref().unwrap().last().unwrap(), "R=a--own-yes-env");
    assert_eq!(planned.unused_arguments, ["UNKNOWN"]);
    let exec = execs(&planned).remove(0);
    assert_eq!(exec.environment, ["BASE=a", "OWN=own", "GIVEN=yes", "PATH=/bin", "NAME=a", "HIDDEN=env"]);
    assert_eq!(exec.hidden_environment, ["HTTP_PROXY=http://proxy"], "no key and no history has it");
    assert!(words(&planned).contains(&"|3 BASE=a GIVEN=yes OWN=own /bin/sh -c x".to_owned()));
}

#[test]
fn platform_arguments_are_known_where_they_are_declared() {
    let planned = plan("FROM a\nENV A=$TARGETARCH\nARG TARGETARCH\nENV B=$TARGETARCH\n");
    let env = planned.config.config.env.unwrap();
    assert_eq!(env[2..], ["A=", "B=amd64"]);
}

#[test]
fn the_environment_changes_after_its_instruction() {
    let planned = plan("FROM a\nENV a=hello\nENV a=bye b=$a\nENV c=$a PATH=/x:$PATH\n");
    assert_eq!(planned.config.config.env.unwrap(), ["PATH=/x:/bin", "NAME=a", "a=bye", "b=hello", "c=bye"]);
}

#[test]
fn an_entrypoint_drops_an_inherited_command() {
    let cmd = |text: &str| plan(text).config.config.cmd;
    assert_eq!(cmd("FROM a\nENTRYPOINT [\"e\"]\n"), None);
    assert_eq!(cmd("FROM a\nCMD [\"c\"]\nENTRYPOINT [\"e\"]\n"), Some(vec!["c".to_owned()]));
    let planned = plan("FROM a\nSHELL [\"/bin/bash\", \"-c\"]\nCMD echo 'x'\n");
    assert_eq!(planned.config.config.cmd.unwrap(), ["/bin/bash", "-c", "echo 'x'"]);
}

#[test]
fn paths_are_joined() {
    let planned = plan("FROM a\nWORKDIR /x\nWORKDIR y/../z\nCOPY f ./\nCOPY f g /abs/\nRUN x\n");
    assert_eq!(planned.config.config.working_dir, "/x/z");
    assert_eq!(execs(&planned)[0].working_directory, "/x/z");
    let copies = planned.graph.vertices().filter_map(|(_, vertex)| match &vertex.operation {
        Operation::Copy(copy) => Some(copy.destination.clone()),
        _ => None,
    });
    assert_eq!(copies.collect::<Vec<_>>(), ["/x/z/", "/abs/"]);
    let error = plan_with("FROM a\nCOPY f g /abs\n", &options(Style::Classic)).unwrap_err();
    assert_eq!(
        error,
        "When using COPY with more than one source file, the destination must be a directory and end with a /"
    );
}

#[test]
fn an_instruction_that_cannot_be_fails_in_its_place_where_that_is_wanted() {
    let late = Options { late_refusals: true, ..options(Style::Classic) };
    let planned = plan_with("FROM a\nRUN x\nENV A=${B:!c}\nRUN y\n", &late).expect("plans");
    let steps: Vec<&str> = planned.steps.iter().map(|step| step.text.as_str()).collect();
    assert_eq!(steps, ["FROM a", "RUN x", "ENV A=${B:!c}", "RUN y"]);
    let target =
        planned.target.and_then(|target| planned.graph.get(target)).expect("something is to be done");
    let why = "failed to process \"${B:!c}\": unsupported modifier (:!) in substitution";
    assert_eq!(target.operation, Operation::Refuse(why.to_owned()));
    assert_eq!((planned.steps[2].vertex, execs(&planned).len()), (planned.target, 1));
    let planned = plan_with("ARG B\nFROM $B\nRUN x\n", &late).expect("plans");
    assert_eq!(planned.steps.len(), 3);
    assert_eq!(planned.steps[1].base.as_deref(), Some(""));
    assert_eq!(planned.graph.len(), 1);
    // What no file can mean is known at once.
    assert!(plan_with("FROM a\nENV A=${B:!c}\n", &options(Style::Classic)).is_err());
}

#[test]
fn triggers_of_the_image_come_first() {
    let planned = plan("FROM trigger\nRUN own\nONBUILD RUN later\n");
    let lines: Vec<String> = execs(&planned).iter().map(|exec| exec.arguments[2].clone()).collect();
    assert_eq!(lines, ["from trigger", "own"]);
    assert_eq!(planned.config.config.on_build.unwrap(), ["RUN later"]);
    assert_eq!(planned.steps[0].triggers, 2);
    assert!(planned.config.config.env.unwrap().contains(&"T=1".to_owned()));
}

#[test]
fn both_builders_words_are_known() {
    let text = "FROM a\nRUN echo hi\nENV A=b\nEXPOSE 80 53/udp\nVOLUME /d\nCMD [\"x\", \"y z\"]\nHEALTHCHECK --interval=5s CMD true\n\
        USER u\nLABEL l=m\nSTOPSIGNAL SIGQUIT\nSHELL [\"/bin/ash\", \"-c\"]\nONBUILD RUN t\nWORKDIR /w\nARG q=1\n";
    assert_eq!(
        words(&plan(text)),
        [
            "/bin/sh -c echo hi",
            "/bin/sh -c #(nop)  ENV A=b",
            "/bin/sh -c #(nop)  EXPOSE 53/udp 80",
            "/bin/sh -c #(nop)  VOLUME [/d]",
            "/bin/sh -c #(nop)  CMD [\"x\" \"y z\"]",
            "/bin/sh -c #(nop)  HEALTHCHECK &{[\"CMD-SHELL\" \"true\"] \"5s\" \"0s\" \"0s\" \"0s\" '\\x00'}",
            "/bin/sh -c #(nop)  USER u",
            "/bin/sh -c #(nop)  LABEL l=m",
            "/bin/sh -c #(nop)  STOPSIGNAL SIGQUIT",
            "/bin/ash -c #(nop)  SHELL [/bin/ash -c]",
            "/bin/ash -c #(nop)  ONBUILD RUN t",
            "/bin/ash -c #(nop) WORKDIR /w",
            "/bin/ash -c #(nop)  ARG q=1",
        ]
    );
    let planned = plan_with(text, &options(Style::BuildKit)).expect("plans");
    assert_eq!(
        words(&planned)[..5],
        [
            "RUN /bin/sh -c echo hi # buildkit",
            "ENV A=b",
            "EXPOSE map[53/udp:{} 80/tcp:{}]",
            "VOLUME [/d]",
            "CMD [\"x\" \"y z\"]"
        ]
    );
}

#[test]
fn scripts_in_the_dockerfile_run() {
    let of = |text: &str| execs(&plan(text)).remove(0);
    assert_eq!(of("FROM a\nRUN <<E\necho 1\necho 2\nE\n").arguments[2], "echo 1\necho 2\n");
    assert_eq!(of("FROM a\nRUN cat <<E >/x\nhi\nE\n").arguments[2], "cat <<E >/x\nhi\nE");
    let script = of("FROM a\nRUN <<E\n#!/bin/ash\necho 1\nE\n");
    assert_eq!(script.arguments[2], "/dev/pipes/E");
    assert_eq!(script.mounts[0].target, "/dev/pipes");
}

#[test]
fn other_stages_are_inputs_once() {
    let planned = plan("FROM a AS s\nFROM b\nRUN --mount=from=s,target=/m --mount=from=0,target=/n x\n");
    let (_, vertex) = planned.graph.vertices().last().unwrap();
    assert_eq!(vertex.inputs.len(), 2, "the root and the stage");
    let origins: Vec<&Origin> =
        vertex.operation.selections().iter().map(|selection| &selection.origin).collect();
    assert_eq!(origins, [&Origin::Input(1), &Origin::Input(1)]);
}

#[test]
fn labels_of_the_build_come_last() {
    let mut options = options(Style::Classic);
    options.labels.insert("a".to_owned(), "2".to_owned());
    let planned = plan_with("FROM b\nLABEL a=1\n", &options).expect("plans");
    assert_eq!(planned.config.config.labels.unwrap()["a"], "2");
    assert_eq!(planned.steps.last().unwrap().text, "LABEL a=2");
}

#[test]
fn named_contexts_are_found_by_every_form_of_their_name() {
    let contexts = [
        ("alpine", NamedContext::Image("other:1".to_owned())),
        ("src", NamedContext::Folder("src".to_owned())),
    ];
    let contexts = contexts.into_iter().map(|(name, context)| (name.to_owned(), context)).collect();
    let options = Options { contexts, ..options(Style::BuildKit) };
    for written in ["alpine", "alpine:latest", "docker.io/library/alpine:latest"] {
        let plan = plan_with(&format!("FROM {written}\nRUN x\n"), &options).expect("plans");
        assert!(
            plan.graph.vertices().any(|(_, vertex)| vertex.name == "FROM docker.io/library/other:1"),
            "{written}"
        );
        assert_eq!(plan.steps[0].context.as_deref(), Some(written));
    }
    let plan = plan_with("FROM alpine:3\n", &options).expect("plans");
    assert!(plan.graph.vertices().any(|(_, vertex)| vertex.name == "FROM docker.io/library/alpine:3"));
    assert_eq!(plan.steps[0].context, None);
    let plan = plan_with("FROM src AS s\nRUN x\n", &options).expect("plans");
    let origins: Vec<Origin> = plan
        .graph
        .vertices()
        .flat_map(|(_, vertex)| vertex.operation.selections())
        .map(|selection| selection.origin.clone())
        .collect();
    assert_eq!(origins, [Origin::Context("src".to_owned())]);
    assert_eq!(plan.history.len(), 2, "the folder is a layer");
}

#[test]
fn instructions_are_shown_with_what_variables_stand_for() {
    let text =
        "ARG B=base\nFROM $B\nENV A=\"x y\"\nARG C=1\nrun echo \"$A\" $C $UNSET\nCOPY \"$C\" $UNSET/d\n";
    let plan = plan_with(text, &options(Style::BuildKit)).expect("plans");
    let shown: Vec<&str> =
        plan.steps.iter().map(|step| step.shown.as_str()).filter(|shown| !shown.is_empty()).collect();
    assert_eq!(shown, ["FROM base", "ENV A=x y", "ARG C=1", "RUN echo \"x y\" 1 $UNSET", "COPY 1 /d"]);
}

#[test]
fn the_cache_is_passed_over_in_single_stages() {
    let options = Options { no_cache_stages: vec!["ONE".to_owned()], ..options(Style::BuildKit) };
    let text = "FROM a AS one\nRUN x\nFROM a AS two\nRUN y\nCOPY --from=one /x /x\n";
    let plan = plan_with(text, &options).expect("plans");
    let passed: Vec<&str> = plan
        .graph
        .vertices()
        .filter(|(_, vertex)| vertex.ignore_cache)
        .map(|(_, vertex)| vertex.name.as_str())
        .collect();
    assert_eq!(passed, ["RUN x"]);
}
