//! `--check` and `--call`: a question about the Dockerfile, answered instead of a build.

use std::collections::BTreeMap;

use buildkit::client::Builder;
use buildkit::control::SolveRequest;
use buildkit::gateway::{self, BuildResult, ReturnRequest};
use grpc::{Cancellation, Status};
use serde_json::Value as Json;

use super::attributes::Attributes;
use super::{failure, fields};
use crate::failure::{Failure, Outcome};
use crate::matches::Matches;

/// What a frontend needs to be able to do for this.
const SUBREQUESTS: &str = "moby.buildkit.frontend.subrequests";

/// A question.
#[derive(Debug, PartialEq)]
pub(super) struct Question {
    kind: Kind,
    as_json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// What could be better.
    Check,
    /// Which arguments, secrets and agents it takes.
    Outline,
    /// Which stages it has.
    Targets,
}

/// The facts of an answer, by name.
pub(super) type Answer = BTreeMap<String, Vec<u8>>;

impl Question {
    /// Reads the flags; none when there is to be a build.
    ///
    /// # Errors
    /// When nobody knows the question.
    pub fn of(matches: &Matches) -> Result<Option<Self>, Failure> {
        let text = if matches.on("check") { "check" } else { matches.text("call") };
        let mut parts = fields::lines(text)?;
        let name = if parts.is_empty() { String::new() } else { parts.remove(0) };
        let kind = match name.to_lowercase().as_str() {
            "" | "build" => return Ok(None),
            "check" | "lint" => Kind::Check,
            "outline" => Kind::Outline,
            "targets" => Kind::Targets,
            name => return Err(Failure::text(format!("invalid call {}", crate::value::quoted(name)))),
        };
        let mut as_json = false;
        for (key, value) in fields::pairs(&fields::join(&parts)).unwrap_or_default() {
            match (key.as_str(), value.as_str()) {
                ("format", "json") => as_json = true,
                ("format", "text" | "") | ("ignorestatus", _) => {}
                ("format", value) => {
                    return Err(Failure::text(format!("invalid format {}", crate::value::quoted(value))));
                }
                (key, _) => {
                    return Err(Failure::text(format!("invalid option {}", crate::value::quoted(key))));
                }
            }
        }
        Ok(Some(Self { kind, as_json }))
    }

    /// Adds the question to the frontend's options.
    pub fn add_to(&self, attributes: &mut Attributes) {
        let request = match self.kind {
            Kind::Check => "frontend.lint",
            Kind::Outline => "frontend.outline",
            Kind::Targets => "frontend.targets",
        };
        attributes.insert("requestid".into(), request.into());
        attributes.insert("frontend.caps".into(), SUBREQUESTS.into());
    }

    /// Prints the answer.
    ///
    /// # Errors
    /// With nothing to print when what was checked is not as it should be.
    pub fn print(&self, answer: &Answer) -> Outcome {
        let text = |name: &str| answer.get(name).map(|bytes| String::from_utf8_lossy(bytes).into_owned());
        let json = text("result.json").unwrap_or_default();
        if self.as_json {
            println!("{}", json.trim_end());
        } else {
            let told = text("result.txt").unwrap_or_default();
            match self.kind {
                Kind::Check => print!("{}", checked(&json, &told)),
                Kind::Outline | Kind::Targets => print!("{told}"),
            }
        }
        let code = text("result.statuscode").unwrap_or_default();
        if matches!(code.as_str(), "" | "0") { Ok(()) } else { Err(Failure::Status(1)) }
    }
}

/// The findings, with their count before them and why there is no build behind.
fn checked(json: &str, told: &str) -> String {
    let json: Json = serde_json::from_str(json).unwrap_or_default();
    let count = json.get("warnings").and_then(Json::as_array).map_or(0, Vec::len);
    let error = json.pointer("/buildError/message").and_then(Json::as_str);
    if let Some(message) = error {
        return format!("{told}\nERROR: {message}\n");
    }
    let head = match count {
        0 => "Check complete, no warnings found.".to_owned(),
        1 => "Check complete, 1 warning has been found!".to_owned(),
        count => format!("Check complete, {count} warnings have been found!"),
    };
    format!("{head}\n{told}")
}

/// Asks within a build that the client drives itself: one that has no frontend of its own.
///
/// # Errors
/// What the frontend says when it has no answer.
pub(super) fn ask(builder: &Builder, request: SolveRequest, until: &Cancellation) -> Result<Answer, Status> {
    let reference = request.reference.clone();
    let question = gateway::SolveRequest {
        frontend: request.frontend.clone(),
        frontend_opt: request.frontend_attrs.clone(),
        allow_result_return: true,
        allow_result_array_ref: true,
        ..gateway::SolveRequest::default()
    };
    let driven = SolveRequest {
        frontend: String::new(),
        frontend_attrs: BTreeMap::new(),
        exporters: Vec::new(),
        exporter_deprecated: String::new(),
        exporter_attrs_deprecated: BTreeMap::new(),
        ..request
    };
    std::thread::scope(|scope| {
        let driving = scope.spawn(|| builder.solve(&driven, until));
        let answer = builder.ask_frontend(&reference, &question, until);
        let returned = match &answer {
            Ok(_) => ReturnRequest { result: Some(BuildResult::default()), error: None },
            Err(status) => ReturnRequest { result: None, error: Some(status.to_message()) },
        };
        // Whoever does not take it ends the build anyway, and its end says why.
        let given = builder.give_back(&reference, &returned);
        let driven =
            driving.join().unwrap_or_else(|_| Err(Status::new(grpc::Code::Internal, "the build broke")));
        let answer = answer?;
        given.and(driven.map(drop))?;
        Ok(answer.result.unwrap_or_default().metadata)
    })
}

/// Why there is no answer, in the words of Docker's client.
pub(super) fn failed(status: &Status) -> Failure {
    match buildkit::errdefs::find(status, "Subrequest") {
        Some(_) => Failure::text(format!("ERROR: {}: this builder does not answer it", status.message)),
        None => failure::of_build(status),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::build::flags::FLAGS;

    static TABLES: [&[crate::command::Flag]; 1] = [FLAGS];

    #[test]
    fn questions_are_read() {
        let read = |word: &str| {
            let matches = Matches::parse(&TABLES, true, &[word.to_owned()]).unwrap();
            Question::of(&matches).map_err(|failure| failure.message())
        };
        let question = |kind, as_json| Ok(Some(Question { kind, as_json }));
        assert_eq!(read("--check"), question(Kind::Check, false));
        assert_eq!(read("--check=false"), Ok(None));
        assert_eq!(read("--call=check,format=json"), question(Kind::Check, true));
        assert_eq!(read("--call=outline"), question(Kind::Outline, false));
        assert_eq!(read("--call=targets"), question(Kind::Targets, false));
        assert_eq!(read("--call=build"), Ok(None));
        assert_eq!(read("--call=odd"), Err("invalid call \"odd\"".to_owned()));
        assert_eq!(read("--call=check,format=odd"), Err("invalid format \"odd\"".to_owned()));
    }

    #[test]
    fn findings_are_counted() {
        assert_eq!(checked("{}", ""), "Check complete, no warnings found.\n");
        let two = r#"{"warnings":[{},{}]}"#;
        assert_eq!(
            checked(two, "\nWARNING: x\n"),
            "Check complete, 2 warnings have been found!\n\nWARNING: x\n"
        );
        let broken = r#"{"warnings":[],"buildError":{"message":"no"}}"#;
        assert_eq!(checked(broken, ""), "\nERROR: no\n");
    }
}
