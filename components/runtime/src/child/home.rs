//! The home directory, from the container's own passwd file.

use std::os::fd::OwnedFd;

use linux::root::RootDir;
use linux::{Errno, SysResult};

use crate::plan::ProcessPlan;

/// Bytes read of a passwd file; an endless one ends here.
const MOST: usize = 4 << 20;
/// The longest line that is understood.
const LINE: usize = 4096;

/// Sets HOME if the environment lacks it: the user's entry, or `/`.
pub(super) fn set(process: &mut ProcessPlan, root: &RootDir) {
    if !process.wants_home {
        return;
    }
    let mut line = [0; LINE];
    let found = root.open_regular(c"etc/passwd").and_then(|file| find(&file, process.uid, &mut line));
    let home = found.ok().flatten().filter(|home| home.starts_with(b"/")).unwrap_or(b"/");
    if !process.environment.set_spare(&[b"HOME=", home]) {
        process.environment.set_spare(&[b"HOME=/"]);
    }
}

/// The sixth field of the line whose third is the user's id.
fn find<'l>(file: &OwnedFd, uid: u32, line: &'l mut [u8; LINE]) -> SysResult<Option<&'l [u8]>> {
    let mut chunk = [0; LINE];
    let (mut length, mut too_long, mut total) = (0, false, 0);
    while total < MOST {
        let read = rustix::io::read(file, &mut chunk)?;
        for byte in chunk.get(..read).ok_or(Errno::IO)?.iter().chain((read == 0).then_some(&b'\n')) {
            if *byte == b'\n' {
                if !too_long && let Some((start, end)) = home_of(line.get(..length).unwrap_or_default(), uid)
                {
                    return Ok(line.get(start..end));
                }
                (length, too_long) = (0, false);
            } else if let Some(place) = line.get_mut(length) {
                *place = *byte;
                length += 1;
            } else {
                too_long = true;
            }
        }
        if read == 0 {
            return Ok(None);
        }
        total += read;
    }
    Ok(None)
}

fn home_of(line: &[u8], uid: u32) -> Option<(usize, usize)> {
    let mut fields = line.split(|byte| *byte == b':');
    let id = std::str::from_utf8(fields.nth(2)?).ok()?.parse::<u32>().ok()?;
    if id != uid {
        return None;
    }
    let home = fields.nth(2)?;
    if home.is_empty() {
        return None;
    }
    let start = home.as_ptr() as usize - line.as_ptr() as usize;
    Some((start, start + home.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn homes_are_found_by_id() {
        let long = format!("long:x:5:5:{}:/long:\n", "x".repeat(5000));
        let text = format!(
            "root:x:0:0:root:/root:/bin/sh\nbroken\n{long}u:x:1000:1000::/home/u:\nlast:x:7:7::/last:/bin/sh"
        );
        let cases = [
            (0, Some("/root")),
            (1000, Some("/home/u")),
            (7, Some("/last")),
            (5, None),
            (4, None),
            (4_294_967_295, None),
        ];
        for (uid, home) in cases {
            let file = linux::memfd::sealed_bytes("passwd", text.as_bytes()).unwrap();
            let mut line = [0; LINE];
            let found =
                find(&file, uid, &mut line).unwrap().map(|home| String::from_utf8_lossy(home).into_owned());
            assert_eq!(found.as_deref(), home, "{uid}");
        }
    }
}
