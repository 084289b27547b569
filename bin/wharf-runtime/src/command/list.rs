//! `list`: all containers.

use super::state::View;
use crate::Context;
use crate::arguments::{Flag, parse};
use crate::failure::{Failure, Result};

pub(crate) fn run(context: &Context, arguments: &[String]) -> Result<i32> {
    let flags = [Flag::short_value("format", 'f'), Flag::short_switch("quiet", 'q')];
    let parsed = parse(arguments, &flags, false)?;
    let views: Vec<View> = context.store.list()?.iter().map(View::new).collect();
    if parsed.has("quiet") {
        views.iter().for_each(|view| println!("{}", view.id));
        return Ok(0);
    }
    match parsed.get("format").unwrap_or("table") {
        "table" => table(&views),
        "json" => {
            println!("{}", serde_json::to_string(&views).map_err(|error| Failure::new(error.to_string()))?)
        }
        _ => return Err(Failure::new("invalid format option")),
    }
    Ok(0)
}

fn table(views: &[View]) {
    let head = ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"].map(str::to_owned);
    let mut rows = vec![head];
    rows.extend(views.iter().map(|view| {
        let bundle = view.bundle.display().to_string();
        [
            view.id.clone(),
            view.pid.to_string(),
            view.status.to_string(),
            bundle,
            view.created.clone(),
            "root".to_owned(),
        ]
    }));
    let widths: Vec<usize> =
        (0..6).map(|column| rows.iter().map(|row| row[column].len()).max().unwrap_or(0)).collect();
    for row in &rows {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        println!("{}", cells.collect::<Vec<_>>().join("   ").trim_end());
    }
}
