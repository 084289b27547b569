//! `RUN --mount=...`: what a command sees besides the file system it changes.

use model::csv::ParseCsvError;

use super::error::Problem;

/// A mount of one command. Text may hold variables, but for `from`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// What is mounted.
    pub kind: MountKind,
    /// Where; none leaves it to the kind.
    pub target: Option<String>,
    /// Path within what it comes from.
    pub source: Option<String>,
    /// A stage, an image or a named context.
    pub from: Option<String>,
}

/// The kinds of mounts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MountKind {
    /// Files of the context, a stage or an image; what is written to them is thrown away.
    Bind {
        /// Whether they can be written to.
        writable: bool,
    },
    /// A folder that stays from build to build.
    Cache(CacheMount),
    /// Memory.
    Tmpfs {
        /// Bytes; none for no limit of its own.
        size: Option<u64>,
    },
    /// A secret of the client, as a file or a variable.
    Secret(Access),
    /// The client's agent of keys.
    Ssh(Access),
}

/// A cache's own options.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct CacheMount {
    /// What it is known by; its target when absent.
    pub id: Option<String>,
    /// Whether it can only be read.
    pub read_only: bool,
    /// Who may use it at the same time.
    pub sharing: Sharing,
    /// Of the folder.
    pub mode: Option<u32>,
    /// Of the folder.
    pub uid: Option<u32>,
    /// Of the folder.
    pub gid: Option<u32>,
}

/// Who may use a cache at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub enum Sharing {
    /// Everybody.
    Shared,
    /// Each has its own.
    Private,
    /// One after the other.
    Locked,
}

/// Options of secrets and agents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    /// What the client knows it by.
    pub id: Option<String>,
    /// The variable it is in; only of secrets.
    pub variable: Option<String>,
    /// Whether the build fails without it.
    pub required: bool,
    /// Of the file.
    pub mode: Option<u32>,
    /// Of the file.
    pub uid: Option<u32>,
    /// Of the file.
    pub gid: Option<u32>,
}

/// All fields as they are written.
#[derive(Default)]
struct Fields {
    kind: Option<String>,
    target: Option<String>,
    source: Option<String>,
    from: Option<String>,
    id: Option<String>,
    env: Option<String>,
    sharing: Option<String>,
    read_only: Option<bool>,
    required: bool,
    size: Option<u64>,
    mode: Option<u32>,
    uid: Option<u32>,
    gid: Option<u32>,
}

impl Mount {
    /// Reads the value of `--mount`: fields parted by commas, quoted as in CSV.
    ///
    /// # Errors
    /// Names the field that is wrong.
    pub fn parse(text: &str) -> Result<Self, Problem> {
        let mut fields = Fields::default();
        for field in csv(text)? {
            fields.take(&field)?;
        }
        fields.finish()
    }
}

impl Fields {
    fn take(&mut self, field: &str) -> Result<(), Problem> {
        let (key, value) = match field.split_once('=') {
            Some((key, value)) => (key.to_lowercase(), Some(value)),
            None => (field.to_lowercase(), None),
        };
        match (key.as_str(), value) {
            ("readonly" | "ro", value) => self.read_only = Some(boolean(&key, value)?),
            ("readwrite" | "rw", value) => self.read_only = Some(!boolean(&key, value)?),
            ("required", value) => self.required = boolean(&key, value)?,
            (_, None) => return Err(Problem::MountField { field: field.to_owned() }),
            ("type", Some(value)) => self.kind = Some(value.to_lowercase()),
            ("target" | "dst" | "destination", Some(value)) => self.target = Some(value.to_owned()),
            ("source" | "src", Some(value)) => self.source = Some(value.to_owned()),
            ("from", Some(value)) if value.contains('$') => {
                return Err(Problem::MountFrom);
            }
            ("from", Some(value)) => self.from = Some(value.to_owned()),
            ("id", Some(value)) => self.id = Some(value.to_owned()),
            ("env", Some(value)) => self.env = Some(value.to_owned()),
            ("sharing", Some(value)) => self.sharing = Some(value.to_owned()),
            ("size", Some(value)) => self.size = Some(size(value)?),
            ("mode", Some(value)) => self.mode = Some(number(&key, value, 8)?),
            ("uid", Some(value)) => self.uid = Some(number(&key, value, 10)?),
            ("gid", Some(value)) => self.gid = Some(number(&key, value, 10)?),
            _ => return Err(Problem::MountKey { key, field: field.to_owned() }),
        }
        Ok(())
    }

    fn finish(self) -> Result<Mount, Problem> {
        let kind = self.kind.clone().unwrap_or_else(|| "bind".to_owned());
        let bad = |reason: String| Err(Problem::Mount { reason });
        let owners = [("mode", self.mode), ("uid", self.uid), ("gid", self.gid)];
        let owned = matches!(kind.as_str(), "cache" | "secret" | "ssh");
        if let Some((name, _)) = owners.iter().find(|(_, value)| value.is_some() && !owned) {
            return bad(format!("{name} not allowed for {kind:?} type mounts"));
        }
        if self.size.is_some() && kind != "tmpfs" {
            return bad(format!("size not allowed for {kind:?} type mounts"));
        }
        let access = || Access {
            id: self.id.clone(),
            variable: self.env.clone(),
            required: self.required,
            mode: self.mode,
            uid: self.uid,
            gid: self.gid,
        };
        let kind = match kind.as_str() {
            "bind" => MountKind::Bind { writable: self.read_only == Some(false) },
            "cache" => MountKind::Cache(self.cache()?),
            "tmpfs" => MountKind::Tmpfs { size: self.size },
            "secret"
                if self.id.is_none()
                    && self.source.is_none()
                    && self.target.is_none()
                    && self.env.is_none() =>
            {
                return bad("invalid secret mount. one of source, target required".to_owned());
            }
            "secret" => MountKind::Secret(access()),
            "ssh" => MountKind::Ssh(access()),
            other => return bad(format!("unsupported mount type {other:?}")),
        };
        Ok(Mount { kind, target: self.target, source: self.source, from: self.from })
    }

    fn cache(&self) -> Result<CacheMount, Problem> {
        let sharing = match self.sharing.as_deref() {
            None | Some("shared") => Sharing::Shared,
            Some("private") => Sharing::Private,
            Some("locked") => Sharing::Locked,
            Some(other) => {
                return Err(Problem::Mount { reason: format!("unsupported sharing value {other:?}") });
            }
        };
        let read_only = self.read_only == Some(true);
        let (mode, uid, gid) = (self.mode, self.uid, self.gid);
        Ok(CacheMount { id: self.id.clone(), read_only, sharing, mode, uid, gid })
    }
}

fn boolean(key: &str, value: Option<&str>) -> Result<bool, Problem> {
    let Some(value) = value else { return Ok(true) };
    let invalid = || Problem::Mount { reason: format!("invalid value for {key}: {value}") };
    model::boolean::parse(value).ok_or_else(invalid)
}

fn number(key: &str, value: &str, radix: u32) -> Result<u32, Problem> {
    u32::from_str_radix(value, radix)
        .map_err(|_| Problem::Mount { reason: format!("invalid value {value} for {key}") })
}

/// Bytes, with a letter for powers of 1024.
fn size(value: &str) -> Result<u64, Problem> {
    let bad = || Problem::Mount { reason: format!("invalid value for size: {value}") };
    let bytes = model::size::binary(value).map_err(|_| bad())?;
    // What is too large to be counted comes out as the largest number.
    u64::try_from(bytes).ok().filter(|_| bytes < i64::MAX).ok_or_else(bad)
}

fn csv(text: &str) -> Result<Vec<String>, Problem> {
    model::csv::fields(text).map_err(|error| {
        let what = match error {
            ParseCsvError::Bare { .. } => "bare",
            ParseCsvError::Unended { .. } => "extraneous or missing",
        };
        Problem::Mount { reason: format!("{what} \" in {text}") }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_is_read() {
        let mount =
            Mount::parse("type=cache,target=/root/.cache,id=pip,sharing=locked,uid=1000,mode=0755").unwrap();
        let MountKind::Cache(cache) = &mount.kind else { panic!("a cache") };
        assert_eq!((cache.sharing, cache.uid, cache.mode), (Sharing::Locked, Some(1000), Some(0o755)));
        assert_eq!((cache.id.as_deref(), mount.target.as_deref()), (Some("pip"), Some("/root/.cache")));
        let mount = Mount::parse("source=a,dst=/b,rw,from=stage").unwrap();
        assert_eq!(mount.kind, MountKind::Bind { writable: true });
        assert_eq!((mount.source.as_deref(), mount.from.as_deref()), (Some("a"), Some("stage")));
        assert_eq!(Mount::parse("type=bind,target=/b").unwrap().kind, MountKind::Bind { writable: false });
        assert_eq!(
            Mount::parse("type=tmpfs,target=/t,size=1g").unwrap().kind,
            MountKind::Tmpfs { size: Some(1 << 30) }
        );
        let mount = Mount::parse("TYPE=secret,id=aws,env=KEY,required").unwrap();
        assert!(matches!(mount.kind, MountKind::Secret(Access { required: true, variable: Some(_), .. })));
        assert!(matches!(Mount::parse("type=ssh").unwrap().kind, MountKind::Ssh(_)));
        assert_eq!(Mount::parse("\"source=a,b\",target=/x").unwrap().source.as_deref(), Some("a,b"));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let cases = [
            ("type=bind,foo", "invalid field 'foo' must be a key=value pair"),
            ("type=bind,target=/a,foo=b", "unexpected key 'foo' in 'foo=b' (did you mean from?)"),
            ("type=nfs,target=/a", "unsupported mount type \"nfs\""),
            ("type=cache,target=/a,sharing=x", "unsupported sharing value \"x\""),
            ("type=cache,target=/a,mode=9", "invalid value 9 for mode"),
            ("type=bind,target=/a,uid=1", "uid not allowed for \"bind\" type mounts"),
            ("type=tmpfs,target=/a,size=99999999999t", "invalid value for size: 99999999999t"),
            ("target=/a,from=$x", "'from' doesn't support variable expansion, define alias stage instead"),
            ("\"target=/a", "extraneous or missing \" in \"target=/a"),
            ("target=/a,ro=maybe", "invalid value for ro: maybe"),
        ];
        for (text, expected) in cases {
            assert_eq!(Mount::parse(text).unwrap_err().to_string(), expected, "{text}");
        }
    }
}
