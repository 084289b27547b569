//! The table of routes: which handler answers which path. The order matters: the first match wins.

mod build;
mod build_lines;
mod build_mount;
pub(crate) mod build_session;
mod container;
mod container_archive;
mod container_stream;
mod event;
mod exec;
mod image;
mod image_transfer;
mod network;
mod registry;
mod system;
mod unavailable;
mod volume;

use crate::call::Action;
use crate::router::Route;

const fn get(pattern: &'static str, action: Action) -> Route {
    Route { method: "GET", pattern, action }
}

const fn post(pattern: &'static str, action: Action) -> Route {
    Route { method: "POST", pattern, action }
}

const fn head(pattern: &'static str, action: Action) -> Route {
    Route { method: "HEAD", pattern, action }
}

const fn put(pattern: &'static str, action: Action) -> Route {
    Route { method: "PUT", pattern, action }
}

const fn delete(pattern: &'static str, action: Action) -> Route {
    Route { method: "DELETE", pattern, action }
}

/// Every route of `api::route`, with its handler.
pub(crate) const TABLE: &[Route] = &[
    get("/containers/json", container::list),
    post("/containers/create", container::create),
    post("/containers/prune", container::prune),
    head("/containers/{}/archive", container_archive::stat),
    get("/containers/{}/archive", container_archive::get),
    put("/containers/{}/archive", container_archive::put),
    get("/containers/{}/export", container_archive::export),
    get("/containers/{}/changes", container::changes),
    get("/containers/{}/json", container::inspect),
    get("/containers/{}/top", container::top),
    get("/containers/{}/logs", container_stream::logs),
    get("/containers/{}/stats", container_stream::stats),
    get("/containers/{}/attach/ws", container_stream::attach_websocket),
    post("/containers/{}/attach", container_stream::attach),
    post("/containers/{}/kill", container::kill),
    post("/containers/{}/pause", container::pause),
    post("/containers/{}/unpause", container::unpause),
    post("/containers/{}/restart", container::restart),
    post("/containers/{}/start", container::start),
    post("/containers/{}/stop", container::stop),
    post("/containers/{}/wait", container_stream::wait),
    post("/containers/{}/resize", container::resize),
    post("/containers/{}/rename", container::rename),
    post("/containers/{}/update", container::update),
    post("/containers/{}/exec", exec::create),
    delete("/containers/{*}", container::remove),
    get("/exec/{}/json", exec::inspect),
    post("/exec/{}/start", exec::start),
    post("/exec/{}/resize", exec::resize),
    get("/images/json", image::list),
    get("/images/search", registry::search),
    get("/images/get", image_transfer::save_many),
    get("/images/{*}/get", image_transfer::save_one),
    get("/images/{*}/history", image::history),
    get("/images/{*}/json", image::inspect),
    get("/images/{*}/attestations", image::attestations),
    post("/images/load", image_transfer::load),
    post("/images/create", image_transfer::create),
    post("/images/prune", image::prune),
    post("/images/{*}/push", registry::push),
    post("/images/{*}/tag", image::tag),
    delete("/images/{*}", image::remove),
    post("/commit", image::commit),
    get("/distribution/{*}/json", registry::inspect),
    post("/build", build::build),
    post("/build/prune", build::prune),
    post("/build/cancel", build::cancel),
    get("/build/mounts/archive", build_mount::get),
    put("/build/mounts/archive", build_mount::put),
    get("/volumes", volume::list),
    get("/volumes/{*}", volume::inspect),
    post("/volumes/create", volume::create),
    post("/volumes/prune", volume::prune),
    put("/volumes/{*}", unavailable::cluster_volume),
    delete("/volumes/{*}", volume::remove),
    get("/networks", network::list),
    get("/networks/", network::list),
    get("/networks/{*}", network::inspect),
    post("/networks/create", network::create),
    post("/networks/prune", network::prune),
    post("/networks/{*}/connect", network::connect),
    post("/networks/{*}/disconnect", network::disconnect),
    delete("/networks/{*}", network::remove),
    get("/_ping", system::ping),
    head("/_ping", system::ping),
    get("/events", event::events),
    get("/info", system::info),
    get("/version", system::version),
    get("/system/df", system::disk_usage),
    post("/wharf/system/check", system::check),
    post("/auth", registry::auth),
    Route { method: "OPTIONS", pattern: "/{*}", action: system::options },
    get("/plugins", unavailable::plugins),
    get("/plugins/privileges", unavailable::plugin_call),
    get("/plugins/{*}/json", unavailable::plugin),
    post("/plugins/pull", unavailable::plugin_call),
    post("/plugins/create", unavailable::plugin_call),
    post("/plugins/{*}/enable", unavailable::plugin),
    post("/plugins/{*}/disable", unavailable::plugin),
    post("/plugins/{*}/push", unavailable::plugin),
    post("/plugins/{*}/upgrade", unavailable::plugin),
    post("/plugins/{*}/set", unavailable::plugin),
    delete("/plugins/{*}", unavailable::plugin),
    get("/swarm", unavailable::swarm),
    get("/swarm/unlockkey", unavailable::swarm),
    post("/swarm/init", unavailable::swarm_init),
    post("/swarm/join", unavailable::swarm_init),
    post("/swarm/leave", unavailable::swarm_leave),
    post("/swarm/update", unavailable::swarm),
    post("/swarm/unlock", unavailable::swarm_leave),
    get("/nodes", unavailable::swarm),
    get("/nodes/{}", unavailable::swarm),
    delete("/nodes/{}", unavailable::swarm),
    post("/nodes/{}/update", unavailable::swarm),
    get("/services", unavailable::swarm),
    get("/services/{}", unavailable::swarm),
    get("/services/{}/logs", unavailable::swarm),
    post("/services/create", unavailable::swarm),
    post("/services/{}/update", unavailable::swarm),
    delete("/services/{}", unavailable::swarm),
    get("/tasks", unavailable::swarm),
    get("/tasks/{}", unavailable::swarm),
    get("/tasks/{}/logs", unavailable::swarm),
    get("/secrets", unavailable::swarm),
    get("/secrets/{}", unavailable::swarm),
    post("/secrets/create", unavailable::swarm),
    post("/secrets/{}/update", unavailable::swarm),
    delete("/secrets/{}", unavailable::swarm),
    get("/configs", unavailable::swarm),
    get("/configs/{}", unavailable::swarm),
    post("/configs/create", unavailable::swarm),
    post("/configs/{}/update", unavailable::swarm),
    delete("/configs/{}", unavailable::swarm),
    post("/session", build_session::session),
    post("/grpc", build_session::grpc),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// What only wharf has.
    const OWN: [(&str, &str); 2] = [("GET", "/build/mounts/archive"), ("PUT", "/build/mounts/archive")];

    #[test]
    fn the_table_has_exactly_the_routes_of_the_api_and_our_own() {
        let served: BTreeSet<(&str, &str)> =
            TABLE.iter().map(|route| (route.method, route.pattern)).collect();
        let wanted: BTreeSet<(&str, &str)> =
            api::route::ROUTES.iter().map(|route| (route.method, route.path)).chain(OWN).collect();
        assert_eq!(served.len(), TABLE.len(), "a route stands twice");
        assert_eq!(served, wanted);
    }
}
