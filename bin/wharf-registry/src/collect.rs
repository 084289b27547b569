//! `wharf-registry gc`: asks the registry that serves, or collects itself when none does.

use std::io::Read as _;

use transport::client::{Body, Endpoint, HttpClient, Request};

use crate::arguments::Place;
use crate::config::Config;

/// Collects and prints what went.
///
/// # Errors
/// With one line that says why it can't.
pub(crate) fn run(place: &Place) -> Result<(), String> {
    let config = Config::load(place)?;
    let socket = config.admin_socket();
    let client = HttpClient::new(Endpoint::Unix(socket.clone()));
    let request = Request { method: "POST", path: "/admin/collect", headers: &[], body: Body::Empty };
    if std::os::unix::net::UnixStream::connect(&socket).is_err() {
        let collected =
            config.open()?.collect(&config.policy()).map_err(|error| model::error::chain(&error))?;
        println!(
            "removed {} tags, {} manifests, {} blobs of repositories; freed {} blobs, {} bytes",
            collected.tags, collected.manifests, collected.links, collected.blobs, collected.bytes
        );
        return Ok(());
    }
    let mut answer = client.send(request).map_err(|error| model::error::chain(&error))?;
    let mut text = String::new();
    answer.body.read_to_string(&mut text).map_err(|error| error.to_string())?;
    if answer.head.status != 200 {
        return Err(format!("the registry answered {}: {text}", answer.head.status));
    }
    let value: serde_json::Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    println!(
        "removed {} tags, {} manifests, {} blobs of repositories; freed {} blobs, {} bytes",
        value["tags"], value["manifests"], value["links"], value["blobs"], value["bytes"]
    );
    Ok(())
}
