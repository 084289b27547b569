//! `LLBBridge`: a client drives a build itself.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use grpc::{Call, Code, Status};
use model::pattern::Pattern;

use super::builds::Build;
use super::{Backend, Doors, Wish};
use crate::caps;
use crate::control::{CacheOptionsEntry, VertexWarning};
use crate::fsutil::Stat;
use crate::gateway::{
    BuildResult, Built, EvaluateRequest, EvaluateResponse, InputsRequest, InputsResponse, PingRequest,
    PongResponse, ReadDirRequest, ReadDirResponse, ReadFileRequest, ReadFileResponse, Ref,
    ResolveImageConfigRequest, ResolveSourceImageResponse, ResolveSourceMetaRequest,
    ResolveSourceMetaResponse, ReturnRequest, ReturnResponse, SolveRequest, SolveResponse, StatFileRequest,
    StatFileResponse, WarnRequest, WarnResponse, method,
};

/// How long a call waits for the build it belongs to.
const PATIENCE: Duration = Duration::from_secs(3);
/// Longest part of a file read at once.
const LONGEST_READ: u64 = 12 << 20;

impl<B: Backend> Doors<B> {
    /// A call of a client that drives a build.
    pub(super) fn bridge(&self, call: &mut Call) -> Result<(), Status> {
        let build = self.driven(call)?;
        match call.path.clone().as_str() {
            method::PING => call.unary(|_, _: PingRequest| Ok(self.pong())),
            method::SOLVE => call.unary(|call, request| self.bridge_solve(call, &build, request)),
            method::RETURN => call.unary(|_, request| give_back(&build, request)),
            method::EVALUATE => call.unary(|_, request: EvaluateRequest| {
                build.result(&request.reference).map(|_| EvaluateResponse {})
            }),
            method::RESOLVE_IMAGE_CONFIG => call.unary(|call, request: ResolveImageConfigRequest| {
                self.backend.image_config(&request, &Self::job_of(&build, &call.cancellation))
            }),
            method::RESOLVE_SOURCE_META => {
                call.unary(|call, request| self.source_meta(call, &build, request))
            }
            method::READ_FILE => call.unary(|_, request: ReadFileRequest| {
                let range = request.range.unwrap_or_default();
                let from = range.offset.max(0).cast_unsigned();
                let length = if range.length <= 0 { LONGEST_READ } else { range.length.cast_unsigned() };
                let built = build.result(&request.reference)?;
                let data =
                    self.backend.read_file(&built, &request.file_path, from, length.min(LONGEST_READ))?;
                Ok(ReadFileResponse { data })
            }),
            method::READ_DIR => call.unary(|_, request: ReadDirRequest| {
                let built = build.result(&request.reference)?;
                let entries = self.backend.read_dir(&built, &request.dir_path)?;
                matching(entries, &request.include_pattern).map(|entries| ReadDirResponse { entries })
            }),
            method::STAT_FILE => call.unary(|_, request: StatFileRequest| {
                let built = build.result(&request.reference)?;
                Ok(StatFileResponse { stat: Some(self.backend.stat_file(&built, &request.path)?) })
            }),
            method::INPUTS => {
                call.unary(|_, _: InputsRequest| Ok(InputsResponse { definitions: build.inputs() }))
            }
            method::WARN => call.unary(|_, request| Ok(warn(&build, request))),
            path => Err(Status::unimplemented(path)),
        }
    }

    /// The build a call names; it may begin a moment later.
    fn driven(&self, call: &Call) -> Result<Arc<Build<B::Built>>, Status> {
        let id = call
            .metadata
            .text(method::BUILD_ID)
            .filter(|id| !id.is_empty())
            .ok_or_else(|| Status::new(Code::InvalidArgument, "no buildid found in context"))?;
        let build = self.builds.get(id, PATIENCE)?;
        if build.end().is_some() {
            return Err(Status::new(Code::NotFound, format!("no such job {id}")));
        }
        Ok(build)
    }

    fn pong(&self) -> PongResponse {
        PongResponse {
            frontend_api_caps: caps::enabled(&caps::FRONTEND),
            llb_caps: caps::enabled(&caps::OPERATIONS),
            workers: self.backend.workers(),
        }
    }

    fn bridge_solve(
        &self,
        call: &Call,
        build: &Build<B::Built>,
        request: SolveRequest,
    ) -> Result<SolveResponse, Status> {
        let graph = request.definition.as_ref().filter(|definition| !definition.def.is_empty());
        let mut wish = match (request.frontend.as_str(), graph) {
            ("", Some(graph)) => Wish::of_source(graph)?,
            // Nothing asked for gives nothing, as with BuildKit: the empty root.
            ("", None) => {
                return Ok(SolveResponse { reference: String::new(), result: Some(BuildResult::default()) });
            }
            (frontend, _) => Wish::read(frontend, &request.frontend_opt)?,
        };
        wish.entitlements.clone_from(&build.request.entitlements);
        wish.inputs = request.frontend_inputs;
        let imports = request.cache_imports.into_iter();
        wish.cache_imports
            .extend(imports.map(|entry| CacheOptionsEntry { r#type: entry.r#type, attrs: entry.attrs }));
        // The call's end or the build's: whichever comes first.
        let until = call.cancellation.clone();
        let ended = until.clone();
        let _hook = build.job.cancellation.on_cancel(move || ended.cancel());
        let job = Self::job_of(build, &until);
        if wish.subrequest.is_some() {
            let metadata = self.backend.answer(&wish, &job)?;
            let result = BuildResult { metadata, ..BuildResult::default() };
            return Ok(SolveResponse { reference: String::new(), result: Some(result) });
        }
        let built = self.backend.build(&wish, &job)?;
        let metadata = self.backend.facts(&built);
        let def = Some(self.backend.definition(&built));
        let one = Ref { id: build.keep(built)?, def };
        Ok(answer(one, metadata, request.allow_result_return, request.allow_result_array_ref))
    }

    fn source_meta(
        &self,
        call: &Call,
        build: &Build<B::Built>,
        request: ResolveSourceMetaRequest,
    ) -> Result<ResolveSourceMetaResponse, Status> {
        let source = request.source.unwrap_or_default();
        let Some(name) = source.identifier.strip_prefix("docker-image://") else {
            return Ok(ResolveSourceMetaResponse { source: Some(source), image: None });
        };
        let asked = ResolveImageConfigRequest {
            reference: name.to_owned(),
            platform: request.platform,
            resolve_mode: request.resolve_mode,
            log_name: request.log_name,
            ..ResolveImageConfigRequest::default()
        };
        let found = self.backend.image_config(&asked, &Self::job_of(build, &call.cancellation))?;
        let image = ResolveSourceImageResponse { digest: found.digest, config: found.config };
        Ok(ResolveSourceMetaResponse { source: Some(source), image: Some(image) })
    }
}

/// The entries whose names fit a pattern; all when it is empty.
fn matching(mut entries: Vec<Stat>, pattern: &str) -> Result<Vec<Stat>, Status> {
    if !pattern.is_empty() {
        let wrong = |_| Status::new(Code::InvalidArgument, format!("syntax error in pattern: {pattern}"));
        let pattern = Pattern::new(pattern).map_err(wrong)?;
        entries.retain(|entry| pattern.matches(&entry.path));
    }
    Ok(entries)
}

/// A result in the form the client reads.
fn answer(one: Ref, metadata: BTreeMap<String, Vec<u8>>, new: bool, arrays: bool) -> SolveResponse {
    if !new {
        return SolveResponse { reference: one.id, result: None };
    }
    let built = if arrays { Built::One(one) } else { Built::OldOne(one.id) };
    let result = BuildResult { built: Some(built), metadata, ..BuildResult::default() };
    SolveResponse { reference: String::new(), result: Some(result) }
}

fn give_back<R: Clone>(build: &Build<R>, request: ReturnRequest) -> Result<ReturnResponse, Status> {
    let returned = match request.error {
        Some(error) if error.code != 0 => Err(Status::from_message(error)),
        _ => result(build, request.result.unwrap_or_default()),
    };
    let refused = returned.clone().err().filter(|status| status.code == Code::NotFound);
    build.give_back(returned)?;
    refused.map_or(Ok(ReturnResponse {}), Err)
}

/// The result a client gives back; one, also where it is given by platform.
fn result<R: Clone>(build: &Build<R>, given: BuildResult) -> Result<Option<R>, Status> {
    let ids: Vec<String> = match given.built {
        None => Vec::new(),
        Some(Built::OldOne(id)) => vec![id],
        Some(Built::One(one)) => vec![one.id],
        Some(Built::OldMany(many)) => many.refs.into_values().collect(),
        Some(Built::Many(many)) => many.refs.into_values().map(|one| one.id).collect(),
    };
    let ids: Vec<String> = ids.into_iter().filter(|id| !id.is_empty()).collect();
    match ids.as_slice() {
        [] => Ok(None),
        [id] => build.result(id).map(Some),
        _ => {
            let text = "results for several platforms are not supported by this builder";
            Err(Status::new(Code::Unimplemented, text))
        }
    }
}

fn warn<R>(build: &Build<R>, request: WarnRequest) -> WarnResponse {
    build.job.progress.warning(VertexWarning {
        vertex: request.digest,
        level: request.level,
        short: request.short,
        detail: request.detail,
        url: request.url,
        info: request.info,
        ranges: request.ranges,
    });
    WarnResponse {}
}
