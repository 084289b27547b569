//! Which handler answers a path: a table of patterns, matched with suffixes from the right.

use api::ApiVersion;
use transport::server::percent_decode;

use crate::call::Action;

/// One line of the table.
pub(crate) struct Route {
    pub(crate) method: &'static str,
    /// `{}` is one segment, `{*}` one or more; each becomes a parameter.
    pub(crate) pattern: &'static str,
    pub(crate) action: Action,
}

/// A request's path taken apart.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Target {
    /// What the path asks for: nothing, a version, or something that can't be one.
    pub(crate) version: Option<Result<ApiVersion, String>>,
    /// Decoded, without the version, with repeated slashes made one.
    pub(crate) path: String,
}

impl Target {
    /// `None` for a path that isn't one.
    pub(crate) fn parse(path: &str) -> Option<Self> {
        let decoded = percent_decode(path, false)?;
        let mut clean = String::with_capacity(decoded.len());
        for letter in decoded.chars() {
            if letter != '/' || !clean.ends_with('/') {
                clean.push(letter);
            }
        }
        let rest = clean.strip_prefix("/v").unwrap_or_default();
        let end = rest.find('/').unwrap_or(rest.len());
        let (version, after) = rest.split_at(end);
        let numeric =
            !version.is_empty() && version.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        if !numeric || after.is_empty() {
            return Some(Self { version: None, path: clean });
        }
        let parsed = version.parse().map_err(|_| version.to_owned());
        Some(Self { version: Some(parsed), path: after.to_owned() })
    }
}

/// The first route that matches, with its parameters.
pub(crate) fn find<'r>(routes: &'r [Route], method: &str, path: &str) -> Option<(&'r Route, Vec<String>)> {
    let segments: Vec<&str> = path.strip_prefix('/')?.split('/').collect();
    routes
        .iter()
        .filter(|route| route.method == method)
        .find_map(|route| matches(route.pattern, &segments).map(|parameters| (route, parameters)))
}

fn matches(pattern: &str, segments: &[&str]) -> Option<Vec<String>> {
    let wanted: Vec<&str> = pattern.strip_prefix('/')?.split('/').collect();
    let Some(wild) = wanted.iter().position(|segment| *segment == "{*}") else {
        return match_segments(&wanted, segments);
    };
    let (before, after) = (wanted.get(..wild)?, wanted.get(wild + 1..)?);
    let end = segments.len().checked_sub(after.len())?;
    let mut parameters = match_segments(before, segments.get(..wild)?)?;
    let middle = segments.get(wild..end).filter(|middle| middle.iter().any(|part| !part.is_empty()))?;
    parameters.push(middle.join("/"));
    parameters.extend(match_segments(after, segments.get(end..)?)?);
    Some(parameters)
}

fn match_segments(wanted: &[&str], segments: &[&str]) -> Option<Vec<String>> {
    if wanted.len() != segments.len() {
        return None;
    }
    let mut parameters = Vec::new();
    for (wanted, segment) in wanted.iter().zip(segments) {
        match *wanted {
            "{}" if !segment.is_empty() => parameters.push((*segment).to_owned()),
            wanted if wanted == *segment => {}
            _ => return None,
        }
    }
    Some(parameters)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_split_off() {
        let parse = |path| Target::parse(path).unwrap();
        assert_eq!(parse("/v1.41/info").version, Some(Ok(ApiVersion::new(41))));
        assert_eq!(parse("/v1.41/info").path, "/info");
        assert_eq!(parse("/volumes"), Target { version: None, path: "/volumes".into() });
        assert_eq!(parse("/v1/info").version, Some(Err("1".into())));
        assert_eq!(parse("/vx/info"), Target { version: None, path: "/vx/info".into() });
        assert_eq!(parse("/v1.41"), Target { version: None, path: "/v1.41".into() });
        assert_eq!(parse("/containers//a%20b/json").path, "/containers/a b/json");
        assert_eq!(Target::parse("/%zz"), None);
    }

    #[test]
    fn names_may_hold_slashes() {
        let parameters = |pattern, path: &str| matches(pattern, &path[1..].split('/').collect::<Vec<_>>());
        for (pattern, path, expected) in [
            ("/images/{*}/json", "/images/host:5000/a/b:c/json", Some(vec!["host:5000/a/b:c"])),
            ("/images/{*}/json", "/images/json", None),
            ("/images/{*}/json", "/images/json/json", Some(vec!["json"])),
            ("/images/{*}", "/images/a/json", Some(vec!["a/json"])),
            ("/images/{*}", "/images/", None),
            ("/containers/{}/json", "/containers/a/b/json", None),
            ("/containers/{}/attach/ws", "/containers/a/attach/ws", Some(vec!["a"])),
            ("/info", "/info", Some(vec![])),
            ("/info", "/info/", None),
            ("/networks/", "/networks/", Some(vec![])),
        ] {
            let expected = expected.map(|list| list.into_iter().map(str::to_owned).collect::<Vec<_>>());
            assert_eq!(parameters(pattern, path), expected, "{pattern} {path}");
        }
    }
}
