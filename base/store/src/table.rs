//! A named table of one record type with a schema version.

use std::marker::PhantomData;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::StoreError;

/// Turns a record of an older version into the newest one.
pub type Upgrade = fn(version: u32, record: Value) -> Value;

/// A table; declare one per noun as a `const`.
pub struct Table<V> {
    name: &'static str,
    version: u32,
    upgrade: Upgrade,
    record: PhantomData<fn() -> V>,
}

impl<V> Table<V> {
    /// A table whose records have had one version only.
    pub const fn new(name: &'static str) -> Self {
        Self { name, version: 1, upgrade: |_, record| record, record: PhantomData }
    }

    /// A table whose records changed their form: `upgrade` gets each record older than `version`.
    pub const fn versioned(name: &'static str, version: u32, upgrade: Upgrade) -> Self {
        Self { name, version, upgrade, record: PhantomData }
    }

    /// The name.
    pub const fn name(&self) -> &'static str {
        self.name
    }
}

#[derive(Serialize)]
struct Written<'a, V> {
    v: u32,
    d: &'a V,
}

#[derive(Deserialize)]
struct Stored<'a> {
    v: u32,
    #[serde(borrow)]
    d: &'a RawValue,
}

impl<V: Serialize> Table<V> {
    pub(crate) fn encode(&self, key: &str, value: &V) -> Result<Vec<u8>, StoreError> {
        serde_json::to_vec(&Written { v: self.version, d: value }).map_err(|error| StoreError::Encode {
            table: self.name.to_owned(),
            key: key.to_owned(),
            source: error.into(),
        })
    }
}

impl<V: DeserializeOwned> Table<V> {
    pub(crate) fn decode(&self, key: &str, bytes: &[u8]) -> Result<V, StoreError> {
        let failed = |error: serde_json::Error| StoreError::Decode {
            table: self.name.to_owned(),
            key: key.to_owned(),
            source: error.into(),
        };
        let stored: Stored<'_> = serde_json::from_slice(bytes).map_err(failed)?;
        if stored.v == self.version {
            return serde_json::from_str(stored.d.get()).map_err(failed);
        }
        if stored.v > self.version {
            return Err(StoreError::Newer {
                table: self.name.to_owned(),
                key: key.to_owned(),
                found: stored.v,
                known: self.version,
            });
        }
        let old: Value = serde_json::from_str(stored.d.get()).map_err(failed)?;
        serde_json::from_value((self.upgrade)(stored.v, old)).map_err(failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: Table<u32> = Table::new("t");
    const NEW: Table<String> = Table::versioned("t", 2, |_, old| Value::String(format!("was {old}")));

    #[test]
    fn older_records_are_upgraded_and_newer_ones_refused() {
        let old = OLD.encode("k", &7).unwrap();
        assert_eq!(old, br#"{"v":1,"d":7}"#);
        assert_eq!(NEW.decode("k", &old).unwrap(), "was 7");
        let new = NEW.encode("k", &"x".to_owned()).unwrap();
        assert!(matches!(OLD.decode("k", &new), Err(StoreError::Newer { found: 2, known: 1, .. })));
        assert!(matches!(OLD.decode("k", b"{"), Err(StoreError::Decode { .. })));
    }
}
