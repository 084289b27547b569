//! Where a container's control group is.

use oci::runtime::Resources;

/// The path within the hierarchies: as it is, or `slice:prefix:name` of the systemd driver as systemd lays it out.
pub fn path(path: &str) -> String {
    let mut parts = path.split(':');
    let (Some(slice), Some(prefix), Some(name), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return format!("/{}", path.trim_start_matches('/'));
    };
    if path.starts_with('/') {
        return path.to_owned();
    }
    let slice = if slice.is_empty() { "system.slice" } else { slice };
    let unit = if prefix.is_empty() { format!("{name}.scope") } else { format!("{prefix}-{name}.scope") };
    format!("{}/{unit}", expand(slice))
}

/// Limits with the access to devices that every container has, if they say anything about devices at all.
pub(crate) fn complete(resources: &Resources) -> Resources {
    let mut resources = resources.clone();
    if !resources.devices.is_empty() {
        resources.devices.extend(linux::cgroup::default_devices());
    }
    resources
}

/// `a-b.slice` lies in `a.slice`.
fn expand(slice: &str) -> String {
    let Some(name) = slice.strip_suffix(".slice") else { return format!("/{slice}") };
    if name == "-" || name.is_empty() {
        return String::new();
    }
    let mut path = String::new();
    for (at, _) in name.match_indices('-') {
        path.push_str(&format!("/{}.slice", &name[..at]));
    }
    format!("{path}/{slice}")
}

#[cfg(test)]
mod tests {
    use super::path;

    #[test]
    fn systemd_names_become_paths() {
        let cases = [
            ("/docker/abc", "/docker/abc"),
            ("docker/abc", "/docker/abc"),
            ("system.slice:docker:abc", "/system.slice/docker-abc.scope"),
            (":x:abc", "/system.slice/x-abc.scope"),
            ("user-1000.slice:p:c", "/user.slice/user-1000.slice/p-c.scope"),
            ("-.slice:p:c", "/p-c.scope"),
        ];
        for (given, expected) in cases {
            assert_eq!(path(given), expected);
        }
    }
}
