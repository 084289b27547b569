//! The HTTP side of a registry: paths to calls, errors to documents.

mod answer;
mod blob;
mod listing;
mod manifest;
mod range;
pub mod route;
mod upload;

use std::sync::Arc;

use transport::server::{Exchange, Handler};

use crate::{Registry, RegistryError};
use answer::{Answered, Fault};
use route::Route;

pub use range::{Wanted, chunk, wanted};

/// Serves one registry.
#[derive(Debug)]
pub struct RegistryServer {
    registry: Arc<Registry>,
}

impl RegistryServer {
    /// A server over a registry.
    pub fn new(registry: Arc<Registry>) -> Self {
        Self { registry }
    }

    fn answer(&self, exchange: &mut Exchange<'_>, path: &str, query: &str) -> Answered {
        let Some(route) = Route::parse(path)? else {
            exchange.respond(&answer::head(404).content_type("text/plain"), b"404 page not found\n")?;
            return Ok(404);
        };
        let registry = &*self.registry;
        match &route {
            Route::Base => base(exchange),
            Route::Catalog if !is_read(exchange) => answer::method_refused(exchange, "GET"),
            Route::Tags(_) | Route::Referrers(..) if !is_read(exchange) => {
                answer::method_refused(exchange, "GET")
            }
            Route::Catalog => listing::catalog(registry, exchange, query, &|_| true),
            Route::Tags(name) => listing::tags(registry, exchange, name, query),
            Route::Manifest(name, reference) => manifest::serve(registry, exchange, name, reference, query),
            Route::Blob(name, digest) => blob::serve(registry, exchange, name, digest),
            Route::Uploads(name) => upload::begin(registry, exchange, name, query, &|_| true),
            Route::Upload(name, id) => upload::serve(registry, exchange, name, id, query),
            Route::Referrers(name, subject) => listing::referrers(registry, exchange, name, subject, query),
        }
    }
}

impl Handler for RegistryServer {
    fn handle(&self, exchange: &mut Exchange<'_>) {
        let path = std::mem::take(&mut exchange.head.path);
        let query = std::mem::take(&mut exchange.head.query);
        match self.answer(exchange, &path, &query) {
            Ok(_) | Err(Fault::Gone(_)) => {}
            Err(Fault::Refused(error)) => {
                if let RegistryError::Storage(_) = &error {
                    eprintln!("registry: {path}: {}", model::error::chain(&error));
                }
                if !exchange.has_started() {
                    let _ = answer::refuse(exchange, &error);
                }
            }
        }
    }
}

fn is_read(exchange: &Exchange<'_>) -> bool {
    matches!(exchange.head.method.as_str(), "GET" | "HEAD")
}

fn base(exchange: &mut Exchange<'_>) -> Answered {
    if !is_read(exchange) {
        return answer::method_refused(exchange, "GET");
    }
    exchange.respond(&answer::head(200).content_type("application/json"), b"{}")?;
    Ok(200)
}
