//! `SOURCE_DATE_EPOCH`: nothing a build makes is younger than this, so that it is the same on any day.

use builder::plan::{Options, Past, Plan, Style};
use model::Timestamp;
use oci::image::ImageConfig;

use crate::{Error, Result};

/// The build argument's name.
pub(super) const NAME: &str = "SOURCE_DATE_EPOCH";

/// What a build says about it; the classic builder knows nothing of it.
pub(super) fn of(options: &Options) -> Result<Option<Timestamp>> {
    let said = options.arguments.get(NAME).cloned().flatten();
    match said.filter(|text| !text.is_empty() && options.style == Style::BuildKit) {
        None => Ok(None),
        Some(text) => parse(&text).map(Some),
    }
}

/// Seconds since 1970.
///
/// # Errors
/// When it is no number, or none that is a time.
pub fn parse(text: &str) -> Result<Timestamp> {
    let wrong = || Error::invalid(format!("invalid {NAME}: {text}"));
    let seconds: i64 = text.parse().map_err(|_| wrong())?;
    let time = Timestamp::from_unix(seconds, 0);
    if time.seconds() == seconds { Ok(time) } else { Err(wrong()) }
}

/// Steps of this build have that time, those below at most that one.
pub(super) fn apply(config: &mut ImageConfig, plan: &Plan, latest: Timestamp) {
    for (past, entry) in plan.history.iter().zip(&mut config.history) {
        let is_new = matches!(past, Past::New { .. });
        entry.created = entry.created.filter(|created| !is_new && *created <= latest).or(Some(latest));
    }
    config.created = config.history.last().and_then(|entry| entry.created).or(Some(latest));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_seconds_of_real_times_are_read() {
        assert_eq!(parse("1600000000").expect("reads"), Timestamp::from_unix(1_600_000_000, 0));
        assert_eq!(parse("0").expect("reads"), Timestamp::from_unix(0, 0));
        for wrong in ["", "1e9", "2020-01-01", " 1", "99999999999999999", "9223372036854775807"] {
            assert!(parse(wrong).is_err(), "{wrong:?}");
        }
        let mut options = Options { style: Style::BuildKit, ..Options::default() };
        options.arguments.insert(NAME.into(), Some("x".into()));
        assert!(of(&options).is_err());
        options.style = Style::Classic;
        assert_eq!(of(&options).expect("not looked at"), None);
    }
}
