//! `start`: files, network, specification, shim; each phase undoes itself when a later one fails.

use std::sync::Arc;

use ::container::{Container, ContainerRecord, Health, State, Transition};

use super::connect::Joined;
use super::create_record::settings_of;
use super::host_side::{check_device_requests, make_bind_sources};
use super::launch::{Shim, shim_create};
use super::settings::Settings;
use super::{events, files, health, lookup, spec};
use crate::engine::Inner;
use crate::{Error, Result};

/// Why a container is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    /// Somebody asked.
    User,
    /// Its restart policy.
    Policy,
}

/// `start` of the API.
pub(crate) fn start_by_user(inner: &Arc<Inner>, reference: &str) -> Result<()> {
    let container = inner.find(reference)?;
    let _operation = container.operate();
    start(inner, &container, Cause::User)
}

/// Starts a container whose operation lock the caller holds.
pub(crate) fn start(inner: &Arc<Inner>, container: &Arc<Container>, cause: Cause) -> Result<()> {
    let record = container.record();
    if let Some(refusal) = record.lifecycle.refuse_start(record.id.as_str()) {
        return Err(Error::from_kinded(refusal));
    }
    let live = inner.live(container.id());
    let transition = live.transition();
    live.next_run();
    if cause == Cause::User {
        live.back_off().reset();
    }
    let result = run(inner, container, &record, cause);
    if let Err(error) = &result {
        start_failed(inner, container, error);
    }
    drop(transition);
    if result.is_err() && container.record().config.auto_remove {
        super::remove::remove_after_exit(inner, container);
    }
    result
}

fn run(inner: &Arc<Inner>, container: &Arc<Container>, record: &ContainerRecord, cause: Cause) -> Result<()> {
    let settings = settings_of(record)?;
    inner.step("start.mounts")?;
    check_device_requests(record)?;
    make_bind_sources(record, &settings)?;
    let links = files::links(inner, record, &settings)?;
    inner.step("start.network")?;
    let joined = Joined::new(inner, record, &settings)?;
    inner.step("start.files")?;
    let (paths, engine_files) = files::write(inner, record, &settings, &joined.endpoints, &links)?;
    let mut facts = lookup::facts(inner, record, &settings)?;
    facts.files = engine_files;
    facts.link_environment = links.environment;
    facts.volume_sources = lookup::volume_sources(inner, record)?;
    let user = lookup::resolve_user_in_layers(inner, record, &settings.group_add)?;
    let input = spec::Input { record, settings: &settings, user: &user, facts: &facts };
    let mut document = spec::generate(&input)?;
    super::user_namespace::set_network_parameters(&mut document, joined.namespace.as_ref())?;
    let filter = filter_of(inner, &settings, &document)?;
    inner.step("start.shim")?;
    let order = shim_create(inner, record, document, &paths)?;
    let mut shim = Shim::spawn(inner, container)?;
    let started = shim.run(order, &filter, joined.namespace.as_ref())?;
    inner.step("start.record")?;
    let settings_now = joined.settings(record, &settings);
    container.update_volatile(|record| {
        record.paths = paths;
        record.network = settings_now;
        if cause == Cause::User {
            record.lifecycle.restart_count = 0;
            record.lifecycle.stopped_by_user = false;
        } else {
            record.lifecycle.restart_count += 1;
        }
    });
    container.step(Transition::Started { pid: started.pid, at: started.at }).map_err(Error::from_kinded)?;
    joined.done();
    shim.done();
    if record.config.health.is_some() {
        container.update_health(|held| *held = Health::starting());
        health::schedule(inner, container);
    }
    events::volumes(inner, record, "mount");
    events::container(inner, &container.record(), "start", &[]);
    Ok(())
}

fn filter_of(inner: &Inner, settings: &Settings, document: &oci::runtime::Spec) -> Result<Arc<Vec<u8>>> {
    let options = super::security::parse(&settings.security_opt)?;
    let capabilities = document.process.as_ref().and_then(|process| process.capabilities.as_ref());
    let bounding = capabilities.map(|sets| sets.bounding.clone()).unwrap_or_default();
    inner.seccomp.program(&options, settings.privileged, &inner.config().seccomp_profile, &bounding)
}

fn start_failed(inner: &Arc<Inner>, container: &Arc<Container>, error: &Error) {
    let text = error.message().to_owned();
    let code = exit_code_of(&text);
    if matches!(container.record().lifecycle.state, State::Created | State::Exited | State::Restarting) {
        // A record that cannot be written now is written by the next step; the caller already gets an error.
        let _ = container.step(Transition::StartFailed { code, error: text });
    }
    inner.live(container.id()).close_streams();
}

/// Docker's exit code of a failed start, which it reads out of the error's text.
pub(crate) fn exit_code_of(text: &str) -> i32 {
    let has = |word: &str| text.contains(word);
    if has("executable file not found")
        || has("no such file or directory")
        || has("system cannot find the file specified")
    {
        127
    } else if has("permission denied") || has("is a directory") || has("not a directory") {
        126
    } else {
        128
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_come_from_the_text() {
        for (text, code) in [
            ("exec: \"x\": executable file not found in $PATH", 127),
            ("exec /x: no such file or directory", 127),
            ("exec: \"/etc\": is a directory: permission denied", 126),
            ("anything", 128),
        ] {
            assert_eq!(exit_code_of(text), code, "{text}");
        }
    }
}
