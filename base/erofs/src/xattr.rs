//! Extended attributes as the kernel takes them.

use rustix::io::Errno;

use crate::acl;
use crate::tree::Attributes;

/// Longest value of an attribute the kernel takes.
const VALUE: usize = 65_535;
/// Longest name of an attribute.
const NAME: usize = 255;

/// As setting it on a file does: unknown kinds of names are let go, wrong values refused.
pub(crate) fn set_xattr(
    attributes: &mut Attributes,
    name: &[u8],
    value: &[u8],
    is_directory: bool,
) -> Result<(), Errno> {
    const FREE: [&[u8]; 3] = [b"user.", b"trusted.", b"security."];
    if name.len() > NAME {
        return Err(Errno::RANGE);
    }
    if value.len() > VALUE {
        return Err(Errno::TOOBIG);
    }
    if name == acl::ACCESS || name == acl::DEFAULT {
        let meaning = match acl::parse(value) {
            Err(Errno::OPNOTSUPP) => return Ok(()),
            meaning => meaning?,
        };
        let is_access = name == acl::ACCESS;
        if !is_access && !is_directory {
            return if meaning.is_some() { Err(Errno::ACCESS) } else { Ok(()) };
        }
        attributes.xattrs.remove(name);
        if let Some(meaning) = meaning {
            if is_access {
                attributes.mode = attributes.mode & 0o7000 | meaning.mode;
            }
            if !(is_access && meaning.minimal) {
                attributes.xattrs.insert(name.to_vec(), value.to_vec());
            }
        }
        return Ok(());
    }
    let Some(prefix) = FREE.iter().find(|prefix| name.starts_with(prefix)) else { return Ok(()) };
    if name.len() == prefix.len() {
        return Err(Errno::INVAL);
    }
    attributes.xattrs.insert(name.to_vec(), value.to_vec());
    Ok(())
}
