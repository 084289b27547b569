//! Answers of routes whose feature this engine does not have yet, in Docker's words where Docker has such a state.

use crate::call::Call;
use crate::failure::Failure;

type Answer = Result<(), Failure>;

/// Cluster calls outside a cluster.
pub(crate) fn swarm(_call: &mut Call<'_, '_>) -> Answer {
    Err(Failure::new(
        503,
        "This node is not a swarm manager. Use \"docker swarm init\" or \"docker swarm join\" to connect this node to swarm and try again.",
    ))
}

/// Leaving what was never joined.
pub(crate) fn swarm_leave(_call: &mut Call<'_, '_>) -> Answer {
    Err(Failure::new(503, "This node is not part of a swarm"))
}

/// Starting or joining a cluster.
pub(crate) fn swarm_init(_call: &mut Call<'_, '_>) -> Answer {
    Err(Failure::new(501, "swarm mode is not supported by this engine yet"))
}

/// Volumes of a cluster.
pub(crate) fn cluster_volume(_call: &mut Call<'_, '_>) -> Answer {
    Err(Failure::new(503, "volume update only valid for cluster volumes, but swarm is unavailable"))
}

/// The plugins there are: none.
pub(crate) fn plugins(call: &mut Call<'_, '_>) -> Answer {
    call.query
        .filters()?
        .allow_only(&["capability", "enabled"])
        .map_err(|error| Failure::new(400, error.to_string()))?;
    call.json(200, &[(); 0])
}

/// One plugin, which can't exist.
pub(crate) fn plugin(call: &mut Call<'_, '_>) -> Answer {
    Err(Failure::new(404, format!("plugin {:?} not found", call.name())))
}

/// Getting plugins.
pub(crate) fn plugin_call(_call: &mut Call<'_, '_>) -> Answer {
    Err(Failure::new(501, "plugins are not supported by this engine"))
}
