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
    /// `--attest`, by type.
    pub attestations: BTreeMap<String, String>,
    /// All options as they came.
    pub options: BTreeMap<String, String>,
    /// Where a client on this machine says that the main context is.
    pub place: Option<Place>,
    /// To be told why steps are done.
    pub explain: bool,
    /// What the Dockerfile says, when it is not looked for anywhere.
    pub text: Option<String>,
    /// To be given a shell in the state that a failing command left.
    pub debug: bool,
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
    /// From nowhere: there are none.
    Nothing,
    /// A folder of the client, by the name its session knows.
    Local(String),
    /// An address: of a git repository, an archive or a file, also of bytes of the session.
    Address(String),
    /// A git repository, with what is meant of it behind `#`.
    Repository(String),
    /// A file that is fetched and stays as it is.
    File {
        /// Its address.
        address: String,
        /// What it is called; what the server says when empty.
        name: String,
        /// The digest it has to have.
        checksum: Option<String>,
    },
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
        let source = (frontend == "gateway.v0").then(|| options.get("source").cloned().unwrap_or_default());
        let syntax = options.get("build-arg:BUILDKIT_SYNTAX").filter(|syntax| !syntax.is_empty()).cloned();
        let foreign = source.into_iter().chain(syntax).find(|source| !is_dockerfile_frontend(source));
        if let Some(source) = foreign {
            let text = format!("frontend {source} is not supported: only Dockerfile frontends are");
            return Err(Status::new(Code::Unimplemented, text));
        }
        let mut wish = Self { filename: "Dockerfile".into(), options: options.clone(), ..Self::default() };
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

    /// Whether the build was allowed something beyond the usual.
    pub fn is_entitled(&self, to: &str) -> bool {
        self.entitlements.iter().any(|entitlement| entitlement == to)
    }

    /// The graph of a single source as something to build: its files, or the image that it is.
    ///
    /// # Errors
    /// For graphs of more than one operation, and sources nobody knows.
    pub fn of_source(definition: &Definition) -> Result<Self, Status> {
        let unsupported = |what: &str| {
            let text = format!("building from a graph with {what} is not supported by this builder");
            Err(Status::new(Code::Unimplemented, text))
        };
        let Some(source) = definition.only_source() else { return unsupported("operations") };
        let (scheme, place) = source.identifier.split_once("://").unwrap_or_default();
        let attribute = |name: &str| source.attrs.get(name).cloned().unwrap_or_default();
        let mut wish = Self { filename: "Dockerfile".into(), ..Self::default() };
        wish.text = Some("FROM scratch\nCOPY . /\n".to_owned());
        match scheme {
            "docker-image" => {
                wish.text = Some(format!("FROM {}\n", one_word(place)?));
                wish.context = Context::Nothing;
            }
            "local" => wish.context = Context::Local(place.to_owned()),
            "git" => {
                let full = Some(attribute("git.fullurl")).filter(|url| !url.is_empty());
                let (bare, fragment) = place.split_once('#').map_or((place, ""), |(bare, rest)| (bare, rest));
                let address = full.unwrap_or_else(|| format!("git://{bare}"));
                wish.context = Context::Repository(format!("{address}#{fragment}"));
                let keep = attribute("git.keepgitdir");
                wish.arguments.insert("BUILDKIT_CONTEXT_KEEP_GIT_DIR".into(), keep);
            }
            "http" | "https" => {
                let (address, name) = (source.identifier.clone(), attribute("http.filename"));
                let checksum = Some(attribute("http.checksum")).filter(|checksum| !checksum.is_empty());
                wish.context = Context::File { address, name, checksum };
            }
            _ => return unsupported(&format!("source {scheme}")),
        }
        Ok(wish)
    }

    fn option(&mut self, name: &str, value: &str) -> Result<(), Status> {
        match name.split_once(':') {
            Some(("build-arg", name)) => drop(self.arguments.insert(name.into(), value.into())),
            Some(("label", name)) => drop(self.labels.insert(name.into(), value.into())),
            Some(("context", name)) => drop(self.contexts.insert(name.into(), Context::read(value))),
            Some(("attest", kind)) => drop(self.attestations.insert(kind.into(), value.into())),
            _ => self.plain_option(name, value)?,
        }
        Ok(())
    }

    /// Whether attributes of a build say where the client's files are on this machine.
    pub(super) fn is_in_place(attributes: &BTreeMap<String, String>) -> bool {
        attributes.contains_key("wharf-context")
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
            "wharf-debug" => self.debug = !value.is_empty(),
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

/// Looks whether a build may be allowed what it wants.
///
/// # Errors
/// In BuildKit's words, for what is unknown, and for what no build is allowed here.
pub(super) fn check_entitlements(wanted: &[String]) -> Result<(), Status> {
    for entitlement in wanted {
        match entitlement.as_str() {
            "network.host" => {}
            "security.insecure" => {
                let text = format!(
                    "granting entitlement {entitlement} is not allowed by build daemon configuration"
                );
                return Err(Status::new(Code::Unknown, text));
            }
            other => return Err(Status::new(Code::Unknown, format!("unknown entitlement {other}"))),
        }
    }
    Ok(())
}

/// Text that goes into a line of a Dockerfile.
///
/// # Errors
/// When it would be more than one word there, or none, or something other than itself.
pub fn one_word(text: &str) -> Result<&str, Status> {
    match text.is_empty()
        || text.contains(|c: char| c.is_whitespace() || c.is_control() || c == '$' || c == '\\')
    {
        true => Err(invalid("source", text)),
        false => Ok(text),
    }
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
            ("build-arg:BUILDKIT_SYNTAX", "docker/dockerfile:1"),
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
        assert_eq!(wish.arguments["BUILDKIT_SYNTAX"], "docker/dockerfile:1");
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
        let syntax = read(&[("build-arg:BUILDKIT_SYNTAX", "evil/frontend")]);
        assert_eq!(syntax.expect_err("refused").code, Code::Unimplemented);
        assert_eq!(Wish::read("other.v0", &BTreeMap::new()).expect_err("refused").code, Code::NotFound);
        let asked = read(&[("requestid", "frontend.lint")]).expect("reads");
        assert_eq!(asked.subrequest.as_deref(), Some("frontend.lint"));
    }

    #[test]
    fn a_source_alone_can_be_built() {
        let of = |identifier: &str, attrs: &[(&str, &str)]| {
            let attrs = attrs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            Wish::of_source(&Definition::of_source(identifier, attrs))
        };
        let image = of("docker-image://docker.io/library/a:1", &[]).expect("reads");
        assert_eq!(image.text.as_deref(), Some("FROM docker.io/library/a:1\n"));
        let local = of("local://src", &[]).expect("reads");
        assert_eq!(local.context, Context::Local("src".into()));
        let full = [("git.fullurl", "https://example.test/x.git"), ("git.keepgitdir", "true")];
        let git = of("git://example.test/x.git#main:sub", &full).expect("reads");
        assert_eq!(git.context, Context::Repository("https://example.test/x.git#main:sub".into()));
        assert_eq!(git.arguments["BUILDKIT_CONTEXT_KEEP_GIT_DIR"], "true");
        let attributes = [("http.filename", "n"), ("http.checksum", "sha256:ab")];
        let file = of("https://example.test/f", &attributes).expect("reads");
        let checksum = Some("sha256:ab".to_owned());
        let address = "https://example.test/f".to_owned();
        assert_eq!(file.context, Context::File { address, name: "n".into(), checksum });
        for bad in
            ["oci-layout://x", "docker-image://a\nRUN evil", "docker-image://", "docker-image://$A", "x"]
        {
            assert!(of(bad, &[]).is_err(), "{bad}");
        }
        let graph = Definition { def: vec![Vec::new(); 3], ..Definition::default() };
        assert_eq!(Wish::of_source(&graph).expect_err("refused").code, Code::Unimplemented);
    }

    #[test]
    fn entitlements_are_granted_as_dockers_engine_does() {
        let check = |wanted: &str| check_entitlements(&[wanted.to_owned()]).map_err(|status| status.message);
        assert_eq!(check("network.host"), Ok(()));
        assert_eq!(
            check("security.insecure"),
            Err("granting entitlement security.insecure is not allowed by build daemon configuration".into())
        );
        assert_eq!(check("x"), Err("unknown entitlement x".into()));
    }
}
