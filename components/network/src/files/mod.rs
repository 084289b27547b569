//! Text of the three files that are mounted over a container's own: hosts, hostname, resolv.conf.

pub mod hosts;
pub mod resolv_conf;

/// Text of `/etc/hostname`.
pub fn hostname(name: &str) -> String {
    format!("{name}\n")
}
