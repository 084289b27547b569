//! What steps borrow from us: `--secret` and `--ssh`.

use std::path::PathBuf;

use buildkit::client::{Offer, Secret};

use super::fields;
use crate::failure::{Failure, file_failure};
use crate::matches::Matches;
use crate::settings::Environment;

/// Offers all secrets and agents.
///
/// # Errors
/// When one of them is not there, or not said as it should be.
pub(super) fn offer(matches: &Matches, environment: &Environment, to: &mut Offer) -> Result<(), Failure> {
    for text in matches.list("secret") {
        let (id, secret) = secret(text, environment)?;
        to.secret(&id, secret);
    }
    for text in matches.list("ssh") {
        let (id, socket) = agent(text, environment)?;
        to.agent(&id, socket);
    }
    Ok(())
}

/// `id=ID[,src=FILE][,env=NAME][,type=file|env]`.
fn secret(text: &str, environment: &Environment) -> Result<(String, Secret), Failure> {
    let mut fields = fields::pairs(text)?;
    let kind = fields::take(&mut fields, "type").unwrap_or_default();
    if !matches!(kind.as_str(), "" | "file" | "env") {
        return Err(Failure::text(format!("unsupported secret type {}", crate::value::quoted(&kind))));
    }
    let source = fields::take(&mut fields, "source");
    let source = fields::take(&mut fields, "src").or(source);
    let variable = fields::take(&mut fields, "env");
    let id = fields::take(&mut fields, "id").filter(|id| !id.is_empty());
    if let Some((key, _)) = fields.first() {
        return Err(Failure::text(format!(
            "unexpected key '{key}' in secret {}",
            crate::value::quoted(text)
        )));
    }
    let id = id.ok_or_else(|| Failure::text("secret missing ID"))?;
    let (variable, source) = match (variable, source, kind.as_str()) {
        (None, source, "env") => (Some(source.unwrap_or_else(|| id.clone())), None),
        (Some(variable), _, _) => (Some(variable), None),
        (None, Some(source), _) => (None, Some(source)),
        (None, None, "") if environment.raw(&id).is_some() => (Some(id.clone()), None),
        (None, None, _) => (None, Some(id.clone())),
    };
    if let Some(variable) = variable {
        let value = environment.raw(&variable).unwrap_or_default().as_bytes().to_vec();
        return Ok((id, Secret::Value(value)));
    }
    let path = source.unwrap_or_default();
    std::fs::metadata(&path).map_err(|error| {
        let reason = file_failure("stat", &path, &error).message();
        Failure::text(format!("failed to stat {path}: {reason}"))
    })?;
    Ok((id, Secret::File(PathBuf::from(path))))
}

/// `default`, or `id=SOCKET`.
fn agent(text: &str, environment: &Environment) -> Result<(String, PathBuf), Failure> {
    let (id, path) = text.split_once('=').unwrap_or((text, ""));
    let path = match path {
        "" => environment
            .get("SSH_AUTH_SOCK")
            .ok_or_else(|| Failure::text("invalid empty ssh agent socket: make sure SSH_AUTH_SOCK is set"))?,
        path => path,
    };
    let found = std::fs::metadata(path).map_err(|error| {
        let reason = file_failure("stat", path, &error).message();
        Failure::text(format!("failed to use ssh agent {path}: {reason}"))
    })?;
    if !std::os::unix::fs::FileTypeExt::is_socket(&found.file_type()) {
        let text = format!(
            "--ssh {id}={path}: keys are lent by an agent only: add it with ssh-add and give the agent's socket"
        );
        return Err(Failure::text(text));
    }
    Ok((id.to_owned(), PathBuf::from(path)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<(String, Secret), String> {
        let pairs = [("TOKEN", "t"), ("other", "o")];
        let environment =
            Environment::new(pairs.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())));
        secret(text, &environment).map_err(|failure| failure.message())
    }

    #[test]
    fn secrets_are_files_or_variables() {
        let value = |id: &str, text: &str| Ok((id.to_owned(), Secret::Value(text.into())));
        let file = |id: &str, path: &str| Ok((id.to_owned(), Secret::File(path.into())));
        assert_eq!(read("id=a,src=/etc/passwd"), file("a", "/etc/passwd"));
        assert_eq!(read("id=a,source=/etc/passwd"), file("a", "/etc/passwd"));
        assert_eq!(read("id=a,env=TOKEN"), value("a", "t"));
        assert_eq!(read("id=TOKEN"), value("TOKEN", "t"));
        assert_eq!(read("id=x,type=env,src=other"), value("x", "o"));
        assert_eq!(read("type=env,id=TOKEN"), value("TOKEN", "t"));
        let refused = |text: &str| read(text).unwrap_err();
        assert_eq!(refused("src=/etc/passwd"), "secret missing ID");
        assert_eq!(refused("id=a,type=b"), "unsupported secret type \"b\"");
        assert_eq!(refused("id=a,b=c"), "unexpected key 'b' in secret \"id=a,b=c\"");
        assert_eq!(
            refused("id=a,src=/no/such"),
            "failed to stat /no/such: stat /no/such: no such file or directory"
        );
    }

    #[test]
    fn an_agent_is_a_socket() {
        let environment = Environment::default();
        let refused = |text: &str| agent(text, &environment).unwrap_err().message();
        assert!(refused("default").contains("SSH_AUTH_SOCK"));
        assert!(refused("a=/etc/passwd").contains("ssh-add"));
        assert!(refused("a=/no/such").contains("no such file"));
    }
}
