//! The configuration of an image and of a container made of each other, and Dockerfile instructions that change it.

use std::collections::BTreeMap;

use api::container::{Config, HealthConfig};
use oci::image::{ContainerConfig, Healthcheck};

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

/// Applies `--change` instructions to a configuration.
///
/// # Errors
/// `BOGUS is not a valid change command`.
pub(crate) fn apply(config: &mut Config, changes: &[String]) -> Result<()> {
    for line in
        changes.iter().flat_map(|change| change.lines()).map(str::trim).filter(|line| !line.is_empty())
    {
        let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        apply_one(config, &word.to_ascii_uppercase(), word, rest.trim())?;
    }
    Ok(())
}

fn apply_one(config: &mut Config, word: &str, original: &str, rest: &str) -> Result<()> {
    let needs = |rest: &str| {
        if rest.is_empty() {
            let count =
                if matches!(word, "USER" | "WORKDIR" | "STOPSIGNAL") { "exactly" } else { "at least" };
            return Err(Error::invalid(format!("{word} requires {count} one argument")));
        }
        Ok(())
    };
    match word {
        "CMD" => config.cmd = Some(command(rest, config.shell.as_deref())),
        "ENTRYPOINT" => config.entrypoint = Some(command(rest, config.shell.as_deref())),
        "ENV" => {
            needs(rest)?;
            set_env(config, rest);
        }
        "EXPOSE" => {
            needs(rest)?;
            expose(config, rest)?;
        }
        "LABEL" => {
            needs(rest)?;
            config.labels.get_or_insert_default().extend(pairs(rest));
        }
        "ONBUILD" => {
            needs(rest)?;
            config.on_build.get_or_insert_default().push(rest.to_owned());
        }
        "USER" => {
            needs(rest)?;
            rest.clone_into(&mut config.user);
        }
        "VOLUME" => {
            needs(rest)?;
            let paths =
                json_list(rest).unwrap_or_else(|| rest.split_whitespace().map(str::to_owned).collect());
            for path in paths {
                config.volumes.get_or_insert_default().insert(path, api::Empty::default());
            }
        }
        "WORKDIR" => {
            needs(rest)?;
            let joined = if rest.starts_with('/') {
                rest.to_owned()
            } else {
                format!("{}/{rest}", config.working_dir)
            };
            config.working_dir = model::path::clean(&format!("/{joined}"));
        }
        "STOPSIGNAL" => {
            needs(rest)?;
            rest.parse::<model::Signal>().map_err(Error::from_kinded)?;
            config.stop_signal = rest.to_owned();
        }
        "HEALTHCHECK" => config.healthcheck = Some(healthcheck(rest)?),
        _ => return Err(Error::invalid(format!("{original} is not a valid change command"))),
    }
    Ok(())
}

fn set_env(config: &mut Config, rest: &str) {
    for (key, value) in pairs(rest) {
        let env = config.env.get_or_insert_default();
        env.retain(|entry| entry.split('=').next() != Some(key.as_str()));
        env.push(format!("{key}={value}"));
    }
}

fn expose(config: &mut Config, rest: &str) -> Result<()> {
    for port in rest.split_whitespace() {
        let key = if port.contains('/') { port.to_owned() } else { format!("{port}/tcp") };
        let number = key.split(['/', '-']).next().unwrap_or("");
        if number.parse::<u16>().is_err() {
            return Err(Error::invalid(format!("Invalid containerPort: {port}")));
        }
        config.exposed_ports.get_or_insert_default().insert(key, api::Empty::default());
    }
    Ok(())
}

fn json_list(text: &str) -> Option<Vec<String>> {
    serde_json::from_str(text).ok()
}

/// The exec form as it is, the shell form below a shell.
fn command(text: &str, shell: Option<&[String]>) -> Vec<String> {
    json_list(text).unwrap_or_else(|| {
        let default = ["/bin/sh".to_owned(), "-c".to_owned()];
        let mut words = shell.unwrap_or(&default).to_vec();
        words.push(text.to_owned());
        words
    })
}

/// `a=b c="d e"`, or the old `a b c` where the rest is one value.
fn pairs(text: &str) -> Vec<(String, String)> {
    let words = words(text);
    if !words.first().is_some_and(|word| word.contains('=')) {
        let (key, value) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
        return vec![(key.to_owned(), value.trim().to_owned())];
    }
    words
        .iter()
        .map(|word| word.split_once('=').unwrap_or((word, "")))
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

/// Words as a shell would split them: quotes keep blanks, a backslash keeps the next character.
fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut inside = false;
    let mut quote = None;
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match (quote, letter) {
            (Some(open), letter) if letter == open => quote = None,
            (Some('\''), letter) => word.push(letter),
            (_, '\\') => word.extend(letters.next()),
            (Some(_), letter) => word.push(letter),
            (None, '"' | '\'') => {
                quote = Some(letter);
                inside = true;
            }
            (None, letter) if letter.is_whitespace() => {
                if inside {
                    words.push(std::mem::take(&mut word));
                }
                inside = false;
            }
            (None, letter) => {
                word.push(letter);
                inside = true;
            }
        }
    }
    if inside {
        words.push(word);
    }
    words
}

fn healthcheck(text: &str) -> Result<HealthConfig> {
    let mut check = HealthConfig::default();
    let mut rest = text;
    while let Some(option) = rest.strip_prefix("--") {
        let (option, after) = option.split_once(char::is_whitespace).unwrap_or((option, ""));
        let (name, value) = option.split_once('=').unwrap_or((option, ""));
        let duration = || model::duration::parse_nanoseconds(value).map_err(Error::from_kinded);
        match name {
            "interval" => check.interval = duration()?,
            "timeout" => check.timeout = duration()?,
            "start-period" => check.start_period = duration()?,
            "start-interval" => check.start_interval = duration()?,
            "retries" => {
                check.retries =
                    value.parse().map_err(|_| Error::invalid(format!("invalid retries: {value}")))?;
            }
            _ => return Err(Error::invalid(format!("unknown flag: {name}"))),
        }
        rest = after.trim_start();
    }
    let (kind, command_text) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    check.test = Some(match kind.to_ascii_uppercase().as_str() {
        "NONE" => vec!["NONE".to_owned()],
        "CMD" => match json_list(command_text.trim()) {
            Some(words) => std::iter::once("CMD".to_owned()).chain(words).collect(),
            None => vec!["CMD-SHELL".to_owned(), command_text.trim().to_owned()],
        },
        _ => return Err(Error::invalid(format!("Unknown type \"{kind}\" in HEALTHCHECK (try CMD)"))),
    });
    Ok(check)
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
        assert_eq!(config.env.unwrap(), ["A=1", "B=x y", "C=d e"]);
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
        for word in ["BOGUS x", "RUN x"] {
            let error = apply(&mut Config::default(), &[word.to_owned()]).unwrap_err();
            assert_eq!(error.message(), format!("{} is not a valid change command", &word[..word.len() - 2]));
        }
    }
}
