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

    /// The platform this program runs on, with the level of its processor: `linux/amd64/v3`, `linux/arm64/v8`.
    pub fn detected() -> Self {
        Self { variant: processor_level().to_owned(), ..Self::host() }
    }

    /// Whether programs for `other` run here without help: processors run what older and smaller ones of their family do.
    pub fn runs(&self, other: &Self) -> bool {
        let (own, other) = (self.normalized(), other.normalized());
        let level = |text: &str| text.trim_start_matches('v').parse::<u8>().unwrap_or(1);
        own.os == other.os
            && match (own.architecture.as_str(), other.architecture.as_str()) {
                ("amd64", "386") | ("arm64", "arm") => true,
                ("amd64" | "arm", same) if same == own.architecture => {
                    other.variant.is_empty() || level(&own.variant) >= level(&other.variant)
                }
                (own, other) => own == other,
            }
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

/// The highest of the levels that x86-64's ABI defines, as far as its features can be asked for.
#[cfg(target_arch = "x86_64")]
fn processor_level() -> &'static str {
    use std::arch::is_x86_feature_detected as has;
    let second = has!("sse3") && has!("ssse3") && has!("sse4.1") && has!("sse4.2") && has!("popcnt");
    let third = has!("avx") && has!("avx2") && has!("bmi1") && has!("bmi2") && has!("f16c") && has!("fma");
    let third = third && has!("lzcnt") && has!("movbe");
    let fourth =
        has!("avx512f") && has!("avx512bw") && has!("avx512cd") && has!("avx512dq") && has!("avx512vl");
    match (second && has!("cmpxchg16b"), third, fourth) {
        (true, true, true) => "v4",
        (true, true, false) => "v3",
        (true, false, _) => "v2",
        _ => "",
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn processor_level() -> &'static str {
    if cfg!(target_arch = "aarch64") { "v8" } else { "" }
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
    fn processors_run_what_smaller_ones_of_their_family_run() {
        for (own, other, runs) in [
            ("linux/amd64/v4", "linux/amd64", true),
            ("linux/amd64/v4", "linux/amd64/v3", true),
            ("linux/amd64/v2", "linux/amd64/v3", false),
            ("linux/amd64", "linux/386", true),
            ("linux/386", "linux/amd64", false),
            ("linux/arm64", "linux/arm/v7", true),
            ("linux/arm/v6", "linux/arm/v7", false),
            ("linux/amd64", "linux/arm64/v8", false),
            ("linux/amd64", "windows/amd64", false),
        ] {
            let platform = |text: &str| text.parse::<Platform>().unwrap();
            assert_eq!(platform(own).runs(&platform(other)), runs, "{own} {other}");
        }
        assert!(Platform::detected().runs(&Platform::host()));
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
