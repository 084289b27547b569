//! `system df`: what takes how much room.

use api_client::Query;
use serde_json::Value as Json;

use crate::command::Kind::Text;
use crate::command::{Arity, Command, Flag, long, switch};
use crate::failure::{Failure, Outcome};
use crate::human;
use crate::listing::{Column, Listing, column};
use crate::matches::Matches;
use crate::session::Session;

const FLAGS: &[Flag] = &[
    long("format", Text, "How to print each row: 'json', or a Go template"),
    switch("verbose", 'v', "Show every item"),
];

/// The command.
pub const COMMAND: Command = Command {
    about: "Show docker disk usage",
    usage: &["[OPTIONS]"],
    spellings: &[],
    flags: &[FLAGS],
    arity: Arity::None,
    interspersed: true,
    examples: &["system df -v"],
    run,
};

#[derive(Default)]
struct Row {
    kind: &'static str,
    total: usize,
    active: usize,
    size: f64,
    reclaimable: f64,
    share: bool,
}

const COLUMNS: &[Column<Row>] = &[
    column("Type", "TYPE", |row| row.kind.into()),
    column("TotalCount", "TOTAL", |row| row.total.to_string().into()),
    column("Active", "ACTIVE", |row| row.active.to_string().into()),
    column("Size", "SIZE", |row| human::size3(row.size).into()),
    column("Reclaimable", "RECLAIMABLE", |row| {
        let amount = human::size3(row.reclaimable);
        if row.share && row.size > 0.0 {
            format!("{amount} ({}%)", (row.reclaimable * 100.0 / row.size) as i64).into()
        } else {
            amount.into()
        }
    }),
];

static LISTING: Listing<Row> = Listing {
    type_name: "*formatter.diskUsageContext",
    columns: COLUMNS,
    table: "table {{.Type}}\t{{.TotalCount}}\t{{.Active}}\t{{.Size}}\t{{.Reclaimable}}",
    label: None,
};

fn list<'a>(document: &'a Json, name: &str, newer: &str) -> Vec<&'a Json> {
    let found = document.get(name).and_then(Json::as_array);
    let found = found.or_else(|| document.pointer(newer).and_then(Json::as_array));
    found.into_iter().flatten().collect()
}

fn number(item: &Json, pointer: &str) -> f64 {
    item.pointer(pointer).and_then(Json::as_f64).unwrap_or(0.0)
}

fn run(session: &Session, matches: &Matches) -> Outcome {
    let client = session.client()?;
    let query = if client.at_least("1.52")? { Query::new().set("verbose", "1") } else { Query::new() };
    let document: Json = client.get("/system/df", &query)?;
    let images = list(&document, "Images", "/ImageUsage/Items");
    let containers = list(&document, "Containers", "/ContainerUsage/Items");
    let volumes = list(&document, "Volumes", "/VolumeUsage/Items");
    let cache = list(&document, "BuildCache", "/BuildCacheUsage/Items");
    let layers = document.get("LayersSize").or_else(|| document.pointer("/ImageUsage/TotalSize"));
    let layers = layers.and_then(Json::as_f64).unwrap_or(0.0);
    if matches.on("verbose") {
        if !matches.text("format").is_empty() {
            return Err(Failure::text("the verbose and the format options conflict"));
        }
        return verbose::print(&images, &containers, &volumes, &cache);
    }
    let used_images: f64 = images
        .iter()
        .filter(|image| number(image, "/Containers") > 0.0 && number(image, "/Size") >= 0.0)
        .map(|image| number(image, "/Size") - number(image, "/SharedSize").max(0.0))
        .sum();
    let running = |item: &&&Json| {
        matches!(item.get("State").and_then(Json::as_str), Some("running" | "paused" | "restarting"))
    };
    let container_size: f64 = containers.iter().map(|item| number(item, "/SizeRw")).sum();
    let stopped: f64 =
        containers.iter().filter(|item| !running(item)).map(|item| number(item, "/SizeRw")).sum();
    let volume_size = |item: &&&Json| number(item, "/UsageData/Size").max(0.0);
    let in_use = |item: &&&Json| item.get("InUse").and_then(Json::as_bool).unwrap_or(false);
    let shared = |item: &&&Json| item.get("Shared").and_then(Json::as_bool).unwrap_or(false);
    let rows = vec![
        Row {
            kind: "Images",
            total: images.len(),
            active: images.iter().filter(|image| number(image, "/Containers") > 0.0).count(),
            size: layers,
            reclaimable: layers - used_images,
            share: true,
        },
        Row {
            kind: "Containers",
            total: containers.len(),
            active: containers.iter().filter(running).count(),
            size: container_size,
            reclaimable: stopped,
            share: true,
        },
        Row {
            kind: "Local Volumes",
            total: volumes.len(),
            active: volumes.iter().filter(|item| number(item, "/UsageData/RefCount") > 0.0).count(),
            size: volumes.iter().map(|item| volume_size(&item)).sum(),
            reclaimable: volumes
                .iter()
                .filter(|item| number(item, "/UsageData/RefCount") == 0.0)
                .map(|item| volume_size(&item))
                .sum(),
            share: true,
        },
        Row {
            kind: "Build Cache",
            total: cache.len(),
            active: cache.iter().filter(in_use).count(),
            size: cache.iter().filter(|item| !shared(item)).map(|item| number(item, "/Size")).sum(),
            reclaimable: cache
                .iter()
                .filter(|item| !in_use(item) && !shared(item))
                .map(|item| number(item, "/Size"))
                .sum(),
            share: false,
        },
    ];
    LISTING.print(matches.text("format"), rows)
}

/// The long form: a table for each kind.
mod verbose {
    use serde_json::Value as Json;

    use super::number;
    use crate::failure::Outcome;
    use crate::human;

    pub fn print(images: &[&Json], containers: &[&Json], volumes: &[&Json], cache: &[&Json]) -> Outcome {
        let text =
            |item: &Json, name: &str| item.get(name).and_then(Json::as_str).unwrap_or_default().to_owned();
        let mut out =
            String::from("REPOSITORY\tTAG\tIMAGE ID\tCREATED\tSIZE\tSHARED SIZE\tUNIQUE SIZE\tCONTAINERS\n");
        for image in images {
            let names = image.get("RepoTags").and_then(Json::as_array);
            let name =
                names.and_then(|names| names.first()).and_then(Json::as_str).unwrap_or("<none>:<none>");
            let (repository, tag) = name.rsplit_once(':').unwrap_or((name, "<none>"));
            let (size, shared) = (number(image, "/Size"), number(image, "/SharedSize").max(0.0));
            out.push_str(&format!(
                "{repository}\t{tag}\t{}\t{}\t{}\t{}\t{}\t{}\n",
                human::short_id(&text(image, "Id")),
                human::ago(number(image, "/Created") as i64),
                human::size3(size),
                human::size(shared),
                human::size(size - shared),
                number(image, "/Containers"),
            ));
        }
        section("Images space usage:", &out);
        let mut out =
            String::from("CONTAINER ID\tIMAGE\tCOMMAND\tLOCAL VOLUMES\tSIZE\tCREATED\tSTATUS\tNAMES\n");
        for item in containers {
            let names: Vec<&str> = item
                .get("Names")
                .and_then(Json::as_array)
                .into_iter()
                .flatten()
                .filter_map(Json::as_str)
                .map(|name| name.trim_start_matches('/'))
                .collect();
            let local = item.get("Mounts").and_then(Json::as_array).into_iter().flatten();
            let local =
                local.filter(|mount| mount.get("Driver").and_then(Json::as_str) == Some("local")).count();
            out.push_str(&format!(
                "{}\t{}\t{}\t{local}\t{}\t{}\t{}\t{}\n",
                human::short_id(&text(item, "Id")),
                text(item, "Image"),
                crate::value::quoted(&human::ellipsis(&text(item, "Command"), 20)),
                human::size3(number(item, "/SizeRw")),
                human::ago(number(item, "/Created") as i64),
                text(item, "Status"),
                names.join(","),
            ));
        }
        section("\nContainers space usage:", &out);
        let mut out = String::from("VOLUME NAME\tLINKS\tSIZE\n");
        for volume in volumes {
            out.push_str(&format!(
                "{}\t{}\t{}\n",
                text(volume, "Name"),
                number(volume, "/UsageData/RefCount"),
                human::size3(number(volume, "/UsageData/Size")),
            ));
        }
        section("\nLocal Volumes space usage:", &out);
        let total: f64 = cache.iter().map(|item| number(item, "/Size")).sum();
        let mut out = String::from("CACHE ID\tCACHE TYPE\tSIZE\tCREATED\tLAST USED\tUSAGE\tSHARED\n");
        for item in cache {
            out.push_str(&format!(
                "{}\t{}\t{}\t\t\t{}\t{}\n",
                human::short_id(&text(item, "ID")),
                text(item, "Type"),
                human::size3(number(item, "/Size")),
                number(item, "/UsageCount"),
                item.get("Shared").and_then(Json::as_bool).unwrap_or(false),
            ));
        }
        section(&format!("\nBuild cache usage: {}", human::size(total)), &out);
        Ok(())
    }

    fn section(title: &str, table: &str) {
        print!("{title}\n\n{}", terminal::Table::DOCKER.layout(table));
    }
}
