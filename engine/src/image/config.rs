//! The configuration of an image and of a container made of each other, and Dockerfile instructions that change it.

use std::collections::BTreeMap;

use api::container::{Config, HealthConfig};
use builder::dockerfile::{Instruction, Problem};
use builder::plan::{Base, Bases, Options, PlanError};
use builder::{Dockerfile, Plan};
use oci::Platform;
use oci::image::{ContainerConfig, Healthcheck, ImageConfig};

use crate::{Error, Result};

/// An image's configuration as the API's document.
pub(crate) fn document(config: &ContainerConfig) -> Config {
    let set = |names: &Option<Vec<String>>| {
        names.as_ref().map(|names| names.iter().map(|name| (name.clone(), api::Empty::default())).collect())
    };
    Config {
        user: config.user.clone(),
        exposed_ports: set(&config.exposed_ports),
        env: config.env.clone(),
        cmd: config.cmd.clone(),
        healthcheck: config.healthcheck.as_ref().map(crate::storage::health_document),
        args_escaped: config.args_escaped,
        volumes: set(&config.volumes),
        working_dir: config.working_dir.clone(),
        entrypoint: config.entrypoint.clone(),
        on_build: config.on_build.clone(),
        labels: config.labels.clone(),
        stop_signal: config.stop_signal.clone(),
        stop_timeout: config.stop_timeout,
        shell: config.shell.clone(),
        ..Config::default()
    }
}

/// A container's configuration as an image keeps it.
pub(crate) fn from_document(config: &Config) -> ContainerConfig {
    let set = |map: &Option<BTreeMap<String, api::Empty>>| {
        map.as_ref().filter(|map| !map.is_empty()).map(|map| map.keys().cloned().collect())
    };
    ContainerConfig {
        user: config.user.clone(),
        exposed_ports: set(&config.exposed_ports),
        env: config.env.clone(),
        entrypoint: config.entrypoint.clone(),
        cmd: config.cmd.clone(),
        volumes: set(&config.volumes),
        working_dir: config.working_dir.clone(),
        labels: config.labels.clone().filter(|labels| !labels.is_empty()),
        stop_signal: config.stop_signal.clone(),
        stop_timeout: config.stop_timeout,
        args_escaped: config.args_escaped,
        healthcheck: config.healthcheck.as_ref().map(health),
        on_build: config.on_build.clone(),
        shell: config.shell.clone(),
    }
}

fn health(check: &HealthConfig) -> Healthcheck {
    Healthcheck {
        test: check.test.clone(),
        interval: check.interval,
        timeout: check.timeout,
        start_period: check.start_period,
        start_interval: check.start_interval,
        retries: check.retries,
    }
}

/// Instructions that may change an image without building it.
const CHANGES: [&str; 11] = [
    "CMD",
    "ENTRYPOINT",
    "ENV",
    "EXPOSE",
    "HEALTHCHECK",
    "LABEL",
    "ONBUILD",
    "STOPSIGNAL",
    "USER",
    "VOLUME",
    "WORKDIR",
];

/// Applies `--change` instructions to a configuration: they are planned as those of a Dockerfile.
///
/// # Errors
/// `BOGUS is not a valid change command`, and what is wrong with one that is.
pub(crate) fn apply(config: &mut Config, changes: &[String]) -> Result<()> {
    if changes.iter().all(|change| change.trim().is_empty()) {
        return Ok(());
    }
    let file = format!("FROM image\n{}\n", changes.join("\n"));
    let file = Dockerfile::read(file.as_bytes()).map_err(|error| refusal(error.problem))?;
    let [stage] = file.stages.as_slice() else { return Err(no_change("FROM")) };
    for instruction in &stage.instructions {
        if !CHANGES.iter().any(|keyword| keyword.eq_ignore_ascii_case(instruction.keyword())) {
            return Err(no_change(instruction.keyword()));
        }
    }
    let sets_path = stage.instructions.iter().any(|instruction| match &instruction.value {
        Instruction::Env(pairs) => pairs.iter().any(|pair| pair.key == "PATH"),
        _ => false,
    });
    let before = from_document(config);
    let has_path = before.env.iter().flatten().any(|entry| entry.starts_with("PATH="));
    let options = Options { platform: Platform::host(), host: Platform::host(), ..Options::default() };
    let plan = Plan::new(&file, &options, &mut Only(before)).map_err(|error| match error {
        PlanError::File(error) => refusal(error.problem),
        PlanError::Base { error, .. } => error,
    })?;
    let mut after = plan.config.config;
    if !has_path && !sets_path {
        // Builds give it to every image.
        after.env =
            after.env.map(|env| env.into_iter().filter(|entry| !entry.starts_with("PATH=")).collect());
    }
    change(config, &after);
    Ok(())
}

/// The one image there is to change.
struct Only(ContainerConfig);

impl Bases for Only {
    type Error = Error;

    fn base(&mut self, _: &str, _: &Platform) -> Result<Base> {
        // Its own triggers stay what they are.
        let config = ContainerConfig { on_build: None, ..self.0.clone() };
        Ok(Base { config: ImageConfig { config, ..ImageConfig::default() }, ..Base::default() })
    }
}

fn refusal(problem: Problem) -> Error {
    match problem {
        Problem::Unknown { keyword } => no_change(&keyword),
        Problem::Signal { signal } => Error::invalid(format!("invalid signal: {signal}")),
        problem => Error::invalid(problem.to_string()),
    }
}

fn no_change(keyword: &str) -> Error {
    Error::invalid(format!("{keyword} is not a valid change command"))
}

/// Takes over what instructions can change.
fn change(config: &mut Config, changed: &ContainerConfig) {
    let changed = document(changed);
    config.user = changed.user;
    config.exposed_ports = changed.exposed_ports;
    config.env = changed.env.filter(|env| !env.is_empty() || config.env.is_some());
    config.cmd = changed.cmd;
    config.healthcheck = changed.healthcheck;
    config.volumes = changed.volumes;
    config.working_dir = changed.working_dir;
    config.entrypoint = changed.entrypoint;
    config.labels = changed.labels;
    config.stop_signal = changed.stop_signal;
    if let Some(triggers) = changed.on_build {
        config.on_build.get_or_insert_default().extend(triggers);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(changes: &[&str]) -> Config {
        let mut config = Config::default();
        let changes: Vec<String> = changes.iter().map(|change| (*change).to_owned()).collect();
        apply(&mut config, &changes).unwrap();
        config
    }

    #[test]
    fn instructions_change_the_configuration() {
        let config = changed(&[
            "CMD [\"a\",\"b\"]",
            "ENTRYPOINT run it",
            "ENV A=1 B=\"x y\"",
            "ENV E=$A",
            "env C d e",
            "EXPOSE 80 53/udp",
            "LABEL k=v",
            "USER web",
            "VOLUME /data",
            "WORKDIR /a",
            "WORKDIR b",
            "STOPSIGNAL SIGINT",
            "HEALTHCHECK --interval=5s CMD true",
        ]);
        assert_eq!(config.cmd.unwrap(), ["a", "b"]);
        assert_eq!(config.entrypoint.unwrap(), ["/bin/sh", "-c", "run it"]);
        assert_eq!(config.env.unwrap(), ["A=1", "B=x y", "E=1", "C=d e"]);
        assert_eq!(config.exposed_ports.unwrap().into_keys().collect::<Vec<_>>(), ["53/udp", "80/tcp"]);
        assert_eq!((config.user.as_str(), config.working_dir.as_str()), ("web", "/a/b"));
        let check = config.healthcheck.unwrap();
        assert_eq!(
            (check.interval, check.test.unwrap()),
            (5_000_000_000, vec!["CMD-SHELL".to_owned(), "true".to_owned()])
        );
    }

    #[test]
    fn other_instructions_are_refused() {
        for word in ["BOGUS x", "RUN x", "FROM x", "ARG x"] {
            let error = apply(&mut Config::default(), &[word.to_owned()]).unwrap_err();
            assert_eq!(error.message(), format!("{} is not a valid change command", &word[..word.len() - 2]));
        }
        for (wrong, text) in [
            ("LABEL", "LABEL requires at least one argument"),
            ("EXPOSE foo", "Invalid containerPort: foo"),
            ("STOPSIGNAL foo", "invalid signal: foo"),
            ("onbuild from x", "FROM isn't allowed as an ONBUILD trigger"),
        ] {
            let error = apply(&mut Config::default(), &[wrong.to_owned()]).unwrap_err();
            assert_eq!(error.message(), text);
        }
    }
}
