//! What is compared of two images, and the lists of what need not be the same.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// An image, out of the recording of a case.
pub(super) struct Image {
    /// Files by path: mode, owner, and all else.
    files: BTreeMap<String, File>,
    /// Configuration and history, in lines.
    words: BTreeSet<String>,
    history: usize,
}

#[derive(Clone, PartialEq, Eq)]
struct File {
    /// Mode and owner, with a space behind it; empty for one that the base image has and this one not.
    mode: String,
    content: String,
}

impl Image {
    /// Reads a recording.
    ///
    /// # Errors
    /// The recording, when it is not one of builds that all went well.
    pub(super) fn read(recording: &str) -> Result<Self, String> {
        let mut image = Self { files: BTreeMap::new(), words: BTreeSet::new(), history: 0 };
        let mut has_failed = false;
        for line in recording.lines() {
            has_failed |= line.starts_with('[') && line != "[0]";
            match line.split_at_checked(3) {
                Some(("I| " | "C| ", _)) => {
                    image.words.insert(line.to_owned());
                }
                Some(("H| ", rest)) => image.add_history(rest),
                Some(("F| ", rest)) => image.add_file(rest),
                _ => {}
            }
        }
        if has_failed || image.words.is_empty() { Err(recording.to_owned()) } else { Ok(image) }
    }

    /// `SIZE | CREATED BY | COMMENT`. Sizes follow from the files, but for whether there are any.
    fn add_history(&mut self, line: &str) {
        let (size, words) = line.split_once(" | ").unwrap_or(("", line));
        let kind = if size == "0" { "empty" } else { "layer" };
        self.history += 1;
        self.words.insert(format!("H| {:02} {kind} {words}", self.history));
    }

    /// `PATH MODE OWNER CONTENT` or `PATH is gone`; paths may hold spaces.
    fn add_file(&mut self, line: &str) {
        if let Some(path) = line.strip_suffix(" is gone") {
            let gone = File { mode: String::new(), content: "is gone".to_owned() };
            self.files.insert(path.to_owned(), gone);
            return;
        }
        let is_mode = |text: &str| text.len() == 4 && text.bytes().all(|byte| matches!(byte, b'0'..=b'7'));
        let spaces: Vec<usize> = line.match_indices(' ').map(|(at, _)| at).collect();
        let found =
            spaces.windows(3).find(|at| is_mode(&line[at[0] + 1..at[1]]) && line[at[1]..at[2]].contains(':'));
        let Some(&[start, _, end]) = found else { return };
        let (mode, content) = line[start + 1..].split_at(end - start);
        self.files
            .insert(line[..start].to_owned(), File { mode: mode.to_owned(), content: content.to_owned() });
    }
}

impl File {
    /// What there is to say of a regular file begins with its size.
    fn is_regular(&self) -> bool {
        self.content.starts_with(|first: char| first.is_ascii_digit())
    }
}

/// What need not be the same, and why.
pub(super) struct Lists {
    volatile: Vec<String>,
    differs: Vec<String>,
}

impl Lists {
    /// Reads both lists.
    pub(super) fn read(folder: &Path) -> Result<Self, String> {
        let read = |name: &str| {
            let path = folder.join(name);
            let text =
                std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
            parse(&text).map_err(|line| format!("{}: no reason: {line}", path.display()))
        };
        Ok(Self { volatile: read("volatile.txt")?, differs: read("differs.txt")? })
    }

    /// The differences that no list names, in lines; `-` is Docker's side.
    pub(super) fn compare(&self, case: &str, docker: &Image, wharf: &Image) -> String {
        let mut lines: Vec<String> = Vec::new();
        lines.extend(docker.words.difference(&wharf.words).map(|line| format!("- {line}")));
        lines.extend(wharf.words.difference(&docker.words).map(|line| format!("+ {line}")));
        for path in docker.files.keys().chain(wharf.files.keys()).collect::<BTreeSet<_>>() {
            let mut sides = [docker, wharf].map(|image| image.files.get(path).cloned());
            match self.how_volatile(path) {
                Volatile::No => {}
                Volatile::Content => {
                    sides
                        .iter_mut()
                        .flatten()
                        .filter(|file| file.is_regular())
                        .for_each(|file| file.content.clear());
                }
                Volatile::Existence => continue,
            }
            let [docker, wharf] = sides;
            if docker != wharf {
                let line = |side, file: Option<File>| {
                    file.map(|file| format!("{side} F| {path} {}{}", file.mode, file.content))
                };
                lines.extend([line('-', docker), line('+', wharf)].into_iter().flatten());
            }
        }
        lines.retain(|line| !self.differs.iter().any(|known| is_known(known, case, line)));
        lines.iter().map(|line| format!("    {line}\n")).collect()
    }

    /// How much of an image is compared.
    pub(super) fn summary(&self, image: &Image) -> String {
        let is_volatile = |path: &&String| !matches!(self.how_volatile(path), Volatile::No);
        let volatile = image.files.keys().filter(is_volatile).count();
        format!(
            "{} files, {volatile} of them volatile; {} steps of history",
            image.files.len(),
            image.history
        )
    }

    fn how_volatile(&self, path: &str) -> Volatile {
        let is_meant = |place: &&String| {
            let below = place.strip_suffix('*').or(place.ends_with('/').then_some(place.as_str()));
            match (place.strip_prefix('*'), below) {
                (Some(ending), _) => path.ends_with(ending),
                (None, Some(folder)) => path.starts_with(folder),
                (None, None) => path == place.as_str(),
            }
        };
        match self.volatile.iter().find(is_meant) {
            Some(place) if place.ends_with('/') => Volatile::Existence,
            Some(_) => Volatile::Content,
            None => Volatile::No,
        }
    }
}

enum Volatile {
    No,
    /// That it is there, its mode and its owner are compared.
    Content,
    /// Below a folder that is used and not kept.
    Existence,
}

/// Lines of a list without their reasons; an error is a line without one.
fn parse(text: &str) -> Result<Vec<String>, String> {
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(|line| line.split_once(": ").map(|(what, _)| what.to_owned()).ok_or(line.to_owned())).collect()
}

/// `CASE BEGINNING`, the case being `*` for all: a line of the report that begins so.
fn is_known(known: &str, case: &str, line: &str) -> bool {
    known
        .split_once(' ')
        .is_some_and(|(name, begins)| (name == "*" || name == case) && line.starts_with(begins))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(text: &str) -> Image {
        Image::read(text).unwrap_or_else(|said| panic!("{said}"))
    }

    fn lists(volatile: &[&str], differs: &[&str]) -> Lists {
        let owned = |list: &[&str]| list.iter().map(|&text| text.to_owned()).collect();
        Lists { volatile: owned(volatile), differs: owned(differs) }
    }

    const ONE: &str = "[0]\nI| Os = \"linux\"\nH| 10 | RUN a | buildkit\nH| 0 | CMD b | buildkit\nF| a b 0644 0:0 2 abc\nF| var/log/x 0640 0:4 1 def\nF| tmp/1 0644 0:0 0 e3b\n";

    #[test]
    fn every_kind_of_difference_is_told() {
        let same = lists(&[], &[]).compare("x", &image(ONE), &image(&ONE.replace("H| 10", "H| 11")));
        assert_eq!(same, "");
        let other =
            ONE.replace("H| 0 ", "H| 5 ").replace("2 abc", "2 abd").replace("F| tmp/1 0644 0:0 0 e3b\n", "");
        let report = lists(&[], &[]).compare("x", &image(ONE), &image(&other));
        assert_eq!(
            report,
            "    - H| 02 empty CMD b | buildkit\n    + H| 02 layer CMD b | buildkit\n    - F| a b 0644 0:0 2 abc\n    \
             + F| a b 0644 0:0 2 abd\n    - F| tmp/1 0644 0:0 0 e3b\n"
        );
    }

    #[test]
    fn of_volatile_files_mode_and_owner_are_compared() {
        let lists = lists(&["var/log/*", "*.pid", "tmp/"], &["x - F| a", "x + F| a"]);
        let other = ONE.replace("1 def", "2 fed").replace("tmp/1", "tmp/2").replace("abc", "cba");
        assert_eq!(lists.compare("x", &image(ONE), &image(&other)), "");
        assert_ne!(lists.compare("y", &image(ONE), &image(&other)), "");
        let report = lists.compare("x", &image(ONE), &image(&ONE.replace("0:4 1", "0:0 1")));
        assert_eq!(report, "    - F| var/log/x 0640 0:4 \n    + F| var/log/x 0640 0:0 \n");
        let gone = ONE.replace("F| var/log/x 0640 0:4 1 def", "F| var/log/x is gone");
        assert_ne!(lists.compare("x", &image(ONE), &image(&gone)), "");
        let folder = ONE.replace("1 def", "folder");
        assert_ne!(lists.compare("x", &image(ONE), &image(&folder)), "");
        assert_eq!(lists.summary(&image(ONE)), "3 files, 2 of them volatile; 2 steps of history");
        assert!(matches!(lists.how_volatile("run/a.pid"), Volatile::Content));
    }

    #[test]
    fn a_build_that_failed_is_no_image() {
        assert!(Image::read("[1]\nI| Os = \"linux\"\n").is_err());
        assert!(Image::read("[0]\n").is_err());
        assert!(Image::read("[0]\nI| Os = \"linux\"\n").is_ok());
    }

    #[test]
    fn lists_give_reasons() {
        assert_eq!(parse("# a\n\nb: c\n"), Ok(vec!["b".to_owned()]));
        assert_eq!(parse("b\n"), Err("b".to_owned()));
    }
}
