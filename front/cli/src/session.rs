//! One run of the program: settings resolved, and the engine it talks to.

use std::cell::OnceCell;
use std::path::PathBuf;
use std::sync::Arc;

use api_client::{Client, Endpoint, Options, TlsFiles};

use crate::config_file::ConfigFile;
use crate::context_store::{self, ContextStore};
use crate::failure::Failure;
use crate::matches::Matches;
use crate::on_demand;
use crate::settings::Environment;

/// What all commands share.
#[derive(Debug)]
pub struct Session {
    /// `docker` or `wharf`, as the program was called.
    pub program: &'static str,
    /// The environment.
    pub environment: Environment,
    /// Whether `-D` was given.
    pub debug: bool,
    config_dir: PathBuf,
    config: ConfigFile,
    hosts: Vec<String>,
    context_flag: String,
    tls: TlsWish,
    client: OnceCell<Arc<Client>>,
}

#[derive(Debug, Default)]
struct TlsWish {
    on: bool,
    verify: bool,
    ca: String,
    cert: String,
    key: String,
}

/// Where the engine is, and why.
#[derive(Debug, Clone)]
pub struct Target {
    /// The address.
    pub host: String,
    /// Certificates of its context.
    pub tls: Option<TlsFiles>,
    /// Nothing was configured: the engine may be started when nothing listens.
    pub is_default: bool,
}

/// The socket of wharf's engine when nothing else is said.
pub const WHARF_SOCKET: &str = "unix:///run/wharf.sock";
const DOCKER_SOCKET: &str = "unix:///var/run/docker.sock";

impl Session {
    /// Resolves flags and environment.
    ///
    /// # Errors
    /// When the configuration can't be read or the flags contradict.
    pub fn new(program: &'static str, environment: Environment, globals: &Matches) -> Result<Self, Failure> {
        let home = environment.get("HOME").unwrap_or("/root");
        let config_dir = match (globals.text("config"), environment.own("CONFIG")) {
            ("", None) => PathBuf::from(home).join(".docker"),
            ("", Some(folder)) => PathBuf::from(folder),
            (folder, _) => PathBuf::from(folder),
        };
        let config = ConfigFile::load(&config_dir);
        if !globals.list("host").is_empty() && !globals.text("context").is_empty() {
            return Err(Failure::text("conflicting options: cannot specify both --host and --context"));
        }
        let verify = globals.on("tlsverify") || environment.own("TLS_VERIFY").is_some();
        let tls = TlsWish {
            on: verify || globals.on("tls") || environment.own("TLS").is_some(),
            verify,
            ca: globals.text("tlscacert").to_owned(),
            cert: globals.text("tlscert").to_owned(),
            key: globals.text("tlskey").to_owned(),
        };
        Ok(Self {
            program,
            debug: globals.on("debug"),
            config_dir,
            config,
            hosts: globals.list("host").to_vec(),
            context_flag: globals.text("context").to_owned(),
            tls,
            environment,
            client: OnceCell::new(),
        })
    }

    /// The folder of the client's configuration.
    pub fn config_dir(&self) -> &std::path::Path {
        &self.config_dir
    }

    /// The configuration file.
    pub fn config(&self) -> &ConfigFile {
        &self.config
    }

    /// The stored contexts.
    pub fn contexts(&self) -> ContextStore {
        ContextStore::new(self.config_dir.join("contexts"))
    }

    /// Columns help may use: the terminal's, else 80.
    pub fn help_width(&self) -> usize {
        let width = terminal::size(std::io::stdout()).map_or(80, |size| usize::from(size.width));
        width.clamp(60, 120) - 1
    }

    /// The name of the context in use; `default` when an address was given directly.
    pub fn context_name(&self) -> String {
        let env_host = self.environment.own("HOST").is_some();
        if !self.hosts.is_empty() {
            return "default".to_owned();
        }
        if !self.context_flag.is_empty() {
            return self.context_flag.clone();
        }
        match (env_host, self.environment.own("CONTEXT"), self.config.text("currentContext")) {
            (true, ..) => "default".to_owned(),
            (_, Some(name), _) => name.to_owned(),
            (_, None, "") => "default".to_owned(),
            (_, None, name) => name.to_owned(),
        }
    }

    /// The address of the `default` context.
    pub fn default_host(&self) -> (String, bool) {
        if let Some(host) = self.hosts.last().filter(|host| !host.is_empty()) {
            return (with_scheme(host), false);
        }
        if let Some(host) = self.environment.own("HOST") {
            return (with_scheme(host), false);
        }
        let docker_there = self.program == "docker" && std::path::Path::new("/var/run/docker.sock").exists();
        (if docker_there { DOCKER_SOCKET } else { WHARF_SOCKET }.to_owned(), true)
    }

    /// Where the engine is.
    ///
    /// # Errors
    /// For two addresses, an address beside a context, or an unknown context.
    pub fn target(&self) -> Result<Target, Failure> {
        if self.hosts.len() > 1 {
            return Err(Failure::text(
                "Failed to initialize: unable to resolve docker endpoint: Specify only one -H",
            ));
        }
        let name = self.context_name();
        if name != context_store::DEFAULT {
            let context = self.contexts().find(&name).map_err(|failure| {
                Failure::text(format!(
                    "Failed to initialize: unable to resolve docker endpoint: {}",
                    failure.message()
                ))
            })?;
            return Ok(Target { host: context.host.clone(), tls: context.tls(), is_default: false });
        }
        let (host, is_default) = self.default_host();
        let tls = self.tls.on.then(|| self.tls_files());
        Ok(Target { host, tls, is_default })
    }

    fn tls_files(&self) -> TlsFiles {
        let folder = self.environment.own("CERT_PATH").map_or_else(|| self.config_dir.clone(), PathBuf::from);
        let pick = |given: &str, name: &str| -> Option<PathBuf> {
            if given.is_empty() {
                Some(folder.join(name)).filter(|path| path.exists())
            } else {
                Some(PathBuf::from(given))
            }
        };
        TlsFiles {
            ca: pick(&self.tls.ca, "ca.pem"),
            cert: pick(&self.tls.cert, "cert.pem"),
            key: pick(&self.tls.key, "key.pem"),
            skip_verify: !self.tls.verify,
        }
    }

    /// The client of the engine, made on first use.
    ///
    /// # Errors
    /// When the address is wrong, or nothing listens there.
    pub fn client(&self) -> Result<&Arc<Client>, Failure> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let target = self.target()?;
        let endpoint = Endpoint::parse(&target.host, target.tls.as_ref()).map_err(|error| {
            Failure::text(format!("Failed to initialize: unable to resolve docker endpoint: {error}"))
        })?;
        if target.is_default && target.host == WHARF_SOCKET {
            on_demand::ensure(&endpoint);
        }
        let client = Client::new(Options {
            endpoint,
            host: target.host,
            version: self.environment.own("API_VERSION").map(|text| text.trim_start_matches('v').to_owned()),
            user_agent: format!("Docker-Client/{} (linux)", env!("CARGO_PKG_VERSION")),
            headers: self.http_headers(),
        });
        Ok(self.client.get_or_init(|| Arc::new(client)))
    }

    /// Refuses a flag that was given when the engine's API is older than it.
    ///
    /// # Errors
    /// When the engine is too old or can't be reached.
    pub fn require(&self, matches: &Matches, flag: &str, version: &str) -> Result<(), Failure> {
        if !matches.given(flag) || self.client()?.at_least(version)? {
            return Ok(());
        }
        let theirs = self.client()?.version()?;
        Err(Failure::text(format!(
            "\"--{flag}\" requires API version {version}, but the Docker daemon API version is {theirs}"
        )))
    }

    fn http_headers(&self) -> Vec<(String, String)> {
        let mut headers = self.config.texts("HttpHeaders");
        headers.retain(|(name, _)| !name.eq_ignore_ascii_case("user-agent"));
        for pair in self.environment.own("CUSTOM_HEADERS").unwrap_or_default().split(',') {
            if let Some((name, value)) = pair.split_once('=') {
                headers.push((name.trim().to_owned(), value.to_owned()));
            }
        }
        headers
    }

    /// Whether the standard output shows colours.
    pub fn colours(&self) -> bool {
        terminal::is_terminal(std::io::stdout()) && self.environment.raw("NO_COLOR").is_none()
    }
}

fn with_scheme(host: &str) -> String {
    if host.contains("://") { host.to_owned() } else { format!("tcp://{host}") }
}
