//! The command line.

use std::path::PathBuf;

/// What `--help` prints.
pub(crate) const USAGE: &str = "\
Usage: wharf-registry [COMMAND] [OPTIONS]

A registry of container images.

Commands:
  serve    Answer clients (the default)
  gc       Take away what nothing uses, while the registry serves or not
  passwd   Read a password from standard input and print its hash for the configuration
  image    Write an image of this program to standard output, to be loaded by an engine

Options of serve and gc:
  --config FILE     Configuration, JSON (default /etc/wharf/registry.json, when it is there)
  --root DIR        Where everything is kept (default /var/lib/registry)
  --listen ADDRESS  Where to listen (default 0.0.0.0:5000); may be given several times
  --check           Only say whether the configuration can be used

Options of image:
  --name NAME       The image's name (default registry:latest)

  --help, --version
";

/// What to do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Command {
    /// Show how this is used.
    Help,
    /// Show which this is.
    Version,
    /// Answer clients.
    Serve(Place),
    /// Take away what nothing uses.
    Collect(Place),
    /// Hash a password.
    Password,
    /// Write an image with this name.
    Image(String),
}

/// Which registry.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Place {
    /// The configuration file.
    pub config: Option<PathBuf>,
    /// Where everything is kept.
    pub root: Option<PathBuf>,
    /// Addresses to listen on.
    pub listen: Vec<String>,
    /// Do nothing but check.
    pub check: bool,
}

impl Command {
    /// Reads the words behind the program's name.
    ///
    /// # Errors
    /// With what is wrong.
    pub(crate) fn parse(words: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut words = words.peekable();
        let command = words.next_if(|word| !word.starts_with('-')).unwrap_or_else(|| "serve".to_owned());
        let mut place = Place::default();
        let mut name = "registry:latest".to_owned();
        while let Some(word) = words.next() {
            let (flag, attached) = match word.split_once('=') {
                Some((flag, value)) => (flag.to_owned(), Some(value.to_owned())),
                None => (word, None),
            };
            let mut value =
                || attached.clone().or_else(|| words.next()).ok_or_else(|| format!("{flag} needs a value"));
            match (command.as_str(), flag.as_str()) {
                (_, "--help" | "-h") => return Ok(Self::Help),
                (_, "--version") => return Ok(Self::Version),
                ("serve" | "gc", "--config") => place.config = Some(value()?.into()),
                ("serve" | "gc", "--root") => place.root = Some(value()?.into()),
                ("serve", "--listen") => place.listen.push(value()?),
                ("serve", "--check") => place.check = true,
                ("image", "--name") => name = value()?,
                _ => return Err(format!("{command} has no option {flag}")),
            }
        }
        match command.as_str() {
            "serve" => Ok(Self::Serve(place)),
            "gc" => Ok(Self::Collect(place)),
            "passwd" => Ok(Self::Password),
            "image" => Ok(Self::Image(name)),
            "help" => Ok(Self::Help),
            "version" => Ok(Self::Version),
            other => Err(format!("there is no command {other}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Command, String> {
        Command::parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn command_lines() {
        assert_eq!(parse(""), Ok(Command::Serve(Place::default())));
        let serve = Place { root: Some("/r".into()), listen: vec!["[::]:1".into()], ..Place::default() };
        assert_eq!(parse("serve --root=/r --listen [::]:1"), Ok(Command::Serve(serve)));
        let place = Place { config: Some("c".into()), ..Place::default() };
        assert_eq!(parse("gc --config c"), Ok(Command::Collect(place)));
        assert_eq!(parse("image --name a:b"), Ok(Command::Image("a:b".into())));
        assert_eq!(parse("--help"), Ok(Command::Help));
        assert_eq!(parse("serve --root"), Err("--root needs a value".into()));
        assert_eq!(parse("serve --nonsense"), Err("serve has no option --nonsense".into()));
        assert_eq!(parse("nonsense"), Err("there is no command nonsense".into()));
    }
}
