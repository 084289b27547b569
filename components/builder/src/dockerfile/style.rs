//! The checks that need nothing but the text of a Dockerfile.

use std::collections::HashSet;

use super::source::Statement;
use super::{Dockerfile, Finding, Instruction, Placed, Warning};

impl Dockerfile {
    /// Notes what the text should not be like; the file was understood.
    pub(super) fn check_style(&mut self, statements: &[Statement]) {
        let mut found = casing(statements);
        let mut names = HashSet::new();
        for statement in statements {
            let warnings = match statement.keyword.to_ascii_uppercase().as_str() {
                "FROM" => from(statement, &mut names),
                "ARG" => description("ARG", statement, &argument_names(statement)).into_iter().collect(),
                _ => Vec::new(),
            };
            found.extend(warnings.into_iter().map(|finding| Warning { finding, lines: statement.lines }));
        }
        for placed in self.stages.iter().flat_map(|stage| &stage.instructions) {
            found.extend(old(placed).map(|finding| Warning { finding, lines: placed.lines }));
        }
        self.warnings.append(&mut found);
        self.warnings.sort_by_key(|warning| warning.lines);
    }
}

fn is_lower(text: &str) -> bool {
    text.chars().all(|letter| !letter.is_ascii_uppercase())
}

fn is_upper(text: &str) -> bool {
    text.chars().all(|letter| !letter.is_ascii_lowercase())
}

/// Instructions should all be in the case most of them have. Arguments before the first FROM do not count.
fn casing(statements: &[Statement]) -> Vec<Warning> {
    let first = statements.iter().position(|one| one.keyword.eq_ignore_ascii_case("from"));
    let counted = statements.get(first.unwrap_or_default()..).unwrap_or_default();
    let upper = counted.iter().filter(|one| is_upper(&one.keyword)).count();
    let lower = counted.iter().filter(|one| is_lower(&one.keyword)).count();
    let (case, is_good): (_, fn(&str) -> bool) =
        if lower > upper { ("lowercase", is_lower) } else { ("uppercase", is_upper) };
    let warning = |one: &Statement| Warning {
        finding: Finding::ConsistentInstructionCasing { keyword: one.keyword.clone(), case },
        lines: one.lines,
    };
    counted.iter().filter(|one| !is_good(&one.keyword)).map(warning).collect()
}

/// What is to be said of a FROM; `names` are those of the stages before it.
fn from(statement: &Statement, names: &mut HashSet<String>) -> Vec<Finding> {
    let mut found = Vec::new();
    let words = statement.rest.split_whitespace().skip_while(|word| word.starts_with("--"));
    let words: Vec<&str> = words.collect();
    let [_, between, name] = words[..] else { return found };
    let keyword = statement.keyword.as_str();
    // A keyword in both cases is told by itself.
    let fits = if is_lower(keyword) { is_lower(between) } else { !is_upper(keyword) || is_upper(between) };
    if !fits {
        found.push(Finding::FromAsCasing { from: keyword.to_owned(), between: between.to_owned() });
    }
    if !is_lower(name) {
        found.push(Finding::StageNameCasing { name: name.to_owned() });
    }
    let lower = name.to_ascii_lowercase();
    found.extend(description("FROM", statement, std::slice::from_ref(&lower)));
    if matches!(lower.as_str(), "scratch" | "context") {
        found.push(Finding::ReservedStageName { name: lower.clone() });
    }
    if !names.insert(lower.clone()) {
        found.push(Finding::DuplicateStageName { name: lower });
    }
    found
}

fn argument_names(statement: &Statement) -> Vec<String> {
    let words = super::words::raw_words(&statement.rest, '\\');
    words.iter().filter_map(|word| Some(word.split('=').next()?.to_owned())).collect()
}

/// A comment right above what has a name begins with that name; an empty one parts them.
fn description(keyword: &'static str, statement: &Statement, names: &[String]) -> Option<Finding> {
    let comment = statement.comments.last().filter(|comment| !comment.is_empty())?;
    let first = comment.split(' ').next().unwrap_or_default();
    let (only, others) = names.split_first()?;
    if names.iter().any(|name| name == first) {
        return None;
    }
    let name = if others.is_empty() { only.clone() } else { "<arg_key>".to_owned() };
    Some(Finding::InvalidDefinitionDescription { keyword, name })
}

/// Ways of writing that are older than their better ones.
fn old(placed: &Placed<Instruction>) -> Option<Finding> {
    match &placed.value {
        Instruction::Maintainer(_) => Some(Finding::MaintainerDeprecated),
        Instruction::Env(pairs) | Instruction::Label(pairs) if pairs.iter().any(|pair| pair.legacy) => {
            Some(Finding::LegacyKeyValueFormat { keyword: placed.keyword().to_owned() })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::Dockerfile;

    /// What is found, with its lines; only what may be found without being asked for, unless it is about descriptions.
    fn found(text: &str) -> Vec<(String, usize)> {
        let file = Dockerfile::read(text.as_bytes()).unwrap_or_else(|error| panic!("{text}: {error}"));
        let all = file.warnings.iter();
        all.map(|warning| (warning.finding.to_string(), warning.lines.first)).collect()
    }

    fn check(text: &str, expected: &[(&str, usize)]) {
        let expected: Vec<(String, usize)> =
            expected.iter().map(|(told, line)| ((*told).to_owned(), *line)).collect();
        assert_eq!(found(text), expected, "{text}");
    }

    #[test]
    fn keywords_are_in_one_case() {
        let casing = |keyword: &str, case: &str| {
            format!("Command '{keyword}' should match the case of the command majority ({case})")
        };
        check("FROM a\nrun x\nRUN y\n", &[(&casing("run", "uppercase"), 2)]);
        check("arg X\nfrom a\nrun x\nRun y\n", &[(&casing("Run", "lowercase"), 4)]);
        check("from a\nRUN x\n", &[(&casing("from", "uppercase"), 1)]);
        check("arg X\nFROM a\nRUN x\n", &[]);
        check("FROM a as b\n", &[("'as' and 'FROM' keywords' casing do not match", 1)]);
        check("from a AS b\n", &[("'AS' and 'from' keywords' casing do not match", 1)]);
        check("FROM a AS b\nFROM b\n", &[]);
        check("from a as b\n", &[]);
    }

    #[test]
    fn stages_have_names_of_their_own() {
        check(
            "FROM a AS B\nFROM c AS b\nFROM --platform=x d AS scratch\n",
            &[
                ("Stage name 'B' should be lowercase", 1),
                ("Duplicate stage name \"b\", stage names should be unique", 2),
                ("Stage name should not use the same name as reserved stage \"scratch\"", 3),
            ],
        );
        check("FROM a AS b\nFROM b AS c\n", &[]);
    }

    #[test]
    fn old_ways_are_told() {
        check(
            "FROM a\nENV b c\nLabel d e\nMAINTAINER me\n",
            &[
                ("\"ENV key=value\" should be used instead of legacy \"ENV key value\" format", 2),
                ("Command 'Label' should match the case of the command majority (uppercase)", 3),
                ("\"Label key=value\" should be used instead of legacy \"Label key value\" format", 3),
                ("Maintainer instruction is deprecated in favor of using label", 4),
            ],
        );
        check("FROM a\nENV b=c\nLABEL d=e org.x=y\n", &[]);
        check("FROM a\nRUN x \\\n\n  y\n", &[("Empty continuation line", 3)]);
        check("FROM a\nRUN x \\\n# in between\n  y\n", &[]);
    }

    #[test]
    fn descriptions_begin_with_what_they_describe() {
        let wrong = |keyword: &str, name: &str| {
            format!("Comment for {keyword} should follow the format: `# {name} <description>`")
        };
        check("# The tools.\nFROM a AS tools\n", &[(&wrong("FROM", "tools"), 2)]);
        check("FROM a\n# version of it\nARG VERSION=1\n", &[(&wrong("ARG", "VERSION"), 3)]);
        check("FROM a\n# both\nARG A B=2\n", &[(&wrong("ARG", "<arg_key>"), 3)]);
        check(
            "# tools are here\nFROM a AS tools\n# B is one\nARG A B=2\n# no name\n\nARG C\n# x\n#\nARG D\n",
            &[],
        );
        check("# anything\nFROM a\n", &[]);
    }
}
