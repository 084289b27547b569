//! The flags of `build`: those of Docker's own command and those of buildx.

use crate::command::Kind::{Bytes, Checked, Int, List, Strings, Swap, Switch, Text};
use crate::command::{Flag, flag, long, switch};
use crate::commands::container::options::check;
use crate::commands::image::reference;

/// All of them.
pub(super) const FLAGS: &[Flag] = &[
    long(
        "add-host",
        Checked("list", check::extra_host),
        "Add a line to /etc/hosts of the steps, as NAME:ADDRESS",
    ),
    long("allow", List, "Permit something that builds may not do by default, 'network.host' say"),
    long("annotation", List, "Attach an annotation to the image, as KEY=VALUE"),
    long("attest", List, "Attach an attestation, 'type=sbom' say"),
    long(
        "build-arg",
        Checked("list", check::variable),
        "Set an ARG, as NAME=VALUE; NAME alone takes our own value",
    ),
    long("build-context", List, "Further context for COPY --from and FROM, as NAME=PLACE"),
    long("builder", Text, "Builder to use; there is one, 'default'"),
    long("cache-from", List, "Images whose steps may be used again"),
    long("cache-to", List, "Where to export the cache to"),
    flag("call", '\0', Text, "build", "What to do with the Dockerfile: 'build'"),
    long("cgroup-parent", Text, "Control group to put the steps' groups into"),
    long("check", Switch, "Look for mistakes without building"),
    long("compress", Switch, "Compress the context on its way"),
    flag("cpu-period", '\0', Int, "0", "Length of a scheduling period, in microseconds"),
    flag("cpu-quota", '\0', Int, "0", "Processor time per period, in microseconds"),
    flag("cpu-shares", 'c', Int, "0", "Processor share of the steps (1024 is usual)"),
    long("cpuset-cpus", Text, "Processors the steps may run on, 0-3 or 0,1"),
    long("cpuset-mems", Text, "Memory nodes the steps may use, 0-3 or 0,1"),
    switch("debug", 'D', ""),
    long("debug-on-failure", Switch, "Open a shell in the state that a failing command left"),
    flag("disable-content-trust", '\0', Switch, "true", "Take base images also when content trust is on"),
    long("explain", Switch, "Tell why each step was done again, or was not"),
    flag("file", 'f', Text, "", "The Dockerfile (default PATH/Dockerfile); - for stdin"),
    long("force-rm", Switch, "Remove intermediate containers also when a step fails"),
    long("iidfile", Text, "Write the image's id to this file"),
    long("isolation", Text, ""),
    long("label", Checked("list", check::label), "Attach metadata to the image, as KEY=VALUE"),
    long("load", Switch, "Keep the image in the engine, which is done anyway"),
    flag("memory", 'm', Bytes, "0", "Memory a step may use, 512m say"),
    flag("memory-swap", '\0', Swap, "0", "Memory and swap together; -1 for any amount of swap"),
    long("metadata-file", Text, "Write what is known about the result to this file"),
    flag("network", '\0', Text, "default", "Network of the steps: 'default', 'none', 'host' or a name"),
    long("no-cache", Switch, "Run every step again"),
    long("no-cache-filter", List, "Run every step of these stages again"),
    flag("output", 'o', List, "", "Where the result goes, 'type=local,dest=PATH' say"),
    long("platform", Strings, "Platform to build for, linux/arm64 say"),
    long("policy", List, ""),
    flag(
        "progress",
        '\0',
        Text,
        "auto",
        "How to show progress: 'auto', 'plain', 'tty', 'quiet' or 'rawjson'",
    ),
    long("provenance", Text, "Attach where the image comes from"),
    long("pull", Switch, "Get base images also when they are here"),
    long("push", Switch, "Put the image into its registry"),
    switch("quiet", 'q', "Print only the image's id"),
    long("resource", List, ""),
    flag("rm", '\0', Switch, "true", "Remove intermediate containers"),
    long("sbom", Text, "Attach what the image consists of"),
    long("secret", List, "Give a secret to RUN --mount=type=secret, as id=ID,src=FILE"),
    long("security-opt", Strings, "Security option of the steps"),
    flag("shm-size", '\0', Bytes, "0", "Size of /dev/shm of the steps"),
    long("squash", Switch, "Make one layer of all that the build adds"),
    long(
        "ssh",
        List,
        "Lend an SSH agent or keys to RUN --mount=type=ssh, as default or ID[=SOCKET|KEY[,KEY]]",
    ),
    flag(
        "tag",
        't',
        Checked("list", tag),
        "",
        "Name of the image, as NAME[:TAG]; more than once for several",
    ),
    long("target", Text, "Stage to build"),
    long("ulimit", Checked("ulimit", check::ulimit), "Resource limit of the steps, as NAME=SOFT[:HARD]"),
];

fn tag(text: &str) -> Result<(), String> {
    reference::parse(text).map(drop).map_err(|failure| failure.message())
}
