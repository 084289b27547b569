//! `create`: makes a container without starting it.

use std::io::Write as _;
use std::path::Path;

use api_client::Query;
use serde::Deserialize;
use serde_json::Value as Json;

use super::options;
use crate::command::{Arity, Command};
use crate::commands::image::{pull, trust};
use crate::failure::{Failure, Outcome, file_failure};
use crate::matches::Matches;
use crate::session::Session;

/// The command.
pub const COMMAND: Command = Command {
    about: "Create a new container",
    usage: &["[OPTIONS] IMAGE [COMMAND] [ARG...]"],
    spellings: &["container create", "create"],
    flags: &[options::LIMITS, options::FLAGS],
    arity: Arity::Min(1),
    interspersed: false,
    examples: &["create --name web -p 8080:80 nginx"],
    run,
};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    id: String,
    #[serde(default)]
    warnings: Option<Vec<String>>,
}

fn run(session: &Session, matches: &Matches) -> Outcome {
    let created =
        check_pull(matches).and_then(|()| options::build(session, matches, false)).map_err(|failure| {
            match failure {
                Failure::Text { text, .. } => told(session, matches, &text, 125),
                other => other,
            }
        })?;
    let id = create(session, matches, created.body, &created.image)?;
    println!("{id}");
    Ok(())
}

/// A failure that begins with the program's name and ends with where to read more.
pub fn told(session: &Session, matches: &Matches, text: &str, code: u8) -> Failure {
    let text = format!("{}: {text}\n\nRun '{} --help' for more information", session.program, matches.path);
    Failure::Text { text, code }
}

/// Refuses a `--pull` that is none.
pub fn check_pull(matches: &Matches) -> Outcome {
    match matches.text("pull") {
        "always" | "missing" | "never" => Ok(()),
        other => Err(Failure::Text {
            text: format!(
                "invalid pull option: '{other}': must be one of \"always\", \"missing\" or \"never\""
            ),
            code: 125,
        }),
    }
}

/// Sends the document, pulling the image when the policy says so; the container's id.
pub fn create(session: &Session, matches: &Matches, body: Json, image: &str) -> Result<String, Failure> {
    check_image(image)?;
    check_platform(platform(session, matches))?;
    trust::check_image(session, matches, image)?;
    let cid_file = CidFile::reserve(matches.text("cidfile"))?;
    let policy = matches.text("pull");
    let platform = platform(session, matches);
    let quiet = matches.on("quiet");
    if policy == "always" {
        pull::pull(session, image, platform, quiet)?;
    }
    let answer = match send(session, matches, &body, platform) {
        Err(Failure::Client(error)) if policy == "missing" && error.is_not_found() => {
            if !quiet {
                eprintln!(
                    "Unable to find image '{}' locally",
                    crate::commands::image::reference::familiar(image)
                );
            }
            pull::pull(session, image, platform, quiet)?;
            send(session, matches, &body, platform)?
        }
        other => other?,
    };
    for warning in answer.warnings.unwrap_or_default() {
        eprintln!("WARNING: {warning}");
    }
    cid_file.write(&answer.id)?;
    Ok(answer.id)
}

/// Refuses what can't be an image's name or id before anything is asked.
fn check_image(image: &str) -> Outcome {
    let hex = image.strip_prefix("sha256:").unwrap_or(image);
    if hex.len() == 64 && hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(());
    }
    crate::commands::image::reference::parse(image).map(drop)
}

/// Refuses what can't be a platform.
fn check_platform(text: &str) -> Outcome {
    let good = |part: &str| {
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-()".contains(&byte))
    };
    if text.is_empty() || (text.split('/').count() <= 3 && text.split('/').all(good)) {
        return Ok(());
    }
    let shown = crate::value::quoted(text);
    let reason = if text.split('/').count() > 3 {
        "cannot parse platform specifier"
    } else {
        "is an invalid component of a platform"
    };
    Err(Failure::text(format!("error parsing specified platform: {shown}: {reason}: invalid argument")))
}

fn platform<'a>(session: &'a Session, matches: &'a Matches) -> &'a str {
    match matches.text("platform") {
        "" => session.environment.own("DEFAULT_PLATFORM").unwrap_or_default(),
        given => given,
    }
}

fn send(session: &Session, matches: &Matches, body: &Json, platform: &str) -> Result<Answer, Failure> {
    let query = Query::new().text("name", matches.text("name")).text("platform", platform);
    Ok(session.client()?.post("/containers/create", &query, body)?)
}

/// The file that gets the container's id; it must not exist before.
struct CidFile(Option<(String, std::fs::File)>);

impl CidFile {
    fn reserve(path: &str) -> Result<Self, Failure> {
        if path.is_empty() {
            return Ok(Self(None));
        }
        if Path::new(path).exists() {
            return Err(Failure::text(format!(
                "container ID file found, make sure the other container isn't running or delete {path}"
            )));
        }
        match std::fs::File::create_new(path) {
            Ok(file) => Ok(Self(Some((path.to_owned(), file)))),
            Err(error) => {
                let Failure::Text { text, code } = file_failure("open", path, &error) else {
                    return Err(error.into());
                };
                Err(Failure::Text { text: format!("failed to create the container ID file: {text}"), code })
            }
        }
    }

    fn write(mut self, id: &str) -> Outcome {
        if let Some((_, mut file)) = self.0.take() {
            file.write_all(id.as_bytes())?;
        }
        Ok(())
    }
}

/// A file without an id in it is of no use to anybody.
impl Drop for CidFile {
    fn drop(&mut self) {
        if let Some((path, _)) = &self.0 {
            let _ = std::fs::remove_file(path);
        }
    }
}
