//! What a machine must be to run an image.

use std::str::FromStr;

use model::{ErrorKind, Kinded};
use serde::{Deserialize, Serialize};

use crate::image::null_default;

/// Operating system, processor, and variants of both; the JSON form of image indexes.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct Platform {
    /// Processor in Go's words (`amd64`, `arm64`).
    #[serde(deserialize_with = "null_default")]
    pub architecture: String,
    /// Operating system in Go's words (`linux`).
    #[serde(deserialize_with = "null_default")]
    pub os: String,
    /// Version of the operating system (Windows).
    #[serde(
        rename = "os.version",
        skip_serializing_if = "String::is_empty",
        deserialize_with = "null_default"
    )]
    pub os_version: String,
    /// Features of the operating system (Windows).
    #[serde(
        rename = "os.features",
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_default"
    )]
    pub os_features: Vec<String>,
    /// Variant of the processor (`v7`, `v8`).
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "null_default")]
    pub variant: String,
}

/// A text is not a platform.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlatformError {
    /// A part is empty or has letters no platform has.
    #[error(
        "{part:?} is an invalid component of {text:?}: platform specifier component must match \"^[A-Za-z0-9_.-]+$\": invalid argument"
    )]
    Component {
        /// The part.
        part: String,
        /// The whole.
        text: String,
    },
    /// More than three parts, or one that is neither system nor processor.
    #[error("{text:?}: cannot parse platform specifier: invalid argument")]
    Unknown {
        /// What was given.
        text: String,
    },
}

impl Kinded for PlatformError {
    fn kind(&self) -> ErrorKind {
        ErrorKind::Invalid
    }
}

impl Platform {
    /// The platform this program runs on.
    pub fn host() -> Self {
        Self::of(std::env::consts::OS, std::env::consts::ARCH, "")
    }

    fn of(os: &str, architecture: &str, variant: &str) -> Self {
        let (architecture, variant) = normal_processor(architecture, variant);
        Self { architecture, os: normal_system(os), variant, ..Self::default() }
    }

    /// `os/arch` or `os/arch/variant`.
    pub fn text(&self) -> String {
        let mut text = format!("{}/{}", self.os, self.architecture);
        if !self.variant.is_empty() {
            text.push('/');
            text.push_str(&self.variant);
        }
        text
    }

    /// The same with usual names for aliases (`x86_64`, `aarch64`).
    #[must_use]
    pub fn normalized(&self) -> Self {
        let other = Self::of(&self.os, &self.architecture, &self.variant);
        Self { architecture: other.architecture, os: other.os, variant: other.variant, ..self.clone() }
    }

    /// Whether an image for `other` runs where `self` is asked for: same system and processor, and the same variant
    /// when both name one.
    pub fn accepts(&self, other: &Self) -> bool {
        let (wanted, offered) = (self.normalized(), other.normalized());
        wanted.os == offered.os
            && wanted.architecture == offered.architecture
            && (wanted.variant == offered.variant || wanted.variant.is_empty() || offered.variant.is_empty())
    }
}

/// Understands `os`, `arch`, `os/arch` and `os/arch/variant`.
impl FromStr for Platform {
    type Err = PlatformError;

    fn from_str(text: &str) -> Result<Self, PlatformError> {
        let parts: Vec<&str> = text.split('/').collect();
        for part in &parts {
            if part.is_empty()
                || !part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
            {
                return Err(PlatformError::Component { part: (*part).to_owned(), text: text.to_owned() });
            }
        }
        let host = Self::host();
        match parts[..] {
            [one] if is_known_system(&normal_system(one)) => {
                Ok(Self::of(one, &host.architecture, &host.variant))
            }
            [one] if is_known_processor(&normal_processor(one, "").0) => Ok(Self::of(&host.os, one, "")),
            [os, architecture] => Ok(Self::of(os, architecture, "")),
            [os, architecture, variant] => Ok(Self::of(os, architecture, variant)),
            _ => Err(PlatformError::Unknown { text: text.to_owned() }),
        }
    }
}

fn normal_system(os: &str) -> String {
    let os = os.to_lowercase();
    if os == "macos" { "darwin".to_owned() } else { os }
}

/// Aliases of processors; the variant that is the default one is left out, except 32-bit ARM's.
fn normal_processor(architecture: &str, variant: &str) -> (String, String) {
    let (architecture, variant) = (architecture.to_lowercase(), variant.to_lowercase());
    let (architecture, variant) = match (architecture.as_str(), variant.as_str()) {
        ("i386" | "x86", _) => ("386", ""),
        ("x86_64" | "x86-64" | "amd64", "v1" | "") => ("amd64", ""),
        ("x86_64" | "x86-64", variant) => ("amd64", variant),
        ("aarch64" | "arm64", "8" | "v8" | "") => ("arm64", ""),
        ("aarch64", variant) => ("arm64", variant),
        ("armhf", _) => ("arm", "v7"),
        ("armel", _) => ("arm", "v6"),
        ("arm", "" | "7") => ("arm", "v7"),
        ("arm", "5") => ("arm", "v5"),
        ("arm", "6") => ("arm", "v6"),
        ("arm", "8") => ("arm", "v8"),
        (architecture, variant) => (architecture, variant),
    };
    (architecture.to_owned(), variant.to_owned())
}

fn is_known_system(os: &str) -> bool {
    matches!(os, "linux" | "windows" | "darwin" | "freebsd" | "netbsd" | "openbsd" | "solaris" | "wasi")
}

fn is_known_processor(architecture: &str) -> bool {
    matches!(
        architecture,
        "386"
            | "amd64"
            | "arm"
            | "arm64"
            | "loong64"
            | "mips"
            | "mips64"
            | "mips64le"
            | "mipsle"
            | "ppc64"
            | "ppc64le"
            | "riscv64"
            | "s390x"
            | "wasm"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts() {
        for (text, expected) in [
            ("linux/amd64", "linux/amd64"),
            ("Linux/x86_64", "linux/amd64"),
            ("linux/aarch64", "linux/arm64"),
            ("linux/arm64/v8", "linux/arm64"),
            ("linux/arm", "linux/arm/v7"),
            ("linux/armel", "linux/arm/v6"),
            ("arm64", "linux/arm64"),
            ("macos/arm64", "darwin/arm64"),
        ] {
            assert_eq!(text.parse::<Platform>().unwrap().text(), expected, "{text}");
        }
        for text in ["", "a/", "x y", "linux/amd64/v1/z", "nonsense"] {
            assert!(text.parse::<Platform>().is_err(), "{text}");
        }
    }

    #[test]
    fn acceptance() {
        let platform = |text: &str| text.parse::<Platform>().unwrap();
        assert!(platform("linux/amd64").accepts(&platform("linux/x86_64")));
        assert!(platform("linux/arm64").accepts(&platform("linux/arm64/v8")));
        assert!(!platform("linux/arm/v6").accepts(&platform("linux/arm/v7")));
        assert!(!platform("linux/amd64").accepts(&platform("windows/amd64")));
    }
}
