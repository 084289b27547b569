//! Global flags and the environment: what the user said before the name of a command.

use std::collections::HashMap;

use crate::command::{Flag, Kind, flag, long, switch};

/// Variables of the process, read once.
#[derive(Debug, Clone, Default)]
pub struct Environment(HashMap<String, String>);

impl Environment {
    /// From pairs of names and values.
    pub fn new(pairs: impl Iterator<Item = (String, String)>) -> Self {
        Self(pairs.collect())
    }

    /// A variable that is set and not empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// A variable, also when it is empty.
    pub fn raw(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// `WHARF_NAME`, else `DOCKER_NAME`.
    pub fn own(&self, name: &str) -> Option<&str> {
        self.get(&format!("WHARF_{name}")).or_else(|| self.get(&format!("DOCKER_{name}")))
    }

    /// All names that start so, with values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

/// Flags that stand before the command.
pub const GLOBAL_FLAGS: &[Flag] = &[
    long("config", Kind::Text, "Folder of the client's configuration (default ~/.docker)"),
    flag(
        "context",
        'c',
        Kind::Text,
        "",
        "Context to use, instead of DOCKER_HOST and the one chosen by \"context use\"",
    ),
    switch("debug", 'D', "Tell more about what is done"),
    flag("host", 'H', Kind::List, "", "Address of the engine: unix://, tcp:// or ssh://"),
    flag("log-level", 'l', Kind::Text, "info", "Least severity told: debug, info, warn, error or fatal"),
    long("tls", Kind::Switch, "Speak TLS; --tlsverify includes it"),
    long(
        "tlscacert",
        Kind::Text,
        "Trust only certificates signed by this authority (default ca.pem in the configuration folder)",
    ),
    long("tlscert", Kind::Text, "Our certificate (default cert.pem in the configuration folder)"),
    long("tlskey", Kind::Text, "The key of our certificate (default key.pem in the configuration folder)"),
    long("tlsverify", Kind::Switch, "Speak TLS and check the engine's certificate"),
    switch("version", 'v', "Print the version and quit"),
];

/// The same as tables.
pub const GLOBALS: [&[Flag]; 1] = [GLOBAL_FLAGS];
