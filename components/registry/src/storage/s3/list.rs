//! Listings of a bucket: the few fields that count, read out of their XML.

use transport::server::percent_decode;

/// One object of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Object {
    pub name: String,
    pub size: u64,
    /// Seconds since the epoch.
    pub since: i64,
}

/// A part of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Page {
    pub objects: Vec<Object>,
    /// What the next part is asked for with.
    pub next: Option<String>,
}

impl Page {
    /// Reads an answer to a listing with `encoding-type=url`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let body = within(text, "ListBucketResult")?.0;
        let mut objects = Vec::new();
        let mut rest = body;
        while let Some((entry, behind)) = within(rest, "Contents") {
            rest = behind;
            objects.push(Object {
                name: percent_decode(within(entry, "Key")?.0, true)?.into_owned(),
                size: within(entry, "Size")?.0.parse().ok()?,
                since: within(entry, "LastModified")?.0.parse::<model::Timestamp>().ok()?.seconds(),
            });
        }
        let more = within(body, "IsTruncated").is_some_and(|(text, _)| text == "true");
        let next = within(body, "NextContinuationToken").map(|(text, _)| plain(text));
        Some(Self { objects, next: next.filter(|_| more) })
    }
}

/// What stands between a tag and its end, and what follows. The tag may have attributes.
fn within<'t>(text: &'t str, tag: &str) -> Option<(&'t str, &'t str)> {
    let open = format!("<{tag}");
    let mut from = 0;
    loop {
        let at = from + text.get(from..)?.find(&open)? + open.len();
        let rest = text.get(at..)?;
        from = at;
        if rest.starts_with(['>', ' ']) {
            let (_, inside) = rest.split_once('>')?;
            return inside.split_once(&format!("</{tag}>"));
        }
    }
}

fn plain(text: &str) -> String {
    let pairs = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&amp;", "&")];
    pairs.iter().fold(text.to_owned(), |text, (entity, letter)| text.replace(entity, letter))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_read_and_nonsense_is_none() {
        let text = "<?xml version=\"1.0\"?><ListBucketResult xmlns=\"x\"><KeyCount>1</KeyCount><IsTruncated>true\
                    </IsTruncated><Contents><Key>a%2Fb%3A1</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>\
                    <Size>7</Size></Contents><NextContinuationToken>a&amp;b</NextContinuationToken></ListBucketResult>";
        let page = Page::parse(text).unwrap();
        assert_eq!(page.objects, [Object { name: "a/b:1".into(), size: 7, since: 1_767_225_600 }]);
        assert_eq!(page.next.as_deref(), Some("a&b"));
        for end in 0..text.len() {
            // Cut anywhere it is no page, and never a panic.
            assert_eq!(text.get(..end).and_then(Page::parse), None, "{end}");
        }
    }
}
