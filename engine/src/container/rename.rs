//! `rename`.

use super::events;
use crate::engine::Inner;
use crate::{Error, Result};

pub(crate) fn rename(inner: &Inner, reference: &str, new_name: &str) -> Result<()> {
    if new_name.is_empty() || reference.is_empty() {
        return Err(Error::invalid("Neither old nor new names may be empty"));
    }
    let container = inner.find(reference)?;
    let _operation = container.operate();
    let old = inner.containers.rename(&container, new_name).map_err(|error| match error {
        ::container::StoreError::BadName { .. } => {
            let name = new_name.strip_prefix('/').unwrap_or(new_name);
            Error::invalid(format!(
                "Error when allocating new name: Invalid container name (/{name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"
            ))
        }
        error @ ::container::StoreError::NameTaken { .. } => {
            Error::from_kinded(error).prefixed("Error when allocating new name")
        }
        error => Error::from_kinded(error),
    })?;
    let record = container.record();
    inner.networks.rename_container(&record.id, &record.name);
    events::container(inner, &record, "rename", &[("oldName", format!("/{old}"))]);
    Ok(())
}
