//! Tokens (JWT): verified with the configured keys only, and signed for our own users.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use super::key::{Method, PublicKey, SigningKey};
use super::rights::Action;

/// Bytes of a token at most.
const LONGEST: usize = 32 * 1024;
/// Clocks may differ by so many seconds.
const LEEWAY: i64 = 60;

/// What a token allows on one repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Grant {
    /// Always `repository` for those that count.
    #[serde(rename = "type")]
    pub kind: String,
    /// The repository.
    pub name: String,
    /// The actions' words; unknown ones count for nothing.
    pub actions: Vec<String>,
}

impl Grant {
    pub(crate) fn allows(&self, repository: &str, action: Action) -> bool {
        let fits = |word: &String| word == "*" || word == action.text();
        self.kind == "repository" && self.name == repository && self.actions.iter().any(fits)
    }
}

/// What a token says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Claims {
    pub iss: String,
    #[serde(default)]
    pub sub: String,
    pub aud: Audience,
    pub exp: i64,
    #[serde(default)]
    pub nbf: i64,
    #[serde(default)]
    pub iat: i64,
    #[serde(default)]
    pub jti: String,
    #[serde(default)]
    pub access: Vec<Grant>,
}

/// For whom a token is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Audience {
    One(String),
    Several(Vec<String>),
}

impl Audience {
    fn is(&self, service: &str) -> bool {
        match self {
            Self::One(one) => one == service,
            Self::Several(all) => all.iter().any(|one| one == service),
        }
    }
}

/// The part of a token's head that counts. Keys that a head brings along (`jwk`, `x5c`, `jku`) are not even read.
#[derive(Deserialize)]
struct Head {
    alg: String,
}

/// Who may sign, and for whom.
#[derive(Debug, Clone)]
pub(crate) struct Verifier {
    pub issuer: String,
    pub service: String,
    pub keys: Vec<PublicKey>,
}

impl Verifier {
    /// What a token says, if it is one of ours, for us, and for now.
    pub(crate) fn verify(&self, token: &str, service: &str, now: i64) -> Option<Claims> {
        if token.len() > LONGEST {
            return None;
        }
        let (message, signature) = token.rsplit_once('.')?;
        let (head, body) = message.split_once('.')?;
        let head: Head = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(head).ok()?).ok()?;
        let method = Method::of(&head.alg)?;
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        if !self.keys.iter().any(|key| key.verifies(method, message.as_bytes(), &signature)) {
            return None;
        }
        let claims: Claims = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(body).ok()?).ok()?;
        let in_time = claims.exp.saturating_add(LEEWAY) > now && claims.nbf <= now.saturating_add(LEEWAY);
        (claims.iss == self.issuer && claims.aud.is(service) && in_time).then_some(claims)
    }
}

/// Signs claims.
pub(crate) fn sign(key: &SigningKey, claims: &Claims) -> Option<String> {
    let head = URL_SAFE_NO_PAD.encode(r#"{"alg":"ES256","typ":"JWT"}"#);
    let body = URL_SAFE_NO_PAD.encode(serde_json::to_vec(claims).ok()?);
    let message = format!("{head}.{body}");
    let signature = URL_SAFE_NO_PAD.encode(key.sign(message.as_bytes())?);
    Some(format!("{message}.{signature}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> SigningKey {
        let path = std::env::temp_dir().join(format!("wharf-token-{name}-{}.pem", std::process::id()));
        let key = SigningKey::open(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        key
    }

    fn claims() -> Claims {
        Claims {
            iss: "issuer".into(),
            sub: "me".into(),
            aud: Audience::One("service".into()),
            exp: 1000,
            nbf: 500,
            iat: 500,
            jti: "1".into(),
            access: vec![Grant { kind: "repository".into(), name: "a".into(), actions: vec!["pull".into()] }],
        }
    }

    fn verifier(key: &SigningKey) -> Verifier {
        Verifier { issuer: "issuer".into(), service: "service".into(), keys: vec![key.public()] }
    }

    #[test]
    fn claims_are_checked() {
        let key = key("claims");
        let verifier = verifier(&key);
        let token = |change: &dyn Fn(&mut Claims)| {
            let mut claims = claims();
            change(&mut claims);
            sign(&key, &claims).unwrap()
        };
        let good = token(&|_| {});
        assert_eq!(verifier.verify(&good, "service", 700), Some(claims()));
        assert_eq!(verifier.verify(&good, "other", 700), None);
        assert_eq!(verifier.verify(&good, "service", 1061), None, "run out");
        assert_eq!(verifier.verify(&good, "service", 400), None, "not yet");
        assert_eq!(verifier.verify(&token(&|claims| claims.iss = "x".into()), "service", 700), None);
        let several = token(&|claims| claims.aud = Audience::Several(vec!["x".into(), "service".into()]));
        assert!(verifier.verify(&several, "service", 700).is_some());
    }

    /// Row 26: a token brings its own key, says it needs none, or names a shared secret.
    #[test]
    fn row_26_keys_come_from_the_configuration_only() {
        let (ours, theirs) = (key("ours"), key("theirs"));
        let verifier = verifier(&ours);
        let good = sign(&ours, &claims()).unwrap();
        let body = good.split('.').nth(1).unwrap();
        let forge = |head: String, signer: Option<&SigningKey>| {
            let message = format!("{}.{body}", URL_SAFE_NO_PAD.encode(head));
            let signature = signer.and_then(|key| key.sign(message.as_bytes())).unwrap_or_default();
            format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
        };
        let jwk = r#"{"alg":"ES256","jwk":{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}}"#.to_owned();
        let chain = r#"{"alg":"ES256","x5c":["MIIB"],"jku":"http://127.0.0.1/k"}"#.to_owned();
        for (head, signer) in [
            (jwk, Some(&theirs)),
            (chain, Some(&theirs)),
            (r#"{"alg":"none"}"#.to_owned(), None),
            (r#"{"alg":"ES256"}"#.to_owned(), None),
            (r#"{"alg":"HS256"}"#.to_owned(), Some(&ours)),
            (r#"{"alg":"RS256"}"#.to_owned(), Some(&ours)),
        ] {
            assert_eq!(verifier.verify(&forge(head.clone(), signer), "service", 700), None, "{head}");
        }
        for text in ["", ".", "..", "a.b.c", &"x".repeat(LONGEST + 1)] {
            assert_eq!(verifier.verify(text, "service", 700), None);
        }
    }
}
