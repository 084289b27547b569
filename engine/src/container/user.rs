//! `USER` texts to numbers, with the container's own passwd and group files as plain bytes.
//!
//! The files come out of an image and may be anything: lines are read as bytes, broken ones are skipped, sizes are
//! capped by whoever opens them.

use crate::{Error, Result};

/// Who a process is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ResolvedUser {
    /// User id.
    pub uid: u32,
    /// Primary group id.
    pub gid: u32,
    /// Every supplementary group, the primary one included.
    pub groups: Vec<u32>,
    /// Home folder, when the passwd file has one.
    pub home: Option<String>,
}

/// Whether the text (and the extra groups) can be resolved without the files giving another answer than defaults.
pub fn needs_files(_text: &str, _extra: &[String]) -> bool {
    true
}

const MAXIMUM_ID: u32 = 2_147_483_647;

/// A number as a user id; `None` when it is a name.
fn parse_id(text: &str) -> Result<Option<u32>> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(None);
    }
    match text.parse::<u32>() {
        Ok(id) if id <= MAXIMUM_ID => Ok(Some(id)),
        _ => Err(Error::internal(format!("uids and gids must be in range 0-{MAXIMUM_ID}"))),
    }
}

struct PasswdLine<'a> {
    name: &'a str,
    uid: u32,
    gid: u32,
    home: &'a str,
}

fn passwd_lines(file: &[u8]) -> impl Iterator<Item = PasswdLine<'_>> {
    file.split(|byte| *byte == b'\n').filter_map(|line| {
        let mut fields = std::str::from_utf8(line).ok()?.trim().split(':');
        let name = fields.next().filter(|name| !name.is_empty())?;
        let uid = fields.nth(1)?.parse().ok()?;
        let gid = fields.next()?.parse().ok()?;
        Some(PasswdLine { name, uid, gid, home: fields.nth(1).unwrap_or("") })
    })
}

struct GroupLine<'a> {
    name: &'a str,
    gid: u32,
    members: &'a str,
}

fn group_lines(file: &[u8]) -> impl Iterator<Item = GroupLine<'_>> {
    file.split(|byte| *byte == b'\n').filter_map(|line| {
        let mut fields = std::str::from_utf8(line).ok()?.trim().split(':');
        let name = fields.next().filter(|name| !name.is_empty())?;
        let gid = fields.nth(1)?.parse().ok()?;
        Some(GroupLine { name, gid, members: fields.next().unwrap_or("") })
    })
}

/// Resolves `user[:group]` and `--group-add`.
///
/// # Errors
/// Docker's texts for unknown names and for numbers out of range.
pub fn resolve(text: &str, extra: &[String], passwd: &[u8], group: &[u8]) -> Result<ResolvedUser> {
    // What follows a second colon is ignored, as Docker does.
    let mut parts = text.split(':');
    let (user_text, group_text) = (parts.next().unwrap_or(""), parts.next().unwrap_or(""));
    let mut user = ResolvedUser::default();
    let mut name = None;
    if user_text.is_empty() {
        user.home = passwd_lines(passwd).find(|line| line.uid == 0).map(|line| line.home.to_owned());
        name = passwd_lines(passwd).find(|line| line.uid == 0).map(|line| line.name.to_owned());
    } else {
        let id = parse_id(user_text)?;
        let line = match id {
            Some(id) => passwd_lines(passwd).find(|line| line.uid == id),
            None => passwd_lines(passwd).find(|line| line.name == user_text),
        };
        match (line, id) {
            (Some(line), _) => {
                user.uid = line.uid;
                user.gid = line.gid;
                user.home = Some(line.home.to_owned());
                name = Some(line.name.to_owned());
            }
            (None, Some(id)) => user.uid = id,
            (None, None) => {
                return Err(Error::internal(format!(
                    "unable to find user {user_text}: no matching entries in passwd file"
                )));
            }
        }
    }
    if user.uid > MAXIMUM_ID || user.gid > MAXIMUM_ID {
        return Err(Error::internal(format!("uids and gids must be in range 0-{MAXIMUM_ID}")));
    }
    let mut members = Vec::new();
    if group_text.is_empty() {
        members = name.as_deref().map(|name| member_of(name, group)).unwrap_or_default();
    } else {
        user.gid = find_group(group_text, group)?.ok_or_else(|| {
            Error::internal(format!("unable to find group {group_text}: no matching entries in group file"))
        })?;
    }
    user.groups.push(user.gid);
    let extra_groups = extra_ids(extra, group)?;
    for gid in members.into_iter().chain(extra_groups) {
        if !user.groups.contains(&gid) {
            user.groups.push(gid);
        }
    }
    Ok(user)
}

fn member_of(name: &str, group: &[u8]) -> Vec<u32> {
    group_lines(group)
        .filter(|line| line.members.split(',').any(|member| member == name))
        .map(|line| line.gid)
        .collect()
}

fn find_group(text: &str, group: &[u8]) -> Result<Option<u32>> {
    if let Some(id) = parse_id(text)? {
        return Ok(Some(id));
    }
    Ok(group_lines(group).find(|line| line.name == text).map(|line| line.gid))
}

fn extra_ids(extra: &[String], group: &[u8]) -> Result<Vec<u32>> {
    extra
        .iter()
        .map(|text| {
            find_group(text, group)?.ok_or_else(|| {
                Error::internal(format!("Unable to find group {text}: no matching entries in group file"))
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &[u8] = b"root:x:0:0:root:/root:/bin/sh\nweb:x:33:34::/var/www:/bin/false\nbroken\n\xff\n";
    const GROUP: &[u8] = b"root:x:0:\nwww:x:34:\nadm:x:4:web,root\nlog:x:5:\n";

    fn check(text: &str, extra: &[&str]) -> std::result::Result<(u32, u32, Vec<u32>), String> {
        let extra: Vec<String> = extra.iter().map(|name| (*name).to_owned()).collect();
        resolve(text, &extra, PASSWD, GROUP)
            .map(|user| (user.uid, user.gid, user.groups))
            .map_err(|error| error.message().to_owned())
    }

    #[test]
    fn names_and_numbers() {
        assert_eq!(check("", &[]), Ok((0, 0, vec![0, 4])));
        assert_eq!(check("root", &[]), Ok((0, 0, vec![0, 4])));
        assert_eq!(check("web", &[]), Ok((33, 34, vec![34, 4])));
        assert_eq!(check("33", &["log", "7"]), Ok((33, 34, vec![34, 4, 5, 7])));
        assert_eq!(check("1000", &[]), Ok((1000, 0, vec![0])));
        assert_eq!(check("1000:adm", &[]), Ok((1000, 4, vec![4])));
        assert_eq!(check("web:5", &[]), Ok((33, 5, vec![5])));
        assert_eq!(check("2147483647", &[]), Ok((2_147_483_647, 0, vec![0])));
    }

    #[test]
    fn wrong_ones_have_docker_s_words() {
        let range = "uids and gids must be in range 0-2147483647";
        for (text, message) in [
            ("nosuch", "unable to find user nosuch: no matching entries in passwd file"),
            ("root:nosuch", "unable to find group nosuch: no matching entries in group file"),
            ("4294967296", range),
            ("2147483648", range),
            ("-1", range),
            ("99999999999999999999", range),
        ] {
            assert_eq!(check(text, &[]).unwrap_err(), message, "{text}");
        }
        assert_eq!(
            check("", &["nosuch"]).unwrap_err(),
            "Unable to find group nosuch: no matching entries in group file"
        );
    }
}
