//! Paths as texts: cleaned by Go's rules, which Docker's own answers follow. Nothing here looks at a file system.

/// Go's `path.Clean`: no double slashes, no `.`, and `..` takes away what stands before it; nothing at all is `.`.
pub fn clean(path: &str) -> String {
    let absolute = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if absolute && parts.is_empty() => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    match (absolute, parts.is_empty()) {
        (true, _) => format!("/{}", parts.join("/")),
        (false, true) => ".".to_owned(),
        (false, false) => parts.join("/"),
    }
}

/// A path below a root, whether it begins with a slash or not, without that slash: empty for the root itself, and `..`
/// leads nowhere from there.
pub fn below_root(path: &str) -> String {
    clean(&format!("/{path}")).trim_start_matches('/').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_cleaned_as_go_does() {
        for (path, cleaned) in [
            ("", "."),
            ("/", "/"),
            ("/..", "/"),
            ("../x", "../x"),
            ("/a//b/./c/../d/", "/a/b/d"),
            ("a//b/./c/", "a/b/c"),
            ("/../../a/../b", "/b"),
            ("../a/../../b", "../../b"),
            ("a/..", "."),
            ("/a/..", "/"),
        ] {
            assert_eq!(clean(path), cleaned, "{path}");
        }
        for (path, cleaned) in [("", ""), (".", ""), ("/", ""), ("../../a*", "a*"), ("/a/./b/", "a/b")] {
            assert_eq!(below_root(path), cleaned, "{path}");
        }
    }
}
