//! The filters of network lists and prunes.

use model::Filters;
use model::filter::FilterError;

use crate::Network;
use crate::record::Driver;

const LIST_KEYS: [&str; 7] = ["dangling", "driver", "id", "label", "name", "scope", "type"];

/// The networks that Docker's list filters take.
pub(crate) fn apply(
    filters: &Filters,
    networks: Vec<Network>,
    unused: impl Fn(&Network) -> bool,
) -> Result<Vec<Network>, FilterError> {
    filters.allow_only(&LIST_KEYS)?;
    for kind in filters.get("type") {
        if !matches!(kind, "builtin" | "custom") {
            return Err(FilterError::BadValue { key: "type".to_owned(), value: kind.to_owned() });
        }
    }
    let dangling = dangling(filters)?;
    let takes = |network: &Network| {
        filters.any("driver", |driver| driver == network.driver.name())
            && filters.any("id", |part| network.id.as_str().contains(part))
            && filters.any("name", |part| network.name.contains(part))
            && filters.any("scope", |scope| scope == "local")
            && filters.any("type", |kind| (kind == "builtin") == network.predefined)
            && filters.match_labels(&network.labels)
            && dangling.is_none_or(|wanted| wanted == (!network.predefined && unused(network)))
    };
    Ok(networks.into_iter().filter(takes).collect())
}

fn dangling(filters: &Filters) -> Result<Option<bool>, FilterError> {
    let mut wanted = None;
    for value in filters.get("dangling") {
        wanted = Some(match value.to_ascii_lowercase().as_str() {
            "1" | "t" | "true" => true,
            "0" | "f" | "false" => false,
            _ => return Err(FilterError::BadValue { key: "dangling".to_owned(), value: value.to_owned() }),
        });
    }
    Ok(wanted)
}

/// Whether a prune may remove it at all: Docker's prune takes bridge networks made by people.
pub(crate) fn is_prunable(network: &Network) -> bool {
    !network.predefined && network.driver == Driver::Bridge
}
