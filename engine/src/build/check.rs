//! A Dockerfile looked at without building it.

use builder::Dockerfile;
use builder::dockerfile::Warning;
use builder::plan::{Base, Bases, Options, Plan, PlanError};
use oci::Platform;

use super::bases::{here, of_image};
use super::{BuildError, BuildRequest, Builds, step_at};
use crate::engine::Inner;
use crate::{Error, Result};

/// Images that are here; others are taken to be as they should be, so that nothing is fetched for a look.
struct Known<'k> {
    inner: &'k Inner,
    request: &'k BuildRequest,
}

impl Bases for Known<'_> {
    type Error = Error;

    fn base(&mut self, name: &str, platform: &Platform) -> Result<Base> {
        if let Some(image) = here(self.inner, self.request, name, platform)? {
            return Ok(of_image(&image));
        }
        let mut base = Base::default();
        base.config.platform = platform.clone();
        Ok(base)
    }
}

impl Builds<'_> {
    /// What the checks find in a Dockerfile, in the order of its lines.
    ///
    /// # Errors
    /// Why it could not be built, as far as that shows without doing it.
    pub fn check(
        &self,
        request: &BuildRequest,
        file: &Dockerfile,
    ) -> std::result::Result<Vec<Warning>, BuildError> {
        let options = Options { only_checks: true, ..request.options.clone() };
        let mut bases = Known { inner: self.inner, request };
        match Plan::new(file, &options, &mut bases) {
            Ok(plan) => Ok(plan.warnings),
            Err(PlanError::File(error)) => Err(BuildError::File(error)),
            Err(PlanError::Base { name, lines, error }) => {
                Err(BuildError::Base { step: step_at(file, lines, name), error })
            }
        }
    }
}
