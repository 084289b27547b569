//! What `WWW-Authenticate` asks for (RFC 9110 section 11.3, and the parameters of the token flow).

/// One way to prove oneself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Challenge {
    /// Name and password with every request.
    Basic,
    /// A token from a token server.
    Bearer {
        /// URL of the token server.
        realm: String,
        /// Whom the token is for.
        service: String,
        /// What the refused request needs, separated by spaces.
        scope: String,
        /// Why a token that was shown is not taken (`invalid_token`, `insufficient_scope`).
        error: String,
    },
}

/// Bytes of a header value that are looked at.
const LONGEST: usize = 16 * 1024;
/// Parameters of one challenge.
const PARAMETERS: usize = 32;

/// Reads the values of all `WWW-Authenticate` headers; schemes nobody knows are left out.
pub fn parse<'h>(headers: impl IntoIterator<Item = &'h str>) -> Vec<Challenge> {
    headers
        .into_iter()
        .filter(|text| text.len() <= LONGEST)
        .flat_map(|text| Reader(text).challenges())
        .collect()
}

type Parameters = Vec<(String, String)>;

/// What is left to read.
struct Reader<'t>(&'t str);

impl<'t> Reader<'t> {
    fn challenges(mut self) -> Vec<Challenge> {
        let mut found = Vec::new();
        loop {
            self.skip(&[' ', '\t', ',']);
            let Some(scheme) = self.token() else { return found };
            let scheme = scheme.to_ascii_lowercase();
            let parameters = self.parameters();
            let get = |name: &str| {
                parameters
                    .iter()
                    .find(|(key, _)| key == name)
                    .map(|(_, value)| value.clone())
                    .unwrap_or_default()
            };
            match scheme.as_str() {
                "basic" => found.push(Challenge::Basic),
                "bearer" => found.push(Challenge::Bearer {
                    realm: get("realm"),
                    service: get("service"),
                    scope: get("scope"),
                    error: get("error"),
                }),
                _ => {}
            }
        }
    }

    /// Parameters up to the next scheme: a word that no `=` follows.
    fn parameters(&mut self) -> Parameters {
        let mut found = Vec::new();
        while found.len() < PARAMETERS {
            self.skip(&[' ', '\t', ',']);
            let before = self.0;
            let Some(name) = self.token() else { return found };
            self.skip(&[' ', '\t']);
            if !self.take('=') {
                self.0 = before;
                return found;
            }
            self.skip(&[' ', '\t']);
            let value =
                if self.take('"') { self.quoted() } else { self.token().unwrap_or_default().to_owned() };
            found.push((name.to_ascii_lowercase(), value));
        }
        found
    }

    fn skip(&mut self, letters: &[char]) {
        self.0 = self.0.trim_start_matches(letters);
    }

    fn take(&mut self, letter: char) -> bool {
        let rest = self.0.strip_prefix(letter);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    /// A word; the letters of base64 and URLs count too, since not everybody quotes.
    fn token(&mut self) -> Option<&'t str> {
        let end = self.0.find([' ', '\t', ',', '=', '"']).unwrap_or(self.0.len());
        let (word, rest) = self.0.split_at(end);
        if word.is_empty() {
            return None;
        }
        self.0 = rest;
        Some(word)
    }

    fn quoted(&mut self) -> String {
        let mut value = String::new();
        let mut letters = self.0.char_indices();
        while let Some((at, letter)) = letters.next() {
            match letter {
                '"' => {
                    self.0 = self.0.get(at + 1..).unwrap_or_default();
                    return value;
                }
                '\\' => value.extend(letters.next().map(|(_, escaped)| escaped)),
                _ => value.push(letter),
            }
        }
        self.0 = "";
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bearer(realm: &str, service: &str, scope: &str) -> Challenge {
        Challenge::Bearer {
            realm: realm.to_owned(),
            service: service.to_owned(),
            scope: scope.to_owned(),
            error: String::new(),
        }
    }

    #[test]
    fn forms() {
        for (text, expected) in [
            ("", vec![]),
            ("Basic realm=\"x\"", vec![Challenge::Basic]),
            ("basic", vec![Challenge::Basic]),
            (
                "Bearer realm=\"https://a.b/token\",service=\"reg\",scope=\"repository:x/y:pull,push\"",
                vec![bearer("https://a.b/token", "reg", "repository:x/y:pull,push")],
            ),
            ("BEARER realm = \"https://a\" , service=plain", vec![bearer("https://a", "plain", "")]),
            ("Bearer realm=\"a\\\"b\"", vec![bearer("a\"b", "", "")]),
            ("Negotiate, Basic realm=\"x\", Bearer realm=y", vec![Challenge::Basic, bearer("y", "", "")]),
            ("Digest nonce=\"1\", qop=\"auth,auth-int\", Basic", vec![Challenge::Basic]),
            ("Bearer realm=\"never ends", vec![bearer("never ends", "", "")]),
            ("=,=\"", vec![]),
            ("Bearer realm==\"a\"", vec![bearer("", "", "")]),
        ] {
            assert_eq!(parse([text]), expected, "{text}");
        }
        let long = format!("Basic realm=\"{}\"", "x".repeat(LONGEST));
        assert_eq!(parse([long.as_str()]), []);
    }
}
