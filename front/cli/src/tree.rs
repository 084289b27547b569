//! The list of all commands.

use crate::command::{Entry, Group, Section};
use crate::commands::{
    build, builder, container, context, image, inspect, manifest, network, swarm, system, volume,
};
use crate::completion;

/// The sentence at the top of the help.
pub const ABOUT: &str = "A container engine for Linux";

const CONTAINER: Group = Group {
    about: "Manage containers",
    bare: None,
    entries: &[
        Entry::command("attach", &container::attach::COMMAND),
        Entry::command("commit", &container::commit::COMMAND),
        Entry::command("cp", &container::cp::COMMAND),
        Entry::command("create", &container::create::COMMAND),
        Entry::command("diff", &container::diff::COMMAND),
        Entry::command("exec", &container::exec::COMMAND),
        Entry::command("export", &container::export::COMMAND),
        Entry::command("inspect", &container::inspect::COMMAND),
        Entry::command("kill", &container::kill::COMMAND),
        Entry::command("logs", &container::logs::COMMAND),
        Entry::command("ls", &container::list::COMMAND).aliases(&["list", "ps"]),
        Entry::command("pause", &container::pause::COMMAND),
        Entry::command("port", &container::port::COMMAND),
        Entry::command("prune", &container::prune::COMMAND),
        Entry::command("rename", &container::rename::COMMAND),
        Entry::command("restart", &container::restart::COMMAND),
        Entry::command("rm", &container::rm::COMMAND).aliases(&["remove"]),
        Entry::command("run", &container::run::COMMAND),
        Entry::command("start", &container::start::COMMAND),
        Entry::command("stats", &container::stats::COMMAND),
        Entry::command("stop", &container::stop::COMMAND),
        Entry::command("top", &container::top::COMMAND),
        Entry::command("unpause", &container::unpause::COMMAND),
        Entry::command("update", &container::update::COMMAND),
        Entry::command("wait", &container::wait::COMMAND),
    ],
};

const HISTORY: Group = Group {
    about: "Builds that the engine remembers",
    bare: None,
    entries: &[
        Entry::command("inspect", &builder::history::INSPECT),
        Entry::command("logs", &builder::history::LOGS),
        Entry::command("ls", &builder::history::LS).aliases(&["list"]),
        Entry::command("rm", &builder::history::RM),
    ],
};

const MOUNT: Group = Group {
    about: "Folders that steps keep for later builds (RUN --mount=type=cache)",
    bare: None,
    entries: &[
        Entry::command("export", &builder::mount::EXPORT),
        Entry::command("import", &builder::mount::IMPORT),
    ],
};

const BUILDER: Group = Group {
    about: "Manage builds",
    bare: None,
    entries: &[
        Entry::command("build", &build::COMMAND),
        Entry::command("du", &builder::du::COMMAND),
        Entry::group("history", &HISTORY).section(Section::Plain),
        Entry::command("inspect", &builder::instance::INSPECT),
        Entry::command("ls", &builder::instance::LS),
        Entry::group("mount", &MOUNT).section(Section::Plain),
        Entry::command("prune", &builder::prune::COMMAND),
    ],
};

const BUILDX: Group = Group {
    about: "Builds by the names of Docker's plugin",
    bare: None,
    entries: &[
        Entry::command("build", &build::COMMAND).aliases(&["b"]),
        Entry::command("du", &builder::du::COMMAND),
        Entry::group("history", &HISTORY).section(Section::Plain),
        Entry::command("inspect", &builder::instance::INSPECT),
        Entry::command("ls", &builder::instance::LS),
        Entry::command("prune", &builder::prune::WITH_TABLE),
        Entry::command("version", &builder::instance::VERSION),
    ],
};

const IMAGE: Group = Group {
    about: "Manage images",
    bare: None,
    entries: &[
        Entry::command("build", &build::COMMAND),
        Entry::command("history", &image::history::COMMAND),
        Entry::command("import", &image::import::COMMAND),
        Entry::command("inspect", &image::inspect::COMMAND),
        Entry::command("load", &image::load::COMMAND),
        Entry::command("ls", &image::list::COMMAND).aliases(&["list"]),
        Entry::command("prune", &image::prune::COMMAND),
        Entry::command("pull", &image::pull::COMMAND),
        Entry::command("push", &image::push::COMMAND),
        Entry::command("rm", &image::rm::COMMAND).aliases(&["remove"]),
        Entry::command("save", &image::save::COMMAND),
        Entry::command("tag", &image::tag::COMMAND),
    ],
};

const NETWORK: Group = Group {
    about: "Manage networks",
    bare: None,
    entries: &[
        Entry::command("connect", &network::connect::COMMAND),
        Entry::command("create", &network::create::COMMAND),
        Entry::command("disconnect", &network::disconnect::COMMAND),
        Entry::command("inspect", &network::inspect::COMMAND),
        Entry::command("ls", &network::list::COMMAND).aliases(&["list"]),
        Entry::command("prune", &network::prune::COMMAND),
        Entry::command("rm", &network::rm::COMMAND).aliases(&["remove"]),
    ],
};

const VOLUME: Group = Group {
    about: "Manage volumes",
    bare: None,
    entries: &[
        Entry::command("create", &volume::create::COMMAND),
        Entry::command("inspect", &volume::inspect::COMMAND),
        Entry::command("ls", &volume::list::COMMAND).aliases(&["list"]),
        Entry::command("prune", &volume::prune::COMMAND),
        Entry::command("rm", &volume::rm::COMMAND).aliases(&["remove"]),
    ],
};

const SYSTEM: Group = Group {
    about: "Manage the engine",
    bare: None,
    entries: &[
        Entry::command("check", &system::check::COMMAND),
        Entry::command("df", &system::df::COMMAND),
        Entry::command("dial-stdio", &system::dial_stdio::COMMAND).section(Section::Hidden),
        Entry::command("events", &system::events::COMMAND),
        Entry::command("info", &system::info::COMMAND),
        Entry::command("prune", &system::prune::COMMAND),
    ],
};

const CONTEXT: Group = Group {
    about: "Manage contexts",
    bare: None,
    entries: &[
        Entry::command("create", &context::create::COMMAND),
        Entry::command("export", &context::export::COMMAND),
        Entry::command("import", &context::import::COMMAND),
        Entry::command("inspect", &context::inspect::COMMAND),
        Entry::command("ls", &context::list::COMMAND).aliases(&["list"]),
        Entry::command("rm", &context::rm::COMMAND).aliases(&["remove"]),
        Entry::command("show", &context::show::COMMAND),
        Entry::command("update", &context::update::COMMAND),
        Entry::command("use", &context::usage::COMMAND),
    ],
};

const MANIFEST: Group = Group {
    about: "Manage Docker image manifests and manifest lists",
    bare: None,
    entries: &[
        Entry::command("annotate", &manifest::annotate::COMMAND),
        Entry::command("create", &manifest::create::COMMAND),
        Entry::command("inspect", &manifest::inspect::COMMAND),
        Entry::command("push", &manifest::push::COMMAND),
        Entry::command("rm", &manifest::rm::COMMAND),
    ],
};

const NODE: Group = Group {
    about: "Manage Swarm nodes",
    bare: None,
    entries: &[Entry::command("ls", &swarm::nodes::COMMAND).aliases(&["list"])],
};

const SERVICE: Group = Group {
    about: "Manage Swarm services",
    bare: None,
    entries: &[Entry::command("ls", &swarm::services::COMMAND).aliases(&["list"])],
};

const SWARM: Group =
    Group { about: "Manage Swarm", bare: None, entries: &[Entry::command("leave", &swarm::leave::COMMAND)] };

/// Every command of the program.
pub const COMMANDS: &[Entry] = &[
    Entry::command("run", &container::run::COMMAND).section(Section::Common),
    Entry::command("exec", &container::exec::COMMAND).section(Section::Common),
    Entry::command("ps", &container::list::COMMAND).section(Section::Common),
    Entry::command("build", &build::COMMAND).section(Section::Common),
    Entry::command("pull", &image::pull::COMMAND).section(Section::Common),
    Entry::command("push", &image::push::COMMAND).section(Section::Common),
    Entry::command("images", &image::list::COMMAND).section(Section::Common),
    Entry::command("login", &image::login::COMMAND).section(Section::Common),
    Entry::command("logout", &image::logout::COMMAND).section(Section::Common),
    Entry::command("search", &image::search::COMMAND).section(Section::Common),
    Entry::command("version", &system::version::COMMAND).section(Section::Common),
    Entry::command("info", &system::info::COMMAND).section(Section::Common),
    Entry::group("builder", &BUILDER),
    Entry::group("buildx", &BUILDX),
    Entry::group("container", &CONTAINER),
    Entry::group("context", &CONTEXT),
    Entry::group("image", &IMAGE),
    Entry::group("manifest", &MANIFEST),
    Entry::group("network", &NETWORK),
    Entry::group("node", &NODE),
    Entry::group("service", &SERVICE),
    Entry::group("swarm", &SWARM),
    Entry::group("system", &SYSTEM),
    Entry::group("volume", &VOLUME),
    Entry::command("attach", &container::attach::COMMAND),
    Entry::command("commit", &container::commit::COMMAND),
    Entry::command("completion", &completion::COMMAND).section(Section::Hidden),
    Entry::command("__complete", &completion::CANDIDATES).section(Section::Hidden),
    Entry::command("cp", &container::cp::COMMAND),
    Entry::command("create", &container::create::COMMAND),
    Entry::command("diff", &container::diff::COMMAND),
    Entry::command("events", &system::events::COMMAND),
    Entry::command("export", &container::export::COMMAND),
    Entry::command("history", &image::history::COMMAND),
    Entry::command("import", &image::import::COMMAND),
    Entry::command("inspect", &inspect::COMMAND),
    Entry::command("kill", &container::kill::COMMAND),
    Entry::command("load", &image::load::COMMAND),
    Entry::command("logs", &container::logs::COMMAND),
    Entry::command("pause", &container::pause::COMMAND),
    Entry::command("port", &container::port::COMMAND),
    Entry::command("rename", &container::rename::COMMAND),
    Entry::command("restart", &container::restart::COMMAND),
    Entry::command("rm", &container::rm::COMMAND),
    Entry::command("rmi", &image::rm::COMMAND),
    Entry::command("save", &image::save::COMMAND),
    Entry::command("start", &container::start::COMMAND),
    Entry::command("stats", &container::stats::COMMAND),
    Entry::command("stop", &container::stop::COMMAND),
    Entry::command("tag", &image::tag::COMMAND),
    Entry::command("top", &container::top::COMMAND),
    Entry::command("unpause", &container::unpause::COMMAND),
    Entry::command("update", &container::update::COMMAND),
    Entry::command("wait", &container::wait::COMMAND),
];
