//! Heredocs: files written in the Dockerfile itself.

use super::words::raw_words;

/// A heredoc of an instruction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heredoc {
    /// The word that ends it.
    pub name: String,
    /// The descriptor it is given as, in the shell; 0 when it says none.
    pub descriptor: u32,
    /// Its lines, each with its end, as they are written.
    pub content: String,
    /// `<<-`: tabs at the beginning of lines do not count.
    pub chomp: bool,
    /// Whether variables in it are replaced where the builder does that (COPY, ADD): not when the word was quoted.
    pub expand: bool,
}

impl Heredoc {
    /// Its lines as they are meant: without leading tabs where `<<-` says so.
    pub fn text(&self) -> String {
        if !self.chomp {
            return self.content.clone();
        }
        self.content.split_inclusive('\n').map(|line| line.trim_start_matches('\t')).collect()
    }

    /// A word that opens a heredoc: `[descriptor]<<[-]name`.
    pub fn opening(word: &str) -> Option<Self> {
        let (descriptor, rest) = word.split_once("<<")?;
        if !descriptor.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let (chomp, rest) = match rest.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, rest),
        };
        if rest.contains('<') {
            return None;
        }
        let name = unquoted(rest)?;
        if name.is_empty() || name.contains(char::is_whitespace) {
            return None;
        }
        let descriptor = if descriptor.is_empty() { 0 } else { descriptor.parse().ok()? };
        let expand = name == rest;
        Some(Self { name, descriptor, content: String::new(), chomp, expand })
    }
}

/// The heredocs a line opens. Only some instructions have them, also as triggers.
pub(super) fn openings(keyword: &str, rest: &str, escape: char) -> Vec<Heredoc> {
    if keyword.eq_ignore_ascii_case("onbuild") {
        return match rest.split_once(char::is_whitespace) {
            Some((keyword, rest)) if !keyword.eq_ignore_ascii_case("onbuild") => {
                openings(keyword, rest, escape)
            }
            _ => Vec::new(),
        };
    }
    if !["add", "copy", "run"].iter().any(|known| keyword.eq_ignore_ascii_case(known)) {
        return Vec::new();
    }
    raw_words(rest, escape).iter().filter_map(|word| Heredoc::opening(word)).collect()
}

/// A word without its quotes; none when they do not end.
fn unquoted(word: &str) -> Option<String> {
    let mut quote = None;
    let mut name = String::new();
    for character in word.chars() {
        match (quote, character) {
            (None, '"' | '\'') => quote = Some(character),
            (Some(open), _) if open == character => quote = None,
            _ => name.push(character),
        }
    }
    quote.is_none().then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_open_heredocs() {
        let of =
            |word: &str| Heredoc::opening(word).map(|one| (one.name, one.descriptor, one.chomp, one.expand));
        let some = |name: &str, descriptor, chomp, expand| Some((name.to_owned(), descriptor, chomp, expand));
        assert_eq!(of("<<EOF"), some("EOF", 0, false, true));
        assert_eq!(of("<<-EOF"), some("EOF", 0, true, true));
        assert_eq!(of("3<<\"E\""), some("E", 3, false, false));
        assert_eq!(of("<<'E'OF"), some("EOF", 0, false, false));
        for word in ["<<<EOF", "<EOF", "x<<EOF", "<<", "<<\"a", "<<'a b'", "99999999999<<A"] {
            assert_eq!(of(word), None, "{word}");
        }
    }

    #[test]
    fn only_files_and_commands_have_them() {
        let count = |keyword: &str, rest: &str| openings(keyword, rest, '\\').len();
        assert_eq!(count("RUN", "cat <<A 3<<B"), 2);
        assert_eq!(count("run", "echo '<<A'"), 0);
        assert_eq!(count("CMD", "cat <<A"), 0);
        assert_eq!(count("ONBUILD", "COPY <<A /x"), 1);
        assert_eq!(count("ONBUILD", "ONBUILD RUN <<A"), 0);
    }

    #[test]
    fn tabs_go_where_they_are_meant_to() {
        let heredoc = Heredoc { content: "\t\ta\n b\n".into(), ..Heredoc::opening("<<-E").unwrap() };
        assert_eq!(heredoc.text(), "a\n b\n");
    }
}
