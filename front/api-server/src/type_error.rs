//! Says why a body can't be read in the words Docker's JSON reader uses.

use std::any::type_name;

/// Fields of the host configuration that Docker keeps in a part named `Resources`.
const RESOURCES: &[&str] = &[
    "BlkioDeviceReadBps",
    "BlkioDeviceReadIOps",
    "BlkioDeviceWriteBps",
    "BlkioDeviceWriteIOps",
    "BlkioWeight",
    "BlkioWeightDevice",
    "CgroupParent",
    "CpuCount",
    "CpuPercent",
    "CpuPeriod",
    "CpuQuota",
    "CpuRealtimePeriod",
    "CpuRealtimeRuntime",
    "CpuShares",
    "CpusetCpus",
    "CpusetMems",
    "DeviceCgroupRules",
    "DeviceRequests",
    "Devices",
    "IOMaximumBandwidth",
    "IOMaximumIOps",
    "KernelMemory",
    "KernelMemoryTCP",
    "Memory",
    "MemoryReservation",
    "MemorySwap",
    "MemorySwappiness",
    "NanoCpus",
    "OomKillDisable",
    "PidsLimit",
    "Ulimits",
];

/// The message for a value, right as JSON, that is no `T`.
pub(crate) fn wording<T>(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let known = type_name::<T>().trim_start_matches("api::");
    mismatch(known, &text).unwrap_or(text)
}

/// Rewords `Field: Field: invalid type: <what came>, expected <what should>`, if that is what the text says.
fn mismatch(document: &str, text: &str) -> Option<String> {
    let start = ["invalid type: ", "invalid value: "].iter().filter_map(|words| text.find(words)).min()?;
    let path: Vec<&str> = text.get(..start)?.split(": ").filter(|name| !name.is_empty()).collect();
    let (_, rest) = text.get(start..)?.split_once(": ")?;
    let (came, expected) = rest.rsplit_once(", expected ")?;
    let expected = expected.split_once(" at line ").map_or(expected, |(word, _)| word);
    let type_name = type_of(&path, expected);
    let came = value_of(came, &type_name);
    Some(match path.last() {
        None => format!("json: cannot unmarshal {came} into Go value of type {}", root_of(document).1),
        Some(_) => format!(
            "json: cannot unmarshal {came} into Go struct field {}.{} of type {type_name}",
            struct_of(document, &path),
            path_of(document, &path),
        ),
    })
}

/// The kind of JSON value, with its text where a number has a form that the field can't take.
fn value_of(came: &str, wanted: &str) -> String {
    let literal = came.split('`').nth(1).unwrap_or_default();
    let number = || match matches!(wanted, "int" | "int64" | "uint64" | "uint16" | "time.Duration") {
        true => format!("number {literal}"),
        false => "number".to_owned(),
    };
    match came.split([' ', '`']).next().unwrap_or_default() {
        "integer" | "floating" => number(),
        "string" => "string".into(),
        "boolean" => "bool".into(),
        "sequence" => "array".into(),
        _ => "object".into(),
    }
}

/// Docker's name for the type of a field.
fn type_of(path: &[&str], expected: &str) -> String {
    let field = path.last().copied().unwrap_or_default();
    match (field, expected) {
        ("Interval" | "Timeout" | "StartPeriod" | "StartInterval", _) => "time.Duration".into(),
        ("ExposedPorts", "a map") => "nat.PortSet".into(),
        ("PortBindings", "a map") => "nat.PortMap".into(),
        ("PortBindings", "a sequence") => "[]nat.PortBinding".into(),
        ("Volumes", "a map") => "map[string]struct {}".into(),
        ("MaximumRetryCount" | "Retries", _) => "int".into(),
        (_, "a boolean") => "bool".into(),
        (_, "i64" | "i32") => "int64".into(),
        (_, "u64" | "u16") => expected.replace('u', "uint"),
        (_, "f64") => "float64".into(),
        (_, "a sequence") => "[]string".into(),
        (_, "a map") => "map[string]string".into(),
        (_, "struct HealthConfig") => "v1.HealthcheckConfig".into(),
        (_, name) if name.starts_with("struct ") => name.replacen("struct ", "container.", 1),
        _ => "string".into(),
    }
}

/// The documents' names there: as part of a field, and as a type.
fn root_of(document: &str) -> (&'static str, &'static str) {
    match document {
        "container::config::CreateRequest" => ("ContainerConfigWrapper", "runconfig.ContainerConfigWrapper"),
        name if name.ends_with("UpdateRequest") => ("UpdateConfig", "container.UpdateConfig"),
        name if name.starts_with("exec") && name.ends_with("CreateRequest") => {
            ("ExecConfig", "types.ExecConfig")
        }
        name if name.starts_with("exec") => ("ExecStartCheck", "types.ExecStartCheck"),
        name if name.starts_with("network") => ("NetworkCreateRequest", "types.NetworkCreateRequest"),
        name if name.starts_with("volume") => ("CreateOptions", "volume.CreateOptions"),
        name if name.ends_with("AuthConfig") => ("AuthConfig", "registry.AuthConfig"),
        _ => ("Config", "container.Config"),
    }
}

/// The name of the struct that has the last field of the path.
fn struct_of<'p>(document: &str, path: &[&'p str]) -> &'p str {
    match path.len().checked_sub(2).and_then(|place| path.get(place)).copied() {
        None => root_of(document).0,
        Some("Healthcheck") => "HealthcheckConfig",
        Some("PortBindings") => "PortBinding",
        Some("Mounts") => "Mount",
        Some("Ulimits") => "Ulimit",
        Some("EndpointsConfig") => "EndpointSettings",
        Some(name) => name,
    }
}

/// The path with the parts that Docker's structs are made of, which JSON does not show.
fn path_of(document: &str, path: &[&str]) -> String {
    let first = path.first().copied().unwrap_or_default();
    let root = root_of(document).0;
    let resource = |name: &&str| RESOURCES.contains(name);
    let mut parts = path.to_vec();
    match (root, path) {
        ("ContainerConfigWrapper", ["HostConfig", second, ..]) if resource(second) => {
            parts.insert(1, "Resources");
        }
        ("ContainerConfigWrapper", _) if !matches!(first, "HostConfig" | "NetworkingConfig") => {
            parts.insert(0, "Config");
        }
        ("UpdateConfig", _) if resource(&first) => parts.insert(0, "Resources"),
        ("NetworkCreateRequest", _) if first != "Name" => parts.insert(0, "NetworkCreate"),
        _ => {}
    }
    parts.join(".")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words<T: serde::de::DeserializeOwned>(body: &str) -> String {
        let error = api::decode::<T>(body.as_bytes()).err().expect("a body that can't be read");
        wording::<T>(&error)
    }

    #[test]
    fn a_container_s_document() {
        let field = "json: cannot unmarshal";
        for (body, wanted) in [
            (
                r#"{"Image":5}"#,
                "number into Go struct field ContainerConfigWrapper.Config.Image of type string",
            ),
            (r#"{"Tty":"x"}"#, "string into Go struct field ContainerConfigWrapper.Config.Tty of type bool"),
            (
                r#"{"Labels":["a"]}"#,
                "array into Go struct field ContainerConfigWrapper.Config.Labels of type map[string]string",
            ),
            (
                r#"{"ExposedPorts":["a"]}"#,
                "array into Go struct field ContainerConfigWrapper.Config.ExposedPorts of type nat.PortSet",
            ),
            (
                r#"{"Healthcheck":{"Interval":"5s"}}"#,
                "string into Go struct field HealthcheckConfig.Config.Healthcheck.Interval of type time.Duration",
            ),
            (
                r#"{"Healthcheck":5}"#,
                "number into Go struct field ContainerConfigWrapper.Config.Healthcheck of type v1.HealthcheckConfig",
            ),
            (
                r#"{"HostConfig":{"Memory":"x"}}"#,
                "string into Go struct field HostConfig.HostConfig.Resources.Memory of type int64",
            ),
            (
                r#"{"HostConfig":{"Memory":1.5}}"#,
                "number 1.5 into Go struct field HostConfig.HostConfig.Resources.Memory of type int64",
            ),
            (
                r#"{"HostConfig":{"Privileged":1}}"#,
                "number into Go struct field HostConfig.HostConfig.Privileged of type bool",
            ),
            (
                r#"{"HostConfig":{"PortBindings":{"80/tcp":[{"HostPort":80}]}}}"#,
                "number into Go struct field PortBinding.HostConfig.PortBindings.HostPort of type string",
            ),
            (
                r#"{"HostConfig":{"RestartPolicy":{"MaximumRetryCount":"1"}}}"#,
                "string into Go struct field RestartPolicy.HostConfig.RestartPolicy.MaximumRetryCount of type int",
            ),
            (
                r#"{"HostConfig":{"RestartPolicy":"always"}}"#,
                "string into Go struct field HostConfig.HostConfig.RestartPolicy of type container.RestartPolicy",
            ),
            (
                r#"{"HostConfig":5}"#,
                "number into Go struct field ContainerConfigWrapper.HostConfig of type container.HostConfig",
            ),
            ("[]", "array into Go value of type runconfig.ContainerConfigWrapper"),
        ] {
            let said = words::<api::container::CreateRequest>(body);
            assert_eq!(said, format!("{field} {wanted}"), "{body}");
        }
    }

    #[test]
    fn other_documents() {
        assert_eq!(
            words::<api::volume::CreateRequest>(r#"{"Name":1}"#),
            "json: cannot unmarshal number into Go struct field CreateOptions.Name of type string"
        );
        assert_eq!(
            words::<api::network::CreateRequest>(r#"{"Internal":1}"#),
            "json: cannot unmarshal number into Go struct field NetworkCreateRequest.NetworkCreate.Internal of type bool"
        );
    }
}
