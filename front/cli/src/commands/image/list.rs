//! `images`: lists images.

use std::collections::BTreeMap;

use api_client::Query;
use serde::Deserialize;

use super::reference;
use crate::command::Kind::{Filter, Switch};
use crate::command::{Arity, Command, FORMAT, Flag, flag, long, switch};
use crate::failure::Outcome;
use crate::human;
use crate::listing::{Column, Listing, column};
use crate::matches::Matches;
use crate::session::Session;

const FLAGS: &[Flag] = &[
    switch("all", 'a', "Show intermediate images too"),
    long("digests", Switch, "Show digests"),
    flag("filter", 'f', Filter, "", "Show only what fits, as dangling=true, label=x, reference=*/a, ..."),
    FORMAT,
    long("no-trunc", Switch, "Show everything in full"),
    switch("quiet", 'q', "Show only ids"),
    long("tree", Switch, "Show platforms below each image"),
];

/// The command.
pub const COMMAND: Command = Command {
    about: "List images",
    usage: &["[OPTIONS] [REPOSITORY[:TAG]]"],
    spellings: &["image ls", "image list", "images"],
    flags: &[FLAGS],
    arity: Arity::Max(1),
    interspersed: true,
    examples: &["images --filter dangling=true", "images --format '{{.Repository}}:{{.Tag}} {{.Size}}'"],
    run,
};

/// An image in a list.
#[derive(Deserialize, Default, Clone)]
#[serde(rename_all = "PascalCase", default)]
pub struct Summary {
    /// Its id.
    pub id: String,
    /// Names with tags.
    pub repo_tags: Option<Vec<String>>,
    /// Names with digests.
    pub repo_digests: Option<Vec<String>>,
    /// When it was made.
    pub created: i64,
    /// Bytes.
    pub size: i64,
    /// Bytes shared with others; -1 when not asked for.
    pub shared_size: i64,
    /// Containers of it; -1 when not counted.
    pub containers: i64,
    /// Its labels.
    pub labels: Option<BTreeMap<String, String>>,
}

#[derive(Clone)]
struct Row {
    image: Summary,
    repository: String,
    tag: String,
    digest: String,
    whole: bool,
}

const NONE: &str = "<none>";

const COLUMNS: &[Column<Row>] = &[
    column("ID", "IMAGE ID", |row| {
        if row.whole { row.image.id.as_str() } else { human::short_id(&row.image.id) }.into()
    }),
    column("Repository", "REPOSITORY", |row| row.repository.as_str().into()),
    column("Tag", "TAG", |row| row.tag.as_str().into()),
    column("Digest", "DIGEST", |row| row.digest.as_str().into()),
    column("CreatedSince", "CREATED", |row| {
        if row.image.created <= 0 { "N/A".into() } else { human::ago(row.image.created).into() }
    }),
    column("CreatedAt", "CREATED AT", |row| human::date(row.image.created).into()),
    column("Size", "SIZE", |row| human::size3(row.image.size as f64).into()),
    column("Containers", "CONTAINERS", |row| match row.image.containers {
        -1 => "N/A".into(),
        count => count.to_string().into(),
    }),
    column("VirtualSize", "SIZE", |row| human::size(row.image.size as f64).into()),
    column("SharedSize", "SHARED SIZE", |row| match row.image.shared_size {
        -1 => "N/A".into(),
        size => human::size(size as f64).into(),
    }),
    column("UniqueSize", "UNIQUE SIZE", |row| match row.image.shared_size {
        -1 => "N/A".into(),
        size => human::size((row.image.size - size) as f64).into(),
    }),
];

static LISTING: Listing<Row> = Listing {
    type_name: "*formatter.imageContext",
    columns: COLUMNS,
    table: "table {{.Repository}}\t{{.Tag}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}",
    raw: "repository: {{.Repository}}\ntag: {{.Tag}}\nimage_id: {{.ID}}\ncreated_at: {{.CreatedAt}}\nvirtual_size: {{.Size}}\n",
    label: None,
};

const WITH_DIGESTS: &str =
    "table {{.Repository}}\t{{.Tag}}\t{{.Digest}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}";

const RAW_WITH_DIGESTS: &str = "repository: {{.Repository}}\ntag: {{.Tag}}\ndigest: {{.Digest}}\nimage_id: {{.ID}}\ncreated_at: {{.CreatedAt}}\nvirtual_size: {{.Size}}\n";

fn run(session: &Session, matches: &Matches) -> Outcome {
    let mut filters = matches.filters();
    if !matches.arg(0).is_empty() {
        filters.add("reference", matches.arg(0));
    }
    let query = Query::new().flag("all", matches.on("all")).filters(&filters);
    if matches.on("tree") {
        return super::tree::print(session, matches, query);
    }
    let list: Vec<Summary> = session.client()?.get("/images/json", &query)?;
    let quiet = matches.on("quiet");
    let digests = matches.on("digests");
    let format = match (matches.text("format"), quiet) {
        ("" | "table", true) => "{{.ID}}",
        ("", false) => session.config().text("imagesFormat"),
        (given, _) => given,
    };
    let whole = matches.on("no-trunc");
    let wants_digest = digests || format.contains("Digest");
    let rows = list.into_iter().flat_map(|image| rows(image, wants_digest, whole)).collect();
    let format = match format {
        "" | "table" if digests => WITH_DIGESTS,
        "raw" if quiet => "image_id: {{.ID}}",
        "raw" if digests => RAW_WITH_DIGESTS,
        other => other,
    };
    LISTING.print(format, rows)
}

/// An image has a row for every tag; without tags one for each digest, and without those one.
fn rows(image: Summary, wants_digest: bool, whole: bool) -> Vec<Row> {
    let row = |repository: &str, tag: &str, digest: &str| Row {
        image: image.clone(),
        repository: repository.to_owned(),
        tag: tag.to_owned(),
        digest: digest.to_owned(),
        whole,
    };
    let parse = |text: &String| reference::parse(text).ok();
    let tags: Vec<_> =
        image.repo_tags.iter().flatten().filter(|tag| !tag.starts_with(NONE)).filter_map(parse).collect();
    let digests: Vec<_> = image
        .repo_digests
        .iter()
        .flatten()
        .filter(|text| !text.starts_with(NONE))
        .filter_map(parse)
        .collect();
    let mut rows = Vec::new();
    for tag in &tags {
        let name = tag.familiar_name();
        let label = tag.tag.as_deref().unwrap_or(NONE);
        let own: Vec<_> =
            digests.iter().filter(|digest| wants_digest && digest.familiar_name() == name).collect();
        if own.is_empty() {
            rows.push(row(&name, label, NONE));
        }
        rows.extend(own.iter().map(|digest| row(&name, label, digest.digest.as_deref().unwrap_or(NONE))));
    }
    if tags.is_empty() {
        for digest in &digests {
            let shown = if wants_digest { digest.digest.as_deref().unwrap_or(NONE) } else { NONE };
            rows.push(row(&digest.familiar_name(), NONE, shown));
            if !wants_digest {
                break;
            }
        }
        if digests.is_empty() {
            rows.push(row(NONE, NONE, NONE));
        }
    }
    rows
}
