//! `import URL`: the archive is fetched by the engine, and taken in while it comes.

use std::io::Read;
use std::sync::Arc;
use std::sync::mpsc::Sender;

use api::image::{Progress, ProgressDetail};
use registry_client::{Address, Download, Stop};

use super::transfer::{self, ImportParameters};
use crate::engine::Inner;
use crate::registry::Caller;
use crate::{Error, Result};

/// Bytes between two lines that tell how far it is.
const STEP: u64 = 512 * 1024;

pub(super) fn import(
    inner: &Arc<Inner>,
    parameters: &ImportParameters,
    progress: &mut dyn FnMut(Progress),
    stop: &Stop,
) -> Result<()> {
    transfer::check(parameters)?;
    let address = Address::parse(&parameters.source).map_err(Error::from_kinded)?;
    // Names and passwords are not for the image's history.
    let source = if address.has_user() { address.text() } else { parameters.source.clone() };
    let parameters = ImportParameters { source, ..parameters.clone() };
    let client = inner.registries.client(&Caller::default());
    let download = client.download_from(&address, stop).map_err(Error::from_kinded)?;
    progress(Progress::status("", format!("Downloading from {}", address.text())));
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        let work = scope.spawn(move || {
            let mut source = Told::new(download, tell);
            let id = transfer::import(inner, &parameters, &mut source)?;
            source.end();
            let _ = source.tell.send(Progress::status("", id));
            Ok(())
        });
        told.into_iter().for_each(&mut *progress);
        work.join().unwrap_or_else(|_| Err(Error::internal("the import ended unexpectedly")))
    })
}

/// A download that tells how far it is.
struct Told {
    source: Download,
    tell: Sender<Progress>,
    current: u64,
    shown: Option<u64>,
}

impl Told {
    fn new(source: Download, tell: Sender<Progress>) -> Self {
        Self { source, tell, current: 0, shown: None }
    }

    fn show(&mut self) {
        self.shown = Some(self.current);
        let signed = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
        let detail = ProgressDetail {
            current: signed(self.current),
            total: self.source.length().map_or(-1, signed),
            ..ProgressDetail::default()
        };
        let _ =
            self.tell.send(Progress { progress_detail: Some(detail), ..Progress::status("", "Importing") });
    }

    /// The last line says the whole.
    fn end(&mut self) {
        if self.shown != Some(self.current) {
            self.show();
        }
    }
}

impl Read for Told {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.source.read(buffer)?;
        self.current += count as u64;
        if count > 0 && self.shown.is_none_or(|shown| self.current - shown >= STEP) {
            self.show();
        }
        Ok(count)
    }
}
