//! Where steps are taken from and kept for others: `--cache-from` and `--cache-to`.

use std::collections::BTreeMap;

use buildkit::control::{CacheOptions, CacheOptionsEntry};
use serde_json::{Value as Json, json};

use super::attributes::Attributes;
use super::fields;
use crate::failure::Failure;
use crate::matches::Matches;

/// Reads the flags; what is imported stands among the frontend's options too.
///
/// # Errors
/// When they make no sense.
pub(super) fn read(matches: &Matches, attributes: &mut Attributes) -> Result<Option<CacheOptions>, Failure> {
    let all = |name: &str| -> Result<Vec<CacheOptionsEntry>, Failure> {
        let lists = matches.list(name).iter().map(|text| entries(text, name));
        Ok(lists.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
    };
    let (imports, exports) = (all("cache-from")?, all("cache-to")?);
    if imports.is_empty() && exports.is_empty() {
        return Ok(None);
    }
    if !imports.is_empty() {
        let entry = |entry: &CacheOptionsEntry| json!({ "Type": entry.r#type, "Attrs": entry.attrs });
        let list = Json::Array(imports.iter().map(entry).collect());
        attributes.insert("cache-imports".into(), crate::json::compact(&list));
    }
    Ok(Some(CacheOptions { imports, exports, ..CacheOptions::default() }))
}

/// One value: names of images, or a type with its options.
fn entries(text: &str, flag: &str) -> Result<Vec<CacheOptionsEntry>, Failure> {
    let entry = |kind: &str, attrs| CacheOptionsEntry { r#type: kind.to_owned(), attrs };
    let lines = fields::lines(text)?;
    if lines.iter().all(|field| !field.contains('=')) {
        let named = |name: String| entry("registry", BTreeMap::from([("ref".to_owned(), name)]));
        return Ok(lines.into_iter().map(named).collect());
    }
    let mut fields = fields::pairs(text)?;
    let kind = fields::take(&mut fields, "type")
        .ok_or_else(|| Failure::text(format!("type required form> {}", crate::value::quoted(text))))?;
    if kind == "local" {
        let text = format!("--{flag} {text}: a cache in a folder of the client is not supported yet");
        return Err(Failure::text(text));
    }
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
        let options = read(&matches, &mut attributes).unwrap().unwrap();
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
        assert!(entries("type=local,src=x", "cache-from").is_err());
        assert!(entries("ref=x", "cache-from").is_err());
    }
}
