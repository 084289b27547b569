//! Images as packages: the names that statements about builds call them by.

use oci::{Platform, Reference};

/// `pkg:docker/NAME@TAG?platform=...`; a digest stands among what is said behind the question mark.
pub(super) fn url(name: &Reference, platform: &Platform) -> String {
    let name = name.clone().or_latest();
    let tag = name.tag().map(|tag| format!("@{tag}")).unwrap_or_default();
    let digest = name.digest().map(|digest| format!("digest={digest}&")).unwrap_or_default();
    format!("pkg:docker/{}{tag}?{digest}platform={}", name.familiar_name(), escaped(platform))
}

/// The same of a name that is none of an image.
pub(super) fn url_of_text(name: &str, platform: &Platform) -> String {
    match name.parse() {
        Ok(name) => url(&name, platform),
        Err(_) => format!("pkg:docker/{name}?platform={}", escaped(platform)),
    }
}

fn escaped(platform: &Platform) -> String {
    platform.normalized().text().replace('/', "%2F")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_with_what_they_have() {
        let told = |name: &str| url_of_text(name, &"linux/arm64".parse().expect("a platform"));
        assert_eq!(told("busybox"), "pkg:docker/busybox@latest?platform=linux%2Farm64");
        assert_eq!(told("r.example/a/b:1"), "pkg:docker/r.example/a/b@1?platform=linux%2Farm64");
        let digest = oci::Digest::of(b"x");
        assert_eq!(
            told(&format!("busybox@{digest}")),
            format!("pkg:docker/busybox?digest={digest}&platform=linux%2Farm64")
        );
        assert_eq!(told("No Name"), "pkg:docker/No Name?platform=linux%2Farm64");
    }
}
