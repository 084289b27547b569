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
    raw: "",
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

/// The four lists of the engine's answer.
struct Usage<'a> {
    images: Vec<&'a Json>,
    containers: Vec<&'a Json>,
    volumes: Vec<&'a Json>,
    cache: Vec<&'a Json>,
    layers: f64,
}

fn run(session: &Session, matches: &Matches) -> Outcome {
    let client = session.client()?;
    let query = if client.at_least("1.52")? { Query::new().set("verbose", "1") } else { Query::new() };
    let document: Json = client.get("/system/df", &query)?;
    let layers = document.get("LayersSize").or_else(|| document.pointer("/ImageUsage/TotalSize"));
    let usage = Usage {
        images: list(&document, "Images", "/ImageUsage/Items"),
        containers: list(&document, "Containers", "/ContainerUsage/Items"),
        volumes: list(&document, "Volumes", "/VolumeUsage/Items"),
        cache: list(&document, "BuildCache", "/BuildCacheUsage/Items"),
        layers: layers.and_then(Json::as_f64).unwrap_or(0.0),
    };
    if !matches.on("verbose") {
        let rows = vec![usage.images(), usage.containers(), usage.volumes(), usage.cache()];
        return LISTING.print(matches.text("format"), rows);
    }
    if !matches.text("format").is_empty() {
        return Err(Failure::text("the verbose and the format options conflict"));
    }
    verbose::images(&usage.images);
    verbose::containers(&usage.containers);
    verbose::volumes(&usage.volumes);
    verbose::cache(&usage.cache);
    Ok(())
}

fn sum(items: &[&Json], pointer: &str, counts: impl Fn(&Json) -> bool) -> f64 {
    items.iter().filter(|item| counts(item)).map(|item| number(item, pointer).max(0.0)).sum()
}

fn count(items: &[&Json], counts: impl Fn(&Json) -> bool) -> usize {
    items.iter().filter(|item| counts(item)).count()
}

fn is(item: &Json, name: &str) -> bool {
    item.get(name).and_then(Json::as_bool).unwrap_or(false)
}

impl Usage<'_> {
    fn images(&self) -> Row {
        let used = |image: &Json| number(image, "/Containers") > 0.0;
        let own = sum(&self.images, "/Size", used) - sum(&self.images, "/SharedSize", used);
        Row {
            kind: "Images",
            total: self.images.len(),
            active: count(&self.images, used),
            size: self.layers,
            reclaimable: self.layers - own,
            share: true,
        }
    }

    fn containers(&self) -> Row {
        let lives = |item: &Json| {
            matches!(item.get("State").and_then(Json::as_str), Some("running" | "paused" | "restarting"))
        };
        Row {
            kind: "Containers",
            total: self.containers.len(),
            active: count(&self.containers, lives),
            size: sum(&self.containers, "/SizeRw", |_| true),
            reclaimable: sum(&self.containers, "/SizeRw", |item| !lives(item)),
            share: true,
        }
    }

    fn volumes(&self) -> Row {
        let used = |item: &Json| number(item, "/UsageData/RefCount") > 0.0;
        Row {
            kind: "Local Volumes",
            total: self.volumes.len(),
            active: count(&self.volumes, used),
            size: sum(&self.volumes, "/UsageData/Size", |_| true),
            reclaimable: sum(&self.volumes, "/UsageData/Size", |item| !used(item)),
            share: true,
        }
    }

    fn cache(&self) -> Row {
        Row {
            kind: "Build Cache",
            total: self.cache.len(),
            active: count(&self.cache, |item| is(item, "InUse")),
            size: sum(&self.cache, "/Size", |item| !is(item, "Shared")),
            reclaimable: sum(&self.cache, "/Size", |item| !is(item, "Shared") && !is(item, "InUse")),
            share: false,
        }
    }
}

/// The long form: a table for each kind.
mod verbose {
    use serde_json::Value as Json;

    use super::{is, number};
    use crate::human;

    fn text(item: &Json, name: &str) -> String {
        item.get(name).and_then(Json::as_str).unwrap_or_default().to_owned()
    }

    fn section(title: &str, table: &str) {
        print!("{title}\n\n{}", terminal::Table::DOCKER.layout(table));
    }

    pub fn images(images: &[&Json]) {
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
    }

    pub fn containers(containers: &[&Json]) {
        let mut out =
            String::from("CONTAINER ID\tIMAGE\tCOMMAND\tLOCAL VOLUMES\tSIZE\tCREATED\tSTATUS\tNAMES\n");
        for item in containers {
            let list = |name: &str| item.get(name).and_then(Json::as_array).into_iter().flatten();
            let names = list("Names").filter_map(Json::as_str).map(|name| name.trim_start_matches('/'));
            let local = list("Mounts").filter(|mount| text(mount, "Driver") == "local").count();
            out.push_str(&format!(
                "{}\t{}\t{}\t{local}\t{}\t{}\t{}\t{}\n",
                human::short_id(&text(item, "Id")),
                text(item, "Image"),
                crate::value::quoted(&human::ellipsis(&text(item, "Command"), 20)),
                human::size3(number(item, "/SizeRw")),
                human::ago(number(item, "/Created") as i64),
                text(item, "Status"),
                names.collect::<Vec<_>>().join(","),
            ));
        }
        section("\nContainers space usage:", &out);
    }

    pub fn volumes(volumes: &[&Json]) {
        let mut out = String::from("VOLUME NAME\tLINKS\tSIZE\n");
        for volume in volumes {
            let size = human::size3(number(volume, "/UsageData/Size"));
            out.push_str(&format!(
                "{}\t{}\t{size}\n",
                text(volume, "Name"),
                number(volume, "/UsageData/RefCount")
            ));
        }
        section("\nLocal Volumes space usage:", &out);
    }

    pub fn cache(cache: &[&Json]) {
        let total: f64 = cache.iter().map(|item| number(item, "/Size")).sum();
        let mut out = String::from("CACHE ID\tCACHE TYPE\tSIZE\tCREATED\tLAST USED\tUSAGE\tSHARED\n");
        for item in cache {
            out.push_str(&format!(
                "{}\t{}\t{}\t\t\t{}\t{}\n",
                human::short_id(&text(item, "ID")),
                text(item, "Type"),
                human::size3(number(item, "/Size")),
                number(item, "/UsageCount"),
                is(item, "Shared"),
            ));
        }
        section(&format!("\nBuild cache usage: {}", human::size(total)), &out);
    }
}
