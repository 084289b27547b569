//! `images --tree`: each image with the platforms it is there for, as the docker CLI 28 shows it.

use std::io::Write as _;

use api_client::Query;
use serde::Deserialize;

use crate::failure::{Failure, Outcome};
use crate::human;
use crate::matches::Matches;
use crate::session::Session;

/// Blanks between columns.
const GAP: &str = "   ";
/// Width of the columns after the first.
const WIDTHS: [usize; 4] = [12, 10, 12, 5];
const TITLES: [&str; 4] = ["ID", "DISK USAGE", "CONTENT SIZE", "EXTRA"];
/// The first column is not made narrower for the others.
const NARROWEST: usize = 12;

/// An image in the answer.
#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Image {
    id: String,
    repo_tags: Option<Vec<String>>,
    created: i64,
    size: i64,
    containers: i64,
    manifests: Option<Vec<Manifest>>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Manifest {
    #[serde(rename = "ID")]
    id: String,
    available: bool,
    kind: String,
    size: Sizes,
    image_data: Option<ImageData>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Sizes {
    content: i64,
    total: i64,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct ImageData {
    platform: oci::Platform,
    containers: Option<Vec<String>>,
}

/// What is shown after the name.
struct Details {
    id: String,
    disk: String,
    content: String,
    used: bool,
}

/// Where and how it is shown.
struct Page {
    width: usize,
    color: bool,
    name: usize,
    /// Columns after the first.
    columns: usize,
}

/// Prints the tree.
pub(super) fn print(session: &Session, matches: &Matches, query: Query) -> Outcome {
    for (flag, name) in
        [("quiet", "quiet"), ("no-trunc", "no-trunc"), ("digests", "show-digest"), ("format", "format")]
    {
        if matches.given(flag) {
            return Err(Failure::text(format!("--{name} is not yet supported with --tree")));
        }
    }
    session.require(matches, "tree", "1.47")?;
    let mut images: Vec<Image> = session.client()?.get("/images/json", &query.set("manifests", "1"))?;
    images.sort_by_key(|image| std::cmp::Reverse(image.created));
    let all = matches.on("all");
    images.retain(|image| all || image.repo_tags.as_ref().is_some_and(|tags| !tags.is_empty()));
    let width = terminal::size(std::io::stdout()).map_or(80, |size| usize::from(size.width).max(20));
    let text = Page::new(width, session.colours(), &images).text(&images);
    std::io::stdout().lock().write_all(text.as_bytes())?;
    Ok(())
}

impl Image {
    fn names(&self) -> Vec<&str> {
        let names: Vec<&str> = self.repo_tags.iter().flatten().map(String::as_str).collect();
        if names.is_empty() { vec!["<untagged>"] } else { names }
    }

    fn children(&self) -> Vec<(&Manifest, String)> {
        let images = self.manifests.iter().flatten().filter(|manifest| manifest.kind == "image");
        let shown = |manifest: &Manifest| {
            manifest.image_data.as_ref().map(|data| data.platform.text()).unwrap_or_default()
        };
        images.map(|manifest| (manifest, shown(manifest))).collect()
    }

    fn details(&self) -> Details {
        let children = self.children();
        let content = children.iter().map(|(manifest, _)| manifest.size.content).sum::<i64>();
        let used = self.containers > 0 || children.iter().any(|(manifest, _)| manifest.is_used());
        Details { id: self.id.clone(), disk: size(self.size), content: size(content), used }
    }
}

impl Manifest {
    fn is_used(&self) -> bool {
        self.image_data
            .as_ref()
            .and_then(|data| data.containers.as_ref())
            .is_some_and(|list| !list.is_empty())
    }

    fn details(&self) -> Details {
        Details {
            id: self.id.clone(),
            disk: size(self.size.total),
            content: size(self.size.content),
            used: self.is_used(),
        }
    }
}

fn size(bytes: i64) -> String {
    human::size3(bytes as f64)
}

impl Page {
    fn new(width: usize, color: bool, images: &[Image]) -> Self {
        let mut left = width;
        let mut columns = 0;
        for column in WIDTHS {
            let taken = column + GAP.len();
            if left < taken + NARROWEST {
                break;
            }
            left -= taken;
            columns += 1;
        }
        let names = images.iter().flat_map(Image::names).map(|name| name.chars().count());
        let platforms = images.iter().flat_map(Image::children).map(|(_, text)| text.chars().count() + 3);
        let widest = names.chain(platforms).max().unwrap_or(0).max("IMAGE".len());
        Self { width, color, name: left.min(widest), columns }
    }

    fn text(&self, images: &[Image]) -> String {
        let warning =
            "WARNING: This is an experimental feature. The output may change and shouldn't be depended on.";
        let mut lines = vec![self.painted("93", warning), self.legend(), String::new()];
        let mut heading = self.painted("1", "IMAGE") + &pad("IMAGE", self.name);
        for (title, width) in TITLES.iter().zip(WIDTHS).take(self.columns) {
            heading += &format!("{GAP}{}{}", self.painted("1", title), pad(title, width));
        }
        lines.push(heading);
        for image in images {
            self.image(image, &mut lines);
            lines.push(String::new());
        }
        lines.join("\n") + "\n"
    }

    fn legend(&self) -> String {
        let (text, length) = if self.color {
            let letter = self.painted("1;106;30", "i");
            (format!("{letter} {} {} In Use ", self.painted("96", "Info → "), self.chip()), 21)
        } else {
            ("Info ->  U In Use ".to_owned(), 18)
        };
        " ".repeat(self.width.saturating_sub(length)) + &text
    }

    fn image(&self, image: &Image, lines: &mut Vec<String>) {
        let names = image.names();
        let (last, others) = names.split_last().unwrap_or((&"", &[]));
        lines.extend(others.iter().map(|name| self.painted("34;1", &cut(name, self.width))));
        let name = cut(last, self.name);
        let shown = self.painted("34;1", &name) + &pad(&name, self.name);
        lines.push(shown + &self.details(&image.details(), ""));
        let children = image.children();
        for (at, (manifest, platform)) in children.iter().enumerate() {
            let branch = if at + 1 == children.len() { "└─" } else { "├─" };
            let text = cut(&format!("{branch} {platform}"), self.name);
            let style = if manifest.available { "" } else { "2" };
            let shown = self.painted(style, &text) + &pad(&text, self.name);
            lines.push(shown + &self.details(&manifest.details(), style));
        }
    }

    fn details(&self, details: &Details, style: &str) -> String {
        let id = human::short_id(&details.id);
        let used = match (details.used, self.color) {
            (false, _) => pad("", 5),
            (true, true) => self.chip() + "  ",
            (true, false) => "U    ".to_owned(),
        };
        let right = |text: &str, width: usize| pad(text, width) + &self.painted(style, text);
        let cells = [
            self.painted(style, id) + &pad(id, WIDTHS[0]),
            right(&details.disk, WIDTHS[1]),
            right(&details.content, WIDTHS[2]),
            used,
        ];
        cells.iter().take(self.columns).map(|cell| format!("{GAP}{cell}")).collect()
    }

    fn chip(&self) -> String {
        self.painted("38;5;0;48;5;14", " U ")
    }

    fn painted(&self, style: &str, text: &str) -> String {
        if !self.color || style.is_empty() { text.to_owned() } else { format!("\x1b[{style}m{text}\x1b[0m") }
    }
}

/// The blanks that are missing from a text's width.
fn pad(text: &str, width: usize) -> String {
    " ".repeat(width.saturating_sub(text.chars().count()))
}

fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    text.chars().take(width.saturating_sub(1)).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_give_way_to_names() {
        let image = Image { repo_tags: Some(vec!["n".repeat(40)]), ..Image::default() };
        for (width, name, columns) in [(200, 40, 4), (80, 29, 4), (60, 17, 3), (30, 15, 1), (20, 20, 0)] {
            let page = Page::new(width, false, std::slice::from_ref(&image));
            assert_eq!((page.name, page.columns), (name, columns), "{width}");
        }
    }

    #[test]
    fn platforms_are_branches() {
        let manifests = serde_json::json!([
            {"ID": "sha256:1111111111111111", "Available": true, "Kind": "image", "Size": {"Content": 2000, "Total": 5000},
             "ImageData": {"Platform": {"os": "linux", "architecture": "amd64"}, "Containers": ["c"]}},
            {"ID": "sha256:2222222222222222", "Kind": "attestation"},
            {"ID": "sha256:3333333333333333", "Kind": "image",
             "ImageData": {"Platform": {"os": "linux", "architecture": "arm", "variant": "v7"}}}
        ]);
        let image = Image {
            id: "sha256:4444444444444444".to_owned(),
            repo_tags: Some(vec!["one:1".to_owned(), "two:1".to_owned()]),
            size: 3000,
            manifests: serde_json::from_value(manifests).unwrap(),
            ..Image::default()
        };
        let images = [image];
        let text = Page::new(80, false, &images).text(&images);
        let lines: Vec<&str> = text.lines().skip(3).collect();
        assert_eq!(
            lines,
            [
                "IMAGE             ID             DISK USAGE   CONTENT SIZE   EXTRA",
                "one:1",
                "two:1             444444444444          3kB            2kB   U    ",
                "├─ linux/amd64    111111111111          5kB            2kB   U    ",
                "└─ linux/arm/v7   333333333333           0B             0B        ",
                "",
            ]
        );
    }
}
