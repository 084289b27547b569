//! Owners that a Dockerfile names for files.

use builder::operation::Copy;
use linux::root::RootDir;

use crate::error::Context;
use crate::{Error, Result};

/// Why an owner cannot be found, in Docker's words.
pub(super) fn missing(copy: &Copy, error: &Error) -> Error {
    let text = copy.owner.as_deref().unwrap_or_default();
    let (user, group) = text.split_once(':').unwrap_or((text, ""));
    let message = error.message();
    let (kind, id, name) = match () {
        () if message.starts_with("unable to find user") => ("user", "uid", user),
        () if message.starts_with("unable to find group") => ("group", "gid", group),
        () => {
            let text = format!("unable to convert uid/gid chown string to host mapping: {message}");
            return Error::invalid(text);
        }
    };
    Error::invalid(format!(
        "unable to convert uid/gid chown string to host mapping: can't find {id} for {kind} {name}: no such {kind}: {name}"
    ))
}

/// `user[:group]` of `--chown` by the files of a root. A number alone is both.
pub(super) fn find(text: &str, view: &RootDir) -> Result<(u32, u32)> {
    let root = || view.subroot(".").doing(|| "opening a root".to_owned());
    let found = crate::container::lookup::resolve_user(text, &[], &root)?;
    let alone = !text.contains(':') && text.bytes().all(|byte| byte.is_ascii_digit());
    Ok((found.uid, if alone { found.uid } else { found.gid }))
}
