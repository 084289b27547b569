//! What `--help` and `--version` print.

use crate::options::{Kind, OPTIONS};

/// The usage, one line per flag.
pub(crate) fn usage(program: &str) -> String {
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
            let note = if option.used { "" } else { "(accepted, no meaning here)" };
            format!("  {short}--{:<40}{note}", format!("{}{takes}", option.flag)).trim_end().to_owned()
        })
        .collect();
    lines.push("      --config-file string".to_owned());
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
        "\nUsage:\t{program} [OPTIONS]\n\nA self-sufficient runtime for containers.\n\nOptions:\n{}\n",
        lines.join("\n")
    )
}

/// One line with the version.
pub(crate) fn version() -> String {
    format!("wharf version {}, API {}\n", env!("CARGO_PKG_VERSION"), api::version::MAX)
}
