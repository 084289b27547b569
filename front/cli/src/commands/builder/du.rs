//! `builder du`: what the build cache holds.

use api::system::BuildCache;

use super::record;
use crate::command::Kind::{Duration, Filter, Text};
use crate::command::{Arity, Command, Flag, flag, long, switch};
use crate::failure::{Failure, Outcome};
use crate::human;
use crate::listing::{Column, Listing, column};
use crate::matches::Matches;
use crate::session::Session;

const FLAGS: &[Flag] = &[
    long("builder", Text, ""),
    switch("debug", 'D', ""),
    long("filter", Filter, "Show only what fits, type=regular say"),
    long("format", Text, "How to print each record: 'json', or a Go template"),
    flag("timeout", '\0', Duration, "20s", ""),
    switch("verbose", '\0', "Show everything about each record"),
];

/// The command.
pub const COMMAND: Command = Command {
    about: "Disk usage",
    usage: &["[OPTIONS]"],
    spellings: &["builder du", "buildx du"],
    flags: &[FLAGS],
    arity: Arity::None,
    interspersed: true,
    examples: &["builder du --filter inuse=false"],
    run,
};

const COLUMNS: &[Column<BuildCache>] = &[
    column("ID", "ID", |record| record.id.clone().into()),
    column("Parents", "PARENTS", |record| parents(record).into()),
    column("Type", "TYPE", |record| record.kind.clone().into()),
    column("Description", "DESCRIPTION", |record| record.description.clone().into()),
    column("CreatedAt", "CREATED AT", |record| record.created_at.clone().into()),
    column("LastUsedAt", "LAST ACCESSED", |record| record::last_used(record).into()),
    column("Reclaimable", "RECLAIMABLE", |record| (!record.in_use).to_string().into()),
    column("Shared", "SHARED", |record| record.shared.to_string().into()),
    column("Size", "SIZE", |record| size(record).into()),
    column("UsageCount", "USAGE COUNT", |record| record.usage_count.to_string().into()),
];

static LISTING: Listing<BuildCache> = Listing {
    type_name: "*formatter.buildCacheContext",
    columns: COLUMNS,
    table: "table {{.ID}}\t{{.Reclaimable}}\t{{.Size}}\t{{.LastUsedAt}}",
    raw: "",
    label: None,
};

fn run(session: &Session, matches: &Matches) -> Outcome {
    let format = matches.text("format");
    if matches.on("verbose") && !format.is_empty() {
        return Err(Failure::text("--format and --verbose cannot be used together"));
    }
    let records = record::fetch(session.client()?, &matches.filters())?;
    if !format.is_empty() {
        return LISTING.print(format, records);
    }
    let sums = sums(&records);
    if matches.on("verbose") {
        records.iter().for_each(|record| print!("{}", long_form(record)));
    } else {
        LISTING.print("", records)?;
    }
    print!("{sums}");
    Ok(())
}

/// The table of records that prune prints too.
pub(super) fn table(records: Vec<BuildCache>) -> Outcome {
    LISTING.print("", records)
}

/// The size; a star marks what somebody else uses too.
fn size(record: &BuildCache) -> String {
    format!("{}{}", human::size(record.size as f64), if record.shared { "*" } else { "" })
}

fn parents(record: &BuildCache) -> String {
    record.parents.iter().flatten().map(String::as_str).collect::<Vec<_>>().join(", ")
}

fn long_form(record: &BuildCache) -> String {
    let mut rows = vec![
        ("ID", record.id.clone()),
        ("Parents", parents(record)),
        ("Created at", record.created_at.clone()),
        ("Reclaimable", (!record.in_use).to_string()),
        ("Shared", record.shared.to_string()),
        ("Size", human::size(record.size as f64)),
        ("Description", record.description.clone()),
        ("Usage count", record.usage_count.to_string()),
        ("Last used", record::last_used(record)),
        ("Type", record.kind.clone()),
    ];
    rows.retain(|(_, value)| !value.is_empty());
    let lines: String = rows.iter().map(|(name, value)| format!("{name}:\t{value}\n")).collect();
    terminal::Table::DOCKER.layout(&lines) + "\n"
}

/// What all records take together.
fn sums(records: &[BuildCache]) -> String {
    let sum = |counts: fn(&BuildCache) -> bool| {
        records.iter().filter(|record| counts(record)).map(|record| record.size.max(0) as f64).sum::<f64>()
    };
    let (total, shared) = (sum(|_| true), sum(|record| record.shared));
    let mut lines = String::new();
    if shared > 0.0 {
        lines.push_str(&format!("Shared:\t{}\n", human::size(shared)));
        lines.push_str(&format!("Private:\t{}\n", human::size(total - shared)));
    }
    lines.push_str(&format!("Reclaimable:\t{}\n", human::size(sum(|record| !record.in_use))));
    lines.push_str(&format!("Total:\t{}\n", human::size(total)));
    terminal::Table::DOCKER.layout(&lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_tell_what_can_go() {
        let record = |size: i64, in_use: bool, shared: bool| BuildCache {
            size,
            in_use,
            shared,
            ..BuildCache::default()
        };
        assert_eq!(sums(&[]), "Reclaimable:   0B\nTotal:         0B\n");
        let records = [record(1000, false, false), record(500, true, false), record(250, false, true)];
        assert_eq!(
            sums(&records),
            "Shared:        250B\nPrivate:       1.5kB\nReclaimable:   1.25kB\nTotal:         1.75kB\n"
        );
        let record = BuildCache { id: "x".to_owned(), kind: "regular".to_owned(), ..BuildCache::default() };
        assert!(long_form(&record).starts_with("ID:            x\nReclaimable:   true\n"));
    }
}
