//! Documents read and written the way other runtimes read and write them.

use super::*;

fn spec(text: &str) -> Spec {
    serde_json::from_str(text).expect("a valid document")
}

#[test]
fn null_and_missing_are_zero() {
    let read = spec(
        r#"{"ociVersion":"1.0.2","process":null,"mounts":null,"linux":{"namespaces":null,"resources":null}}"#,
    );
    assert_eq!(read.mounts, vec![]);
    assert_eq!(read.linux, Some(Linux::default()));
}

#[test]
fn documents_survive_a_round_trip() {
    let cases = [
        r#"{"ociVersion":"1.3.0"}"#,
        r#"{"ociVersion":"1.3.0","process":{"user":{"uid":0,"gid":0,"umask":18,"additionalGids":[1,4294967295]},"cwd":"/","args":["sh"],"rlimits":[{"type":"RLIMIT_NOFILE","hard":1024,"soft":18446744073709551615}],"noNewPrivileges":true,"oomScoreAdj":0,"execCPUAffinity":{"initial":"0","final":"0-1"}}}"#,
        r#"{"ociVersion":"1.3.0","mounts":[{"destination":"/a","type":"bind","source":"/b","options":["rbind","ro"],"uidMappings":[{"containerID":0,"hostID":1,"size":2}]}]}"#,
        r#"{"ociVersion":"1.3.0","linux":{"resources":{"devices":[{"allow":false,"access":"rwm"}],"memory":{"limit":-1,"disableOOMKiller":false},"pids":{"limit":0},"blockIO":{"weight":10,"throttleReadIOPSDevice":[{"major":8,"minor":0,"rate":1}]},"unified":{"memory.high":"1"}},"namespaces":[{"type":"network","path":"/proc/1/ns/net"},{"type":"time"}],"seccomp":{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[{"names":["read"],"action":"SCMP_ACT_ALLOW","args":[{"index":0,"value":1,"op":"SCMP_CMP_MASKED_EQ","valueTwo":2}]}]},"timeOffsets":{"boottime":{"secs":-1}}}}"#,
    ];
    for case in cases {
        assert_eq!(serde_json::to_string(&spec(case)).expect("writes"), case);
    }
}

#[test]
fn ids_out_of_range_are_refused() {
    for uid in ["-1", "4294967296", "1.5", "\"0\"", "\"root\""] {
        let text = format!(r#"{{"ociVersion":"1","process":{{"cwd":"/","user":{{"uid":{uid},"gid":0}}}}}}"#);
        assert!(serde_json::from_str::<Spec>(&text).is_err(), "{uid}");
    }
}

#[test]
fn unknown_names_are_refused() {
    assert!(serde_json::from_str::<Spec>(r#"{"linux":{"namespaces":[{"type":"moon"}]}}"#).is_err());
    assert!(serde_json::from_str::<Seccomp>(r#"{"defaultAction":"SCMP_ACT_MAYBE"}"#).is_err());
}
