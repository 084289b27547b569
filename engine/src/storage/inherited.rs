//! What an image gives to its containers, in the words of the API.

use crate::container::merge::ImageDefaults;

/// What containers of an image inherit.
pub(crate) fn defaults(image: &::image::Image) -> ImageDefaults {
    let config = &image.config.config;
    ImageDefaults {
        env: config.env.clone().unwrap_or_default(),
        cmd: config.cmd.clone().unwrap_or_default(),
        entrypoint: config.entrypoint.clone(),
        user: config.user.clone(),
        working_dir: config.working_dir.clone(),
        labels: config.labels.clone().unwrap_or_default(),
        exposed_ports: config.exposed_ports.clone().unwrap_or_default(),
        volumes: config.volumes.clone().unwrap_or_default(),
        stop_signal: config.stop_signal.clone(),
        healthcheck: config.healthcheck.as_ref().map(health_document),
        shell: config.shell.clone(),
        on_build: config.on_build.clone(),
    }
}

/// An image's health check as the API's document.
pub(crate) fn health_document(check: &oci::image::Healthcheck) -> api::container::HealthConfig {
    api::container::HealthConfig {
        test: check.test.clone(),
        interval: check.interval,
        timeout: check.timeout,
        start_period: check.start_period,
        start_interval: check.start_interval,
        retries: check.retries,
    }
}
