//! `build` through BuildKit's protocol: the flags as a request, the files offered in a session, progress as it comes.
//!
//! Which files (`context`), what steps borrow (`lend`), what becomes of the result (`exports`), the frontend's options
//! (`attributes`, `cache`); then one connection asks the builder and one serves it (`connect`), what it says is shown
//! (`watch`, `progress`), and what is left to do is done (`push`, `outcome`).

mod ask;
mod attributes;
mod cache;
pub(in crate::commands) mod connect;
mod context;
mod exports;
pub(in crate::commands) mod failure;
mod fields;
mod lend;
mod outcome;
pub(in crate::commands) mod progress;
mod push;
mod serving;
mod watch;

use std::time::Duration;

use buildkit::client::{Builder, Offer};
use buildkit::control::SolveRequest;
use buildkit::session::auth::Credentials;
use grpc::Cancellation;

use super::output::Mode;
use super::source::Source;
use crate::credentials;
use crate::failure::{Failure, Outcome};
use crate::matches::Matches;
use crate::session::Session;
use ask::Question;
use exports::Exports;
use progress::Display;

/// The registry whose credentials are kept under the hub's address.
const HUB_HOST: &str = "registry-1.docker.io";
/// How the engine's only builder is called: in lines, and in a live view.
const TITLE: [&str; 2] = ["\"default\" instance using docker driver", "docker:default"];

/// Flags that only an engine of ours knows.
const OWN: [&str; 2] = ["debug-on-failure", "explain"];

/// How long the session waits for the build to be over before it is opened.
const PATIENCE: Duration = Duration::from_millis(3);

/// Flags that mean nothing here: the protocol has no place for them.
const WITHOUT_EFFECT: [&str; 5] = ["compress", "force-rm", "isolation", "disable-content-trust", "rm"];

/// Builds.
///
/// # Errors
/// When the files cannot be had, or the build fails.
pub(super) fn run(session: &Session, matches: &Matches, source: Source, mode: Mode) -> Outcome {
    check(matches)?;
    for flag in WITHOUT_EFFECT.iter().filter(|flag| matches.given(flag)) {
        eprintln!("WARNING: --{flag} has no effect on a build through BuildKit's protocol");
    }
    let client = session.client()?;
    let mut exports = Exports::of(matches, terminal::is_terminal(std::io::stdout()))?;
    let mut offer = Offer::default();
    lend::offer(matches, &session.environment, &mut offer)?;
    exports.offer(&mut offer)?;
    offer.keyring(keyring(session));
    let (builder, is_wharf) = connect::builder_and_engine(client)?;
    let mut attributes = attributes::read(session, matches, || host_gateway(&builder))?;
    let files = context::offer(source, matches, &mut offer, &mut attributes)?;
    let in_place = is_wharf && client.host().starts_with("unix://") && files.name_place(&mut attributes)?;
    ask_for_own(matches, is_wharf, &mut attributes)?;
    let mut caches = cache::read(matches, &mut attributes, &mut offer)?;
    let question = Question::of(matches)?;
    if let Some(question) = &question {
        question.add_to(&mut attributes);
    }
    let name =
        std::env::current_dir().ok().and_then(|path| Some(path.file_name()?.to_string_lossy().into_owned()));
    // A build out of the cache asks for nothing when the engine sees the files; it is over before this is.
    let patience = if in_place { PATIENCE } else { Duration::ZERO };
    let serving = serving::serve(client, offer, &name.unwrap_or_default(), &files.shared_key, patience)?;
    let exporters = exports.requests();
    let first = exporters.first().cloned().unwrap_or_default();
    let request = SolveRequest {
        reference: model::id::random_hex()[..25].to_owned(),
        session: serving.id.clone(),
        frontend: "dockerfile.v0".into(),
        frontend_attrs: attributes,
        // Builders that know one exporter only read it here.
        exporter_deprecated: first.r#type,
        exporter_attrs_deprecated: first.attrs,
        exporters,
        cache: caches.options.take(),
        entitlements: attributes::entitlements(matches),
        ..SolveRequest::default()
    };
    let mut display = Display::new(mode, TITLE, session.environment.get("NO_COLOR").is_none());
    if OWN.iter().any(|flag| matches.on(flag)) {
        display.want_all();
    }
    let Some(question) = question else {
        let reference = request.reference.clone();
        let said = build(session, matches, &builder, request, &exports.push, &mut display)
            .map_err(|failure| serving.cause(failure))?;
        exports.record(&said)?;
        caches.record(&said)?;
        outcome::write(matches, &said, &reference)?;
        if mode == Mode::Quiet && !outcome::id(&said).is_empty() {
            println!("{}", outcome::id(&said));
        }
        return Ok(());
    };
    answer(&builder, request, &question, &mut display).map_err(|failure| serving.cause(failure))
}

/// Passes on the flags that only an engine of ours knows.
fn ask_for_own(matches: &Matches, is_wharf: bool, attributes: &mut attributes::Attributes) -> Outcome {
    for flag in OWN.iter().filter(|flag| matches.on(flag)) {
        if !is_wharf {
            return Err(Failure::text(format!("--{flag} needs wharf's own engine, and this is another one")));
        }
        attributes.insert(format!("wharf-{}", flag.split('-').next().unwrap_or_default()), "1".into());
    }
    Ok(())
}

/// Builds, pushes what is to be pushed, and shows it all; what the exporters said.
fn build(
    session: &Session,
    matches: &Matches,
    builder: &Builder,
    request: SolveRequest,
    push: &[String],
    display: &mut Display,
) -> Result<outcome::Said, Failure> {
    let reference = request.reference.clone();
    let solve = move |builder: &Builder, until: &Cancellation| {
        builder.solve(&request, until).map(|response| response.exporter_response)
    };
    // An engine opens no shell for those who did not ask for one.
    let wants_shell = matches.on("debug-on-failure");
    let open_shell = |container: &str| {
        if wants_shell {
            shell(session, container);
        }
    };
    let solved = watch::under(builder, &reference, display, &open_shell, solve);
    let pushed = match &solved {
        Ok(_) => push::all(session, push, display),
        Err(_) => Ok(()),
    };
    display.end(matches.on("debug") || session.debug)?;
    let said = solved.map_err(|status| failure::of_build(&status))?;
    pushed.map(|()| said)
}

/// Asks about the Dockerfile, and prints the answer.
fn answer(builder: &Builder, request: SolveRequest, question: &Question, display: &mut Display) -> Outcome {
    let reference = request.reference.clone();
    let ask = move |builder: &Builder, until: &Cancellation| ask::ask(builder, request, until);
    let answer = watch::under(builder, &reference, display, &|_| {}, ask);
    // What a check finds is told as its answer.
    display.end_without_warnings()?;
    question.print(&answer.map_err(|status| ask::failed(&status))?)
}

/// A shell in the state of a failing step: the container the engine has made ready, started as anybody starts one.
fn shell(session: &Session, container: &str) {
    use crate::commands::container::start::COMMAND;
    eprintln!("The step failed. This is a shell in the state it left; the build ends with it.");
    let words = ["--attach", "--interactive", container].map(str::to_owned);
    let started = match Matches::parse(COMMAND.flags, true, &words) {
        Ok(matches) => (COMMAND.run)(session, &matches),
        Err(failure) => Err(Failure::text(failure.to_string())),
    };
    // How a shell ends is its user's affair.
    if let Err(failure) = started
        && !matches!(failure, Failure::Status(_))
    {
        eprintln!("{}", failure.message());
    }
}

/// Refuses what contradicts itself, or what there is no builder for.
fn check(matches: &Matches) -> Outcome {
    let builder = matches.text("builder");
    if !matches!(builder, "" | "default") {
        return Err(Failure::text(format!("ERROR: no builder {} found", crate::value::quoted(builder))));
    }
    if matches.on("debug-on-failure") && !terminal::is_terminal(std::io::stdin()) {
        return Err(Failure::text("--debug-on-failure needs a terminal to have a shell on"));
    }
    let unknown = [
        ("policy", "there is no interpreter for policies here; sources can be pinned by their digests"),
        ("resource", "steps have no limits of their own here; those of a builder are its configuration's"),
    ];
    for (flag, reason) in unknown {
        if matches.given(flag) {
            return Err(Failure::text(format!("--{flag} is not supported: {reason}")));
        }
    }
    Ok(())
}

/// The address that steps reach the machine at, where the builder tells it.
fn host_gateway(builder: &Builder) -> Option<String> {
    const LABEL: &str = "org.mobyproject.buildkit.worker.moby.host-gateway-ip";
    let workers = builder.workers().ok()?.record;
    workers.iter().find_map(|worker| worker.labels.get(LABEL)).filter(|address| !address.is_empty()).cloned()
}

/// What we know about registries, by their hosts; looked up when the builder asks, as a helper may ask its user.
fn keyring(session: &Session) -> impl Fn(&str) -> Option<Credentials> + Send + Sync + 'static {
    let (environment, config) = (session.environment.clone(), session.config().clone());
    move |host| {
        let key = if host == HUB_HOST { credentials::HUB } else { host };
        let document = credentials::find_in(&environment, &config, key).ok().flatten()?.document();
        let text = |name: &str| document.get(name).and_then(|value| value.as_str()).unwrap_or_default();
        let (username, secret) = match text("identitytoken") {
            "" => (text("username").to_owned(), text("password").to_owned()),
            token => (String::new(), token.to_owned()),
        };
        (!secret.is_empty()).then_some(Credentials { username, secret })
    }
}
