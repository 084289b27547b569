//! Values of container options and docker's answers to them.

use super::port::Ports;
use super::{check, device, mount, network};

#[test]
fn ports_follow_go_connections() {
    for (text, bindings) in [
        ("80", r#"{"80/tcp":[{"HostIp":"","HostPort":""}]}"#),
        ("8080:80", r#"{"80/tcp":[{"HostIp":"","HostPort":"8080"}]}"#),
        ("127.0.0.1:8080:80/udp", r#"{"80/udp":[{"HostIp":"127.0.0.1","HostPort":"8080"}]}"#),
        ("127.0.0.1::80", r#"{"80/tcp":[{"HostIp":"127.0.0.1","HostPort":""}]}"#),
        ("[::1]:1:2", r#"{"2/tcp":[{"HostIp":"::1","HostPort":"1"}]}"#),
        ("::1:1:2", r#"{"2/tcp":[{"HostIp":"::1","HostPort":"1"}]}"#),
        ("8000-8001:80", r#"{"80/tcp":[{"HostIp":"","HostPort":"8000-8001"}]}"#),
        (
            "8000-8001:80-81",
            r#"{"80/tcp":[{"HostIp":"","HostPort":"8000"}],"81/tcp":[{"HostIp":"","HostPort":"8001"}]}"#,
        ),
        ("target=80,published=8080,protocol=udp", r#"{"80/udp":[{"HostIp":"","HostPort":"8080"}]}"#),
        ("80/SCTP", r#"{"80/sctp":[{"HostIp":"","HostPort":""}]}"#),
    ] {
        let mut ports = Ports::default();
        ports.publish(text).unwrap();
        assert_eq!(serde_json::Value::Object(ports.bindings).to_string(), bindings, "{text}");
    }
    for (text, fault) in [
        ("80:80:80:80:80", "invalid IP address: 80:80:80"),
        ("abc", "invalid containerPort: abc"),
        ("99999", "invalid containerPort: 99999"),
        ("x:80", "invalid hostPort: x"),
        ("8000-8002:80-81", "invalid ranges specified for container and host Ports: 80-81 and 8000-8002"),
        ("80/foo", "invalid proto: foo"),
        ("8080:", "no port specified: 8080:<empty>"),
        ("81-80", "invalid containerPort: 81-80"),
        ("target", "invalid containerPort: target"),
        ("target=", "invalid publish opts format (should be name=value but got 'target=')"),
    ] {
        assert_eq!(Ports::default().publish(text), Err(fault.to_owned()), "{text}");
    }
    assert_eq!(Ports::default().expose("80:80"), Err("invalid port format for --expose: 80:80".to_owned()));
}

#[test]
fn limits_and_policies_are_checked() {
    let limit = check::parse_ulimit("nofile=10:20").unwrap();
    assert_eq!((limit.name.as_str(), limit.soft, limit.hard), ("nofile", 10, 20));
    assert_eq!(check::parse_ulimit("foo=1"), Err("invalid ulimit type: foo".to_owned()));
    assert_eq!(check::restart_policy("on-failure:3"), Ok(("on-failure".to_owned(), 3)));
    assert!(check::restart_policy(":1").is_err() && check::restart_policy("a:b").is_err());
    for text in ["a:1.2.3.4", "a=::1", "a:host-gateway", "a:[::1]"] {
        assert!(check::extra_host(text).is_ok(), "{text}");
    }
    assert_eq!(check::extra_host("a").unwrap_err(), "bad format for add-host: \"a\"");
    assert_eq!(check::extra_host("a:b").unwrap_err(), "invalid IP address in add-host: \"b\"");
    assert_eq!(check::label("=x").unwrap_err(), "invalid label '=x': empty name");
    assert_eq!(check::address("x").unwrap_err(), "IP address is not correctly formatted: x");
    assert!(check::sysctl("net.ipv4.ip_forward=1").is_ok() && check::sysctl("vm.x=1").is_err());
    assert!(check::domain("example.com").is_ok() && check::domain("-x").is_err());
    assert!(check::link("a:b").is_ok() && check::link("a:b:c").is_err());
}

#[test]
fn mounts_become_documents() {
    for (text, document) in [
        ("type=bind,src=/a,dst=/b,ro", r#"{"Type":"bind","Source":"/a","Target":"/b","ReadOnly":true}"#),
        ("target=/x", r#"{"Type":"volume","Target":"/x"}"#),
        (
            "type=tmpfs,target=/x,tmpfs-size=1m,tmpfs-mode=1770",
            r#"{"Type":"tmpfs","Target":"/x","TmpfsOptions":{"SizeBytes":1048576,"Mode":1016}}"#,
        ),
        (
            "source=v,target=/x,volume-opt=a=b,volume-label=l=1,volume-nocopy",
            r#"{"Type":"volume","Source":"v","Target":"/x","VolumeOptions":{"Labels":{"l":"1"},"NoCopy":true,"DriverConfig":{"Options":{"a":"b"}}}}"#,
        ),
    ] {
        assert_eq!(mount::parse(text).unwrap().to_string(), document, "{text}");
    }
    for (text, fault) in [
        ("", "value is empty"),
        ("type=bind,source=/a", "target is required"),
        ("type=bind,target=/a,foo=1", "unexpected key 'foo' in 'foo=1'"),
        ("type=bind,target=/a,foo", "invalid field 'foo' must be a key=value pair"),
        ("type=bind,target=/a,readonly=x", "invalid value for readonly: x"),
        ("type=bind,target=/a,volume-nocopy", "cannot mix 'volume-*' options with mount type 'bind'"),
    ] {
        assert_eq!(mount::parse(text), Err(fault.to_owned()), "{text}");
    }
}

#[test]
fn networks_have_two_forms() {
    let wish = network::parse("name=n,alias=a,alias=b,ip=1.2.3.4,driver-opt=K=V").unwrap();
    assert_eq!((wish.target.as_str(), wish.aliases.len(), wish.ip.as_str()), ("n", 2, "1.2.3.4"));
    assert_eq!(network::parse("host").unwrap().target, "host");
    assert_eq!(network::parse("alias=x").unwrap_err(), "network name/id is not specified");
    assert_eq!(network::parse("name=x,foo=1").unwrap_err(), "invalid field key foo");
    assert!(network::is_mac("92:d0:c6:0a:29:33") && !network::is_mac("92:d0"));
}

#[test]
fn devices_become_documents() {
    let mapping =
        |text: &str| device::mapping(text).map(|document| document["CgroupPermissions"].to_string());
    assert_eq!(mapping("/dev/a"), Ok("\"rwm\"".to_owned()));
    assert_eq!(mapping("/dev/a:r"), Ok("\"r\"".to_owned()));
    assert_eq!(mapping("/dev/a:/dev/b:rw"), Ok("\"rw\"".to_owned()));
    assert_eq!(mapping("/dev/a:b"), Err("b is not an absolute path".to_owned()));
    assert_eq!(device::parse_rate("/dev/a:1mb", true).unwrap()["Rate"], 1 << 20);
    assert!(device::parse_weight("/dev/a:5").is_err() && device::weight("a:10").is_err());
    assert!(device::cgroup_rule("c 13:* rwm").is_ok() && device::cgroup_rule("x 1:1 r").is_err());
    assert_eq!(device::parse_gpus("all").unwrap()["Count"], -1);
    assert_eq!(device::csv("a,\"b,c\"").unwrap(), ["a", "b,c"]);
}
