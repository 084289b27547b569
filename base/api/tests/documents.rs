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
