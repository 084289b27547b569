//! Registries as the engine sees them: one client for all, logins, search, and what a name stands for out there.

pub(crate) mod content;
mod credentials;
mod inspect;
mod login;
mod search;

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use distribution::{Gate, Limits};
use registry_client::{Client, Proxies, RegistryError, Settings};

use crate::config::{Config, RegistryConfig};
use crate::engine::Inner;
use crate::{Error, Result};

pub use credentials::from_document as credentials;
pub use registry_client::{Credentials, Stop};
pub use search::SearchParameters;

/// Calls about registries.
#[derive(Clone, Copy)]
pub struct Registries<'e> {
    pub(crate) inner: &'e Arc<Inner>,
}

/// Who asks: what a request for a registry carries along.
#[derive(Debug, Clone, Default)]
pub struct Caller {
    /// For the registry in question.
    pub credentials: Credentials,
    /// `User-Agent` of the caller, and `X-Meta-*` headers to be passed on.
    pub headers: Vec<(String, String)>,
}

impl Registries<'_> {
    /// Shows credentials to a registry; what to keep of them.
    ///
    /// # Errors
    /// When the registry does not take them, or is not there.
    pub fn login(
        &self,
        document: &api::system::AuthConfig,
        caller: &Caller,
    ) -> Result<api::system::AuthResponse> {
        login::login(self.inner, document, caller)
    }

    /// Searches a registry.
    ///
    /// # Errors
    /// For wrong parameters, and when the registry has no search.
    pub fn search(
        &self,
        parameters: &SearchParameters,
        caller: &Caller,
    ) -> Result<Vec<api::image::SearchResult>> {
        search::search(self.inner, parameters, caller)
    }

    /// What a name stands for at its registry.
    ///
    /// # Errors
    /// When the registry does not have it.
    pub fn inspect(&self, name: &str, caller: &Caller) -> Result<api::image::DistributionInspect> {
        inspect::inspect(self.inner, name, caller)
    }
}

/// What the engine keeps for its dealings with registries.
pub(crate) struct Hub {
    client: RwLock<(Client, Gate, Gate, Limits)>,
    version: String,
}

impl Hub {
    pub(crate) fn new(config: &Config) -> Self {
        let version = config.version.clone();
        Self { client: RwLock::new(parts(&config.registry, &version)), version }
    }

    /// Takes over changed settings; what is on its way goes on with the old ones.
    pub(crate) fn reload(&self, config: &RegistryConfig) {
        *self.client.write().unwrap_or_else(PoisonError::into_inner) = parts(config, &self.version);
    }

    /// The client for somebody.
    pub(crate) fn client(&self, caller: &Caller) -> Client {
        let held = self.client.read().unwrap_or_else(PoisonError::into_inner);
        let mut headers = Vec::new();
        for (name, value) in &caller.headers {
            if name.eq_ignore_ascii_case("User-Agent") {
                let own = &held.0.settings().user_agent;
                headers.push((name.clone(), format!("{own} UpstreamClient({})", escaped(value))));
            } else {
                headers.push((name.clone(), value.clone()));
            }
        }
        held.0.on_behalf(headers)
    }

    pub(crate) fn downloads(&self) -> Gate {
        self.client.read().unwrap_or_else(PoisonError::into_inner).1.clone()
    }

    pub(crate) fn uploads(&self) -> Gate {
        self.client.read().unwrap_or_else(PoisonError::into_inner).2.clone()
    }

    pub(crate) fn limits(&self) -> Limits {
        self.client.read().unwrap_or_else(PoisonError::into_inner).3.clone()
    }
}

fn parts(config: &RegistryConfig, version: &str) -> (Client, Gate, Gate, Limits) {
    let mut mirrors = config.other_mirrors.clone();
    if !config.mirrors.is_empty() {
        mirrors.insert(registry_client::HUB.to_owned(), config.mirrors.clone());
    }
    let settings = Settings {
        mirrors,
        insecure: config.insecure.clone(),
        certificates: config.certificates.clone(),
        proxies: Proxies {
            http: config.http_proxy.clone(),
            https: config.https_proxy.clone(),
            except: config.no_proxy.clone(),
        },
        user_agent: format!(
            "wharf/{version} os/{} arch/{}",
            std::env::consts::OS,
            oci::Platform::host().architecture
        ),
        ..Settings::default()
    };
    let limits = Limits { attempts: config.max_download_attempts, first_wait: Duration::from_millis(500) };
    let gate = |count: usize| Gate::new(if count == 0 { usize::MAX } else { count });
    (
        Client::new(settings),
        gate(config.max_concurrent_downloads),
        gate(config.max_concurrent_uploads),
        limits,
    )
}

/// A client's name within ours, as Docker writes it.
fn escaped(text: &str) -> String {
    let mut out = String::new();
    for letter in text.chars().filter(|letter| !letter.is_control()).take(256) {
        if matches!(letter, '(' | ')' | '\\') {
            out.push('\\');
        }
        out.push(letter);
    }
    out
}

/// A registry's failure with Docker's status: what it refuses is no fault of the caller, unless there is nothing.
pub(crate) fn failure(error: RegistryError) -> Error {
    let kind = model::Kinded::kind(&error);
    let error = Error::from_kinded(error);
    match kind {
        model::ErrorKind::NotFound | model::ErrorKind::Cancelled | model::ErrorKind::Invalid => error,
        _ => error.with_kind(model::ErrorKind::Internal),
    }
}
