//! What the image says where the user says nothing.

use std::collections::BTreeMap;

use api::container::Config;

/// The part of an image's configuration that containers inherit.
#[derive(Debug, Clone, Default)]
pub struct ImageDefaults {
    /// Environment.
    pub env: Vec<String>,
    /// Command.
    pub cmd: Vec<String>,
    /// Entry point.
    pub entrypoint: Option<Vec<String>>,
    /// User.
    pub user: String,
    /// Working directory.
    pub working_dir: String,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Exposed ports.
    pub exposed_ports: Vec<String>,
    /// Volumes.
    pub volumes: Vec<String>,
    /// Stop signal.
    pub stop_signal: String,
    /// Health check.
    pub healthcheck: Option<api::container::HealthConfig>,
    /// Shell.
    pub shell: Option<Vec<String>>,
    /// ONBUILD triggers.
    pub on_build: Option<Vec<String>>,
}

/// Fills the user's configuration with the image's, by Docker's rules.
pub fn merge(user: &mut Config, image: &ImageDefaults) {
    if user.user.is_empty() {
        user.user.clone_from(&image.user);
    }
    if user.working_dir.is_empty() {
        user.working_dir.clone_from(&image.working_dir);
    }
    if user.stop_signal.is_empty() {
        user.stop_signal.clone_from(&image.stop_signal);
    }
    merge_sets(&mut user.exposed_ports, &image.exposed_ports);
    merge_sets(&mut user.volumes, &image.volumes);
    user.volumes = user.volumes.take().filter(|volumes| !volumes.is_empty());
    merge_env(user, image);
    let labels = user.labels.get_or_insert_default();
    for (key, value) in &image.labels {
        labels.entry(key.clone()).or_insert_with(|| value.clone());
    }
    if user.entrypoint.as_ref().is_none_or(Vec::is_empty) {
        if user.cmd.as_ref().is_none_or(Vec::is_empty) && !image.cmd.is_empty() {
            user.cmd = Some(image.cmd.clone());
        }
        if user.entrypoint.is_none() {
            user.entrypoint.clone_from(&image.entrypoint);
        }
    }
    merge_health(user, image);
}

fn merge_sets(held: &mut Option<BTreeMap<String, api::Empty>>, added: &[String]) {
    if added.is_empty() {
        return;
    }
    let map = held.get_or_insert_default();
    for key in added {
        map.entry(key.clone()).or_default();
    }
}

fn merge_env(user: &mut Config, image: &ImageDefaults) {
    if image.env.is_empty() {
        return;
    }
    let env = user.env.get_or_insert_default();
    let name = |entry: &str| entry.split('=').next().unwrap_or("").to_owned();
    let set: Vec<String> = env.iter().map(|entry| name(entry)).collect();
    env.extend(image.env.iter().filter(|entry| !set.contains(&name(entry))).cloned());
}

fn merge_health(user: &mut Config, image: &ImageDefaults) {
    let Some(default) = &image.healthcheck else { return };
    let Some(check) = &mut user.healthcheck else {
        user.healthcheck = Some(default.clone());
        return;
    };
    if check.test.as_ref().is_none_or(Vec::is_empty) {
        check.test.clone_from(&default.test);
    }
    for (value, default) in [
        (&mut check.interval, default.interval),
        (&mut check.timeout, default.timeout),
        (&mut check.start_period, default.start_period),
        (&mut check.start_interval, default.start_interval),
        (&mut check.retries, default.retries),
    ] {
        if *value == 0 {
            *value = default;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owned(list: &[&str]) -> Vec<String> {
        list.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn an_entrypoint_of_the_user_drops_the_image_s_command() {
        let image =
            ImageDefaults { cmd: owned(&["c"]), entrypoint: Some(owned(&["e"])), ..ImageDefaults::default() };
        let check = |entrypoint: Option<&[&str]>, cmd: Option<&[&str]>| {
            let mut config =
                Config { entrypoint: entrypoint.map(owned), cmd: cmd.map(owned), ..Config::default() };
            merge(&mut config, &image);
            (config.entrypoint.unwrap_or_default().join(" "), config.cmd.unwrap_or_default().join(" "))
        };
        assert_eq!(check(None, None), ("e".into(), "c".into()));
        assert_eq!(check(None, Some(&["x"])), ("e".into(), "x".into()));
        assert_eq!(check(Some(&["x"]), None), ("x".into(), String::new()));
        assert_eq!(check(Some(&[]), None), (String::new(), "c".into()));
    }

    #[test]
    fn the_user_s_environment_wins() {
        let image = ImageDefaults { env: owned(&["PATH=/bin", "A=1"]), ..ImageDefaults::default() };
        let mut config = Config { env: Some(owned(&["A=2"])), ..Config::default() };
        merge(&mut config, &image);
        assert_eq!(config.env.unwrap(), ["A=2", "PATH=/bin"]);
    }
}
