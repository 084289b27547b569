//! What a client wants built: the options of the frontend `dockerfile.v0`, typed.

use std::collections::BTreeMap;

use grpc::{Code, Status};

use crate::control::CacheOptionsEntry;
use crate::ops::Definition;

/// A build as the Dockerfile frontend is asked for it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Wish {
    /// The Dockerfile's path in its folder.
    pub filename: String,
    /// Where the main context comes from.
    pub context: Context,
    /// Where the Dockerfile comes from.
    pub dockerfile: Context,
    /// The stage; the last one when absent.
    pub target: Option<String>,
    /// `--build-arg`; `BUILDKIT_...` ones included.
    pub arguments: BTreeMap<String, String>,
    /// `--label`.
    pub labels: BTreeMap<String, String>,
    /// `--platform`, none for the builder's own.
    pub platforms: Vec<String>,
    /// Named contexts, by name: what stands for the name.
    pub contexts: BTreeMap<String, Context>,
    /// `--no-cache`, or `--no-cache-filter` with the stages' names.
    pub no_cache: Option<Vec<String>>,
    /// `--pull`: names of images are looked up anew.
    pub pull: bool,
    /// `--network`.
    pub network: Option<String>,
    /// `--add-host`, `name=address`.
    pub hosts: Vec<(String, String)>,
    /// `--shm-size`, bytes.
    pub shm_size: Option<u64>,
    /// `--ulimit`, `name=soft:hard`.
    pub ulimits: Vec<String>,
    /// `--cgroup-parent`.
    pub cgroup_parent: Option<String>,
    /// The name of the machine in steps.
    pub hostname: Option<String>,
    /// `--allow`.
    pub entitlements: Vec<String>,
    /// What is asked about the Dockerfile instead of building it.
    pub subrequest: Option<String>,
    /// Places of cache to begin with.
    pub cache_imports: Vec<CacheOptionsEntry>,
    /// Graphs contexts may name.
    pub inputs: BTreeMap<String, Definition>,
    /// Where a client on this machine says that the main context is.
    pub place: Option<Place>,
    /// To be told why steps are done.
    pub explain: bool,
}

/// A folder of the client that may be this machine's too: equal numbers say that it is the same one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place {
    /// Its path.
    pub path: String,
    /// The device it is on, as the client sees it.
    pub device: u64,
    /// Its number there.
    pub inode: u64,
    /// The Dockerfile's path in it.
    pub dockerfile: String,
}

/// Where files come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Context {
    /// A folder of the client, by the name its session knows.
    Local(String),
    /// An address: of a git repository, an archive or a file, also of bytes of the session.
    Address(String),
    /// An image.
    Image(String),
    /// A stage of this Dockerfile.
    Stage(String),
    /// A graph given with the build.
    Input(String),
    /// A folder of the client's in OCI layout, as name and digest.
    OciLayout(String),
}

impl Default for Context {
    fn default() -> Self {
        Self::Local("context".into())
    }
}

impl Wish {
    /// Reads the frontend's options; ones nobody knows are left out, as BuildKit does.
    ///
    /// # Errors
    /// When an option is not of its form.
    pub fn read(frontend: &str, options: &BTreeMap<String, String>) -> Result<Self, Status> {
        if !matches!(frontend, "dockerfile.v0" | "gateway.v0") {
            return Err(Status::new(Code::NotFound, format!("invalid frontend: {frontend}")));
        }
        if frontend == "gateway.v0" {
            let source = options.get("source").map(String::as_str).unwrap_or_default();
            if !is_dockerfile_frontend(source) {
                let text = format!("frontend {source} is not supported: only Dockerfile frontends are");
                return Err(Status::new(Code::Unimplemented, text));
            }
        }
        let mut wish = Self { filename: "Dockerfile".into(), ..Self::default() };
        let mut keys = (None, None);
        for (name, value) in options {
            match name.as_str() {
                "contextkey" => keys.0 = Some(value),
                "dockerfilekey" => keys.1 = Some(value),
                _ => wish.option(name, value)?,
            }
        }
        if let Some(name) = keys.0 {
            wish.context = Context::Local(name.clone());
        }
        // With a context from elsewhere comes its Dockerfile, unless one is named.
        wish.dockerfile = match (keys.1, &wish.context) {
            (Some(name), _) => Context::Local(name.clone()),
            (None, address @ Context::Address(_)) => address.clone(),
            (None, _) => Context::Local("dockerfile".into()),
        };
        Ok(wish)
    }

    fn option(&mut self, name: &str, value: &str) -> Result<(), Status> {
        match name.split_once(':') {
            Some(("build-arg", name)) => drop(self.arguments.insert(name.into(), value.into())),
            Some(("label", name)) => drop(self.labels.insert(name.into(), value.into())),
            Some(("context", name)) => drop(self.contexts.insert(name.into(), Context::read(value))),
            _ => self.plain_option(name, value)?,
        }
        Ok(())
    }

    fn place_mut(&mut self) -> &mut Place {
        self.place.get_or_insert_default()
    }

    fn plain_option(&mut self, name: &str, value: &str) -> Result<(), Status> {
        let text = || (!value.is_empty()).then(|| value.to_owned());
        match name {
            "filename" if !value.is_empty() => self.filename = value.to_owned(),
            "context" if !value.is_empty() => self.context = Context::Address(value.to_owned()),
            "target" => self.target = text(),
            "platform" => self.platforms = list(value),
            "no-cache" => self.no_cache = Some(list(value)),
            "image-resolve-mode" => self.pull = value == "pull",
            "force-network-mode" => self.network = text(),
            "add-hosts" => {
                self.hosts = list(value)
                    .iter()
                    .map(|entry| entry.split_once('=').ok_or_else(|| invalid(name, entry)))
                    .map(|pair| pair.map(|(host, address)| (host.to_owned(), address.to_owned())))
                    .collect::<Result<_, _>>()?;
            }
            "shm-size" if !value.is_empty() => {
                self.shm_size = Some(value.parse().map_err(|_| invalid(name, value))?);
            }
            "ulimit" => self.ulimits = list(value),
            "cgroup-parent" => self.cgroup_parent = text(),
            "wharf-explain" => self.explain = !value.is_empty(),
            "wharf-context" => self.place_mut().path = value.to_owned(),
            "wharf-dockerfile" => self.place_mut().dockerfile = value.to_owned(),
            "wharf-context-device" => {
                self.place_mut().device = value.parse().map_err(|_| invalid(name, value))?;
            }
            "wharf-context-inode" => {
                self.place_mut().inode = value.parse().map_err(|_| invalid(name, value))?;
            }
            "hostname" => self.hostname = text(),
            "requestid" => self.subrequest = text(),
            "cache-imports" if !value.is_empty() => {
                self.cache_imports = cache_imports(value).ok_or_else(|| invalid(name, value))?;
            }
            _ => {}
        }
        Ok(())
    }
}

impl Context {
    /// Reads what `context:NAME` stands for.
    fn read(value: &str) -> Self {
        if let Some(address) = value.strip_prefix("docker-image://") {
            return Self::Image(address.to_owned());
        }
        match value.split_once(':') {
            Some(("local", name)) => Self::Local(name.to_owned()),
            Some(("target", name)) => Self::Stage(name.to_owned()),
            Some(("input", name)) => Self::Input(name.to_owned()),
            Some(("oci-layout", rest)) => Self::OciLayout(rest.trim_start_matches("//").to_owned()),
            _ => Self::Address(value.to_owned()),
        }
    }
}

/// Whether an image is one of the frontends that read the same language as ours.
fn is_dockerfile_frontend(source: &str) -> bool {
    let name = source.strip_prefix("docker.io/").unwrap_or(source);
    let name = name.split(['@', ':']).next().unwrap_or_default();
    matches!(name, "docker/dockerfile" | "docker/dockerfile-upstream")
}

fn list(value: &str) -> Vec<String> {
    value.split(',').filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

fn invalid(name: &str, value: &str) -> Status {
    Status::new(Code::InvalidArgument, format!("invalid value {value:?} for {name}"))
}

fn cache_imports(json: &str) -> Option<Vec<CacheOptionsEntry>> {
    let value: serde_json::Value = serde_json::from_str(json).ok()?;
    let entry = |value: &serde_json::Value| {
        let attrs = value.get("Attrs").and_then(serde_json::Value::as_object);
        let attrs =
            attrs.into_iter().flatten().map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())));
        let kind = value.get("Type")?.as_str()?.to_owned();
        Some(CacheOptionsEntry { r#type: kind, attrs: attrs.collect::<Option<_>>()? })
    };
    value.as_array()?.iter().map(entry).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(options: &[(&str, &str)]) -> Result<Wish, Status> {
        let options = options.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Wish::read("dockerfile.v0", &options)
    }

    #[test]
    fn options_are_typed() {
        let wish = read(&[
            ("filename", "sub/File"),
            ("target", "last"),
            ("build-arg:A", "1"),
            ("build-arg:BUILDKIT_SYNTAX", "x:y"),
            ("label:org.example", "b=c"),
            ("platform", "linux/amd64,linux/arm64"),
            ("context:base", "docker-image://alpine:3"),
            ("context:src", "local:src"),
            ("context:other", "target:other"),
            ("context:in", "input:in"),
            ("context:git", "https://example.test/x.git"),
            ("context:lay", "oci-layout://lay@sha256:ab"),
            ("no-cache", ""),
            ("image-resolve-mode", "pull"),
            ("force-network-mode", "host"),
            ("add-hosts", "a=1.2.3.4,b=::1"),
            ("shm-size", "1048576"),
            ("ulimit", "nofile=1:2,core=0"),
            ("cache-imports", r#"[{"Type":"registry","Attrs":{"ref":"a/b"}}]"#),
            ("attest:provenance", "mode=min"),
        ])
        .expect("reads");
        assert_eq!((wish.filename.as_str(), wish.target.as_deref()), ("sub/File", Some("last")));
        assert_eq!(wish.arguments["BUILDKIT_SYNTAX"], "x:y");
        assert_eq!(wish.labels["org.example"], "b=c");
        assert_eq!(wish.platforms, ["linux/amd64", "linux/arm64"]);
        let contexts: Vec<_> =
            wish.contexts.iter().map(|(name, context)| (name.as_str(), context.clone())).collect();
        assert_eq!(
            contexts,
            [
                ("base", Context::Image("alpine:3".into())),
                ("git", Context::Address("https://example.test/x.git".into())),
                ("in", Context::Input("in".into())),
                ("lay", Context::OciLayout("lay@sha256:ab".into())),
                ("other", Context::Stage("other".into())),
                ("src", Context::Local("src".into())),
            ]
        );
        assert_eq!((wish.no_cache, wish.pull, wish.network.as_deref()), (Some(vec![]), true, Some("host")));
        assert_eq!(wish.hosts, [("a".into(), "1.2.3.4".into()), ("b".into(), "::1".into())]);
        assert_eq!((wish.shm_size, wish.ulimits.len()), (Some(1 << 20), 2));
        assert_eq!(wish.cache_imports[0].attrs["ref"], "a/b");
    }

    #[test]
    fn what_is_not_said_has_buildkits_meaning() {
        let wish = read(&[]).expect("reads");
        assert_eq!(wish.filename, "Dockerfile");
        assert_eq!(wish.context, Context::Local("context".into()));
        assert_eq!(wish.dockerfile, Context::Local("dockerfile".into()));
        assert_eq!(wish.no_cache, None);
        let wish =
            read(&[("context", "https://example.test/c.tar"), ("dockerfilekey", "df")]).expect("reads");
        assert_eq!(wish.context, Context::Address("https://example.test/c.tar".into()));
        assert_eq!(wish.dockerfile, Context::Local("df".into()));
        let wish = read(&[("context", "https://example.test/c.tar")]).expect("reads");
        assert_eq!(wish.dockerfile, wish.context, "the Dockerfile comes with the context");
    }

    #[test]
    fn broken_options_and_foreign_frontends_are_refused() {
        for options in [[("shm-size", "1g")], [("add-hosts", "a")], [("cache-imports", "[{}]")]] {
            assert_eq!(read(&options).expect_err("refused").code, Code::InvalidArgument);
        }
        let gateway = |source: &str| {
            Wish::read("gateway.v0", &BTreeMap::from([("source".to_owned(), source.to_owned())]))
        };
        assert!(gateway("docker/dockerfile:1").is_ok());
        assert!(gateway("docker.io/docker/dockerfile-upstream:master-labs@sha256:ab").is_ok());
        for source in ["example.test/docker/dockerfile:1", "evil/frontend", ""] {
            assert_eq!(gateway(source).expect_err("refused").code, Code::Unimplemented, "{source}");
        }
        assert_eq!(Wish::read("other.v0", &BTreeMap::new()).expect_err("refused").code, Code::NotFound);
        let asked = read(&[("requestid", "frontend.lint")]).expect("reads");
        assert_eq!(asked.subrequest.as_deref(), Some("frontend.lint"));
    }
}
