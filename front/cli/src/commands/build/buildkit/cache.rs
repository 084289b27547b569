//! Where steps are taken from and kept for others: `--cache-from` and `--cache-to`.
//!
//! Folders of this machine are lent to the builder as stores of the session. Their indexes are our affair: what one
//! knows by a tag is looked up before the build, and what the build has put into one is told to it afterwards.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use buildkit::client::{Layout, LayoutError, Offer};
use buildkit::control::{CacheOptions, CacheOptionsEntry};
use oci::image::Descriptor;
use serde_json::{Value as Json, json};

use super::attributes::Attributes;
use super::fields;
use super::outcome::Said;
use crate::failure::{Failure, Outcome};
use crate::matches::Matches;

/// The tag of a cache in a folder, when nobody says another one.
const TAG: &str = "latest";
/// What an exporter says about the cache it has made.
const MANIFEST: &str = "cache.manifest";

/// The flags, as a build wants to know them.
#[derive(Debug, Default)]
pub(super) struct Caches {
    /// What the builder is asked for.
    pub options: Option<CacheOptions>,
    /// Folders a cache comes into, each with the tag it gets there.
    folders: Vec<(Arc<Layout>, String)>,
}

/// Reads the flags; what is imported stands among the frontend's options too, and folders are offered.
///
/// # Errors
/// When they make no sense, or a folder cannot be used.
pub(super) fn read(
    matches: &Matches,
    attributes: &mut Attributes,
    offer: &mut Offer,
) -> Result<Caches, Failure> {
    let all = |name: &str| -> Result<Vec<CacheOptionsEntry>, Failure> {
        let lists = matches.list(name).iter().map(|text| entries(text));
        Ok(lists.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
    };
    let mut imports = Vec::new();
    for mut entry in all("cache-from")? {
        if entry.r#type != "local" || lend(&mut entry, offer)? {
            imports.push(entry);
        }
    }
    let exports = all("cache-to")?;
    let local = exports.iter().filter(|entry| entry.r#type == "local");
    let folders = local.map(|entry| take(entry, offer)).collect::<Result<Vec<_>, _>>()?;
    if imports.is_empty() && exports.is_empty() {
        return Ok(Caches::default());
    }
    if !imports.is_empty() {
        let entry = |entry: &CacheOptionsEntry| json!({ "Type": entry.r#type, "Attrs": entry.attrs });
        let list = Json::Array(imports.iter().map(entry).collect());
        attributes.insert("cache-imports".into(), crate::json::compact(&list));
    }
    Ok(Caches { options: Some(CacheOptions { imports, exports, ..CacheOptions::default() }), folders })
}

impl Caches {
    /// Tells the folders what has come into them.
    ///
    /// # Errors
    /// When an index cannot be changed.
    pub fn record(&self, said: &Said) -> Outcome {
        let Some(text) = said.get(MANIFEST) else { return Ok(()) };
        let told: Descriptor = serde_json::from_str(text)
            .map_err(|error| Failure::text(format!("the builder tells no cache manifest: {error}")))?;
        for (layout, tag) in &self.folders {
            if let Some(manifest) = layout.taken(&told).map_err(failed)? {
                layout.put(&manifest, tag).map_err(failed)?;
            }
        }
        Ok(())
    }
}

fn failed(error: LayoutError) -> Failure {
    Failure::text(model::error::chain(&error))
}

/// Lends a folder that has a cache; one that has none yet is told of, and no reason not to build.
fn lend(entry: &mut CacheOptionsEntry, offer: &mut Offer) -> Result<bool, Failure> {
    let folder = option(entry, "src", "importer")?;
    let named = |layout: &Layout| match entry.attrs.get("digest").filter(|digest| !digest.is_empty()) {
        Some(digest) => Ok(Some(digest.clone())),
        None => Ok(layout.named(tag(entry))?.map(|manifest| manifest.digest.to_string())),
    };
    let found = Layout::open(Path::new(&folder)).and_then(|layout| Ok((named(&layout)?, layout)));
    let (digest, layout) = match found {
        Ok((Some(digest), layout)) => (digest, layout),
        Ok((None, _)) => {
            let text = format!("local cache importer requires a digest or a tag its index knows: {folder}");
            return Err(Failure::text(format!("{text} has nothing tagged {}", tag(entry))));
        }
        Err(error) => {
            let reason = model::error::chain(&error);
            eprintln!("WARNING: local cache import at {folder} not found due to err: {reason}");
            return Ok(false);
        }
    };
    entry.attrs.insert("digest".to_owned(), digest);
    offer.store(&format!("local:{folder}"), Arc::new(layout));
    Ok(true)
}

/// Lends a folder for a cache to come into, made if it is not there.
fn take(entry: &CacheOptionsEntry, offer: &mut Offer) -> Result<(Arc<Layout>, String), Failure> {
    let folder = option(entry, "dest", "exporter")?;
    let layout = Arc::new(Layout::make(Path::new(&folder)).map_err(failed)?);
    offer.writable_store(&format!("local:{folder}"), Arc::clone(&layout));
    Ok((layout, tag(entry).to_owned()))
}

fn tag(entry: &CacheOptionsEntry) -> &str {
    entry.attrs.get("tag").filter(|tag| !tag.is_empty()).map_or(TAG, String::as_str)
}

fn option(entry: &CacheOptionsEntry, name: &str, kind: &str) -> Result<String, Failure> {
    let value = entry.attrs.get(name).filter(|value| !value.is_empty()).cloned();
    value.ok_or_else(|| Failure::text(format!("local cache {kind} requires {name}")))
}

/// One value: names of images, or a type with its options.
fn entries(text: &str) -> Result<Vec<CacheOptionsEntry>, Failure> {
    let entry = |kind: &str, attrs| CacheOptionsEntry { r#type: kind.to_owned(), attrs };
    let lines = fields::lines(text)?;
    if lines.iter().all(|field| !field.contains('=')) {
        let named = |name: String| entry("registry", BTreeMap::from([("ref".to_owned(), name)]));
        return Ok(lines.into_iter().map(named).collect());
    }
    let mut fields = fields::pairs(text)?;
    let kind = fields::take(&mut fields, "type")
        .ok_or_else(|| Failure::text(format!("type required form> {}", crate::value::quoted(text))))?;
    Ok(vec![entry(&kind, fields.into_iter().collect())])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::build::flags::FLAGS;

    static TABLES: [&[crate::command::Flag]; 1] = [FLAGS];

    #[test]
    fn caches_are_named_or_typed() {
        let words =
            ["--cache-from", "a/b,c", "--cache-from", "type=gha,scope=x", "--cache-to", "type=inline"];
        let matches = Matches::parse(&TABLES, true, &words.map(str::to_owned)).unwrap();
        let mut attributes = Attributes::new();
        let options = read(&matches, &mut attributes, &mut Offer::default()).unwrap().options.unwrap();
        let kinds = |list: &[CacheOptionsEntry]| {
            list.iter().map(|entry| format!("{} {:?}", entry.r#type, entry.attrs)).collect::<Vec<_>>()
        };
        assert_eq!(
            kinds(&options.imports),
            [r#"registry {"ref": "a/b"}"#, r#"registry {"ref": "c"}"#, r#"gha {"scope": "x"}"#]
        );
        assert_eq!(kinds(&options.exports), ["inline {}"]);
        assert_eq!(
            attributes["cache-imports"],
            r#"[{"Type":"registry","Attrs":{"ref":"a/b"}},{"Type":"registry","Attrs":{"ref":"c"}},{"Type":"gha","Attrs":{"scope":"x"}}]"#
        );
        assert!(entries("ref=x").is_err());
    }

    #[test]
    fn folders_are_lent_by_what_their_index_knows() {
        let folder = std::env::temp_dir().join(format!("wharf-caches-{}", std::process::id()));
        let shown = folder.display();
        let manifest = Descriptor::of(oci::image::media::OCI_MANIFEST, b"{}");
        let read = |words: &[String]| {
            let matches = Matches::parse(&TABLES, true, words).unwrap();
            let mut offer = Offer::default();
            let caches = read(&matches, &mut Attributes::new(), &mut offer);
            caches.map(|caches| (caches, offer)).map_err(|failure| failure.message())
        };
        let from = |more: &str| ["--cache-from".to_owned(), format!("type=local,src={shown}{more}")];
        // Nothing there yet: a warning, and a build without.
        assert!(read(&from("")).unwrap().0.options.is_none());
        Layout::make(&folder).unwrap().put(&manifest, "latest").unwrap();
        let (caches, offer) = read(&from("")).unwrap();
        let imports = caches.options.unwrap().imports;
        assert_eq!(imports[0].attrs["digest"], manifest.digest.as_str());
        assert!(format!("{offer:?}").contains(&format!("local:{shown}")), "{offer:?}");
        let refused = read(&from(",tag=other")).unwrap_err();
        assert!(refused.ends_with(&format!("{shown} has nothing tagged other")), "{refused}");
        for (words, expected) in [
            (["--cache-from", "type=local"], "local cache importer requires src"),
            (["--cache-to", "type=local"], "local cache exporter requires dest"),
        ] {
            assert_eq!(read(&words.map(str::to_owned)).unwrap_err(), expected);
        }
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
