//! What the checks find in a Dockerfile: as warnings beside a build, or as the answer to a question.

use builder::Dockerfile;
use builder::dockerfile::{Lines, Warning};
use buildkit::control::VertexWarning;
use buildkit::ops::SourceInfo;
use buildkit::server::{Job, Wish};
use engine::Engine;
use engine::build::{BuildError, Cancel};
use grpc::Status;
use serde_json::{Map, Value, json};

use super::files::{Definition, Files};
use super::subrequest::{bytes, location};
use super::{failure, request};

/// A warning beside a build: it belongs to the step that loaded the Dockerfile.
pub(super) fn warning(warning: &Warning, source: &SourceInfo) -> VertexWarning {
    VertexWarning {
        vertex: Definition::vertex(&source.filename),
        level: 1,
        short: warning.short().into_bytes(),
        detail: vec![warning.finding.description().as_bytes().to_vec()],
        url: warning.finding.url(),
        info: Some(source.clone()),
        ranges: vec![failure::range(warning.lines)],
    }
}

/// All findings, as JSON and as text, and whether there are none.
pub(super) fn lint(
    engine: &Engine,
    wish: &Wish,
    job: &Job,
    cancel: &Cancel,
) -> Result<(Value, String, bool), Status> {
    let files = Files::new(engine, wish, job, cancel)?;
    let source = &files.dockerfile;
    let checked = match Dockerfile::read(&source.data) {
        Ok(file) => engine.builds().check(&request::request(wish, job, &files)?, &file),
        Err(error) => Err(BuildError::File(error)),
    };
    Ok(match checked {
        Ok(warnings) => {
            let (json, text) = answer(&warnings, None, source);
            (json, text, warnings.is_empty())
        }
        Err(error) => {
            let status = failure::plan(&error, source);
            let lines = match &error {
                BuildError::File(error) => error.lines,
                _ => None,
            };
            let (json, text) = answer(&[], Some((&status.message, lines)), source);
            (json, text, false)
        }
    })
}

/// The findings, and why there is no build.
fn answer(
    warnings: &[Warning],
    error: Option<(&str, Option<Lines>)>,
    source: &SourceInfo,
) -> (Value, String) {
    let found = |warning: &Warning| {
        json!({
            "ruleName": warning.finding.rule(),
            "description": warning.finding.description(),
            "url": warning.finding.url(),
            "detail": warning.finding.to_string(),
            "location": location(warning.lines),
        })
    };
    let mut all = Map::new();
    all.insert("warnings".into(), warnings.iter().map(found).collect());
    let file = json!({ "filename": source.filename, "data": bytes(source), "language": source.language });
    all.insert("sources".into(), json!([file]));
    if let Some((message, lines)) = error {
        let place = lines.map_or_else(|| json!({}), location);
        all.insert("buildError".into(), json!({ "message": message, "location": place }));
    }
    (Value::Object(all), warnings.iter().map(|warning| shown(warning, source)).collect())
}

/// A finding as people read it.
fn shown(warning: &Warning, source: &SourceInfo) -> String {
    let finding = &warning.finding;
    let excerpt = excerpt(source, warning.lines);
    format!("\nWARNING: {} - {}\n{finding}\n{excerpt}", finding.rule(), finding.url())
}

/// Lines of the file with a mark, and some around them.
fn excerpt(source: &SourceInfo, marked: Lines) -> String {
    let text = String::from_utf8_lossy(&source.data);
    let lines: Vec<&str> = text.split('\n').collect();
    if marked.first < 1 || marked.first > lines.len() {
        return String::new();
    }
    let (mut first, mut last) = (marked.first, marked.last.min(lines.len()));
    let around = if marked.first == marked.last { 4 } else { 2 };
    let mut added = 0;
    while added < around {
        if first > 1 {
            first -= 1;
            added += 1;
        }
        if last < lines.len() {
            last += 1;
            added += 1;
        }
        added += 1;
    }
    let rule = "--------------------";
    let mut shown = format!("{}:{}\n{rule}\n", source.filename, marked.first);
    for (number, line) in (first..=last).zip(lines.iter().skip(first - 1)) {
        let mark = if (marked.first..=marked.last).contains(&number) { ">>>" } else { "   " };
        shown.push_str(&format!(" {number:3} | {mark} {line}\n"));
    }
    shown + rule + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> SourceInfo {
        let language = "Dockerfile".into();
        SourceInfo { filename: "Dockerfile".into(), data: text.into(), language, definition: None }
    }

    #[test]
    fn findings_are_told_as_buildkit_does() {
        let text = "FROM busybox\nMAINTAINER me\nCMD echo\n";
        let source = source(text);
        let found = Dockerfile::read(text.as_bytes()).expect("reads").warnings;
        let told = warning(&found[0], &source);
        assert_eq!(
            String::from_utf8_lossy(&told.short),
            "MaintainerDeprecated: Maintainer instruction is deprecated in favor of using label (line 2)"
        );
        assert_eq!(told.ranges[0].start.as_ref().map(|start| start.line), Some(2));
        let (json, text) = answer(&found[..1], None, &source);
        assert_eq!(json["warnings"][0]["ruleName"], "MaintainerDeprecated");
        assert_eq!(json["warnings"][0]["location"]["ranges"][0]["end"]["line"], 2);
        assert_eq!(
            text,
            "\nWARNING: MaintainerDeprecated - https://docs.docker.com/go/dockerfile/rule/maintainer-deprecated/\n\
             Maintainer instruction is deprecated in favor of using label\n\
             Dockerfile:2\n--------------------\n   1 |     FROM busybox\n   2 | >>> MAINTAINER me\n   3 |     \
             CMD echo\n   4 |     \n--------------------\n"
        );
    }

    #[test]
    fn a_build_that_cannot_be_says_why() {
        let lines = Some(Lines::one(1));
        let (json, text) = answer(&[], Some(("no build stage", lines)), &source("x\n"));
        assert_eq!(json["buildError"]["message"], "no build stage");
        assert_eq!(json["buildError"]["location"]["ranges"][0]["start"]["line"], 1);
        assert_eq!((json["warnings"].as_array().map(Vec::len), text.as_str()), (Some(0), ""));
    }

    #[test]
    fn excerpts_stay_in_the_file() {
        let source = source("a\nb");
        assert_eq!(excerpt(&source, Lines::one(9)), "");
        let whole = "Dockerfile:1\n--------------------\n   1 | >>> a\n   2 | >>> b\n--------------------\n";
        assert_eq!(excerpt(&source, Lines { first: 1, last: 7 }), whole);
    }
}
