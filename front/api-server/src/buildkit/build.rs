//! One build: files, plan, steps, image.

use buildkit::server::{Context, Job, Wish};
use engine::Engine;
use engine::build::{Cancel, ContextSource};
use grpc::{Code, Status};

use super::files::{self, Files};
use super::steps::Steps;
use super::{failure, request};

/// Builds an image without a name; its id.
pub(super) fn build(engine: &Engine, wish: &Wish, job: &Job) -> Result<String, Status> {
    wish.refuse_subrequest()?;
    let cancel = Cancel::default();
    let stop = cancel.clone();
    // Ending steps takes a moment; whoever says that the client is gone serves other calls too.
    let _hook = job.cancellation.on_cancel(move || {
        std::thread::spawn(move || stop.stop());
    });
    let files = Files::new(engine, wish, job)?;
    let request = request::request(wish, job, &files)?;
    if let Err(error) = read(&files) {
        return Err(failure::dockerfile(&error, &files.dockerfile));
    }
    let mut upload = match &wish.context {
        Context::Address(address) if files::is_upload(address) => {
            let path = address.rsplit_once('/').map_or("", |(_, name)| name);
            Some(job.session()?.upload(path, &job.cancellation)?)
        }
        _ => None,
    };
    let source = match (&wish.context, &mut upload) {
        (_, Some(upload)) => ContextSource::Tar(upload),
        (Context::Address(address), None) => ContextSource::Remote(address.clone()),
        (Context::Local(_), None) => ContextSource::Folders(files.paths()),
        (other, None) => {
            let text = format!("{other:?} as the main context is not supported by this builder");
            return Err(Status::new(Code::Unimplemented, text));
        }
    };
    let builds = engine.builds();
    let received = builds.receive(&request, source, &cancel).map_err(|error| failure::plain(&error))?;
    let steps = Steps::new(job, &files, &cancel);
    let outcome = builds.build(&request, &received, &steps, &cancel);
    if let Some(failure) = steps.failure() {
        return Err(failure);
    }
    outcome.map(|outcome| outcome.id).map_err(|error| failure::status(&error, &steps, &files.dockerfile))
}

/// Reads the Dockerfile once more, so that what is wrong with it can be shown with its lines.
fn read(files: &Files) -> Result<(), builder::DockerfileError> {
    if files.dockerfile.data.is_empty() {
        return Ok(());
    }
    builder::Dockerfile::read(&files.dockerfile.data).map(|_| ())
}
