//! What is not wrong with a Dockerfile but should not be so: the checks of the language, in the words of Docker's builder.

use super::Lines;
use super::error::Problem;

/// Something a check found.
///
/// Names, descriptions and texts are those of moby/buildkit (`frontend/dockerfile/linter`), because people look for them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
#[expect(missing_docs, reason = "the texts say what each one means")]
pub enum Finding {
    #[error("Stage name '{name}' should be lowercase")]
    StageNameCasing { name: String },
    #[error("'{between}' and '{from}' keywords' casing do not match")]
    FromAsCasing { from: String, between: String },
    #[error("Empty continuation line")]
    NoEmptyContinuation,
    #[error("Command '{keyword}' should match the case of the command majority ({case})")]
    ConsistentInstructionCasing { keyword: String, case: &'static str },
    #[error("Duplicate stage name {}, stage names should be unique", model::quote::go(name))]
    DuplicateStageName { name: String },
    #[error("Stage name should not use the same name as reserved stage {}", model::quote::go(name))]
    ReservedStageName { name: String },
    #[error("JSON arguments recommended for {keyword} to prevent unintended behavior related to OS signals")]
    JsonArgsRecommended { keyword: String },
    #[error("Maintainer instruction is deprecated in favor of using label")]
    MaintainerDeprecated,
    #[error("FROM argument '{name}' is not declared{}", meant("", near))]
    UndefinedArgInFrom { name: String, near: Option<String> },
    #[error(
        "Relative workdir {} can have unexpected results if the base image changes",
        model::quote::go(path)
    )]
    WorkdirRelativePath { path: String },
    #[error("Usage of undefined variable '${name}'{}", meant("$", near))]
    UndefinedVar { name: String, near: Option<String> },
    #[error(
        "Multiple {keyword} instructions should not be used in the same stage because only the last one will be used"
    )]
    MultipleInstructionsDisallowed { keyword: String },
    #[error("\"{keyword} key=value\" should be used instead of legacy \"{keyword} key value\" format")]
    LegacyKeyValueFormat { keyword: String },
    #[error(
        "Base image {image} was pulled with platform \"{found}\", expected \"{expected}\" for current build"
    )]
    InvalidBaseImagePlatform { image: String, found: String, expected: String },
    #[error("Setting platform to predefined {written} in FROM is redundant as this is the default behavior")]
    RedundantTargetPlatform { written: String },
    #[error("Do not use ARG or ENV instructions for sensitive data ({keyword} {})", model::quote::go(name))]
    SecretsUsedInArgOrEnv { keyword: &'static str, name: String },
    #[error("Default value for ARG {base} results in empty or invalid base image name")]
    InvalidDefaultArgInFrom { base: String },
    #[error("FROM --platform flag should not use constant value {}", model::quote::go(platform))]
    FromPlatformFlagConstDisallowed { platform: String },
    #[error("Attempting to {keyword} file {} that is excluded by .dockerignore", model::quote::go(path))]
    CopyIgnoredFile { keyword: &'static str, path: String },
    #[error("Comment for {keyword} should follow the format: `# {name} <description>`")]
    InvalidDefinitionDescription { keyword: &'static str, name: String },
    #[error("Defined protocol '{port}' in EXPOSE instruction should be lowercase")]
    ExposeProtoCasing { port: String },
    #[error("EXPOSE instruction should not define an IP address or host-port mapping, found '{port}'")]
    ExposeInvalidFormat { port: String },
}

fn meant(sign: &str, near: &Option<String>) -> String {
    near.as_ref().map_or_else(String::new, |name| format!(" (did you mean {sign}{name}?)"))
}

impl Finding {
    /// The check's name: what a `check` directive and BuildKit's clients call it.
    pub fn rule(&self) -> &'static str {
        self.facts().0
    }

    /// What the check is about, in one sentence.
    pub fn description(&self) -> &'static str {
        self.facts().2
    }

    /// Where Docker explains it.
    pub fn url(&self) -> String {
        format!("https://docs.docker.com/go/dockerfile/rule/{}/", self.facts().1)
    }

    /// Whether it is only made when a Dockerfile asks for it.
    pub fn is_experimental(&self) -> bool {
        matches!(self, Self::InvalidDefinitionDescription { .. })
    }

    /// Name, name in an address, description.
    #[expect(clippy::too_many_lines, reason = "a table")]
    fn facts(&self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::StageNameCasing { .. } => {
                ("StageNameCasing", "stage-name-casing", "Stage names should be lowercase")
            }
            Self::FromAsCasing { .. } => (
                "FromAsCasing",
                "from-as-casing",
                "The 'as' keyword should match the case of the 'from' keyword",
            ),
            Self::NoEmptyContinuation => (
                "NoEmptyContinuation",
                "no-empty-continuation",
                "Empty continuation lines will become errors in a future release",
            ),
            Self::ConsistentInstructionCasing { .. } => (
                "ConsistentInstructionCasing",
                "consistent-instruction-casing",
                "All commands within the Dockerfile should use the same casing (either upper or lower)",
            ),
            Self::DuplicateStageName { .. } => {
                ("DuplicateStageName", "duplicate-stage-name", "Stage names should be unique")
            }
            Self::ReservedStageName { .. } => (
                "ReservedStageName",
                "reserved-stage-name",
                "Reserved words should not be used as stage names",
            ),
            Self::JsonArgsRecommended { .. } => (
                "JSONArgsRecommended",
                "json-args-recommended",
                "JSON arguments recommended for ENTRYPOINT/CMD to prevent unintended behavior related to OS signals",
            ),
            Self::MaintainerDeprecated => (
                "MaintainerDeprecated",
                "maintainer-deprecated",
                "The MAINTAINER instruction is deprecated, use a label instead to define an image author",
            ),
            Self::UndefinedArgInFrom { .. } => {
                ("UndefinedArgInFrom", "undefined-arg-in-from", "FROM command must use declared ARGs")
            }
            Self::WorkdirRelativePath { .. } => (
                "WorkdirRelativePath",
                "workdir-relative-path",
                "Relative workdir without an absolute workdir declared within the build can have unexpected results if the base image changes",
            ),
            Self::UndefinedVar { .. } => {
                ("UndefinedVar", "undefined-var", "Variables should be defined before their use")
            }
            Self::MultipleInstructionsDisallowed { .. } => (
                "MultipleInstructionsDisallowed",
                "multiple-instructions-disallowed",
                "Multiple instructions of the same type should not be used in the same stage",
            ),
            Self::LegacyKeyValueFormat { .. } => (
                "LegacyKeyValueFormat",
                "legacy-key-value-format",
                "Legacy key/value format with whitespace separator should not be used",
            ),
            Self::InvalidBaseImagePlatform { .. } => (
                "InvalidBaseImagePlatform",
                "invalid-base-image-platform",
                "Base image platform does not match expected target platform",
            ),
            Self::RedundantTargetPlatform { .. } => (
                "RedundantTargetPlatform",
                "redundant-target-platform",
                "Setting platform to predefined $TARGETPLATFORM in FROM is redundant as this is the default behavior",
            ),
            Self::SecretsUsedInArgOrEnv { .. } => (
                "SecretsUsedInArgOrEnv",
                "secrets-used-in-arg-or-env",
                "Sensitive data should not be used in the ARG or ENV commands",
            ),
            Self::InvalidDefaultArgInFrom { .. } => (
                "InvalidDefaultArgInFrom",
                "invalid-default-arg-in-from",
                "Default value for global ARG results in an empty or invalid base image name",
            ),
            Self::FromPlatformFlagConstDisallowed { .. } => (
                "FromPlatformFlagConstDisallowed",
                "from-platform-flag-const-disallowed",
                "FROM --platform flag should not use a constant value",
            ),
            Self::CopyIgnoredFile { .. } => (
                "CopyIgnoredFile",
                "copy-ignored-file",
                "Attempting to Copy file that is excluded by .dockerignore",
            ),
            Self::InvalidDefinitionDescription { .. } => (
                "InvalidDefinitionDescription",
                "invalid-definition-description",
                "Comment for build stage or argument should follow the format: `# <arg/stage name> <description>`. If this is not intended to be a description comment, add an empty line or comment between the instruction and the comment.",
            ),
            Self::ExposeProtoCasing { .. } => (
                "ExposeProtoCasing",
                "expose-proto-casing",
                "Protocol in EXPOSE instruction should be lowercase",
            ),
            Self::ExposeInvalidFormat { .. } => (
                "ExposeInvalidFormat",
                "expose-invalid-format",
                "IP address and host-port mapping should not be used in EXPOSE instruction. This will become an error in a future release",
            ),
        }
    }
}

/// Something a check found, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// What.
    pub finding: Finding,
    /// Where.
    pub lines: Lines,
}

impl Warning {
    /// In one line, as BuildKit's clients print it.
    pub fn short(&self) -> String {
        format!("{}: {} (line {})", self.finding.rule(), self.finding, self.lines.first)
    }
}

/// What a Dockerfile, or its build, wants of the checks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Checks {
    skip: Rules,
    experimental: Rules,
    /// What they find ends the build.
    pub is_error: bool,
}

/// Some checks, or all of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Rules {
    all: bool,
    names: Vec<String>,
}

impl Rules {
    fn parse(text: &str) -> Self {
        let text = text.trim();
        if text == "all" {
            return Self { all: true, names: Vec::new() };
        }
        Self { all: false, names: text.split(',').map(|name| name.trim().to_owned()).collect() }
    }

    fn has(&self, rule: &str) -> bool {
        self.all || self.names.iter().any(|name| name == rule)
    }
}

impl Checks {
    /// Reads `skip=A,B;experimental=all;error=true`.
    ///
    /// # Errors
    /// For options that are none.
    pub fn parse(text: &str) -> Result<Self, Problem> {
        let mut checks = Self::default();
        if text.trim().is_empty() {
            return Ok(checks);
        }
        for part in text.trim().split(';') {
            let wrong = |option: &str| Problem::CheckOption { option: option.to_owned() };
            let (name, value) = part.split_once('=').ok_or_else(|| wrong(part))?;
            match name.trim() {
                "skip" => checks.skip = Rules::parse(value),
                "experimental" => checks.experimental = Rules::parse(value),
                "error" => {
                    let value = value.trim();
                    checks.is_error = model::boolean::parse(value).ok_or_else(|| Problem::CheckValue {
                        option: part.to_owned(),
                        value: value.to_owned(),
                    })?;
                }
                other => return Err(wrong(other)),
            }
        }
        Ok(checks)
    }

    /// Whether a finding is told.
    pub fn tells(&self, finding: &Finding) -> bool {
        if finding.is_experimental() {
            return self.experimental.has(finding.rule());
        }
        !self.skip.has(finding.rule())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directives_say_what_is_told() {
        let told = |text: &str, finding: &Finding| Checks::parse(text).expect("reads").tells(finding);
        let (casing, description) = (
            Finding::StageNameCasing { name: "A".into() },
            Finding::InvalidDefinitionDescription { keyword: "ARG", name: "a".into() },
        );
        assert!(told("", &casing) && !told("", &description));
        assert!(!told("skip=x, StageNameCasing", &casing) && told("skip=x", &casing));
        assert!(!told(" skip=all ; error=true", &casing));
        assert!(told("experimental=all", &description) && told("skip=all;experimental=all", &description));
        assert!(told("experimental=InvalidDefinitionDescription", &description));
        assert!(Checks::parse("error=1").expect("reads").is_error);
        assert!(!Checks::parse("error=false;skip=all").expect("reads").is_error);
        let wrong = |text: &str| Checks::parse(text).expect_err("is wrong").to_string();
        assert_eq!(wrong("skip"), "failed to parse check options: invalid check option \"skip\"");
        assert_eq!(wrong("only=x"), "failed to parse check options: invalid check option \"only\"");
        assert_eq!(
            wrong("error=maybe"),
            "failed to parse check options: failed to parse check option \"error=maybe\": \
             strconv.ParseBool: parsing \"maybe\": invalid syntax"
        );
    }

    #[test]
    fn findings_are_told_in_one_line() {
        let finding = Finding::UndefinedVar { name: "verson".into(), near: Some("version".into()) };
        let warning = Warning { finding, lines: Lines { first: 3, last: 4 } };
        assert_eq!(
            warning.short(),
            "UndefinedVar: Usage of undefined variable '$verson' (did you mean $version?) (line 3)"
        );
        assert_eq!(warning.finding.url(), "https://docs.docker.com/go/dockerfile/rule/undefined-var/");
        let finding = Finding::JsonArgsRecommended { keyword: "CMD".into() };
        assert_eq!((finding.rule(), finding.is_experimental()), ("JSONArgsRecommended", false));
    }
}
