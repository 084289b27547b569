//! What `--help` and `--version` print.

use crate::defaults::{Defaults, base_name, is_dockerd};
use crate::options::{Kind, OPTIONS};

/// The usage, one line per flag.
pub(crate) fn usage(program: &str, defaults: &Defaults) -> String {
    let program = base_name(program);
    let mut lines: Vec<String> = OPTIONS
        .iter()
        .filter(|option| !option.flag.is_empty())
        .map(|option| {
            let short = if option.short == '\0' { "    ".to_owned() } else { format!("-{}, ", option.short) };
            let takes = match option.kind {
                Kind::Flag => "",
                Kind::Number => " int",
                Kind::List | Kind::Addresses => " list",
                Kind::Map => " map",
                Kind::Size => " bytes",
                Kind::Ulimits => " ulimit",
                Kind::Pools => " pool-options",
                Kind::Runtimes => " runtime",
                Kind::Address => " ip",
                Kind::Text | Kind::Document => " string",
            };
            let note = match place(defaults, option.flag) {
                Some(path) => format!("(default {path})"),
                None if option.used => String::new(),
                None => "(accepted, no meaning here)".to_owned(),
            };
            format!("  {short}--{:<40}{note}", format!("{}{takes}", option.flag)).trim_end().to_owned()
        })
        .collect();
    let file = format!("(default {})", defaults.config_file.display());
    lines.push(format!("      --{:<40}{file}", "config-file string"));
    lines.push("      --help".to_owned());
    lines.push("      --on-demand".to_owned());
    lines.push("      --validate".to_owned());
    lines.push("  -v, --version".to_owned());
    lines.sort_by_key(|line| {
        line.trim_start_matches([' ', '-'])
            .get(..)
            .map(|text| text.rsplit_once("--").map_or(text, |(_, name)| name).to_owned())
    });
    format!(
        "\nUsage:  {program} [OPTIONS]\n\nA self-sufficient runtime for containers.\n\nOptions:\n{}\n",
        lines.join("\n")
    )
}

/// Where a flag points when it is not given.
fn place(defaults: &Defaults, flag: &str) -> Option<String> {
    let path = match flag {
        "data-root" => &defaults.data_root,
        "exec-root" => &defaults.exec_root,
        "pidfile" => &defaults.pidfile,
        "host" => return Some(format!("unix://{}", defaults.socket.display())),
        _ => return None,
    };
    Some(path.display().to_string())
}

/// One line with the version.
pub(crate) fn version(program: &str) -> String {
    let name = if is_dockerd(program) { "Docker" } else { "wharf" };
    format!("{name} version {}, API {}\n", env!("CARGO_PKG_VERSION"), api::version::MAX)
}
