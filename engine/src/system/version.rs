//! `GET /version`.

use std::collections::BTreeMap;

use api::system::{Component, Platform, Version};

use crate::engine::Inner;

/// Go's name of this architecture.
pub(super) fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "powerpc64" => "ppc64le",
        other => other,
    }
}

/// The kernel's release.
pub(super) fn kernel() -> String {
    rustix::system::uname().release().to_string_lossy().into_owned()
}

pub(super) fn version(inner: &Inner) -> Version {
    let config = inner.config();
    let api_version = api::version::MAX.to_string();
    let min_api_version = api::version::MIN.to_string();
    let details: BTreeMap<String, String> = [
        ("ApiVersion", api_version.clone()),
        ("Arch", architecture().to_owned()),
        ("BuildTime", config.build_time.clone()),
        ("Experimental", config.experimental.to_string()),
        ("GitCommit", config.commit.clone()),
        ("GoVersion", String::new()),
        ("KernelVersion", kernel()),
        ("MinAPIVersion", min_api_version.clone()),
        ("Os", "linux".to_owned()),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .into();
    Version {
        platform: Platform { name: "wharf".to_owned() },
        components: vec![Component { name: "Engine".to_owned(), version: config.version.clone(), details }],
        version: config.version.clone(),
        api_version,
        min_api_version,
        git_commit: config.commit.clone(),
        go_version: String::new(),
        os: "linux".to_owned(),
        arch: architecture().to_owned(),
        kernel_version: kernel(),
        experimental: config.experimental,
        build_time: config.build_time.clone(),
    }
}
