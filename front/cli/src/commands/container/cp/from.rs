//! Out of a container.

use std::io::Read;
use std::path::Path;

use api_client::{Client, Query};
use archive::ExtractOptions;
use linux::root::RootDir;

use super::place::{self, Found, Place, absolute, archive_path, ends_in_dot, follow, land, split};
use super::{Wish, told};
use crate::failure::{Failure, Outcome};

pub(super) fn copy(client: &Client, container: &str, source: &str, target: &str, wish: &Wish) -> Outcome {
    let to_stdout = target == "-";
    let target_path = absolute(target);
    if !to_stdout {
        check_output(target, &target_path)?;
    } else if terminal::is_terminal(std::io::stdout()) {
        return Err(Failure::text("cowardly refusing to save to a terminal. Use the -o flag or redirect"));
    }
    let mut source_path = source.to_owned();
    let mut name = None;
    if wish.follow
        && let Ok(found) = place::look(client, container, source)
        && found.is_link()
    {
        // The copy keeps the name of the link.
        source_path = follow(source, &found.link_target);
        name = Some(split(source).1);
        if ends_in_dot(source) {
            name = None;
            source_path.push_str("/.");
        }
    }
    let query = Query::new().set("path", &source_path);
    let mut answer = client.stream(&archive_path(container), &query)?;
    if to_stdout {
        std::io::copy(&mut answer.body, &mut std::io::stdout().lock())?;
        return Ok(());
    }
    let found = Found::parse(answer.head.header("X-Docker-Container-Path-Stat"))?;
    let from = Place { path: source_path.clone(), exists: true, is_dir: found.is_dir() };
    let to = place::local_target(&target_path)?;
    let mut counted = Counted { source: &mut answer.body, bytes: 0 };
    unpack(&from, &to, name, &mut counted)?;
    if !wish.quiet {
        told(counted.bytes, &target_path);
    }
    Ok(())
}

fn check_output(target: &str, path: &str) -> Outcome {
    let folder = split(path).0;
    let folder = if ends_in_dot(path) { split(&folder).0 } else { folder };
    if !folder.is_empty() && folder != "." && !Path::new(&folder).exists() {
        let shown = crate::value::quoted(&folder);
        return Err(Failure::text(format!("invalid output path: directory {shown} does not exist")));
    }
    let _ = target;
    if let Ok(data) = std::fs::metadata(path.trim_end_matches('/'))
        && !data.is_dir()
        && !data.is_file()
    {
        return Err(Failure::text(format!(
            "invalid output path: {} must be a directory or a regular file",
            crate::value::quoted(path)
        )));
    }
    Ok(())
}

fn unpack(from: &Place, to: &Place, name: Option<String>, archive: &mut dyn Read) -> Outcome {
    let landing = land(from, to)?;
    let mut options = ExtractOptions::client();
    options.no_overwrite_dir_non_dir = true;
    let mut directory = landing.directory;
    let contents_only = split(&from.path).1 == "." || model::path::clean(&from.path) == "/";
    match landing.name.or(name) {
        // The archive's own first entry is `.`: the new name is a folder that is made here.
        Some(name) if contents_only => {
            directory = format!("{directory}/{name}");
            if !Path::new(&directory).exists() {
                std::fs::create_dir(&directory)?;
            }
        }
        Some(name) => options.rename_root = Some(name.into()),
        None => {}
    }
    let fault = |error: &dyn std::error::Error| {
        let mut text = error.to_string();
        let mut cause = error.source();
        while let Some(inner) = cause {
            text = format!("{text}: {inner}");
            cause = inner.source();
        }
        Failure::text(text)
    };
    let root = RootDir::open(Path::new(&directory)).map_err(|error| Failure::Local(error.into()))?;
    archive::copy::put(&root, Path::new("."), archive, &options).map(drop).map_err(|error| fault(&error))
}

struct Counted<'a> {
    source: &'a mut dyn Read,
    bytes: u64,
}

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.source.read(buffer)?;
        self.bytes += count as u64;
        Ok(count)
    }
}
