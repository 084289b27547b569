//! `--userns-remap`: whose ids containers get, from the files of subordinate ids.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use engine::config::{IdRange, IdRanges};

/// The user of `default`, made when the machine lacks it.
const DEFAULT: &str = "dockremap";
/// Ids that a new user gets.
const SIZE: u32 = 65_536;
/// Where ranges of new users begin.
const FIRST: u32 = 100_000;

/// The files that say who exists and which ids belong to whom.
pub(crate) struct Accounts {
    etc: PathBuf,
}

impl Accounts {
    /// Those of the machine.
    pub(crate) fn of_machine() -> Self {
        Self { etc: PathBuf::from("/etc") }
    }

    /// The ranges for the option's value; none for no remapping.
    ///
    /// # Errors
    /// When the user is unknown or has no ranges.
    pub(crate) fn ranges(&self, option: &str) -> Result<Option<IdRanges>, String> {
        let (user, group) = match option {
            "" | "host" => return Ok(None),
            "default" => {
                self.make_default()
                    .map_err(|error| format!("Couldn't create the {DEFAULT} user: {error}"))?;
                (DEFAULT, DEFAULT)
            }
            option => option.split_once(':').unwrap_or((option, option)),
        };
        let user_names = self.names("passwd", user)?;
        let group_names = if user == group { user_names.clone() } else { self.names("group", group)? };
        let uids = self.subordinate("subuid", &user_names);
        let gids = self.subordinate("subgid", &group_names);
        for (kind, name, found) in [("subuid", user, &uids), ("subgid", group, &gids)] {
            if found.is_empty() {
                return Err(format!("Can't create ID mappings: no {kind} ranges found for user {name:?}"));
            }
        }
        Ok(Some(IdRanges { uids, gids }))
    }

    /// A name and its number, however it was given: ranges may be kept under both.
    fn names(&self, file: &str, wanted: &str) -> Result<Vec<String>, String> {
        let text = self.read(file);
        let found = text.lines().find_map(|line| {
            let mut fields = line.split(':');
            let (name, number) = (fields.next()?, fields.nth(1)?);
            (name == wanted || number == wanted).then(|| vec![name.to_owned(), number.to_owned()])
        });
        let kind = if file == "group" { "group" } else { "user" };
        found.ok_or_else(|| format!("unable to find {kind} {wanted}: no matching entries in {file} file"))
    }

    fn subordinate(&self, file: &str, names: &[String]) -> Vec<IdRange> {
        entries(&self.read(file))
            .into_iter()
            .filter(|(name, _)| names.contains(name))
            .map(|(_, range)| range)
            .collect()
    }

    fn read(&self, file: &str) -> String {
        fs::read_to_string(self.etc.join(file)).unwrap_or_default()
    }

    fn make_default(&self) -> std::io::Result<()> {
        if !has(&self.read("passwd"), DEFAULT) {
            let id = free_id(&[&self.read("passwd"), &self.read("group")]);
            if !has(&self.read("group"), DEFAULT) {
                append(&self.etc.join("group"), &format!("{DEFAULT}:x:{id}:\n"))?;
            }
            let line = format!("{DEFAULT}:x:{id}:{id}::/home/{DEFAULT}:/bin/false\n");
            append(&self.etc.join("passwd"), &line)?;
        }
        for file in ["subuid", "subgid"] {
            let text = self.read(file);
            if !has(&text, DEFAULT) {
                let taken =
                    entries(&text).into_iter().map(|(_, range)| range.first.saturating_add(range.size));
                let first = taken.chain([FIRST]).max().unwrap_or(FIRST);
                append(&self.etc.join(file), &format!("{DEFAULT}:{first}:{SIZE}\n"))?;
            }
        }
        Ok(())
    }
}

fn has(text: &str, name: &str) -> bool {
    text.lines().any(|line| line.split(':').next() == Some(name))
}

fn entries(text: &str) -> Vec<(String, IdRange)> {
    text.lines()
        .filter_map(|line| {
            let mut fields = line.trim().split(':');
            let name = fields.next()?.to_owned();
            let (first, size) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
            (size > 0).then_some((name, IdRange { first, size }))
        })
        .collect()
}

/// The highest id of system accounts that neither a user nor a group has.
fn free_id(texts: &[&str]) -> u32 {
    let taken: Vec<u32> = texts
        .iter()
        .flat_map(|text| text.lines())
        .filter_map(|line| line.split(':').nth(2)?.parse().ok())
        .collect();
    (100..1000).rev().find(|id| !taken.contains(id)).unwrap_or(999)
}

fn append(path: &Path, line: &str) -> std::io::Result<()> {
    let complete = fs::read(path).is_ok_and(|bytes| bytes.is_empty() || bytes.ends_with(b"\n"));
    let mut file = fs::OpenOptions::new().append(true).create(true).open(path)?;
    let start = if complete || file.metadata()?.len() == 0 { "" } else { "\n" };
    file.write_all(format!("{start}{line}").as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(option: &str, expected: Result<Option<(u32, u32)>, &str>) {
        let etc = std::env::temp_dir().join(format!("wharf-remap-{}-{}", std::process::id(), option.len()));
        fs::create_dir_all(&etc).unwrap();
        fs::write(
            etc.join("passwd"),
            "root:x:0:0::/:/bin/sh\nann:x:1000:1000::/:/bin/sh\nbob:x:1001:1001::/:/",
        )
        .unwrap();
        fs::write(etc.join("group"), "root:x:0:\nann:x:1000:\nstaff:x:50:\n").unwrap();
        fs::write(etc.join("subuid"), "ann:200000:65536\n").unwrap();
        fs::write(etc.join("subgid"), "ann:200000:65536\n50:300000:100\n").unwrap();
        let accounts = Accounts { etc: etc.clone() };
        let found =
            accounts.ranges(option).map(|ranges| ranges.map(|it| (it.uids[0].first, it.gids[0].first)));
        assert_eq!(found, expected.map_err(str::to_owned), "{option}");
        // Making the default user again changes nothing.
        let passwd = accounts.read("passwd");
        let _ = accounts.ranges(option);
        assert_eq!(accounts.read("passwd"), passwd);
        fs::remove_dir_all(etc).unwrap();
    }

    #[test]
    fn ranges_come_from_the_files() {
        check("", Ok(None));
        check("ann", Ok(Some((200_000, 200_000))));
        check("1000", Ok(Some((200_000, 200_000))));
        check("ann:staff", Ok(Some((200_000, 300_000))));
        check("default", Ok(Some((265_536, 300_100))));
        check("bob", Err("Can't create ID mappings: no subuid ranges found for user \"bob\""));
        check("nobody", Err("unable to find user nobody: no matching entries in passwd file"));
    }
}
