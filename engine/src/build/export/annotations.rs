//! Annotations: free properties of manifests, of an index, and of the descriptors that name them.

use std::collections::BTreeMap;

use oci::Platform;

use crate::{Error, Result};

/// One property, perhaps of one platform only.
type Entry = (Option<Platform>, String, String);

/// Properties by the document they belong to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Annotations {
    manifest: Vec<Entry>,
    manifest_descriptor: Vec<Entry>,
    index: BTreeMap<String, String>,
    index_descriptor: BTreeMap<String, String>,
}

impl Annotations {
    /// Reads an exporter's option: `annotation.KEY`, `annotation-LEVEL.KEY`, `annotation-LEVEL[PLATFORM].KEY`. Whether it is
    /// one.
    ///
    /// # Errors
    /// For levels and platforms that are none.
    pub fn option(&mut self, option: &str, value: &str) -> Result<bool> {
        let Some(rest) = option.strip_prefix("annotation") else { return Ok(false) };
        let wrong = || Error::invalid(format!("invalid annotation option {option:?}"));
        let (place, key) = split(rest).ok_or_else(wrong)?;
        let (level, platform) = match place.split_once('[') {
            Some((level, platform)) => {
                let platform = platform.strip_suffix(']').ok_or_else(wrong)?;
                (level, Some(platform.parse::<Platform>().map_err(Error::from_kinded)?.normalized()))
            }
            None => (place, None),
        };
        let (key, value) = (key.to_owned(), value.to_owned());
        match (level, platform) {
            ("" | "-manifest", platform) => self.manifest.push((platform, key, value)),
            ("-manifest-descriptor", platform) => self.manifest_descriptor.push((platform, key, value)),
            ("-index", None) => drop(self.index.insert(key, value)),
            ("-index-descriptor", None) => drop(self.index_descriptor.insert(key, value)),
            ("-index" | "-index-descriptor", Some(_)) => {
                let text = format!("{option:?}: an index is of all platforms, its annotations of none");
                return Err(Error::invalid(text));
            }
            _ => return Err(Error::invalid(format!("unknown annotation type in {option:?}"))),
        }
        Ok(true)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// What makes no sense for a single image.
    pub(super) fn refuse_index(&self) -> Result<()> {
        if self.index.is_empty() && self.index_descriptor.is_empty() {
            return Ok(());
        }
        Err(Error::invalid("index annotations not supported for single platform export"))
    }

    pub(super) fn manifest(&self, platform: &Platform) -> BTreeMap<String, String> {
        of(&self.manifest, platform)
    }

    pub(super) fn manifest_descriptor(&self, platform: &Platform) -> BTreeMap<String, String> {
        of(&self.manifest_descriptor, platform)
    }

    pub(super) fn index(&self) -> &BTreeMap<String, String> {
        &self.index
    }

    pub(super) fn index_descriptor(&self) -> &BTreeMap<String, String> {
        &self.index_descriptor
    }
}

/// Level and key: the first point outside of brackets is between them.
fn split(rest: &str) -> Option<(&str, &str)> {
    let from = rest.find(']').filter(|end| rest.find('[').is_some_and(|start| start < *end)).unwrap_or(0);
    let point = from + rest.get(from..)?.find('.')?;
    let (place, key) = rest.split_at_checked(point)?;
    let key = key.get(1..).filter(|key| !key.is_empty())?;
    Some((place, key))
}

/// The properties of a platform: what is said of it alone comes after what is said of all.
fn of(entries: &[Entry], platform: &Platform) -> BTreeMap<String, String> {
    let wanted = platform.normalized();
    let fits = |only: &Option<Platform>| only.as_ref().is_none_or(|only| *only == wanted);
    let general = entries.iter().filter(|(only, ..)| only.is_none());
    let special = entries.iter().filter(|(only, ..)| only.is_some() && fits(only));
    general.chain(special).map(|(_, key, value)| (key.clone(), value.clone())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_name_level_platform_and_key() {
        let mut read = Annotations::default();
        for (option, value) in [
            ("annotation.a.b/c", "all"),
            ("annotation-manifest[linux/arm64].a.b/c", "arm"),
            ("annotation[linux/amd64/v2].x", "v2"),
            ("annotation-manifest-descriptor.d", "1"),
            ("annotation-index.i", "2"),
            ("annotation-index-descriptor.j", "3"),
        ] {
            assert!(read.option(option, value).expect("reads"), "{option}");
        }
        assert!(!read.option("compression", "gzip").expect("something else"));
        let of = |text: &str| read.manifest(&text.parse().expect("a platform"));
        assert_eq!(of("linux/amd64")["a.b/c"], "all");
        assert_eq!(of("linux/arm64/v8")["a.b/c"], "arm");
        assert_eq!(of("linux/amd64").get("x"), None);
        assert_eq!(of("linux/amd64/v2")["x"], "v2");
        assert_eq!(read.manifest_descriptor(&Platform::host())["d"], "1");
        assert_eq!((read.index()["i"].as_str(), read.index_descriptor()["j"].as_str()), ("2", "3"));
        assert!(read.refuse_index().is_err());
        for wrong in [
            "annotation",
            "annotation.",
            "annotationx",
            "annotation-layer.a",
            "annotation-index[linux/amd64].a",
            "annotation[linux/amd64.a",
            "annotation[no such/one/two/three].a",
        ] {
            assert!(read.option(wrong, "x").is_err(), "{wrong}");
        }
    }
}
