//! What an image's history says of each step, in the words of either builder.

use oci::image::History;

use super::Style;
use crate::operation::VertexId;

/// What BuildKit leaves in every step of its own.
const BUILDKIT_COMMENT: &str = "buildkit.dockerfile.v0";

/// A step of the history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Past {
    /// Of the image below.
    Known(History),
    /// Of this build; its time and whether it has a layer come with the result.
    New {
        /// The words before the content's kind and digest.
        created_by: String,
        /// The words behind them: `file:<digest> in /x`.
        content: Option<String>,
        /// What made the layer.
        vertex: Option<VertexId>,
        /// A remark.
        comment: &'static str,
        /// Who made it.
        author: String,
    },
}

/// An instruction that only changes the configuration.
pub(super) fn setting(style: Style, shell: Option<&[String]>, text: &str) -> Past {
    match style {
        Style::Classic => new(style, format!("{} #(nop)  {text}", shell_text(shell)), None),
        Style::BuildKit => new(style, text.to_owned(), None),
    }
}

/// A step with a vertex.
pub(super) fn new(style: Style, created_by: String, vertex: Option<VertexId>) -> Past {
    let comment = if style == Style::BuildKit { BUILDKIT_COMMENT } else { "" };
    Past::New { created_by, content: None, vertex, comment, author: String::new() }
}

/// Files that were put in; the classic words have their digest.
pub(super) fn files(
    style: Style,
    shell: Option<&[String]>,
    keyword: &str,
    words: &str,
    (owner, destination): (Option<&str>, &str),
    vertex: VertexId,
) -> Past {
    match style {
        Style::BuildKit => new(style, format!("{keyword}{words} # buildkit"), Some(vertex)),
        Style::Classic => Past::New {
            created_by: format!(
                "{} #(nop) {keyword} {}",
                shell_text(shell),
                owner.map(|owner| format!("--chown={owner} ")).unwrap_or_default()
            ),
            content: Some(format!(" in {destination} ")),
            vertex: Some(vertex),
            comment: "",
            author: String::new(),
        },
    }
}

/// The shell in front of a step's words.
pub(super) fn shell_text(shell: Option<&[String]>) -> String {
    shell.map_or_else(|| "/bin/sh -c".to_owned(), |words| words.join(" "))
}

/// `["a" "b c"]`: a list as Go quotes it.
pub(super) fn quoted(words: &[String]) -> String {
    let words: Vec<String> = words.iter().map(|word| model::quote::go(word)).collect();
    format!("[{}]", words.join(" "))
}
