//! Where the files of a build are: a folder, standard input, or a place on the network that the engine fetches.

use std::io::{Cursor, Read};
use std::path::Path;

use super::local::{self, Local};
use crate::failure::{Failure, go_io_error};

/// The argument of `build`, understood.
pub(super) enum Source {
    /// A folder of this machine.
    Local(Local),
    /// An archive on standard input, compressed or not, with the name of the Dockerfile in it.
    Archive(Box<dyn Read + Send>, String),
    /// A Dockerfile without other files.
    Dockerfile(Vec<u8>),
    /// What the engine fetches itself, with the name of the Dockerfile in it.
    Remote(String, String),
}

/// Bytes of the first block of an archive.
const BLOCK: usize = 512;
/// Longest Dockerfile from standard input.
const LONGEST_DOCKERFILE: u64 = 16 << 20;

/// Understands the argument, given what `--file` says.
///
/// # Errors
/// Docker's words about what cannot be a context.
pub(super) fn find(argument: &str, file: &str) -> Result<Source, Failure> {
    if argument == "-" {
        if file == "-" {
            return Err(Failure::text(
                "invalid argument: can't use stdin for both build context and dockerfile",
            ));
        }
        return from_stdin(std::io::stdin(), file)
            .map_err(|reason| Failure::text(format!("unable to prepare context from STDIN: {reason}")));
    }
    if Path::new(argument).exists() {
        return local::find(argument, file).map(Source::Local);
    }
    if is_git(argument) || is_url(argument) {
        return Ok(Source::Remote(argument.to_owned(), file.to_owned()));
    }
    Err(Failure::text(format!(
        "unable to prepare context: path {} not found",
        crate::value::quoted(argument)
    )))
}

fn from_stdin(mut source: impl Read + Send + 'static, file: &str) -> Result<Source, String> {
    let failed =
        |error: &std::io::Error| format!("failed to peek context header from STDIN: {}", go_io_error(error));
    let mut start = Vec::with_capacity(BLOCK);
    (&mut source).take(BLOCK as u64).read_to_end(&mut start).map_err(|error| failed(&error))?;
    if is_archive(&start) {
        return Ok(Source::Archive(Box::new(Cursor::new(start).chain(source)), file.to_owned()));
    }
    let mut text = start;
    source.take(LONGEST_DOCKERFILE + 1).read_to_end(&mut text).map_err(|error| failed(&error))?;
    if text.len() as u64 > LONGEST_DOCKERFILE {
        return Err(format!(
            "it is neither an archive nor a Dockerfile of at most {LONGEST_DOCKERFILE} bytes"
        ));
    }
    Ok(Source::Dockerfile(text))
}

/// Whether a stream that begins so is an archive: compressed, or with a header whose sum is right.
fn is_archive(start: &[u8]) -> bool {
    if archive::Compression::detect(start) != archive::Compression::None {
        return true;
    }
    match archive::Reader::new(start, archive::Limits::DEFAULT).next_entry() {
        Ok(first) => first.is_some(),
        // What describes the first file has a header, too, and goes on after this block.
        Err(error) => start.len() == BLOCK && matches!(error, archive::ArchiveError::Truncated),
    }
}

/// Addresses that mean a git repository.
fn is_git(text: &str) -> bool {
    let is_http = is_url(text);
    let before_fragment = text.split('#').next().unwrap_or_default();
    (is_http && before_fragment.ends_with(".git"))
        || ["git://", "ssh://", "github.com/", "git@"].iter().any(|start| text.starts_with(start))
}

fn is_url(text: &str) -> bool {
    text.starts_with("http://") || text.starts_with("https://")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn standard_input_is_told_apart_by_content() {
        let check = |bytes: &[u8]| from_stdin(Cursor::new(bytes.to_vec()), "x");
        let mut tar = archive::Writer::new(Vec::new());
        tar.append_bytes(&archive::Entry::file("Dockerfile", 0o644, 0), b"FROM x").unwrap();
        let tar = tar.finish().unwrap();
        let Ok(Source::Archive(mut stream, name)) = check(&tar) else { panic!("an archive") };
        let mut back = Vec::new();
        stream.read_to_end(&mut back).unwrap();
        assert_eq!((back, name.as_str()), (tar, "x"));
        assert!(matches!(check(&[0x1f, 0x8b, 0x08, 0]), Ok(Source::Archive(..))));
        // Its header is the second one: a name that is too long for it stands in the first one's content.
        let mut tar = archive::Writer::new(Vec::new());
        tar.append_bytes(&archive::Entry::file("long/".repeat(80), 0o644, 0), b"x").unwrap();
        let tar = tar.finish().unwrap();
        assert_eq!(tar.get(156), Some(&b'x'));
        assert!(matches!(check(&tar), Ok(Source::Archive(..))));
        assert!(!matches!(check(tar.get(..BLOCK - 1).unwrap()), Ok(Source::Archive(..))));
        for text in ["FROM x", "", &"#".repeat(2000)] {
            let Ok(Source::Dockerfile(back)) = check(text.as_bytes()) else { panic!("a Dockerfile") };
            assert_eq!(back, text.as_bytes());
        }
        assert!(check(&vec![b'#'; usize::try_from(LONGEST_DOCKERFILE).unwrap() + 1]).is_err());
    }

    #[test]
    fn addresses_are_told_apart() {
        for text in [
            "https://h/x.git",
            "http://h/x.git#main:dir",
            "git://h/x",
            "github.com/a/b",
            "git@h:a/b.git",
            "ssh://git@h/x",
        ] {
            assert!(is_git(text), "{text}");
        }
        for text in ["https://h/x.tar.gz", "https://h/x.git/y", "h/x.git", "./github.com/a"] {
            assert!(!is_git(text), "{text}");
        }
        let failure = find("no/such/folder", "").err().map(|failure| failure.message());
        assert_eq!(failure.as_deref(), Some("unable to prepare context: path \"no/such/folder\" not found"));
    }
}
