//! `--sbom`: the program of another image looks over a result and says what packages are in it.
//!
//! The scanner runs like any command of a build, in a build of its own: the result is mounted where it looks, and what
//! it writes is read from the files that come out. So nothing it does reaches the result, and the cache knows its answers.

use buildkit::server::{Context, Job, Wish};
use engine::Engine;
use engine::build::export::Statement;
use grpc::{Code, Status};
use serde_json::Value;

use super::backend::{BuiltPart, PassingImage};
use super::explain::Memory;
use super::{build, reading};

/// The image that is asked when none is named.
pub(super) const USUAL: &str = "docker/buildkit-syft-scanner:stable-1";
/// Where a scanner finds the result, where it writes, and how it is told so.
const LOOKS: &str = "/run/src/core/sbom";
const WRITES: &str = "/run/out";
/// Bytes of one list of packages at most, and lists at most.
const LARGEST: u64 = 64 << 20;
const MOST: usize = 64;
/// What the scanner and the result are called in the build that is made of them.
const SCANNER: &str = "wharf-scanner";
const SCANNED: &str = "wharf-scanned";
/// The type of the documents a scanner writes.
const STATEMENT: &str = "https://in-toto.io/Statement/";

/// What a scanner says about a result, each with the name of its file.
pub(super) fn scan(
    engine: &Engine,
    generator: &str,
    part: &BuiltPart,
    job: &Job,
) -> Result<Vec<(String, Statement)>, Status> {
    let text = format!("FROM {}\n", buildkit::server::one_word(generator)?);
    let scanner = passing(engine, text, &[], job).map_err(|status| missing(generator, status))?;
    let text = dockerfile(engine, &scanner.id, part)?;
    let scanned = [(SCANNER, scanner.id.as_str()), (SCANNED, part.outcome.id.as_str())];
    let out = passing(engine, text, &scanned, job).map_err(|status| failed(generator, status))?;
    let files = reading::folder(engine, &out.id, "/")?;
    let names: Vec<String> =
        files.into_iter().map(|file| file.path).filter(|name| name.ends_with(".json")).collect();
    if names.is_empty() || names.len() > MOST {
        let text = format!("generator {generator} left {} statements in {WRITES}", names.len());
        return Err(Status::new(Code::Unknown, text));
    }
    names.into_iter().map(|name| read(engine, &out.id, name, generator)).collect()
}

/// An image that is only built to be looked at.
fn passing(
    engine: &Engine,
    text: String,
    contexts: &[(&str, &str)],
    job: &Job,
) -> Result<PassingImage, Status> {
    let named = |(name, id): &(&str, &str)| ((*name).to_owned(), Context::Image((*id).to_owned()));
    let wish = Wish {
        filename: "Dockerfile".to_owned(),
        context: Context::Nothing,
        text: Some(text),
        contexts: contexts.iter().map(named).collect(),
        ..Wish::default()
    };
    let (parts, _) = build::build(engine, &Memory::default(), &wish, job)?;
    let first = parts.into_iter().next().ok_or_else(|| Status::new(Code::Internal, "nothing was built"))?;
    Ok(PassingImage::new(engine, first.outcome.id))
}

/// The scanner's own command, with the result before it.
fn dockerfile(engine: &Engine, scanner: &str, part: &BuiltPart) -> Result<String, Status> {
    let config = engine.builds().image_config(scanner).unwrap_or_default();
    let config: Value = serde_json::from_slice(&config).unwrap_or_default();
    let list = |name: &str| config["config"][name].as_array().cloned().unwrap_or_default();
    let command: Vec<Value> = list("Entrypoint").into_iter().chain(list("Cmd")).collect();
    if command.is_empty() {
        return Err(Status::new(Code::InvalidArgument, "the generator's image says no command"));
    }
    let folder = config["config"]["WorkingDir"].as_str().filter(|folder| !folder.is_empty()).unwrap_or("/");
    // In a Dockerfile this is text with variables, in the configuration it is not.
    let folder = folder.replace('\\', "\\\\").replace('$', "\\$");
    let platform = part.platform.text();
    let command = Value::from(command);
    Ok(format!(
        "FROM --platform={platform} {SCANNED} AS scanned\nFROM {SCANNER} AS scan\nUSER root\nWORKDIR {WRITES}\n\
         WORKDIR {folder}\nENV BUILDKIT_SCAN_SOURCE={LOOKS} BUILDKIT_SCAN_DESTINATION={WRITES}\n\
         RUN --mount=type=bind,from=scanned,source=/,target={LOOKS} {command}\nFROM scratch\n\
         COPY --from=scan {WRITES}/ /\n"
    ))
}

/// A statement as the scanner wrote it; whom it is about is ours to say.
fn read(engine: &Engine, id: &str, name: String, generator: &str) -> Result<(String, Statement), Status> {
    let wrong = |why: &str| {
        let text = format!("generator {generator} wrote {name}, which is no statement of in-toto: {why}");
        Status::new(Code::Unknown, text)
    };
    let bytes = reading::file(engine, id, &name, 0, LARGEST + 1)?;
    if bytes.len() as u64 > LARGEST {
        return Err(wrong("it is too large"));
    }
    let statement = parse(&bytes).map_err(|why| wrong(&why))?;
    Ok((name, statement))
}

fn parse(bytes: &[u8]) -> Result<Statement, String> {
    let mut document: Value = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    let kind = document["_type"].as_str().unwrap_or_default();
    if !kind.starts_with(STATEMENT) {
        return Err(format!("its _type is {kind:?}"));
    }
    let predicate_type = document["predicateType"].as_str().unwrap_or_default().to_owned();
    let predicate = document.get_mut("predicate").map(Value::take).unwrap_or_default();
    if predicate_type.is_empty() || predicate.is_null() {
        return Err("it has no predicate".to_owned());
    }
    Ok(Statement { predicate_type, predicate })
}

fn missing(generator: &str, status: Status) -> Status {
    let text = format!(
        "--sbom needs the image of a generator, and {generator} is not to be had (another one is named with --sbom=generator=IMAGE): {}",
        status.message
    );
    Status { message: text, ..status }
}

fn failed(generator: &str, status: Status) -> Status {
    let text = format!("generating sbom using {generator}: {}", status.message);
    Status { message: text, ..status }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_statements_are_taken() {
        let whole =
            br#"{"_type":"https://in-toto.io/Statement/v0.1","predicateType":"t","predicate":{"a":1}}"#;
        let statement = parse(whole).expect("reads");
        assert_eq!((statement.predicate_type.as_str(), &statement.predicate["a"]), ("t", &Value::from(1)));
        for wrong in [
            &b"no"[..],
            br#"{"_type":"other","predicateType":"t","predicate":{}}"#,
            br#"{"_type":"https://in-toto.io/Statement/v0.1","predicateType":"t"}"#,
            br#"{"_type":"https://in-toto.io/Statement/v0.1","predicate":{}}"#,
        ] {
            assert!(parse(wrong).is_err(), "{}", String::from_utf8_lossy(wrong));
        }
    }
}
