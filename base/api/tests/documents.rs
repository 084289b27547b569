//! Documents captured from a Docker 26.1 engine read and write back byte for byte.

use serde::Serialize;
use serde::de::DeserializeOwned;

#[track_caller]
fn round_trip<T: Serialize + DeserializeOwned>(text: &str) {
    for line in text.lines() {
        let document: T = api::decode(line.as_bytes()).unwrap();
        let written = serde_json::to_string(&document).unwrap();
        if written != line {
            let at = written.bytes().zip(line.bytes()).take_while(|(left, right)| left == right).count();
            let around = |text: &str| text[at.saturating_sub(60)..text.len().min(at + 120)].to_owned();
            panic!("differs at byte {at}:\n ours   {}\n theirs {}", around(&written), around(line));
        }
    }
}

macro_rules! captured {
    ($($name:ident: $type:ty = $file:literal;)*) => {$(
        #[test]
        fn $name() {
            round_trip::<$type>(include_str!(concat!("reference/", $file)));
        }
    )*};
}

captured! {
    container_inspect: api::container::Inspect = "container-inspect.json";
    container_list: Vec<api::container::Summary> = "container-list.json";
    container_stats: api::container::Stats = "container-stats.json";
    container_top: api::container::Top = "container-top.json";
    container_changes: Vec<api::container::Change> = "container-changes.json";
    exec_inspect: api::exec::Inspect = "exec-inspect.json";
    image_inspect: api::image::Inspect = "image-inspect.json";
    image_list: Vec<api::image::Summary> = "image-list.json";
    image_history: Vec<api::image::History> = "image-history.json";
    network_list: Vec<api::network::Network> = "network-list.json";
    network_inspect: api::network::Network = "network-inspect.json";
    info: api::system::Info = "info.json";
    version: api::system::Version = "version.json";
    system_df: api::system::DiskUsage = "system-df.json";
    volume_list: api::volume::ListResponse = "volume-list.json";
    volume_inspect: api::volume::Volume = "volume-inspect.json";
    events: api::event::Event = "events.jsonl";
}

#[test]
fn create_bodies_read_like_in_go() {
    let body = br#"{"hostname":"h","Cmd":"ls","Env":null,"Image":"busybox","exposedports":{"80/tcp":{}},
        "Volumes":{"/p":null},"HostConfig":{"MEMORY":5,"NetworkMode":"default","PortBindings":{"80/tcp":[],"81/tcp":null},
        "PidsLimit":0,"MemorySwappiness":-1,"Unknown":{"a":1},"Mounts":null},
        "NetworkingConfig":{"EndpointsConfig":{"default":{"IPAMConfig":null,"Aliases":null},"other":null}}}"#;
    let request: api::container::CreateRequest = api::decode(body).unwrap();
    assert_eq!(request.config.hostname, "h");
    assert_eq!(request.config.cmd.as_deref(), Some(&["ls".to_owned()][..]));
    assert_eq!(request.config.env, None);
    assert!(request.config.volumes.unwrap().contains_key("/p"));
    assert_eq!(request.host_config.resources.memory, 5);
    assert_eq!(request.host_config.resources.memory_swappiness, Some(-1));
    assert_eq!(request.host_config.port_bindings.unwrap().len(), 2);
    assert_eq!(request.networking_config.endpoints_config.unwrap().len(), 2);
    assert!(api::decode::<api::container::CreateRequest>(b"{}").is_ok());
    assert!(api::decode::<api::container::CreateRequest>(b"[]").is_err());
}

#[test]
fn create_requests_survive_the_wire() {
    let mut request = api::container::CreateRequest::default();
    request.config.image = "busybox".into();
    request.host_config.resources.memory = 7;
    request.host_config.masked_paths = Some(Vec::new());
    let text = serde_json::to_vec(&request).unwrap();
    assert_eq!(api::decode::<api::container::CreateRequest>(&text).unwrap(), request);
}

mod random {
    use proptest::prelude::*;
    use serde_json::Value;

    /// Documents with the field names that the requests know, in any case, and values of any type.
    fn document() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            ".{0,8}".prop_map(Value::from),
        ];
        let name = prop_oneof![
            Just("HostConfig"),
            Just("hostconfig"),
            Just("Cmd"),
            Just("ENV"),
            Just("Image"),
            Just("Healthcheck"),
            Just("ExposedPorts"),
            Just("Volumes"),
            Just("NetworkingConfig"),
            Just("EndpointsConfig"),
            Just("PortBindings"),
            Just("80/tcp"),
            Just("Mounts"),
            Just("Memory"),
            Just("ConsoleSize"),
            Just("LogConfig"),
            Just("Ulimits"),
            Just("IPAM"),
            Just("Config"),
            Just("Labels"),
        ];
        leaf.prop_recursive(5, 64, 8, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map(name.clone(), inner, 0..6).prop_map(|map| {
                    Value::Object(map.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
                }),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]

        /// Requests are read or refused; what was read survives being written.
        #[test]
        fn requests_never_panic(document in document(), noise in prop::collection::vec(any::<u8>(), 0..100)) {
            for text in [document.to_string().into_bytes(), noise] {
                if let Ok(request) = api::decode::<api::container::CreateRequest>(&text) {
                    let written = serde_json::to_vec(&request).unwrap();
                    prop_assert_eq!(api::decode::<api::container::CreateRequest>(&written).unwrap(), request);
                }
                let _ = api::decode::<api::container::UpdateRequest>(&text);
                let _ = api::decode::<api::exec::CreateRequest>(&text);
                let _ = api::decode::<api::network::CreateRequest>(&text);
                let _ = api::decode::<api::volume::CreateRequest>(&text);
            }
        }
    }
}
