//! Every option of the daemon: its flag, its key in daemon.json, what it takes, and whether it means something here.

use serde_json::Value;

/// What an option takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Yes or no.
    Flag,
    /// Any text.
    Text,
    /// A whole number.
    Number,
    /// Texts; the flag repeats.
    List,
    /// `key=value` pairs; the flag repeats.
    Map,
    /// Addresses; the flag repeats.
    Addresses,
    /// One address.
    Address,
    /// `64m` and the like.
    Size,
    /// `nofile=1024:2048`; the flag repeats.
    Ulimits,
    /// `base=10.0.0.0/8,size=24`; the flag repeats.
    Pools,
    /// `name=path`; the flag repeats.
    Runtimes,
    /// Any JSON; only in the file.
    Document,
}

/// One option.
#[derive(Debug)]
pub(crate) struct Opt {
    /// Without the dashes; empty when there is no flag.
    pub(crate) flag: &'static str,
    /// One letter, or NUL.
    pub(crate) short: char,
    /// Key in daemon.json.
    pub(crate) key: &'static str,
    pub(crate) kind: Kind,
    /// Whether it does anything; otherwise it is accepted with a warning.
    pub(crate) used: bool,
}

const fn on(flag: &'static str, short: char, key: &'static str, kind: Kind) -> Opt {
    Opt { flag, short, key, kind, used: true }
}

const fn idle(flag: &'static str, key: &'static str, kind: Kind) -> Opt {
    Opt { flag, short: '\0', key, kind, used: false }
}

/// All options that can stand in daemon.json.
pub(crate) const OPTIONS: &[Opt] = &[
    on("host", 'H', "hosts", Kind::List),
    on("data-root", '\0', "data-root", Kind::Text),
    on("exec-root", '\0', "exec-root", Kind::Text),
    on("pidfile", 'p', "pidfile", Kind::Text),
    on("group", 'G', "group", Kind::Text),
    on("debug", 'D', "debug", Kind::Flag),
    on("log-level", 'l', "log-level", Kind::Text),
    on("log-format", '\0', "log-format", Kind::Text),
    on("raw-logs", '\0', "raw-logs", Kind::Flag),
    on("tls", '\0', "tls", Kind::Flag),
    on("tlsverify", '\0', "tlsverify", Kind::Flag),
    on("tlscacert", '\0', "tlscacert", Kind::Text),
    on("tlscert", '\0', "tlscert", Kind::Text),
    on("tlskey", '\0', "tlskey", Kind::Text),
    on("label", '\0', "labels", Kind::List),
    on("experimental", '\0', "experimental", Kind::Flag),
    on("live-restore", '\0', "live-restore", Kind::Flag),
    on("shutdown-timeout", '\0', "shutdown-timeout", Kind::Number),
    on("", '\0', "default-stop-timeout", Kind::Number),
    on("", '\0', "min-api-version", Kind::Text),
    on("bridge", 'b', "bridge", Kind::Text),
    on("bridge-name", '\0', "bridge-name", Kind::Text),
    on("bip", '\0', "bip", Kind::Text),
    on("bip6", '\0', "bip6", Kind::Text),
    on("fixed-cidr", '\0', "fixed-cidr", Kind::Text),
    on("fixed-cidr-v6", '\0', "fixed-cidr-v6", Kind::Text),
    on("default-gateway", '\0', "default-gateway", Kind::Address),
    on("default-gateway-v6", '\0', "default-gateway-v6", Kind::Address),
    on("mtu", '\0', "mtu", Kind::Number),
    on("icc", '\0', "icc", Kind::Flag),
    on("ip", '\0', "ip", Kind::Address),
    on("ip-forward", '\0', "ip-forward", Kind::Flag),
    on("ip-masq", '\0', "ip-masq", Kind::Flag),
    on("iptables", '\0', "iptables", Kind::Flag),
    on("ip6tables", '\0', "ip6tables", Kind::Flag),
    on("ipv6", '\0', "ipv6", Kind::Flag),
    on("userland-proxy", '\0', "userland-proxy", Kind::Flag),
    on("default-address-pool", '\0', "default-address-pools", Kind::Pools),
    on("dns", '\0', "dns", Kind::Addresses),
    on("dns-opt", '\0', "dns-opts", Kind::List),
    on("dns-search", '\0', "dns-search", Kind::List),
    on("host-gateway-ip", '\0', "host-gateway-ip", Kind::Address),
    on("", '\0', "host-gateway-ips", Kind::Addresses),
    on("", '\0', "resolv-conf", Kind::Text),
    on("default-ulimit", '\0', "default-ulimits", Kind::Ulimits),
    on("default-shm-size", '\0', "default-shm-size", Kind::Size),
    on("default-ipc-mode", '\0', "default-ipc-mode", Kind::Text),
    on("default-cgroupns-mode", '\0', "default-cgroupns-mode", Kind::Text),
    on("default-runtime", '\0', "default-runtime", Kind::Text),
    on("add-runtime", '\0', "runtimes", Kind::Runtimes),
    on("cgroup-parent", '\0', "cgroup-parent", Kind::Text),
    on("exec-opt", '\0', "exec-opts", Kind::List),
    on("init", '\0', "init", Kind::Flag),
    on("log-driver", '\0', "log-driver", Kind::Text),
    on("log-opt", '\0', "log-opts", Kind::Map),
    on("no-new-privileges", '\0', "no-new-privileges", Kind::Flag),
    on("seccomp-profile", '\0', "seccomp-profile", Kind::Text),
    on("storage-driver", 's', "storage-driver", Kind::Text),
    on("insecure-registry", '\0', "insecure-registries", Kind::List),
    on("registry-mirror", '\0', "registry-mirrors", Kind::List),
    on("", '\0', "mirrors", Kind::Document),
    on("", '\0', "registry-certs-dir", Kind::Text),
    on("http-proxy", '\0', "http-proxy", Kind::Text),
    on("https-proxy", '\0', "https-proxy", Kind::Text),
    on("no-proxy", '\0', "no-proxy", Kind::Text),
    on("", '\0', "proxies", Kind::Document),
    on("max-concurrent-downloads", '\0', "max-concurrent-downloads", Kind::Number),
    on("max-concurrent-uploads", '\0', "max-concurrent-uploads", Kind::Number),
    on("max-download-attempts", '\0', "max-download-attempts", Kind::Number),
    on("", '\0', "features", Kind::Document),
    on("userns-remap", '\0', "userns-remap", Kind::Text),
    idle("", "allow-direct-routing", Kind::Flag),
    idle("allow-nondistributable-artifacts", "allow-nondistributable-artifacts", Kind::List),
    idle("api-cors-header", "api-cors-header", Kind::Text),
    idle("authorization-plugin", "authorization-plugins", Kind::List),
    idle("", "bridge-accept-fwmark", Kind::Text),
    on("", '\0', "image-gc", Kind::Document),
    on("", '\0', "builder", Kind::Document),
    idle("cdi-spec-dir", "cdi-spec-dirs", Kind::List),
    idle("containerd", "containerd", Kind::Text),
    idle("containerd-namespace", "containerd-namespace", Kind::Text),
    idle("containerd-plugins-namespace", "containerd-plugin-namespace", Kind::Text),
    idle("cpu-rt-period", "cpu-rt-period", Kind::Number),
    idle("cpu-rt-runtime", "cpu-rt-runtime", Kind::Number),
    idle("cri-containerd", "cri-containerd", Kind::Flag),
    idle("default-network-opt", "default-network-opts", Kind::Document),
    idle("firewall-backend", "firewall-backend", Kind::Text),
    idle("init-path", "init-path", Kind::Text),
    idle("", "ip-forward-no-drop", Kind::Flag),
    idle("metrics-addr", "metrics-addr", Kind::Text),
    idle("network-control-plane-mtu", "network-control-plane-mtu", Kind::Number),
    idle("network-diagnostic-port", "network-diagnostic-port", Kind::Number),
    idle("node-generic-resource", "node-generic-resources", Kind::List),
    idle("", "nri-opts", Kind::Document),
    idle("rootless", "rootless", Kind::Flag),
    idle("selinux-enabled", "selinux-enabled", Kind::Flag),
    idle("storage-opt", "storage-opts", Kind::List),
    idle("swarm-default-advertise-addr", "swarm-default-advertise-addr", Kind::Text),
    idle("", "swarm-raft-election-tick", Kind::Number),
    idle("", "swarm-raft-heartbeat-tick", Kind::Number),
    idle("userland-proxy-path", "userland-proxy-path", Kind::Text),
];

impl Opt {
    /// How messages name the flag.
    pub(crate) fn shown(&self) -> String {
        match self.short {
            '\0' => format!("--{}", self.flag),
            short => format!("-{short}, --{}", self.flag),
        }
    }

    /// Turns a flag's text into the value the file would have, merged with what earlier flags gave.
    ///
    /// # Errors
    /// With dockerd's words.
    pub(crate) fn parse(&self, text: &str, earlier: Option<Value>) -> Result<Value, String> {
        Ok(match self.kind {
            Kind::Flag => Value::Bool(parse_bool(text)?),
            Kind::Text => Value::String(text.to_owned()),
            Kind::Number => Value::from(
                text.parse::<i64>()
                    .map_err(|_| format!("strconv.ParseInt: parsing {text:?}: invalid syntax"))?,
            ),
            Kind::Address => Value::String(parse_address(text)?),
            Kind::Size => {
                model::size::binary(text).map_err(|error| error.to_string())?;
                Value::String(text.to_owned())
            }
            Kind::List => append(earlier, Value::String(self.check_item(text)?)),
            Kind::Addresses => {
                let found: Result<Vec<_>, _> = text.split(',').map(parse_address).collect();
                found?
                    .into_iter()
                    .fold(earlier, |list, item| Some(append(list, Value::String(item))))
                    .unwrap_or_default()
            }
            Kind::Map => {
                let (key, value) = text.split_once('=').unwrap_or((text, ""));
                insert(earlier, key, Value::String(value.to_owned()))
            }
            Kind::Ulimits => {
                let limit: model::Ulimit =
                    text.parse().map_err(|error: model::ulimit::ParseUlimitError| error.to_string())?;
                let value = serde_json::json!({"Name": limit.name, "Soft": limit.soft, "Hard": limit.hard});
                insert(earlier, &limit.name, value)
            }
            Kind::Pools => append(earlier, parse_pool(text)?),
            Kind::Runtimes => {
                let wrong = || format!("invalid runtime argument: {text}");
                let (name, path) = text.split_once('=').ok_or_else(wrong)?;
                let name = name.trim().to_lowercase();
                if name.is_empty() || path.trim().is_empty() {
                    return Err(wrong());
                }
                insert(earlier, &name, serde_json::json!({"path": path.trim()}))
            }
            Kind::Document => return Err("only settable in the configuration file".to_owned()),
        })
    }

    /// What the items of certain lists have to look like.
    fn check_item(&self, text: &str) -> Result<String, String> {
        match self.key {
            "labels" if !text.contains('=') || text.starts_with('=') => {
                Err(format!("bad attribute format: {text}"))
            }
            "hosts" => crate::host::Host::parse(text).map(|_| text.to_owned()),
            "dns-search" => {
                let valid = text == "."
                    || (!text.is_empty()
                        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)));
                if valid { Ok(text.to_owned()) } else { Err(format!("{text} is not a valid domain")) }
            }
            "registry-mirrors" => {
                let scheme = text.split_once("://").map_or("", |(scheme, _)| scheme);
                if matches!(scheme, "http" | "https") {
                    Ok(text.to_owned())
                } else {
                    Err(format!("invalid mirror: unsupported scheme {scheme:?} in {text:?}"))
                }
            }
            _ => Ok(text.to_owned()),
        }
    }

    /// Whether a value of the file has this option's type; the words of Go's decoder when not.
    pub(crate) fn check_file_value(&self, value: &Value) -> Result<(), String> {
        let (right, wanted) = match self.kind {
            Kind::Flag => (value.is_boolean(), "bool"),
            Kind::Text | Kind::Address => (value.is_string(), "string"),
            Kind::Number => (value.is_i64() || value.is_u64(), "int"),
            Kind::Size => (value.is_string() || value.is_i64(), "opts.MemBytes"),
            Kind::List | Kind::Addresses => {
                let texts = value.as_array().is_some_and(|list| list.iter().all(Value::is_string));
                (texts || (self.key == "hosts" && value.is_array()), "[]string")
            }
            Kind::Pools => (value.is_array(), "[]*ipamutils.NetworkToSplit"),
            Kind::Map | Kind::Ulimits | Kind::Runtimes => (value.is_object(), "map[string]string"),
            Kind::Document => (true, ""),
        };
        if right || value.is_null() {
            return Ok(());
        }
        let given = match value {
            Value::Bool(_) => "bool",
            Value::Number(_) => "number",
            Value::String(_) => "string",
            Value::Array(_) => "array",
            _ => "object",
        };
        Err(format!(
            "json: cannot unmarshal {given} into Go struct field Config.{} of type {wanted}",
            self.key
        ))
    }
}

fn append(earlier: Option<Value>, item: Value) -> Value {
    let mut list = match earlier {
        Some(Value::Array(list)) => list,
        _ => Vec::new(),
    };
    list.push(item);
    Value::Array(list)
}

fn insert(earlier: Option<Value>, key: &str, value: Value) -> Value {
    let mut map = match earlier {
        Some(Value::Object(map)) => map,
        _ => serde_json::Map::new(),
    };
    map.insert(key.to_owned(), value);
    Value::Object(map)
}

fn parse_bool(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(format!("strconv.ParseBool: parsing {text:?}: invalid syntax")),
    }
}

fn parse_address(text: &str) -> Result<String, String> {
    let trimmed = text.trim();
    trimmed
        .parse::<std::net::IpAddr>()
        .map(|address| address.to_string())
        .map_err(|_| format!("invalid string being converted to IP address: {text}"))
}

fn parse_pool(text: &str) -> Result<Value, String> {
    let mut pool = serde_json::Map::new();
    for field in text.split(',') {
        let (key, value) = field
            .split_once('=')
            .ok_or_else(|| format!("invalid field '{field}' must be a key=value pair"))?;
        match key.to_ascii_lowercase().as_str() {
            "base" => pool.insert("base".to_owned(), Value::String(value.to_owned())),
            "size" => {
                let size: i64 =
                    value.parse().map_err(|_| format!("invalid size value: {value} (must be integer)"))?;
                pool.insert("size".to_owned(), Value::from(size))
            }
            _ => return Err(format!("unexpected key '{key}' in '{field}'")),
        };
    }
    Ok(Value::Object(pool))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(key: &str, texts: &[&str]) -> Result<Value, String> {
        let option = OPTIONS.iter().find(|option| option.key == key).unwrap();
        texts.iter().try_fold(None, |earlier, text| option.parse(text, earlier).map(Some)).map(Option::unwrap)
    }

    #[test]
    fn flags_become_what_the_file_would_say() {
        for (key, texts, expected) in [
            ("debug", &["true"][..], r"true"),
            ("mtu", &["1400"], "1400"),
            ("labels", &["a=b", "c=d"], r#"["a=b","c=d"]"#),
            ("dns", &["1.1.1.1,8.8.8.8", "::1"], r#"["1.1.1.1","8.8.8.8","::1"]"#),
            ("log-opts", &["max-size=1m", "max-file=3"], r#"{"max-size":"1m","max-file":"3"}"#),
            ("runtimes", &["x=/bin/x"], r#"{"x":{"path":"/bin/x"}}"#),
            ("default-address-pools", &["base=10.0.0.0/8,size=24"], r#"[{"base":"10.0.0.0/8","size":24}]"#),
            ("default-ulimits", &["nofile=1:2"], r#"{"nofile":{"Name":"nofile","Soft":1,"Hard":2}}"#),
        ] {
            assert_eq!(parse(key, texts).unwrap().to_string(), expected, "{key}");
        }
    }

    #[test]
    fn wrong_values_fail_in_dockerd_words() {
        for (key, text, expected) in [
            ("labels", "foo", "bad attribute format: foo"),
            ("dns", "foo", "invalid string being converted to IP address: foo"),
            ("mtu", "foo", "strconv.ParseInt: parsing \"foo\": invalid syntax"),
            ("default-shm-size", "x", "invalid size: 'x'"),
            ("default-ulimits", "x", "invalid ulimit argument: x"),
            ("hosts", "foo://", "invalid bind address (foo://): unsupported proto 'foo'"),
            ("default-address-pools", "foo", "invalid field 'foo' must be a key=value pair"),
            ("runtimes", "foo", "invalid runtime argument: foo"),
            ("registry-mirrors", "a", "invalid mirror: unsupported scheme \"\" in \"a\""),
            ("live-restore", "abc", "strconv.ParseBool: parsing \"abc\": invalid syntax"),
            ("dns-search", "a b", "a b is not a valid domain"),
        ] {
            assert_eq!(parse(key, &[text]).unwrap_err(), expected);
        }
    }

    #[test]
    fn names_are_unique() {
        for (index, option) in OPTIONS.iter().enumerate() {
            let later = OPTIONS.iter().skip(index + 1);
            for other in later {
                assert_ne!(option.key, other.key);
                assert!(option.flag.is_empty() || option.flag != other.flag, "{}", option.flag);
                assert!(option.short == '\0' || option.short != other.short, "{}", option.short);
            }
        }
    }
}
