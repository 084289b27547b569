//! Where results go: `--output`, `--push`, `--load`, and the places of ours they are written to.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use buildkit::client::{Layout, LayoutError, Offer, Output};
use buildkit::control::Exporter;
use linux::root::RootDir;
use oci::image::Descriptor;

use super::fields;
use super::outcome::Said;
use crate::failure::{Failure, Outcome, file_failure};
use crate::matches::Matches;

/// The store of the session that takes the blobs of an image that becomes no archive.
const STORE: &str = "export";
/// What exporters say about the image they have made: what it is, in base64, and what it is called.
const DESCRIPTOR: &str = "containerimage.descriptor";
const NAME: &str = "image.name";
/// What it is called in an index when it has no name.
const TAG: &str = "latest";

/// What becomes of a result.
#[derive(Debug, Default)]
pub(super) struct Exports {
    list: Vec<Export>,
    /// Names to push when the build is done.
    pub push: Vec<String>,
    /// The folder that takes blobs.
    layout: Option<Arc<Layout>>,
}

#[derive(Debug, PartialEq)]
struct Export {
    kind: String,
    options: BTreeMap<String, String>,
    place: Place,
}

/// Where on this machine.
#[derive(Debug, PartialEq)]
enum Place {
    Nowhere,
    Folder(PathBuf),
    /// A folder in OCI layout.
    Layout(PathBuf),
    File(PathBuf),
    Stdout,
}

impl Exports {
    /// Reads the flags; `is_console` says that standard output is a terminal.
    ///
    /// # Errors
    /// When they make no sense.
    pub fn of(matches: &Matches, is_console: bool) -> Result<Self, Failure> {
        let mut list = Vec::new();
        for text in matches.list("output") {
            list.extend(output(text, is_console)?);
        }
        let wants_nothing = !matches.list("output").is_empty() && list.is_empty();
        let has_image = list.iter().any(|export| export.kind == "image");
        let push = matches.on("push");
        // What is not said is an image in the engine; pushing needs one there too.
        if !has_image && (push || matches.on("load") || (list.is_empty() && !wants_nothing)) {
            list.push(Export::image());
        }
        if push {
            let images = list.iter_mut().filter(|export| export.kind == "image");
            images.for_each(|image| drop(image.options.insert("push".into(), "true".into())));
        }
        let mut exports = Self { list, ..Self::default() };
        exports.name(matches.list("tag"))?;
        exports.annotate(matches.list("annotation"))?;
        Ok(exports)
    }

    /// Gives every image its names, and turns those for the engine into what the engine calls them.
    fn name(&mut self, tags: &[String]) -> Result<(), Failure> {
        for export in &mut self.list {
            if !matches!(export.kind.as_str(), "image" | "oci" | "docker") {
                continue;
            }
            if !tags.is_empty() {
                export.options.insert("name".into(), tags.join(","));
            }
            if export.kind != "image" {
                continue;
            }
            "moby".clone_into(&mut export.kind);
            let push = export.options.get("push").is_some_and(|push| crate::value::truth(push) == Ok(true));
            if push {
                let names = export.options.get("name").map(String::as_str).unwrap_or_default();
                if names.is_empty() {
                    return Err(Failure::text("tag is needed when pushing to registry"));
                }
                self.push.extend(names.split(',').map(|name| name.trim().to_owned()));
                // The engine's own builder leaves that to its client.
                export.options.remove("push");
            }
        }
        Ok(())
    }

    fn annotate(&mut self, annotations: &[String]) -> Result<(), Failure> {
        for text in annotations {
            let (keys, value) = annotation(text)?;
            let images = self.list.iter_mut();
            for export in images.filter(|export| matches!(export.kind.as_str(), "moby" | "oci" | "docker")) {
                export.options.extend(keys.iter().map(|key| (key.clone(), value.clone())));
            }
        }
        Ok(())
    }

    /// The exporters as the builder is asked for them.
    pub fn requests(&self) -> Vec<Exporter> {
        let request =
            |export: &Export| Exporter { r#type: export.kind.clone(), attrs: export.options.clone() };
        self.list.iter().map(request).collect()
    }

    /// Offers the places; folders are made now, files when something comes.
    ///
    /// # Errors
    /// When a folder cannot be made.
    pub fn offer(&mut self, offer: &mut Offer) -> Result<(), Failure> {
        for (number, export) in self.list.iter().enumerate() {
            match &export.place {
                Place::Nowhere => {}
                Place::Stdout => {
                    offer.output(number, Output::bytes(|| Ok(Box::new(std::io::stdout()))));
                }
                Place::File(path) => {
                    let path = path.clone();
                    offer.output(number, Output::bytes(move || open(&path)));
                }
                Place::Layout(path) => {
                    // A builder knows one such store only.
                    if self.layout.is_some() {
                        return Err(Failure::text("there can be one output with tar=false only"));
                    }
                    let layout = Arc::new(Layout::make(path).map_err(failed)?);
                    offer.writable_store(STORE, Arc::clone(&layout));
                    self.layout = Some(layout);
                }
                Place::Folder(path) => {
                    let shown = path.display().to_string();
                    std::fs::create_dir_all(path).map_err(|error| file_failure("mkdir", &shown, &error))?;
                    let root = RootDir::open(path)
                        .map_err(|error| file_failure("open", &shown, &std::io::Error::from(error)))?;
                    offer.output(number, Output::Folder(root));
                }
            }
        }
        Ok(())
    }

    /// Tells the folder that took blobs what they are.
    ///
    /// # Errors
    /// When its index cannot be changed, or nothing was said about the image.
    pub fn record(&self, said: &Said) -> Outcome {
        let Some(layout) = &self.layout else { return Ok(()) };
        let descriptor = said.get(DESCRIPTOR).and_then(|text| STANDARD.decode(text).ok());
        let descriptor = descriptor.and_then(|bytes| serde_json::from_slice::<Descriptor>(&bytes).ok());
        let none = || {
            Failure::text(format!("the builder does not say what it put into {}", layout.path().display()))
        };
        let told = descriptor.ok_or_else(none)?;
        let image = layout.taken(&told).map_err(failed)?.ok_or_else(none)?;
        let names = said.get(NAME).map_or(TAG, String::as_str);
        names.split(',').try_for_each(|name| layout.put(&image, name).map_err(failed))
    }
}

fn failed(error: LayoutError) -> Failure {
    Failure::text(model::error::chain(&error))
}

impl Export {
    fn image() -> Self {
        Self { kind: "image".into(), options: BTreeMap::new(), place: Place::Nowhere }
    }
}

fn open(path: &Path) -> std::io::Result<Box<dyn Write + Send>> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder)?;
    }
    let file: File = OpenOptions::new().write(true).create(true).truncate(true).open(path)?;
    Ok(Box::new(file))
}

/// One `--output`; none for `type=cacheonly`.
fn output(text: &str, is_console: bool) -> Result<Option<Export>, Failure> {
    let all = fields::lines(text)?;
    if let [only] = all.as_slice()
        && !only.starts_with("type=")
        && (only == text)
        && !only.contains('=')
    {
        let place =
            if only == "-" { console("tar", is_console)? } else { Place::Folder(PathBuf::from(only)) };
        let kind = if only == "-" { "tar" } else { "local" };
        return Ok(Some(Export { kind: kind.into(), options: BTreeMap::new(), place }));
    }
    let mut fields = fields::pairs(text)?;
    let kind =
        fields::take(&mut fields, "type").ok_or_else(|| Failure::text("type is required for output"))?;
    let dest = fields::take(&mut fields, "dest");
    let mut options: BTreeMap<String, String> = fields.into_iter().collect();
    let archive = options.get("tar").is_none_or(|tar| crate::value::truth(tar) != Ok(false));
    let (kind, place) = match (kind.as_str(), dest.as_deref()) {
        ("cacheonly", _) => return Ok(None),
        ("registry", _) => {
            options.insert("push".into(), "true".into());
            ("image", Place::Nowhere)
        }
        ("oci" | "docker", dest) if !archive => (kind.as_str(), Place::Layout(folder(&kind, dest)?)),
        ("docker", None) => ("image", Place::Nowhere),
        ("local", dest) => ("local", Place::Folder(folder("local", dest)?)),
        ("tar" | "oci" | "docker", None | Some("" | "-")) => {
            let place = console(&kind, is_console)?;
            (kind.as_str(), place)
        }
        ("tar" | "oci" | "docker", Some(dest)) => {
            if Path::new(dest).is_dir() {
                let text = format!("destination file {dest} is a directory");
                return Err(Failure::text(text));
            }
            (kind.as_str(), Place::File(PathBuf::from(dest)))
        }
        _ => (kind.as_str(), Place::Nowhere),
    };
    if place == Place::Nowhere && !matches!(kind, "image") && dest.is_some() {
        return Err(Failure::text(format!("dest is not supported for {kind} exporter")));
    }
    Ok(Some(Export { kind: kind.to_owned(), options, place }))
}

/// The folder an exporter of a kind writes to.
fn folder(kind: &str, dest: Option<&str>) -> Result<PathBuf, Failure> {
    let refuse = |text: String| Err(Failure::text(text));
    match dest {
        None | Some("") => refuse(format!("dest is required for {kind} exporter")),
        Some("-") => refuse(format!("dest cannot be stdout for {kind} exporter")),
        Some(dest) if Path::new(dest).is_file() => refuse(format!("destination directory {dest} is a file")),
        Some(dest) => Ok(PathBuf::from(dest)),
    }
}

fn console(kind: &str, is_console: bool) -> Result<Place, Failure> {
    if is_console {
        let text = format!("dest file is required for {kind} exporter. refusing to write to console");
        return Err(Failure::text(text));
    }
    Ok(Place::Stdout)
}

/// `[index,manifest[os/arch]:]key=value`: the exporter's options it means.
fn annotation(text: &str) -> Result<(Vec<String>, String), Failure> {
    let invalid = || {
        let text = crate::value::quoted(text);
        Failure::text(format!("invalid annotation {text}, expected key=value"))
    };
    let (name, value) = text.split_once('=').ok_or_else(invalid)?;
    let kinds = ["index", "manifest", "index-descriptor", "manifest-descriptor"];
    let kind_of = |kind: &str| kind.split('[').next().is_some_and(|kind| kinds.contains(&kind));
    let (levels, key) = match name.split_once(':') {
        Some((levels, key)) if levels.split(',').all(kind_of) => (levels, key),
        _ => ("", name),
    };
    if key.is_empty() {
        return Err(invalid());
    }
    let option = |level: &str| match level.split_once('[') {
        _ if level.is_empty() => format!("annotation.{key}"),
        None => format!("annotation-{level}.{key}"),
        Some((kind, platform)) => format!("annotation-{kind}[{}].{key}", platform.trim_end_matches(']')),
    };
    Ok((levels.split(',').map(option).collect(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::build::flags::FLAGS;

    static TABLES: [&[crate::command::Flag]; 1] = [FLAGS];

    fn exports(line: &str) -> Result<Exports, String> {
        let words: Vec<String> = line.split(' ').filter(|word| !word.is_empty()).map(str::to_owned).collect();
        let matches = Matches::parse(&TABLES, true, &words).unwrap();
        Exports::of(&matches, false).map_err(|failure| failure.message())
    }

    fn requests(line: &str) -> Vec<String> {
        let show = |exporter: Exporter| {
            let options = exporter.attrs.iter().map(|(key, value)| format!(" {key}={value}"));
            exporter.r#type + &options.collect::<String>()
        };
        exports(line).unwrap().requests().into_iter().map(show).collect()
    }

    #[test]
    fn flags_become_exporters() {
        assert_eq!(requests(""), ["moby"]);
        assert_eq!(requests("-t a -t b:1"), ["moby name=a,b:1"]);
        assert_eq!(requests("--load -t a"), ["moby name=a"]);
        assert_eq!(requests("-o out"), ["local"]);
        assert_eq!(requests("-o -"), ["tar"]);
        assert_eq!(requests("-o type=docker -t a"), ["moby name=a"]);
        assert_eq!(requests("-o type=oci,dest=x.tar -t a"), ["oci name=a"]);
        assert_eq!(
            requests("-o type=image,name=x,rewrite-timestamp=true"),
            ["moby name=x rewrite-timestamp=true"]
        );
        assert_eq!(requests("-o type=oci,dest=x,tar=false -t a"), ["oci name=a tar=false"]);
        assert_eq!(requests("-o type=cacheonly"), [""; 0]);
        assert_eq!(requests("-o out --load"), ["local", "moby"]);
        assert_eq!(requests("-o type=local,dest=a -o type=tar,dest=b.tar"), ["local", "tar"]);
        assert_eq!(requests("--push -t a"), ["moby name=a"]);
        assert_eq!(exports("--push -t a -t b").unwrap().push, ["a", "b"]);
        assert_eq!(exports("-o type=registry -t a").unwrap().push, ["a"]);
        assert_eq!(
            requests("--annotation a=b --annotation index,manifest[linux/amd64]:c=d --annotation x:y=z"),
            [
                "moby annotation-index.c=d annotation-manifest[linux/amd64].c=d annotation.a=b annotation.x:y=z"
            ]
        );
    }

    #[test]
    fn nonsense_is_refused() {
        for (line, text) in [
            ("--push", "tag is needed when pushing to registry"),
            ("-o type=oci,tar=false", "dest is required for oci exporter"),
            ("-o type=docker,tar=false", "dest is required for docker exporter"),
            ("-o type=docker,tar=0,dest=-", "dest cannot be stdout for docker exporter"),
            ("-o type=oci,tar=false,dest=/etc/passwd", "destination directory /etc/passwd is a file"),
            ("-o type=local", "dest is required for local exporter"),
            ("-o a=b", "type is required for output"),
            ("-o type=tar,x", "invalid field \"x\": must be a key=value pair"),
            ("--annotation x", "invalid annotation \"x\", expected key=value"),
            ("-o type=tar,dest=/", "destination file / is a directory"),
        ] {
            assert_eq!(exports(line).unwrap_err(), text, "{line}");
        }
    }
}
