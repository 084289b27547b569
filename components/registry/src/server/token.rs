//! `/token`: tokens for our own users, by GET with a password or by an OAuth 2 form.

use serde_json::json;
use transport::server::Exchange;

use super::answer::{self, Answered};
use super::route::{parameter, parameters};
use crate::RegistryError;
use crate::auth::{Access, Caller, MOST_SCOPES, Scope};

/// Bytes of a form at most.
const LONGEST_FORM: usize = 64 * 1024;

pub(super) fn serve(access: &Access, exchange: &mut Exchange<'_>, query: &str) -> Answered {
    match exchange.head.method.as_str() {
        "GET" => {
            let caller = access.caller(exchange.head.header("authorization"));
            let refresh = parameter(query, "offline_token").is_some_and(|text| text == "true");
            answer_with(access, exchange, caller.as_ref(), query, refresh)
        }
        "POST" => {
            let body = exchange.body()?.read_all(LONGEST_FORM);
            let body = body.map_err(RegistryError::Client)?;
            let form = String::from_utf8(body).unwrap_or_default();
            let field = |name| parameter(&form, name).unwrap_or_default();
            let caller = match &*field("grant_type") {
                "password" => access.named(&field("username"), &field("password")),
                "refresh_token" => access.refreshed(&field("refresh_token")),
                _ => None,
            };
            let refresh = field("access_type") == "offline";
            answer_with(access, exchange, caller.as_ref(), &form, refresh)
        }
        _ => answer::method_refused(exchange, "GET, POST"),
    }
}

fn answer_with(
    access: &Access,
    exchange: &mut Exchange<'_>,
    caller: Option<&Caller>,
    query: &str,
    refresh: bool,
) -> Answered {
    // One parameter may hold several scopes.
    let mut scopes = Vec::new();
    for text in parameters(query, "scope") {
        scopes.extend(text.split(' ').filter_map(Scope::parse).take(MOST_SCOPES));
    }
    let issued = access.issue(caller, &scopes, refresh)?;
    let mut value = json!({
        "token": issued.token,
        "access_token": issued.token,
        "expires_in": issued.lifetime,
        "issued_at": model::Timestamp::now().to_string(),
    });
    if let Some(refresh) = issued.refresh {
        value["refresh_token"] = refresh.into();
    }
    answer::document(
        exchange,
        answer::head(200).with("Cache-Control", "no-store"),
        "application/json",
        &value,
    )
}
