//! Exporters `local` and `tar`: the files of results, without images.

use std::collections::BTreeMap;

use buildkit::session::send::{Branch, SendError};
use engine::build::Files;
use grpc::{Code, Status};

use super::options::Facts;
use super::{Work, failure};
use crate::buildkit::backend::BuiltPart;
use crate::buildkit::vertex::Telling;

impl Work<'_> {
    /// The files go to the client one by one.
    pub(super) fn folder(&self, telling: &Telling<'_>) -> Result<Facts, Status> {
        let mut roots = Vec::new();
        for tree in self.trees()? {
            let root = self.built.engine.builds().files(&tree.image);
            roots.push((tree, root.map_err(|error| failure::plain(&error))?));
        }
        let branch = |(tree, root)| {
            let tree: &Files = tree;
            Branch { name: tree.folder.clone(), root, files: tree.more.clone() }
        };
        let mut branches: Vec<Branch<'_>> = roots.iter().map(|(tree, root)| branch((tree, root))).collect();
        branches.sort_by(|one, other| one.name.cmp(&other.name));
        telling.part("copying files", "copying files", 0, false);
        let time = self.epoch().map(model::Timestamp::seconds);
        let sent = self.job.session()?.send_tree(self.export.number, &branches, time, &self.job.cancellation);
        sent.map_err(|error| match error {
            SendError::Peer(status) => status,
            other => Status::new(Code::Unknown, model::error::chain(&other)),
        })?;
        telling.part("copying files", "copying files", 0, true);
        Ok(Facts::new())
    }

    /// The files go to the client as one archive.
    pub(super) fn tarball(&self, telling: &Telling<'_>) -> Result<Facts, Status> {
        let trees = self.trees()?;
        let session = self.job.session()?;
        let mut out = session.send_archive(self.export.number, &[], &self.job.cancellation)?;
        telling.part("sending tarball", "", 0, false);
        let time = self.epoch().map(model::Timestamp::seconds);
        let written = self.built.engine.builds().write_files(&trees, time, &mut out);
        written.map_err(|error| failure::plain(&error))?;
        out.finish()?;
        telling.part("sending tarball", "", 0, true);
        Ok(Facts::new())
    }

    /// What is said about a result, as files beside it.
    fn beside(&self, part: &BuiltPart) -> Result<BTreeMap<String, Vec<u8>>, Status> {
        let statements = self.statements(part);
        if statements.is_empty() {
            return Ok(BTreeMap::new());
        }
        let files = self.built.engine.builds().file_digests(&part.outcome.id);
        let files = files.map_err(|error| failure::plain(&error))?;
        let file = |(name, statement): (String, engine::build::export::Statement)| {
            let name = format!("{}{name}", self.options.statement_prefix);
            let text = serde_json::to_vec_pretty(&statement.about_files(&files));
            text.map(|text| (name, text)).map_err(|error| Status::new(Code::Internal, error.to_string()))
        };
        statements.into_iter().map(file).collect()
    }

    /// Each platform's files, in a folder of its own when there are several.
    fn trees(&self) -> Result<Vec<Files>, Status> {
        let several = self.built.parts.len() > 1;
        let split = self.options.split.unwrap_or(several);
        if several && !split {
            let text = "platform-split=false: files of several platforms cannot be put into one folder";
            return Err(Status::new(Code::Unimplemented, text));
        }
        let tree = |part: &BuiltPart| {
            let image = part.outcome.id.clone();
            let folder = if split { part.platform.text().replace('/', "_") } else { String::new() };
            Ok(Files { image, folder, more: self.beside(part)? })
        };
        self.built.parts.iter().map(tree).collect()
    }
}
