//! Instructions as BuildKit shows them while they run: the keyword in capitals, variables replaced.

use super::stage::{Planner, Work};
use super::{Bases, Style};
use crate::dockerfile::{Command, Expansion, Heredoc, Instruction, Placed, Run};

/// Whether BuildKit counts an instruction as a step of its stage.
pub(super) fn is_counted(text: &str) -> bool {
    let keyword = text.split_whitespace().next().unwrap_or_default();
    ["ADD", "COPY", "RUN", "WORKDIR"].iter().any(|known| known.eq_ignore_ascii_case(keyword))
}

impl<B: Bases> Planner<'_, B> {
    /// What is shown of an instruction before it is done.
    pub(super) fn shown(&self, work: &Work, placed: &Placed<Instruction>) -> String {
        if self.options.style == Style::Classic {
            return String::new();
        }
        let keyword = placed.keyword();
        let rest = placed.text.trim_start().get(keyword.len()..).unwrap_or_default();
        // A trigger has the texts it was written with below its line.
        let rest = rest.lines().next().unwrap_or_default();
        let mut text = format!("{}{rest}", keyword.to_uppercase());
        if let Instruction::Run(run) = &placed.value {
            text.push_str(&script(run));
        }
        // A command's own quotes and variables are its shell's.
        let is_command = matches!(placed.value, Instruction::Run(_));
        let environment = work.environment();
        let expansion = Expansion {
            escape: self.file.directives.escape,
            values: &|name| work.finished.scope.get(name, environment),
            keep_unset: is_command,
            raw_quotes: is_command,
            plain_quotes: false,
        };
        expansion.expand(&text).map_or(text, |expanded| expanded.text)
    }
}

/// The first line of a command that is written as a file.
fn script(run: &Run) -> String {
    let (Command::Shell(line), Some(heredoc)) = (&run.command, run.heredocs.first()) else {
        return String::new();
    };
    if Heredoc::opening(line).is_none() {
        return String::new();
    }
    let text = heredoc.text();
    let mut lines = text.trim().lines();
    let first = lines.next().unwrap_or_default();
    let more = if lines.next().is_some() { "..." } else { "" };
    format!(" ({first}{more})")
}
