//! The table of ratios and the JSON line behind it.

/// Which way is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Better {
    /// Times, sizes.
    Less,
    /// Rates.
    More,
}

/// One measured row.
#[derive(Debug)]
struct Row {
    name: String,
    unit: &'static str,
    peer_name: &'static str,
    peer: f64,
    wharf: f64,
    better: Better,
    reach: f64,
    aim: f64,
}

/// All rows of a run.
#[derive(Debug, Default)]
pub(crate) struct Report {
    rows: Vec<Row>,
    facts: Vec<(String, f64, &'static str, String)>,
}

impl Report {
    /// Adds a row compared with a peer; `reach` and `aim` are the ratios the issue names.
    pub(crate) fn ratio(
        &mut self,
        name: &str,
        unit: &'static str,
        peer: (&'static str, f64),
        wharf: f64,
        better: Better,
        reach: f64,
        aim: f64,
    ) {
        self.rows.push(Row {
            name: name.to_owned(),
            unit,
            peer_name: peer.0,
            peer: peer.1,
            wharf,
            better,
            reach,
            aim,
        });
    }

    /// Adds a figure of wharf's own with its target in words.
    pub(crate) fn fact(&mut self, name: &str, value: f64, unit: &'static str, target: &str) {
        self.facts.push((name.to_owned(), value, unit, target.to_owned()));
    }

    /// Prints the table, then one JSON line.
    pub(crate) fn print(&self) {
        println!(
            "\n{:<44} {:>12} {:>12} {:>8}  {:>6} {:>6}",
            "work", "peer", "wharf", "ratio", "reach", "aim"
        );
        for row in &self.rows {
            let ratio = row.value();
            let verdict = if ratio >= row.aim {
                "aim met"
            } else if ratio >= row.reach {
                "met"
            } else {
                "NOT MET"
            };
            println!(
                "{:<44} {:>12} {:>12} {:>7.1}x  {:>5}x {:>5}x  {verdict} ({})",
                row.name,
                with_unit(row.peer, row.unit),
                with_unit(row.wharf, row.unit),
                ratio,
                row.reach,
                row.aim,
                row.peer_name
            );
        }
        for (name, value, unit, target) in &self.facts {
            println!("{name:<44} {:>12} {:>12} {:>8}  {target}", "", with_unit(*value, unit), "");
        }
        println!("{}", self.json());
    }

    fn json(&self) -> String {
        let rows: Vec<serde_json::Value> = self
            .rows
            .iter()
            .map(|row| {
                serde_json::json!({"name": row.name, "unit": row.unit, "peer": row.peer_name, "peer_value": row.peer,
                    "wharf": row.wharf, "ratio": row.value(), "reach": row.reach, "aim": row.aim})
            })
            .collect();
        let facts: Vec<serde_json::Value> = self
            .facts
            .iter()
            .map(|(name, value, unit, target)| {
                serde_json::json!({"name": name, "value": value, "unit": unit, "target": target})
            })
            .collect();
        serde_json::json!({"rows": rows, "facts": facts}).to_string()
    }
}

impl Row {
    /// How many times better wharf is.
    fn value(&self) -> f64 {
        match self.better {
            Better::Less => self.peer / self.wharf.max(f64::MIN_POSITIVE),
            Better::More => self.wharf / self.peer.max(f64::MIN_POSITIVE),
        }
    }
}

fn with_unit(value: f64, unit: &str) -> String {
    let digits = if value >= 100.0 { 0 } else { 2 };
    format!("{value:.digits$} {unit}")
}
