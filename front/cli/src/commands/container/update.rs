//! `update`: other limits and another restart policy for existing containers.

use api_client::Query;
use api_client::query::path_escape;
use serde_json::{Value as Json, json};

use super::options;
use crate::command::Kind::Text;
use crate::command::{Arity, Command, Flag, long};
use crate::commands::each::each_quietly;
use crate::failure::{Failure, Outcome};
use crate::matches::Matches;
use crate::session::Session;

const FLAGS: &[Flag] = &[long("restart", Text, "When to start it again")];

/// The command.
pub const COMMAND: Command = Command {
    about: "Update configuration of one or more containers",
    usage: &["[OPTIONS] CONTAINER [CONTAINER...]"],
    spellings: &["container update", "update"],
    flags: &[options::LIMITS, FLAGS],
    arity: Arity::Min(1),
    interspersed: true,
    examples: &["update --memory 512m --restart unless-stopped web"],
    run,
};

fn run(session: &Session, matches: &Matches) -> Outcome {
    if !options::LIMITS.iter().chain(FLAGS).any(|flag| matches.given(flag.long)) {
        return Err(Failure::text("you must provide one or more flags when using this command"));
    }
    let (name, retries) = options::restart_policy(matches.text("restart")).map_err(Failure::text)?;
    let amount = |flag: &str| match matches.text(flag) {
        "-1" => -1,
        text => crate::value::bytes(text).unwrap_or(0),
    };
    let mut body = json!({
        "BlkioWeight": matches.int("blkio-weight"), "CpuShares": matches.int("cpu-shares"),
        "CpuPeriod": matches.int("cpu-period"), "CpuQuota": matches.int("cpu-quota"),
        "CpuRealtimePeriod": matches.int("cpu-rt-period"), "CpuRealtimeRuntime": matches.int("cpu-rt-runtime"),
        "CpusetCpus": matches.text("cpuset-cpus"), "CpusetMems": matches.text("cpuset-mems"),
        "Memory": amount("memory"), "MemoryReservation": amount("memory-reservation"),
        "MemorySwap": amount("memory-swap"),
        "NanoCpus": if matches.given("cpus") { crate::value::cpus(matches.text("cpus")).unwrap_or(0) } else { 0 },
        "RestartPolicy": {"Name": name, "MaximumRetryCount": retries},
    });
    if let (true, Some(fields)) = (matches.given("pids-limit"), body.as_object_mut()) {
        fields.insert("PidsLimit".to_owned(), json!(matches.int("pids-limit")));
    }
    let client = session.client()?;
    let mut warnings = Vec::new();
    let outcome = each_quietly(&matches.args, |name| {
        let answer: Json =
            client.post(&format!("/containers/{}/update", path_escape(name)), &Query::new(), &body)?;
        println!("{name}");
        warnings.extend(
            answer
                .get("Warnings")
                .and_then(Json::as_array)
                .into_iter()
                .flatten()
                .filter_map(Json::as_str)
                .map(str::to_owned),
        );
        Ok(())
    });
    if !warnings.is_empty() {
        println!("{}", warnings.join("\n"));
    }
    outcome
}
