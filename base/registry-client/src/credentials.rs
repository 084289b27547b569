//! Who somebody is towards a registry, in types that cannot be printed.

/// A password or token: it has no way to be shown, only to be used.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct Secret(String);

impl Secret {
    /// Takes a text in.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text, for the one place that sends or stores it.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Secret")
    }
}

/// What is shown to one registry.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Credentials {
    /// Nobody in particular.
    #[default]
    Anonymous,
    /// Name and password.
    Password {
        /// The name.
        user: String,
        /// The password.
        password: Secret,
    },
    /// A token that only buys other tokens (what a login answered).
    Identity {
        /// The name, if there is one.
        user: String,
        /// The token.
        token: Secret,
    },
    /// A token shown as it is.
    Registry(Secret),
}

impl Credentials {
    /// Name and password; anonymous when both are empty.
    pub fn password(user: &str, password: &str) -> Self {
        if user.is_empty() && password.is_empty() {
            return Self::Anonymous;
        }
        Self::Password { user: user.to_owned(), password: Secret::new(password) }
    }

    /// Whether nothing would be shown.
    pub fn is_anonymous(&self) -> bool {
        matches!(self, Self::Anonymous)
    }

    /// The value of `Authorization` for a Basic challenge.
    pub(crate) fn basic(&self) -> Option<Secret> {
        use base64::Engine;
        let Self::Password { user, password } = self else { return None };
        let pair = format!("{user}:{}", password.reveal());
        Some(Secret::new(format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_printed() {
        let credentials = Credentials::password("me", "canary-secret");
        assert!(!format!("{credentials:?}").contains("canary"), "{credentials:?}");
        assert_eq!(
            credentials.basic().map(|value| value.reveal().to_owned()).as_deref(),
            Some("Basic bWU6Y2FuYXJ5LXNlY3JldA==")
        );
        assert_eq!(Credentials::password("", ""), Credentials::Anonymous);
    }
}
