//! What steps borrow from us: `--secret` and `--ssh`.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::FileTypeExt as _;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;

use buildkit::client::{Offer, Secret};
use ssh_agent::{Keys, LONGEST_FILE, PrivateKey};

use super::fields;
use crate::failure::{Failure, file_failure, go_io_error};
use crate::matches::Matches;
use crate::settings::Environment;

/// Offers all secrets, agents and keys.
///
/// # Errors
/// When one of them is not there, or not said as it should be.
pub(super) fn offer(matches: &Matches, environment: &Environment, to: &mut Offer) -> Result<(), Failure> {
    let told = |failure: Failure| Failure::text(format!("ERROR: {}", failure.message()));
    offer_all(matches, environment, to).map_err(told)
}

fn offer_all(matches: &Matches, environment: &Environment, to: &mut Offer) -> Result<(), Failure> {
    for text in matches.list("secret") {
        let (id, secret) = secret(text, environment)?;
        to.secret(&id, secret);
    }
    let mut ids = BTreeSet::new();
    for text in matches.list("ssh") {
        let (id, signer) = Signer::read(text, environment)?;
        to.agent(&id, move || signer.connect());
        if let Some(id) = ids.replace(id) {
            return Err(Failure::text(format!("invalid duplicate ID {id}")));
        }
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
    if let Some((key, value)) = fields.first() {
        return Err(Failure::text(format!("unexpected key '{key}' in '{key}={value}'")));
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

/// Who signs for steps.
#[derive(Debug)]
enum Signer {
    /// An agent of the user's, by its socket.
    Agent(PathBuf),
    /// We do, with these keys.
    Keys(Arc<Keys>),
}

impl Signer {
    /// `ID[=SOCKET|KEY[,KEY]]`: the id, and who it is. Refused in Docker's words.
    fn read(text: &str, environment: &Environment) -> Result<(String, Self), Failure> {
        let (id, paths) = text.split_once('=').unwrap_or((text, ""));
        let id = if id.is_empty() { "default" } else { id };
        let paths = match paths {
            "" => vec![environment.get("SSH_AUTH_SOCK").ok_or_else(|| {
                Failure::text("invalid empty ssh agent socket: make sure SSH_AUTH_SOCK is set")
            })?],
            paths => paths.split(',').collect(),
        };
        let mut socket = None;
        let mut keys = Keys::default();
        for path in paths {
            if socket.is_some() {
                return Err(Failure::text("only single socket allowed"));
            }
            let found = std::fs::metadata(path).map_err(|error| file_failure("stat", path, &error))?;
            if found.file_type().is_socket() {
                socket = Some(PathBuf::from(path));
            } else {
                keys.add(key(path)?);
            }
        }
        match socket {
            None => Ok((id.to_owned(), Self::Keys(Arc::new(keys)))),
            Some(socket) if keys.is_empty() => Ok((id.to_owned(), Self::Agent(socket))),
            Some(_) => Err(Failure::text("invalid combination of keys and sockets")),
        }
    }

    /// A connection for one who may ask for signatures, and for nothing else.
    fn connect(&self) -> io::Result<UnixStream> {
        match self {
            Self::Keys(keys) => keys.connect(),
            Self::Agent(path) => {
                let failed = |error: io::Error| {
                    io::Error::other(format!("dial unix {}: {}", path.display(), go_io_error(&error)))
                };
                ssh_agent::guard(UnixStream::connect(path).map_err(failed)?)
            }
        }
    }
}

/// The key in a file.
fn key(path: &str) -> Result<PrivateKey, Failure> {
    let failed = |action: &str, error: &io::Error| {
        let reason = file_failure(action, path, error).message();
        Failure::text(format!("failed to {action} {path}: {reason}"))
    };
    let file = File::open(path).map_err(|error| failed("open", &error))?;
    let mut bytes = Vec::new();
    file.take(LONGEST_FILE as u64 + 1).read_to_end(&mut bytes).map_err(|error| failed("read", &error))?;
    PrivateKey::read(&bytes).map_err(|error| Failure::text(format!("failed to parse {path}: {error}")))
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
        assert_eq!(refused("id=a,b=c"), "unexpected key 'b' in 'b=c'");
        assert_eq!(
            refused("id=a,src=/no/such"),
            "failed to stat /no/such: stat /no/such: no such file or directory"
        );
    }

    /// A folder with keys and sockets, which goes with the test.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("wharf-lend-{name}-{}", std::process::id()));
            std::fs::create_dir(&path).expect("a folder");
            let fixtures = concat!(env!("CARGO_MANIFEST_DIR"), "/../../base/ssh-agent/fixtures");
            for key in ["ed25519", "rsa", "ecdsa-521", "encrypted"] {
                std::fs::copy(format!("{fixtures}/{key}"), path.join(key)).expect("a key");
            }
            std::fs::write(path.join("text"), "hello").expect("a file");
            std::fs::write(path.join("long"), vec![b'x'; 200 << 10]).expect("a file");
            for socket in ["socket", "other"] {
                std::os::unix::net::UnixListener::bind(path.join(socket)).expect("a socket");
            }
            Self(path)
        }

        /// The answer to a flag in which `@` stands for the folder; the words with it again.
        fn read(&self, text: &str, socket: Option<&str>) -> Result<(String, Signer), String> {
            let path = self.0.to_str().expect("text");
            let pair = socket.map(|socket| ("SSH_AUTH_SOCK".to_owned(), socket.replace('@', path)));
            let environment = Environment::new(pair.into_iter());
            Signer::read(&text.replace('@', path), &environment)
                .map_err(|failure| failure.message().replace(path, "@"))
        }

        fn refused(&self, text: &str) -> String {
            self.read(text, None).expect_err("refused")
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_signer_is_a_socket_or_keys() {
        let folder = Folder::new("signers");
        let agent = |text: &str, socket: Option<&str>| match folder.read(text, socket) {
            Ok((id, Signer::Agent(path))) => (id, path.file_name().expect("a name").to_owned()),
            other => panic!("{other:?}"),
        };
        assert_eq!(agent("default", Some("@/socket")), ("default".into(), "socket".into()));
        assert_eq!(agent("", Some("@/socket")), ("default".into(), "socket".into()));
        assert_eq!(agent("a=", Some("@/socket")), ("a".into(), "socket".into()));
        assert_eq!(agent("a=@/other", Some("@/socket")), ("a".into(), "other".into()));
        let keys = |text: &str, socket: Option<&str>| match folder.read(text, socket) {
            Ok((id, Signer::Keys(keys))) => format!("{id} {keys:?}"),
            other => panic!("{other:?}"),
        };
        assert_eq!(keys("a=@/rsa,@/ed25519", None), "a Keys([PrivateKey(ssh-rsa), PrivateKey(ssh-ed25519)])");
        assert_eq!(keys("=@/rsa,@/rsa", None), "default Keys([PrivateKey(ssh-rsa)])");
        assert_eq!(keys("default", Some("@/rsa")), "default Keys([PrivateKey(ssh-rsa)])");
    }

    #[test]
    fn what_signs_nothing_is_refused_as_docker_does() {
        let folder = Folder::new("refused");
        let empty = "invalid empty ssh agent socket: make sure SSH_AUTH_SOCK is set";
        let add = "add it to an agent with ssh-add and give the agent's socket";
        for (text, words) in [
            ("default", empty),
            ("a=", empty),
            ("a=@/gone", "stat @/gone: no such file or directory"),
            ("a=@/rsa,", "stat : no such file or directory"),
            ("a=@", "failed to read @: read @: is a directory"),
            ("a=@/socket,@/other", "only single socket allowed"),
            ("a=@/socket,@/rsa", "only single socket allowed"),
            ("a=@/rsa,@/socket", "invalid combination of keys and sockets"),
            ("a=@/text", "failed to parse @/text: ssh: no key found"),
            ("a=@/long", "failed to parse @/long: ssh: a private key has no more than 102400 bytes"),
        ] {
            assert_eq!(folder.refused(text), words, "{text}");
        }
        assert_eq!(
            folder.refused("a=@/encrypted"),
            format!("failed to parse @/encrypted: ssh: this private key is passphrase protected: {add}")
        );
        assert_eq!(
            folder.refused("a=@/ecdsa-521"),
            format!("failed to parse @/ecdsa-521: ssh: unhandled key type ecdsa-sha2-nistp521: {add}")
        );
    }

    #[test]
    fn a_signer_is_connected_to() {
        use std::io::Write as _;
        let folder = Folder::new("connected");
        let (_, signer) = folder.read("a=@/ed25519", None).expect("keys");
        let mut visitor = signer.connect().expect("connects");
        visitor.write_all(&[0, 0, 0, 1, 11]).expect("writes");
        let mut head = [0; 9];
        visitor.read_exact(&mut head).expect("reads");
        assert_eq!(head[4..], [12, 0, 0, 0, 1], "one key");
        let (_, signer) = folder.read("a=@/socket", None).expect("an agent");
        let failure = signer.connect().expect_err("nobody listens").to_string();
        assert!(failure.starts_with("dial unix ") && failure.ends_with("connection refused"), "{failure}");
    }
}
