//! Docker's plugins buildx and compose, which tests drive wharf with: from Debian 13 where the machine's own Debian has none.

use std::fs;
use std::path::Path;
use std::process::Command;

use testkit::{image, peers};

use crate::{Outcome, packages};

const SUITE: &str = "trixie";
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";
/// Plugins of Docker's command line, which are packages of the same name.
const PLUGINS: [&str; 2] = ["buildx", "compose"];

/// Puts the plugins that are missing where the tests look for them. Without a mirror that has them their tests are
/// skipped, and say so.
pub(crate) fn ensure() -> Outcome {
    let missing: Vec<&str> =
        PLUGINS.into_iter().filter(|name| peers::docker_plugin(name).is_none()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    println!("fetching docker-{} of {SUITE}", missing.join(", docker-"));
    let work = image::cache_dir().join(format!("plugins.{}", std::process::id()));
    let fetched = fetch(&missing, &work);
    fs::remove_dir_all(&work).map_err(|error| format!("{}: {error}", work.display()))?;
    if let Err(error) = fetched {
        println!("tests with buildx and compose are going to be skipped: {error}");
    }
    Ok(())
}

fn fetch(names: &[&str], work: &Path) -> Outcome {
    for folder in ["lists/partial", "cache/archives/partial", "parts"] {
        fs::create_dir_all(work.join(folder)).map_err(|error| format!("{}: {error}", work.display()))?;
    }
    let source = format!("deb [signed-by={KEYRING}] {} {SUITE} main\n", mirror()?);
    fs::write(work.join("parts/plugins.list"), source).map_err(|error| format!("parts: {error}"))?;
    let place = |option: &str, path: &str| format!("{option}={}", work.join(path).display());
    let options = [
        "Dir::Etc::sourcelist=/dev/null".to_owned(),
        place("Dir::Etc::sourceparts", "parts"),
        place("Dir::State::lists", "lists"),
        place("Dir::Cache", "cache"),
        // What is fetched is read by nobody else.
        "APT::Sandbox::User=root".to_owned(),
    ];
    let options: Vec<&str> = options.iter().flat_map(|option| ["-o", option]).collect();
    packages::apt(&[&options[..], &["update", "-q"]].concat())?;
    let named: Vec<String> = names.iter().map(|name| format!("docker-{name}")).collect();
    let named: Vec<&str> = named.iter().map(String::as_str).collect();
    // `install` keeps the archives in its cache, and installs nothing with `-d`.
    let install = ["install", "-q", "-y", "-d", "--no-install-recommends", "--reinstall"];
    packages::apt(&[&options[..], &install, &named].concat())?;
    names.iter().try_for_each(|name| unpack(name, work))
}

/// Where the machine's own packages come from.
fn mirror() -> Result<String, String> {
    let targets = ["indextargets", "--format", "$(SITE)", "Created-By: Packages", "Label: Debian"];
    let mut output = run(Command::new("apt-get").args(targets))?;
    if output.trim().is_empty() {
        packages::apt(&["update", "-q"])?;
        output = run(Command::new("apt-get").args(targets))?;
    }
    output.lines().next().map(str::to_owned).ok_or_else(|| "apt has no Debian mirror".to_owned())
}

fn unpack(name: &str, work: &Path) -> Outcome {
    let archives = work.join("cache/archives");
    let archives = fs::read_dir(&archives).map_err(|error| format!("{}: {error}", archives.display()))?;
    let archive = archives
        .filter_map(Result::ok)
        .find(|entry| entry.file_name().to_string_lossy().starts_with(&format!("docker-{name}_")))
        .ok_or_else(|| format!("apt-get fetched no docker-{name}"))?;
    let root = work.join(name);
    run(Command::new("dpkg-deb").arg("-x").arg(archive.path()).arg(&root))?;
    let from = root.join(peers::plugin_path(name));
    let to = image::cache_dir().join(peers::plugin_path(name));
    let folder = to.parent().unwrap_or(&to);
    fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    fs::rename(&from, &to).map_err(|error| format!("{}: {error}", to.display()))
}

/// What a command prints.
fn run(command: &mut Command) -> Result<String, String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr).trim()))
}
