//! Where a registry's repositories are: the registry itself, or one of its mirrors.

use crate::RegistryError;
use crate::settings::Settings;
use crate::url::{Origin, Url, split_authority};

/// The registry of names that say none.
pub const HUB: &str = "docker.io";
/// Where that one really is.
const HUB_HOST: &str = "registry-1.docker.io";

/// One place to ask for repositories of a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// `host[:port]` as the registry is called.
    pub(crate) host: String,
    /// Where it can be; the first that answers is taken.
    pub(crate) candidates: Vec<Url>,
    /// Whether TLS is not verified.
    pub(crate) insecure: bool,
    /// Whether it only stands for the registry: it gets no credentials.
    pub(crate) mirror: bool,
}

impl Place {
    /// The registry itself.
    pub(crate) fn of(domain: &str, settings: &Settings) -> Result<Self, RegistryError> {
        let host = if domain == HUB { HUB_HOST } else { domain };
        let insecure = settings.is_insecure(host);
        let url = |tls: bool| {
            let (host, port) = split_authority(host, if tls { 443 } else { 80 })
                .ok_or_else(|| RegistryError::Host(domain.to_owned()))?;
            Ok::<_, RegistryError>(Url { origin: Origin { tls, host, port }, path: "/".to_owned() })
        };
        let mut candidates = vec![url(true)?];
        if insecure {
            candidates.push(url(false)?);
        }
        Ok(Self { host: domain.to_owned(), candidates, insecure, mirror: false })
    }

    /// A mirror by its URL; a bare host means https.
    pub(crate) fn mirror(text: &str, settings: &Settings) -> Result<Self, RegistryError> {
        let full = if text.contains("://") { text.to_owned() } else { format!("https://{text}") };
        let mut url = Url::parse(&full).ok_or_else(|| RegistryError::Host(text.to_owned()))?;
        if !url.path.ends_with('/') {
            url.path.push('/');
        }
        let host = url.origin.authority();
        let insecure = settings.is_insecure(&host);
        Ok(Self { host, candidates: vec![url], insecure, mirror: true })
    }

    /// Whether it is a mirror.
    pub fn is_mirror(&self) -> bool {
        self.mirror
    }

    /// `host[:port]`
    pub fn host(&self) -> &str {
        &self.host
    }
}
