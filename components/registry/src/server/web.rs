//! A page for people: repositories, and the tags of one with sizes and layers. Whole in one answer, no scripts.

use std::fmt::Write as _;

use transport::server::{Exchange, ResponseHead};

use super::answer::{Answered, Fault};
use super::route::parameter;
use crate::name::Repository;
use crate::percent::escape;
use crate::registry::TagView;
use crate::{Registry, RegistryError};

/// Rows on a page.
const ROWS: usize = 200;

const STYLE: &str = "\
:root{color-scheme:light dark;--edge:#8883;--soft:#888;--link:#0b6bcb}
@media(prefers-color-scheme:dark){:root{--link:#6db3f8}}
body{font:16px/1.5 system-ui,sans-serif;margin:0 auto;max-width:60rem;padding:2rem 1rem}
h1{font-size:1.4rem;margin:0 0 1.5rem;font-weight:600}
a{color:var(--link);text-decoration:none}a:hover{text-decoration:underline}
table{border-collapse:collapse;width:100%}
th{text-align:left;font-weight:500;color:var(--soft);font-size:.85rem}
th,td{padding:.55rem .75rem .55rem 0;border-bottom:1px solid var(--edge);vertical-align:top}
td.n,th.n{text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums}
code{font:.85rem ui-monospace,monospace;color:var(--soft)}
details summary{cursor:pointer}details code{display:block}
p{color:var(--soft)}";

/// `/`
pub(super) fn repositories(
    registry: &Registry,
    exchange: &mut Exchange<'_>,
    query: &str,
    may_see: &dyn Fn(&str) -> bool,
) -> Answered {
    let last = parameter(query, "last").unwrap_or_default();
    let page = registry.catalog(&last, ROWS, may_see)?;
    let mut rows = String::new();
    for name in &page.names {
        let parsed: Repository = name.parse()?;
        let count = registry.count_tags(&parsed)?;
        let text = html(name);
        let _ = write!(rows, "<tr><td><a href=\"/ui/{text}\">{text}</a><td class=n>{count}");
    }
    let body = match page.names.is_empty() {
        true => "<p>Nothing was pushed yet.".to_owned(),
        false => format!("<table><tr><th>Repository<th class=n>Tags{rows}</table>"),
    };
    let next = page.more.then(|| page.names.last()).flatten();
    send(exchange, "Registry", "<h1>Registry</h1>", &(body + &more("/", next)))
}

/// `/ui/NAME`
pub(super) fn repository(
    registry: &Registry,
    exchange: &mut Exchange<'_>,
    name: &Repository,
    query: &str,
) -> Answered {
    let last = parameter(query, "last").unwrap_or_default();
    let page = registry.tags(name, &last, ROWS)?;
    let mut rows = String::new();
    for tag in &page.names {
        if let Some(view) = registry.view_tag(name, tag)? {
            row(&mut rows, tag, &view);
        }
    }
    let text = html(name.as_str());
    let heading = format!("<h1><a href=\"/\">Registry</a> / {text}</h1>");
    let body = format!("<table><tr><th>Tag<th>Digest<th>Pushed<th>Layers<th class=n>Size{rows}</table>");
    let next = page.more.then(|| page.names.last()).flatten();
    send(exchange, &text, &heading, &(body + &more(&format!("/ui/{text}"), next)))
}

fn row(rows: &mut String, tag: &str, view: &TagView) {
    let pushed = model::Timestamp::from_unix(view.since, 0).to_string();
    let pushed = pushed.get(..16).unwrap_or_default().replace('T', " ");
    let mut layers = format!("<details><summary>{}</summary>", view.parts.len());
    for (digest, size) in &view.parts {
        let _ = write!(layers, "<code>{} {}</code>", html(digest.short()), human(*size));
    }
    let total: u64 = view.parts.iter().map(|(_, size)| *size).sum();
    let _ = write!(
        rows,
        "<tr><td>{}<td><code title=\"{}\">{}</code><td>{pushed}<td>{layers}</details><td class=n>{}",
        html(tag),
        html(view.digest.as_str()),
        html(view.digest.short()),
        human(total)
    );
}

fn more(path: &str, last: Option<&String>) -> String {
    last.map(|last| format!("<p><a href=\"{path}?last={}\">More</a>", escape(last))).unwrap_or_default()
}

fn send(exchange: &mut Exchange<'_>, title: &str, heading: &str, body: &str) -> Answered {
    let page = format!(
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content=\"width=device-width\">\
         <title>{title}</title><style>{STYLE}</style>{heading}{body}"
    );
    let head = ResponseHead::new(200)
        .content_type("text/html; charset=utf-8")
        .with("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
        .with("X-Content-Type-Options", "nosniff")
        .with("Cache-Control", "no-store");
    exchange.respond(&head, page.as_bytes())?;
    Ok(200)
}

/// The repository of a page's path.
pub(super) fn named(path: &str) -> Option<Result<Repository, Fault>> {
    let name = path.strip_prefix("/ui/")?;
    Some(name.parse::<Repository>().map_err(|error: RegistryError| error.into()))
}

/// A text that is nothing but text in a page.
fn html(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

/// Bytes as people read them.
fn human(bytes: u64) -> String {
    let mut rest = bytes;
    let mut unit = "B";
    let mut tenths = 0;
    for next in ["kB", "MB", "GB", "TB"] {
        if rest < 1000 {
            break;
        }
        tenths = rest % 1000 / 100;
        rest /= 1000;
        unit = next;
    }
    if unit == "B" { format!("{rest} B") } else { format!("{rest}.{tenths} {unit}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_and_sizes() {
        assert_eq!(html("<a href='x'>&\""), "&lt;a href=&#39;x&#39;&gt;&amp;&quot;");
        for (bytes, text) in [(0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (172_300_000, "172.3 MB")] {
            assert_eq!(human(bytes), text);
        }
    }
}
