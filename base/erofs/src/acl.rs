//! Access control lists as extended attributes: what setting one does to the mode, as the kernel does it.

use rustix::io::Errno;

/// The attribute with the list that decides about access.
pub(crate) const ACCESS: &[u8] = b"system.posix_acl_access";
/// The attribute of a directory with the list that new files in it get.
pub(crate) const DEFAULT: &[u8] = b"system.posix_acl_default";

const VERSION: u32 = 2;
const USER_OBJECT: u16 = 0x01;
const GROUP_OBJECT: u16 = 0x04;
const MASK: u16 = 0x10;
const OTHER: u16 = 0x20;
/// All tags, in the order they have to have.
const TAGS: [u16; 6] = [USER_OBJECT, 0x02, GROUP_OBJECT, 0x08, MASK, OTHER];

/// What a list says about the three classes of the mode.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Meaning {
    /// The nine permission bits.
    pub(crate) mode: u16,
    /// It says no more than the mode does, so that nobody keeps it.
    pub(crate) minimal: bool,
}

/// Reads a list; none for an empty one, which takes an earlier one away.
///
/// # Errors
/// EINVAL or EOPNOTSUPP, where the kernel answers them.
pub(crate) fn parse(value: &[u8]) -> Result<Option<Meaning>, Errno> {
    let (version, entries) = value.split_first_chunk::<4>().ok_or(Errno::INVAL)?;
    if u32::from_le_bytes(*version) != VERSION {
        return Err(Errno::OPNOTSUPP);
    }
    if entries.is_empty() {
        return Ok(None);
    }
    let mut permissions = [None; 6];
    let mut last = 0;
    let mut minimal = true;
    for entry in entries.chunks(8) {
        let [t0, t1, p0, p1, ..] = *entry else { return Err(Errno::INVAL) };
        let (tag, permission) = (u16::from_le_bytes([t0, t1]), u16::from_le_bytes([p0, p1]));
        let place = TAGS.iter().position(|known| *known == tag).ok_or(Errno::INVAL)?;
        let named = matches!(place, 1 | 3);
        if entry.len() != 8 || permission > 7 || place < last {
            return Err(Errno::INVAL);
        }
        let seen = permissions.get_mut(place).ok_or(Errno::INVAL)?;
        if seen.is_some() && !named {
            return Err(Errno::INVAL);
        }
        *seen = Some(permission);
        last = place;
        minimal &= !named && tag != MASK;
    }
    let [Some(user), users, Some(group), groups, mask, Some(other)] = permissions else {
        return Err(Errno::INVAL);
    };
    if mask.is_none() && (users.is_some() || groups.is_some()) {
        return Err(Errno::INVAL);
    }
    Ok(Some(Meaning { mode: user << 6 | mask.unwrap_or(group) << 3 | other, minimal }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(entries: &[(u16, u16)]) -> Vec<u8> {
        let mut value = VERSION.to_le_bytes().to_vec();
        for (tag, permission) in entries {
            value.extend(tag.to_le_bytes());
            value.extend(permission.to_le_bytes());
            value.extend(u32::MAX.to_le_bytes());
        }
        value
    }

    #[test]
    fn lists_say_a_mode() {
        let plain = list(&[(1, 7), (4, 5), (0x20, 1)]);
        assert_eq!(parse(&plain), Ok(Some(Meaning { mode: 0o751, minimal: true })));
        let masked = list(&[(1, 6), (2, 7), (4, 7), (0x10, 4), (0x20, 0)]);
        assert_eq!(parse(&masked), Ok(Some(Meaning { mode: 0o640, minimal: false })));
        assert_eq!(parse(&list(&[])), Ok(None));
        for bad in [&list(&[(1, 7)])[..], &list(&[(4, 5), (1, 7), (0x20, 1)]), b"xx", &plain[..20]] {
            assert_eq!(parse(bad), Err(Errno::INVAL));
        }
        assert_eq!(parse(&[1, 0, 0, 0]), Err(Errno::OPNOTSUPP));
    }
}
