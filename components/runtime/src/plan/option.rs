//! Mount options: the words of `mount(8)` and the OCI specification turned into attribute bits.

use linux::mount::{Propagation, attribute};

use crate::error::{Error, Result};

/// The meaning of a list of mount options.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Options {
    /// Attribute bits to set on the mount.
    pub(crate) set: u64,
    /// Attribute bits to clear on the mount.
    pub(crate) clear: u64,
    /// Attribute bits to set on the mount and all below it.
    pub(crate) recursive_set: u64,
    /// Attribute bits to clear on the mount and all below it.
    pub(crate) recursive_clear: u64,
    /// Propagation, and whether it is for all mounts below, too.
    pub(crate) propagation: Option<(Propagation, bool)>,
    /// A bind mount.
    pub(crate) bind: bool,
    /// With all mounts below the source.
    pub(crate) recursive_bind: bool,
    /// Changes an existing mount instead of making one.
    pub(crate) remount: bool,
    /// Ids are mapped; true for all mounts below, too.
    pub(crate) id_map: Option<bool>,
    /// A new file system begins with a copy of what it covers.
    pub(crate) copy_up: bool,
    /// What is left for the file system: key and value.
    pub(crate) data: Vec<(String, Option<String>)>,
}

/// A change of attribute bits: (clear, set). Access time settings exclude each other, so all are cleared first.
type Bits = (u64, u64);

/// Options that are attribute bits; each also exists with an `r` before it for the whole tree.
const ATTRIBUTES: [(&str, Bits); 19] = [
    ("ro", (0, attribute::READ_ONLY)),
    ("rw", (attribute::READ_ONLY, 0)),
    ("nosuid", (0, attribute::NO_SUID)),
    ("suid", (attribute::NO_SUID, 0)),
    ("nodev", (0, attribute::NO_DEVICES)),
    ("dev", (attribute::NO_DEVICES, 0)),
    ("noexec", (0, attribute::NO_EXECUTE)),
    ("exec", (attribute::NO_EXECUTE, 0)),
    ("nodiratime", (0, attribute::NO_DIRECTORY_ACCESS_TIME)),
    ("diratime", (attribute::NO_DIRECTORY_ACCESS_TIME, 0)),
    ("relatime", (attribute::ACCESS_TIME, 0)),
    ("norelatime", (attribute::ACCESS_TIME, attribute::STRICT_ACCESS_TIME)),
    ("noatime", (attribute::ACCESS_TIME, attribute::NO_ACCESS_TIME)),
    ("atime", (attribute::ACCESS_TIME, 0)),
    ("strictatime", (attribute::ACCESS_TIME, attribute::STRICT_ACCESS_TIME)),
    ("nostrictatime", (attribute::ACCESS_TIME, 0)),
    ("nosymfollow", (0, attribute::NO_LINKS)),
    ("symfollow", (attribute::NO_LINKS, 0)),
    ("defaults", (0, 0)),
];

/// Options of the super block that the file system itself is told.
const SUPER_BLOCK: [(&str, &str); 8] = [
    ("sync", "sync"),
    ("async", "async"),
    ("dirsync", "dirsync"),
    ("lazytime", "lazytime"),
    ("nolazytime", "nolazytime"),
    ("mand", "mand"),
    ("nomand", "nomand"),
    ("iversion", "iversion"),
];

/// Options that mean nothing here.
const IGNORED: [&str; 6] = ["silent", "loud", "copyup", "noiversion", "nofail", "_netdev"];

const PROPAGATIONS: [(&str, Propagation); 4] = [
    ("private", Propagation::Private),
    ("shared", Propagation::Shared),
    ("slave", Propagation::Slave),
    ("unbindable", Propagation::Unbindable),
];

impl Options {
    /// Reads a list of options; the later one of two that contradict each other counts.
    pub(crate) fn parse(options: &[String]) -> Result<Self> {
        let mut parsed = Self::default();
        for option in options.iter().flat_map(|option| split(option)) {
            parsed.add(option)?;
        }
        Ok(parsed)
    }

    fn add(&mut self, option: &str) -> Result<()> {
        if option.contains('\0') {
            return Err(Error::spec(format!("invalid mount option {option:?}")));
        }
        if self.add_kind(option) || self.add_attribute(option) || self.add_propagation(option) {
            return Ok(());
        }
        if let Some((_, told)) = SUPER_BLOCK.iter().find(|(name, _)| *name == option) {
            self.data.push(((*told).to_owned(), None));
        } else if !IGNORED.contains(&option) && !option.is_empty() {
            let (key, value) = match option.split_once('=') {
                Some((key, value)) => (key, Some(value.to_owned())),
                None => (option, None),
            };
            self.data.push((key.to_owned(), value));
        }
        Ok(())
    }

    fn add_kind(&mut self, option: &str) -> bool {
        match option {
            "bind" => self.bind = true,
            "rbind" => (self.bind, self.recursive_bind) = (true, true),
            "remount" => self.remount = true,
            "tmpcopyup" => self.copy_up = true,
            "idmap" => self.id_map = Some(false),
            "ridmap" => self.id_map = Some(true),
            _ => return false,
        }
        true
    }

    fn add_attribute(&mut self, option: &str) -> bool {
        let find = |name: &str| ATTRIBUTES.iter().find(|(known, _)| *known == name).map(|(_, bits)| *bits);
        if let Some(bits) = find(option) {
            apply(&mut self.clear, &mut self.set, bits);
            return true;
        }
        let Some(bits) = option.strip_prefix('r').and_then(find) else { return false };
        apply(&mut self.recursive_clear, &mut self.recursive_set, bits);
        true
    }

    fn add_propagation(&mut self, option: &str) -> bool {
        let found = propagation(option);
        self.propagation = found.or(self.propagation);
        found.is_some()
    }

    /// Whether the file system is told this key.
    pub(crate) fn has_data(&self, key: &str) -> bool {
        self.data.iter().any(|(known, _)| known == key)
    }
}

/// A propagation word and whether it is for the whole tree.
pub(crate) fn propagation(word: &str) -> Option<(Propagation, bool)> {
    let find = |name: &str| PROPAGATIONS.iter().find(|(known, _)| *known == name).map(|(_, kind)| *kind);
    let whole = word.strip_prefix('r').and_then(find).map(|kind| (kind, true));
    find(word).map(|kind| (kind, false)).or(whole)
}

/// All options that mean something to the runtime itself, for the features document.
pub(crate) fn known() -> Vec<String> {
    let mut names: Vec<String> =
        ["bind", "rbind", "remount", "idmap", "ridmap", "tmpcopyup"].map(str::to_owned).into();
    for (name, _) in ATTRIBUTES {
        names.push(name.to_owned());
        if name != "defaults" {
            names.push(format!("r{name}"));
        }
    }
    names.extend(PROPAGATIONS.iter().flat_map(|(name, _)| [(*name).to_owned(), format!("r{name}")]));
    names.extend(SUPER_BLOCK.iter().map(|(name, _)| (*name).to_owned()));
    names.extend(["silent", "loud"].map(str::to_owned));
    names.sort();
    names
}

fn apply(clear: &mut u64, set: &mut u64, (cleared, bits): Bits) {
    *set = (*set & !cleared) | bits;
    // Setting a bit undoes an earlier clearing of it, but access times need their whole field cleared.
    *clear = (*clear & !bits) | cleared;
    if bits & attribute::ACCESS_TIME != 0 {
        *clear |= attribute::ACCESS_TIME;
    }
}

/// One entry may hold several options with commas, except where a comma is part of a quoted value.
fn split(option: &str) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    option.split(move |character| {
        quoted ^= character == '"';
        character == ',' && !quoted
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(options: &str) -> Options {
        Options::parse(&[options.to_owned()]).unwrap()
    }

    #[test]
    fn words_are_bits() {
        let cases = [
            ("ro", 1, 0),
            ("ro,rw", 0, 1),
            ("nosuid,noexec,nodev,ro", 0xf, 0),
            ("noatime", 0x10, 0x70),
            ("noatime,relatime", 0, 0x70),
            ("noatime,strictatime", 0x20, 0x70),
            ("nodiratime,nosymfollow", 0x0020_0080, 0),
            ("defaults", 0, 0),
        ];
        for (options, set, clear) in cases {
            let parsed = parse(options);
            assert_eq!((parsed.set, parsed.clear), (set, clear), "{options}");
        }
        assert_eq!(parse("rro,rnosuid,rrw").recursive_set, 2);
        assert_eq!(parse("rro").recursive_set, 1);
        assert_eq!(parse("relatime").recursive_set, 0);
    }

    #[test]
    fn kinds_and_propagation() {
        let parsed = parse("rbind,rslave,idmap");
        assert!(parsed.bind && parsed.recursive_bind && parsed.id_map == Some(false));
        assert_eq!(parsed.propagation, Some((Propagation::Slave, true)));
        assert_eq!(parse("shared,private").propagation, Some((Propagation::Private, false)));
        assert_eq!(parse("runbindable").propagation, Some((Propagation::Unbindable, true)));
    }

    #[test]
    fn the_rest_is_for_the_file_system() {
        let parsed = parse("mode=755,size=64k,newinstance,sync,tmpcopyup,context=\"a,b\"");
        let expected = [
            ("mode", Some("755")),
            ("size", Some("64k")),
            ("newinstance", None),
            ("sync", None),
            ("context", Some("\"a,b\"")),
        ];
        let expected: Vec<_> = expected.map(|(key, value)| (key.to_owned(), value.map(str::to_owned))).into();
        assert_eq!(parsed.data, expected);
        assert!(Options::parse(&["a\0b".to_owned()]).is_err());
    }
}
