//! What administrators ask for: collection and metrics. Through the network with an account, or by a socket that only
//! the registry's own user can open.

use std::sync::Arc;

use serde_json::json;
use transport::server::{Exchange, Handler, ResponseHead};

use super::RegistryServer;
use super::answer::{self, Answered};

/// Serves the administrator's socket.
#[derive(Debug)]
pub struct AdminServer(pub Arc<RegistryServer>);

impl Handler for AdminServer {
    fn handle(&self, exchange: &mut Exchange<'_>) {
        let path = std::mem::take(&mut exchange.head.path);
        let answered = match path.as_str() {
            "/admin/collect" => collect(&self.0, exchange),
            "/metrics" => metrics(&self.0, exchange),
            _ => answer::empty(exchange, &ResponseHead::new(404)),
        };
        self.0.finish(exchange, &path, answered);
    }
}

/// `POST /admin/collect`
pub(super) fn collect(server: &RegistryServer, exchange: &mut Exchange<'_>) -> Answered {
    if exchange.head.method != "POST" {
        return answer::method_refused(exchange, "POST");
    }
    let collected = server.collect()?;
    let value = json!({
        "tags": collected.tags,
        "manifests": collected.manifests,
        "links": collected.links,
        "blobs": collected.blobs,
        "bytes": collected.bytes,
    });
    answer::document(exchange, ResponseHead::new(200), "application/json", &value)
}

/// `GET /metrics`
pub(super) fn metrics(server: &RegistryServer, exchange: &mut Exchange<'_>) -> Answered {
    let text = server.metrics.text(server.registry.open_uploads());
    exchange.respond(&ResponseHead::new(200).content_type("text/plain; version=0.0.4"), text.as_bytes())?;
    Ok(200)
}
