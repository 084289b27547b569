//! Tables and `--format`: one definition of columns gives tables, JSON lines and template fields.

use std::io::Write as _;
use std::rc::Rc;

use serde_json::{Map, Value as Json};

use crate::failure::Failure;
use crate::template::{Object, Template, Value};

/// A field of a row.
pub struct Column<T> {
    /// Its name in templates.
    pub name: &'static str,
    /// Its heading in tables.
    pub heading: &'static str,
    /// Its value.
    pub value: fn(&T) -> Value,
}

/// What rows of one kind look like.
pub struct Listing<T: 'static> {
    /// Go's name of the type, which shows in messages about unknown fields.
    pub type_name: &'static str,
    /// All fields.
    pub columns: &'static [Column<T>],
    /// The template of the table that is printed when nothing else is asked for.
    pub table: &'static str,
    /// The template called `raw`, where there is one.
    pub raw: &'static str,
    /// The method `.Label "key"`.
    pub label: Option<fn(&T, &str) -> String>,
}

/// A column in short.
pub const fn column<T>(name: &'static str, heading: &'static str, value: fn(&T) -> Value) -> Column<T> {
    Column { name, heading, value }
}

struct Row<T: 'static> {
    item: T,
    listing: &'static Listing<T>,
}

impl<T> Object for Row<T> {
    fn field(&self, name: &str, arguments: &[Value]) -> Option<Value> {
        if let ("Label", Some(label), Some(Value::Text(key))) = (name, self.listing.label, arguments.first())
        {
            return Some(label(&self.item, key).into());
        }
        self.listing
            .columns
            .iter()
            .find(|column| column.name == name)
            .map(|column| (column.value)(&self.item))
    }

    fn type_name(&self) -> &str {
        self.listing.type_name
    }

    fn to_json(&self) -> Json {
        let mut fields: Vec<(&str, Json)> = self
            .listing
            .columns
            .iter()
            .map(|column| (column.name, (column.value)(&self.item).to_json()))
            .collect();
        fields.sort_by_key(|(name, _)| *name);
        let mut map = Map::new();
        map.extend(fields.into_iter().map(|(name, value)| (name.to_owned(), value)));
        Json::Object(map)
    }
}

struct Headings<T: 'static>(&'static Listing<T>);

impl<T> Object for Headings<T> {
    fn field(&self, name: &str, arguments: &[Value]) -> Option<Value> {
        if let ("Label", Some(Value::Text(key))) = (name, arguments.first()) {
            let last = key.rsplit('.').next().unwrap_or_default();
            return Some(last.replace(['-', '_'], " ").into());
        }
        let found = self.0.columns.iter().find(|column| column.name == name);
        Some(found.map_or(Value::Missing, |column| column.heading.into()))
    }

    fn type_name(&self) -> &'static str {
        "formatter.SubHeaderContext"
    }

    fn to_json(&self) -> Json {
        Json::Object(
            self.0
                .columns
                .iter()
                .map(|column| (column.name.to_owned(), Json::from(column.heading)))
                .collect(),
        )
    }
}

impl<T: 'static> Listing<T> {
    /// Prints rows in a format: empty or `table` for the table, `table TEMPLATE`, `json`, or a template.
    ///
    /// # Errors
    /// When the template is wrong, with docker's texts.
    pub fn print(&'static self, format: &str, rows: Vec<T>) -> Result<(), Failure> {
        let text = self.render(format, rows)?;
        std::io::stdout().lock().write_all(text.as_bytes())?;
        Ok(())
    }

    /// Whether a format can be used, told by the whole text of it.
    ///
    /// # Errors
    /// When the template is wrong, with docker's texts.
    pub fn check(&'static self, format: &str, item: T) -> Result<(), Failure> {
        let template = Template::parse(&format.replace("\\t", "\t").replace("\\n", "\n"))
            .map_err(|error| Failure::text(format!("failed to parse template: {error}")))?;
        let row = Value::Object(Rc::new(Row { item, listing: self }));
        match template.execute(&row) {
            Ok(_) => Ok(()),
            Err(error) => Err(Failure::text(format!("failed to execute template: {error}"))),
        }
    }

    /// The text that [`Listing::print`] prints.
    ///
    /// # Errors
    /// As [`Listing::print`].
    pub fn render(&'static self, format: &str, rows: Vec<T>) -> Result<String, Failure> {
        let (table, source) = match format.trim_matches(' ') {
            "" | "table" => (true, self.table.strip_prefix("table ").unwrap_or(self.table).to_owned()),
            "json" => (false, "{{json .}}".to_owned()),
            "raw" if !self.raw.is_empty() => (false, self.raw.to_owned()),
            other => match other.strip_prefix("table") {
                Some(rest) if rest.starts_with([' ', '\t', '{']) => {
                    (true, rest.trim_start_matches(' ').to_owned())
                }
                _ => (false, other.to_owned()),
            },
        };
        let source = source.replace("\\t", "\t").replace("\\n", "\n");
        let template = Template::parse(&source)
            .map_err(|error| Failure::text(format!("template parsing error: {error}")))?;
        let wrong =
            |error: crate::template::ExecError| Failure::text(format!("template parsing error: {error}"));
        let mut text = String::new();
        if table {
            let headings = Value::Object(Rc::new(Headings(self)));
            text.push_str(&template.execute_headings(&headings).map_err(wrong)?);
            text.push('\n');
        }
        for item in rows {
            let row = Value::Object(Rc::new(Row { item, listing: self }));
            text.push_str(&template.execute(&row).map_err(wrong)?);
            text.push('\n');
        }
        Ok(if table { lay_out(&text) } else { text })
    }
}

/// Aligns a table, within the terminal's width when the output is one.
fn lay_out(text: &str) -> String {
    let table = terminal::Table::DOCKER.layout(text);
    match terminal::size(std::io::stdout()) {
        Some(size) => fit(text, &table, usize::from(size.width)),
        None => table,
    }
}

/// Shortens cells until the lines fit: first those that are long by nature, then all but ids and names. What is still
/// too long is cut at the edge.
fn fit(text: &str, table: &str, width: usize) -> String {
    const LONG: [&str; 4] = ["COMMAND", "PORTS", "MOUNTS", "LABELS"];
    let excess = |table: &str| {
        table.lines().map(|line| line.trim_end().chars().count()).max().unwrap_or(0).saturating_sub(width)
    };
    let mut over = excess(table);
    if over == 0 {
        return table.to_owned();
    }
    let mut rows: Vec<Vec<String>> =
        text.lines().map(|line| line.split('\t').map(str::to_owned).collect()).collect();
    let headings = rows.first().cloned().unwrap_or_default();
    let kept = |heading: &str| heading.contains("ID") || heading.starts_with("NAME");
    let place = |heading: &str| headings.iter().position(|held| held == heading);
    for index in LONG.iter().filter_map(|heading| place(heading)) {
        over = shorten(&mut rows, index, 10, over);
    }
    for index in (0..headings.len()).filter(|&index| headings.get(index).is_some_and(|text| !kept(text))) {
        over = shorten(&mut rows, index, 8, over);
    }
    let lines: Vec<String> = rows.iter().map(|row| row.join("\t")).collect();
    let table = terminal::Table::DOCKER.layout(&format!("{}\n", lines.join("\n")));
    if excess(&table) == 0 {
        return table;
    }
    table.lines().map(|line| crate::human::ellipsis(line.trim_end(), width) + "\n").collect()
}

/// Shortens a column by what is over, but not below a number of characters nor its heading; what is still over after it.
fn shorten(rows: &mut [Vec<String>], index: usize, least: usize, over: usize) -> usize {
    let width = |row: &Vec<String>| row.get(index).map_or(0, |cell| cell.chars().count());
    let heading = rows.first().map_or(0, width);
    let longest = rows.iter().map(width).max().unwrap_or(0);
    let limit = longest.saturating_sub(over).max(heading).max(least);
    for cell in rows.iter_mut().skip(1).filter_map(|row| row.get_mut(index)) {
        *cell = crate::human::ellipsis(cell, limit);
    }
    over.saturating_sub(longest.saturating_sub(limit))
}
