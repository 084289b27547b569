//! `manifest annotate`: says which machines a manifest of a list is for.

use super::parse;
use super::store::Store;
use crate::command::Kind::{Strings, Text};
use crate::command::{Arity, Command, Flag, long};
use crate::failure::{Failure, Outcome};
use crate::matches::Matches;
use crate::session::Session;

const FLAGS: &[Flag] = &[
    long("arch", Text, "Processor, arm64 say"),
    long("os", Text, "Operating system"),
    long("os-features", Strings, "Features of the operating system"),
    long("os-version", Text, "Version of the operating system"),
    long("variant", Text, "Variant of the processor, v8 say"),
];

/// The command.
pub const COMMAND: Command = Command {
    about: "Add additional information to a local image manifest",
    usage: &["[OPTIONS] MANIFEST_LIST MANIFEST"],
    spellings: &[],
    flags: &[FLAGS],
    arity: Arity::Exact(2),
    interspersed: true,
    examples: &[
        "manifest annotate --arch arm64 --variant v8 localhost:5000/hello:1 localhost:5000/hello:arm64",
    ],
    run,
};

/// Operating systems and the processors that docker knows for each.
const KNOWN: [(&str, &[&str]); 9] = [
    ("darwin", &["386", "amd64", "arm", "arm64"]),
    ("dragonfly", &["amd64"]),
    ("freebsd", &["386", "amd64", "arm"]),
    ("linux", &["386", "amd64", "arm", "arm64", "mips64", "mips64le", "ppc64le", "riscv64", "s390x"]),
    ("netbsd", &["386", "amd64", "arm"]),
    ("openbsd", &["386", "amd64", "arm"]),
    ("plan9", &["386", "amd64"]),
    ("solaris", &["amd64"]),
    ("windows", &["386", "amd64"]),
];

fn run(session: &Session, matches: &Matches) -> Outcome {
    let (list, image) = (matches.arg(0), matches.arg(1));
    let named = |kind: &str, text: &str| {
        parse(text).map_err(|failure| {
            Failure::text(format!("annotate: error parsing name for {kind} {text}: {}", failure.message()))
        })
    };
    let (target, name) = (named("manifest list", list)?, named("manifest", image)?);
    let store = Store::new(session);
    let mut entry = store
        .get(&target, &name)?
        .ok_or_else(|| Failure::text(format!("manifest for image {image} does not exist in {list}")))?;
    let mut platform = entry.descriptor.platform.take().unwrap_or_default();
    for (flag, field) in [
        ("os", &mut platform.os),
        ("arch", &mut platform.architecture),
        ("variant", &mut platform.variant),
        ("os-version", &mut platform.os_version),
    ] {
        if !matches.text(flag).is_empty() {
            matches.text(flag).clone_into(field);
        }
    }
    for feature in matches.list("os-features") {
        if !platform.os_features.contains(feature) {
            platform.os_features.push(feature.clone());
        }
    }
    let known = KNOWN
        .iter()
        .any(|(os, processors)| *os == platform.os && processors.contains(&platform.architecture.as_str()));
    if !known {
        return Err(Failure::text(format!(
            "manifest entry for image has unsupported os/arch combination: {}/{}",
            matches.text("os"),
            matches.text("arch")
        )));
    }
    entry.descriptor.platform = Some(platform);
    store.save(&target, &name, &entry)
}
