//! What buildx prints of a build, brought down to what is the same each time: no times, no numbers of steps, no order in
//! which side by side work happened to end.

use std::collections::BTreeMap;

/// Takes the lines of a recording (`1| ...`, `2| ...`) and leaves what can be compared.
///
/// Of a build that went well: its steps sorted by name, each with what its command wrote and whether it was known. Of
/// one that did not: only why, because what else was under way at that moment is chance. Warnings are left out: the
/// builder that is recorded is older than the checks.
pub fn essence(lines: &[String]) -> Vec<String> {
    let mut out = Vec::new();
    let mut build = Build::default();
    for line in lines {
        let Some((stream, text)) = line.split_once("| ") else {
            // An empty line, or an exit code.
            if line.starts_with('[') {
                build.finish(&mut out);
                out.push(line.clone());
            }
            continue;
        };
        match text.strip_prefix('#').and_then(|rest| rest.split_once(' ')) {
            Some((number, said)) if number.bytes().all(|byte| byte.is_ascii_digit()) => {
                if number == "0" {
                    build.finish(&mut out);
                } else {
                    build.take(number, said);
                }
            }
            _ => build.other(stream, text),
        }
    }
    build.finish(&mut out);
    out
}

#[derive(Default)]
struct Build {
    steps: BTreeMap<String, Step>,
    others: Vec<String>,
    failed: bool,
    /// Within the list of warnings.
    warnings: bool,
}

#[derive(Default)]
struct Step {
    name: String,
    lines: Vec<String>,
    known: bool,
}

impl Build {
    fn take(&mut self, number: &str, said: &str) {
        let step = self.steps.entry(number.to_owned()).or_default();
        if step.name.is_empty() {
            step.name = said.to_owned();
        } else if said == "CACHED" {
            step.known = true;
        } else if let Some((time, text)) = said.split_once(' ')
            && time.parse::<f64>().is_ok()
        {
            step.lines.push(text.to_owned());
        }
    }

    fn other(&mut self, stream: &str, text: &str) {
        if text.contains(" found (use --debug to expand):")
            || text.contains(" found (use docker --debug to expand):")
        {
            self.warnings = true;
            return;
        }
        if self.warnings && text.trim_start_matches("\\x1b[0m").starts_with(" - ") {
            return;
        }
        self.warnings = false;
        self.failed |= text.starts_with("ERROR: ");
        self.others.push(format!("{stream}| {}", unnamed(text)));
    }

    fn finish(&mut self, out: &mut Vec<String>) {
        let build = std::mem::take(self);
        if !build.failed {
            let mut steps: Vec<Step> = build.steps.into_values().collect();
            for step in &mut steps {
                step.name = without_stage(&step.name).to_owned();
            }
            steps.retain(|step| is_image(&step.name) || step.name.starts_with('['));
            steps.retain(|step| !step.name.starts_with("[internal]"));
            steps.sort_by(|one, other| one.name.cmp(&other.name));
            // A folder is asked for once, or once for each step that needs something of it.
            steps.dedup_by(|one, other| one.name == other.name && one.name.starts_with("[context "));
            for step in steps {
                // Whether an image was looked at before says nothing about the build.
                let known = step.known && !is_image(&step.name) && !step.name.starts_with("[context ");
                let known = if known { " CACHED" } else { "" };
                out.push(format!("S| {}{known}", step.name));
                out.extend(step.lines.iter().map(|line| format!("S|   {line}")));
            }
        }
        out.extend(build.others);
    }
}

/// A step's name; that of an image without the stage: of several that begin with it, it is told as any one's.
fn without_stage(name: &str) -> &str {
    match name.split_once("] FROM ") {
        Some((stage, _)) if stage.contains(' ') => name.get(stage.len() + 2..).unwrap_or_default(),
        _ => name,
    }
}

fn is_image(name: &str) -> bool {
    name.starts_with("FROM ") || name.contains("] FROM ")
}

/// What buildx says of a failed build, always in the same words: of two ends of it that learn of the failure, either may be
/// the first to say so.
pub fn one_wording(text: &str) -> String {
    text.replace("failed to run Build function: ", "failed to solve: ")
}

/// A line without the names that a builder gives its states, without the place of buildx, the words of the
/// network, and without a time before it.
fn unnamed(text: &str) -> String {
    let text = match text.split_once(' ') {
        Some((time, rest)) if time.len() >= 5 && time.parse::<f64>().is_ok() => rest,
        _ => text,
    };
    let text = one_wording(text);
    let mut out = text.clone();
    if let Some((before, rest)) = text.split_once("checksum of ref ")
        && let Some((_, after)) = rest.split_once(": ")
    {
        out = format!("{before}checksum of ref <ref>: {after}");
    }
    // How a network is not reached is the machine's business.
    if let Some((before, _)) = text.split_once("failed to do request: ") {
        out = format!("{before}failed to do request: <network>");
    }
    if let Some((before, after)) = out.split_once("docker-buildx")
        && let Some(start) = before.rfind(['"', '\'', ' '])
    {
        out = format!("{}docker-buildx{after}", before.get(..=start).unwrap_or_default());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[&str]) {
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        assert_eq!(essence(&lines), expected);
    }

    #[test]
    fn steps_are_sorted_and_without_times() {
        check(
            "1| out\n2| #0 building with \"default\" instance using docker driver\n2|\n2| #1 [internal] load x\n\
             2| #1 DONE 0.0s\n2| #3 [2/3] RUN a\n2| #3 0.1 one\n2| #4 [3/3] RUN b\n2| #4 CACHED\n2| #3 [2/3] RUN a\n\
             2| #3 12.5 two words\n2| #3 DONE 0.7s\n2| #2 [1/3] FROM x\n2| #2 CACHED\n\
             2| \\x1b[33m1 warning found (use --debug to expand):\n2| \\x1b[0m - Empty\n2| more\n[0]",
            &[
                "1| out",
                "S| [1/3] FROM x",
                "S| [2/3] RUN a",
                "S|   one",
                "S|   two words",
                "S| [3/3] RUN b CACHED",
                "2| more",
                "[0]",
            ],
        );
    }

    #[test]
    fn images_belong_to_no_stage() {
        check(
            "2| #0 building\n2| #1 [build 1/2] FROM x\n2| #1 CACHED\n2| #2 FROM y\n2| #3 [stage-1 2/2] COPY a b\n[0]",
            &["S| FROM x", "S| FROM y", "S| [stage-1 2/2] COPY a b", "[0]"],
        );
    }

    #[test]
    fn of_a_failure_only_the_reason_is_left() {
        check(
            "2| #0 building\n2| #3 [2/2] RUN a\n2| #3 0.1 one\n2| ------\n2|  > [2/2] RUN a:\n2| one\n2| ------\n\
             2| ERROR: failed to solve: x\n[1]",
            &[
                "2| ------",
                "2|  > [2/2] RUN a:",
                "2| one",
                "2| ------",
                "2| ERROR: failed to solve: x",
                "[1]",
            ],
        );
    }

    #[test]
    fn names_that_change_are_left_out() {
        let checksum = "failed to calculate checksum of ref a-b::c: \"/x\": not found";
        assert_eq!(unnamed(checksum), "failed to calculate checksum of ref <ref>: \"/x\": not found");
        assert_eq!(
            unnamed("ERROR: \"/usr/x/docker-buildx build\" requires"),
            "ERROR: \"docker-buildx build\" requires"
        );
        assert_eq!(unnamed("Usage:  /usr/x/docker-buildx build"), "Usage:  docker-buildx build");
        assert_eq!(unnamed("See '/usr/x/docker-buildx build'"), "See 'docker-buildx build'");
        assert_eq!(unnamed("0.349 before"), "before");
        assert_eq!(unnamed("ERROR: failed to run Build function: x"), "ERROR: failed to solve: x");
        assert_eq!(unnamed("x: failed to do request: dial y"), "x: failed to do request: <network>");
    }
}
