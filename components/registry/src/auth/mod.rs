//! Who asks, and what they may do: passwords, tokens, users and robots with rights by repository.
//!
//! An [`Access`] is made from configuration and never changes; a reload makes another. So what a user lost in the
//! configuration is lost at once, and nothing is ever added to what was there before.

mod key;
mod password;
mod rights;
mod token;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

pub use password::hash;
pub use rights::{Action, Right, Scope};

use crate::RegistryError;
use key::{PublicKey, SigningKey};
use password::Passwords;
use token::{Audience, Claims, Grant, Verifier};

/// How accounts are configured.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Accounts {
    /// An htpasswd file with bcrypt hashes; whoever stands only there may do everything.
    pub htpasswd: Option<PathBuf>,
    /// Users and robots.
    pub users: Vec<User>,
    /// Rights that several users share.
    pub groups: Vec<Group>,
    /// What everybody may do without a name.
    pub anonymous: Vec<Right>,
    /// Tokens instead of a password with each request.
    pub token: Option<Tokens>,
}

/// A user or robot.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct User {
    /// The name.
    pub name: String,
    /// The password's bcrypt hash; not needed when it stands in the htpasswd file.
    #[serde(default)]
    pub password: Option<String>,
    /// Groups whose rights they have.
    #[serde(default)]
    pub groups: Vec<String>,
    /// Rights of their own.
    #[serde(default)]
    pub rights: Vec<Right>,
    /// May collect and read metrics.
    #[serde(default)]
    pub admin: bool,
}

/// Shared rights.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// Its rights.
    pub rights: Vec<Right>,
}

/// How tokens are configured. Without `realm` and `keys` the registry signs tokens for its own users.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Tokens {
    /// Who signs (`iss`).
    pub issuer: String,
    /// This registry's name in tokens (`aud`).
    pub service: String,
    /// Address of the token server; `/token` of this registry when not given.
    #[serde(default)]
    pub realm: Option<String>,
    /// PEM files of keys or certificates that another token server signs with.
    #[serde(default)]
    pub keys: Vec<PathBuf>,
    /// Seconds that our own tokens last.
    #[serde(default = "default_lifetime")]
    pub lifetime: u32,
}

fn default_lifetime() -> u32 {
    300
}

/// Seconds that a refresh token lasts.
const REFRESH_LIFETIME: i64 = 30 * 24 * 3600;
/// Scopes in one request for a token at most.
pub const MOST_SCOPES: usize = 64;

/// What a name may do.
#[derive(Debug, Clone, Default)]
struct Account {
    hash: Option<String>,
    rights: Vec<Right>,
    admin: bool,
}

/// Who may do what.
pub struct Access {
    /// None when everybody may do everything.
    accounts: Option<HashMap<String, Account>>,
    anonymous: Vec<Right>,
    passwords: Passwords,
    verifier: Option<Verifier>,
    signer: Option<SigningKey>,
    tokens: Option<Tokens>,
}

/// Who asks.
#[derive(Debug, Clone)]
pub struct Caller(Who);

#[derive(Debug, Clone)]
enum Who {
    Anybody,
    Account(String),
    Token(Vec<Grant>),
}

/// A token for a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issued {
    /// The token.
    pub token: String,
    /// Seconds that it lasts.
    pub lifetime: u32,
    /// A token to get others with, if it was asked for.
    pub refresh: Option<String>,
}

impl Access {
    /// Everybody may do everything.
    pub fn open() -> Self {
        Self {
            accounts: None,
            anonymous: rights::everything(),
            passwords: Passwords::new(),
            verifier: None,
            signer: None,
            tokens: None,
        }
    }

    /// Reads what the configuration names; the key that signs our own tokens is kept in `folder`.
    ///
    /// # Errors
    /// With the file or name that is wrong.
    pub fn new(accounts: &Accounts, folder: &Path) -> Result<Self, String> {
        let mut access = Self::open();
        access.anonymous = accounts.anonymous.clone();
        access.accounts = Some(merge(accounts)?);
        let Some(tokens) = &accounts.token else { return Ok(access) };
        let mut keys = Vec::new();
        for path in &tokens.keys {
            keys.extend(PublicKey::read(path)?);
        }
        if tokens.realm.is_none() {
            let signer = SigningKey::open(&folder.join("token-key.pem"))?;
            keys.push(signer.public());
            access.signer = Some(signer);
        }
        let (issuer, service) = (tokens.issuer.clone(), tokens.service.clone());
        access.verifier = Some(Verifier { issuer, service, keys });
        access.tokens = Some(tokens.clone());
        Ok(access)
    }

    /// Whether nobody needs a name.
    pub fn is_open(&self) -> bool {
        self.accounts.is_none()
    }

    /// Who stands behind an `Authorization` header; `None` when what it says is wrong.
    pub fn caller(&self, header: Option<&str>) -> Option<Caller> {
        let Some(header) = header.filter(|_| !self.is_open()) else { return Some(Caller(Who::Anybody)) };
        let (scheme, value) = header.split_once(' ')?;
        if scheme.eq_ignore_ascii_case("bearer") {
            let verifier = self.verifier.as_ref()?;
            let now = model::Timestamp::now().seconds();
            let claims = verifier.verify(value.trim(), &verifier.service, now)?;
            return Some(Caller(Who::Token(claims.access)));
        }
        if !scheme.eq_ignore_ascii_case("basic") {
            return None;
        }
        let pair = String::from_utf8(STANDARD.decode(value.trim()).ok()?).ok()?;
        let (name, password) = pair.split_once(':')?;
        self.login(name, password).then(|| Caller(Who::Account(name.to_owned())))
    }

    /// Whether name and password belong together.
    fn login(&self, name: &str, password: &str) -> bool {
        let account = self.accounts.as_ref().and_then(|accounts| accounts.get(name));
        self.passwords.is_right(account.and_then(|account| account.hash.as_deref()), password)
    }

    fn account(&self, name: &str) -> Option<&Account> {
        self.accounts.as_ref()?.get(name)
    }

    /// Whether a caller may do something.
    pub fn allows(&self, caller: &Caller, repository: &str, action: Action) -> bool {
        if self.is_open() || rights::allow(&self.anonymous, repository, action) {
            return true;
        }
        match &caller.0 {
            Who::Anybody => false,
            Who::Token(grants) => grants.iter().any(|grant| grant.allows(repository, action)),
            Who::Account(name) => {
                self.account(name).is_some_and(|account| rights::allow(&account.rights, repository, action))
            }
        }
    }

    /// Whether a caller may see what is no repository's: the greeting and the catalog.
    pub fn admits(&self, caller: &Caller) -> bool {
        self.is_open() || !self.anonymous.is_empty() || !matches!(caller.0, Who::Anybody)
    }

    /// Whether a caller may collect and read metrics. Without accounts nobody may, through the network.
    pub fn is_admin(&self, caller: &Caller) -> bool {
        matches!(&caller.0, Who::Account(name) if self.account(name).is_some_and(|account| account.admin))
    }

    /// The refusal of a caller: whoever gave a name and password is denied, everybody else is asked for one.
    pub fn refuse(&self, caller: &Caller, scope: Option<(&str, &[Action])>, host: &str) -> RegistryError {
        if let Who::Account(_) = caller.0 {
            return RegistryError::Denied { reason: "the account has no right to this".to_owned() };
        }
        RegistryError::Unauthorized { challenge: self.challenge(scope, host) }
    }

    /// The value of `WWW-Authenticate`; `host` is where the client found us (`https://host:port`).
    pub fn challenge(&self, scope: Option<(&str, &[Action])>, host: &str) -> String {
        let Some(tokens) = &self.tokens else { return basic_challenge() };
        let realm = tokens.realm.clone().unwrap_or_else(|| format!("{host}/token"));
        let clean = |text: &str| text.replace(['"', '\\'], "");
        let mut challenge =
            format!("Bearer realm=\"{}\",service=\"{}\"", clean(&realm), clean(&tokens.service));
        if let Some((name, actions)) = scope {
            let actions: Vec<&str> = actions.iter().map(|action| action.text()).collect();
            challenge.push_str(&format!(",scope=\"repository:{name}:{}\"", actions.join(",")));
        }
        challenge
    }

    /// A token for whoever asks, with those of the scopes that they have a right to.
    ///
    /// # Errors
    /// `Unauthorized` when the name or password is wrong, `Unsupported` when this registry signs no tokens.
    pub fn issue(
        &self,
        caller: Option<&Caller>,
        scopes: &[Scope],
        refresh: bool,
    ) -> Result<Issued, RegistryError> {
        let (Some(signer), Some(tokens)) = (&self.signer, &self.tokens) else {
            let reason = "tokens are signed elsewhere".to_owned();
            return Err(RegistryError::Unsupported { reason });
        };
        let wrong = || RegistryError::Unauthorized { challenge: basic_challenge() };
        let caller = caller.ok_or_else(wrong)?;
        let subject = match &caller.0 {
            Who::Account(name) => name.clone(),
            Who::Anybody => String::new(),
            Who::Token(_) => return Err(wrong()),
        };
        let grants = scopes.iter().take(MOST_SCOPES).map(|scope| Grant {
            kind: "repository".to_owned(),
            name: scope.repository.clone(),
            actions: scope
                .actions
                .iter()
                .filter(|action| self.allows(caller, &scope.repository, **action))
                .map(|action| action.text().to_owned())
                .collect(),
        });
        let now = model::Timestamp::now().seconds();
        let claims = |service: String, lifetime: i64, access| Claims {
            iss: tokens.issuer.clone(),
            sub: subject.clone(),
            aud: Audience::One(service),
            exp: now + lifetime,
            nbf: now,
            iat: now,
            jti: model::id::random_hex(),
            access,
        };
        let access = claims(tokens.service.clone(), i64::from(tokens.lifetime), grants.collect());
        let token = token::sign(signer, &access).ok_or_else(wrong)?;
        let refresh = (refresh && !subject.is_empty())
            .then(|| token::sign(signer, &claims(refresh_service(tokens), REFRESH_LIFETIME, Vec::new())))
            .flatten();
        Ok(Issued { token, lifetime: tokens.lifetime, refresh })
    }

    /// Who stands behind a refresh token, as long as the account exists.
    pub fn refreshed(&self, text: &str) -> Option<Caller> {
        let (verifier, tokens) = (self.verifier.as_ref()?, self.tokens.as_ref()?);
        let now = model::Timestamp::now().seconds();
        let claims = verifier.verify(text, &refresh_service(tokens), now)?;
        self.account(&claims.sub)?;
        Some(Caller(Who::Account(claims.sub)))
    }

    /// Who stands behind a name and password.
    pub fn named(&self, name: &str, password: &str) -> Option<Caller> {
        self.login(name, password).then(|| Caller(Who::Account(name.to_owned())))
    }
}

impl Caller {
    /// The account's name, for logs.
    pub fn name(&self) -> &str {
        match &self.0 {
            Who::Account(name) => name,
            _ => "-",
        }
    }
}

impl std::fmt::Debug for Access {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names = self.accounts.as_ref().map(HashMap::len);
        out.debug_struct("Access").field("accounts", &names).finish_non_exhaustive()
    }
}

/// For whom refresh tokens are: not for the registry itself, so that none passes as another.
fn refresh_service(tokens: &Tokens) -> String {
    format!("{} refresh", tokens.service)
}

/// The challenge for name and password.
pub(crate) fn basic_challenge() -> String {
    "Basic realm=\"registry\"".to_owned()
}

/// One account for each name, from all sources.
fn merge(accounts: &Accounts) -> Result<HashMap<String, Account>, String> {
    let mut merged = HashMap::new();
    for (name, hash) in accounts.htpasswd.as_deref().map_or(Ok(Vec::new()), password::htpasswd)? {
        let account = Account { hash: Some(hash), rights: rights::everything(), admin: false };
        merged.insert(name, account);
    }
    for user in &accounts.users {
        let listed = merged.get(&user.name).and_then(|account| account.hash.clone());
        let mut account = Account {
            hash: user.password.clone().or(listed),
            rights: user.rights.clone(),
            admin: user.admin,
        };
        for name in &user.groups {
            let group = accounts.groups.iter().find(|group| group.name == *name);
            let group = group.ok_or_else(|| format!("user {}: there is no group {name}", user.name))?;
            account.rights.extend(group.rights.iter().cloned());
        }
        if account.hash.as_ref().is_none_or(|hash| !hash.starts_with("$2")) {
            return Err(format!("user {}: a password has to be a bcrypt hash", user.name));
        }
        merged.insert(user.name.clone(), account);
    }
    Ok(merged)
}

#[cfg(test)]
mod tests;
