//! Where an image comes from, as SLSA tells it: what went into the build, what it was asked for, what was done.

mod steps;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use builder::Operation;
use builder::operation::{MountKind, Origin};
use builder::plan::{Base, Plan};
use builder::solve::Done;
use model::Timestamp;
use oci::Platform;
use serde_json::{Map, Value, json};

use self::steps::Steps;
use super::checksum::Checksum;
use super::export::Statement;
use super::package;

/// The predicate's type.
const TYPE: &str = "https://slsa.dev/provenance/v0.2";
/// What kind of build it was.
const BUILD_TYPE: &str = "https://mobyproject.org/buildkit@v1";
/// Where more is said than SLSA knows.
const MORE: &str = "https://mobyproject.org/buildkit@v1#metadata";

/// What a build used and did.
#[derive(Debug, Clone)]
pub struct Provenance {
    platform: Platform,
    materials: Vec<(String, Option<Checksum>)>,
    steps: Steps,
    secrets: BTreeSet<(String, bool)>,
    agents: BTreeSet<(String, bool)>,
    started: Timestamp,
    finished: Timestamp,
}

/// What only the client's side knows.
#[derive(Debug, Clone, Default)]
pub struct ProvenanceWish {
    /// All of it: arguments, labels, every operation, the Dockerfile.
    pub full: bool,
    /// Who built.
    pub builder: String,
    /// The same inputs are said to give the same image.
    pub reproducible: bool,
    /// The build's own name.
    pub invocation: String,
    /// The path of the Dockerfile.
    pub entry_point: String,
    /// The Dockerfile.
    pub text: Vec<u8>,
    /// What the frontend was asked for.
    pub arguments: BTreeMap<String, String>,
    /// Where the context comes from, when it is no folder.
    pub address: Option<String>,
    /// What was found there.
    pub checksum: Option<Checksum>,
    /// Folders of the client.
    pub folders: Vec<String>,
    /// What the client says of its repository.
    pub repository: BTreeMap<String, String>,
}

impl Provenance {
    /// Of a build that was planned and done; `fetched` is what addresses were found to be.
    pub(super) fn new(
        plan: &Plan,
        results: &[Option<Done>],
        bases: &HashMap<(String, Platform), Base>,
        platform: &Platform,
        fetched: &HashMap<String, Checksum>,
        started: Timestamp,
    ) -> Self {
        let mut found = Self {
            platform: platform.clone(),
            materials: Vec::new(),
            steps: Steps::of(plan, results, bases, platform),
            secrets: BTreeSet::new(),
            agents: BTreeSet::new(),
            started,
            finished: Timestamp::now(),
        };
        let mut images: Vec<_> = bases.iter().collect();
        images.sort_by(|(one, _), (other, _)| (&one.0, one.1.text()).cmp(&(&other.0, other.1.text())));
        for ((name, platform), base) in images {
            found.materials.push((package::url_of_text(name, platform), Checksum::of_text(&base.id)));
        }
        let targets: Vec<_> = plan.target.into_iter().collect();
        let needed = plan.graph.needed(&targets);
        for (_, vertex) in plan.graph.vertices().filter(|(id, _)| needed.get(id.0) == Some(&true)) {
            found.note(&vertex.operation, fetched);
        }
        found
    }

    fn note(&mut self, operation: &Operation, fetched: &HashMap<String, Checksum>) {
        for selection in operation.selections() {
            if let Origin::Remote(remote) = &selection.origin {
                let address = without_password(&remote.address);
                if !self.materials.iter().any(|(known, _)| *known == address) {
                    self.materials.push((address, fetched.get(&remote.address).cloned()));
                }
            }
        }
        let Operation::Exec(exec) = operation else { return };
        for mount in &exec.mounts {
            match &mount.kind {
                MountKind::Secret(secret) => drop(self.secrets.insert((secret.id.clone(), !secret.required))),
                MountKind::Ssh(secret) => drop(self.agents.insert((secret.id.clone(), !secret.required))),
                _ => {}
            }
        }
    }

    /// The statement. Values of secrets are in none of its parts, because nothing here knows them.
    pub fn statement(&self, wish: &ProvenanceWish) -> Statement {
        let mut invocation = json!({
            "configSource": { "entryPoint": wish.entry_point },
            "parameters": self.parameters(wish),
            "environment": { "platform": self.platform.text() },
        });
        if let (Some(address), Some(source)) = (&wish.address, invocation.get_mut("configSource")) {
            *source = material(&(without_password(address), wish.checksum.clone()));
            if let Some(source) = source.as_object_mut() {
                source.insert("entryPoint".into(), wish.entry_point.clone().into());
            }
        }
        let mut materials: Vec<Value> = self.materials.iter().map(material).collect();
        if let Some(address) = &wish.address {
            materials.push(material(&(without_password(address), wish.checksum.clone())));
        }
        let mut predicate = json!({
            "builder": { "id": wish.builder },
            "buildType": BUILD_TYPE,
            "materials": materials,
            "invocation": invocation,
            "metadata": self.metadata(wish),
        });
        if let Some(members) = predicate.as_object_mut().filter(|_| wish.full) {
            let (definition, digests) = (&self.steps.definition, &self.steps.digests);
            let config = json!({ "llbDefinition": definition, "digestMapping": digests });
            members.insert("buildConfig".into(), config);
        }
        Statement { predicate_type: TYPE.to_owned(), predicate }
    }

    fn parameters(&self, wish: &ProvenanceWish) -> Map<String, Value> {
        let mut parameters = Map::new();
        parameters.insert("frontend".into(), "dockerfile.v0".into());
        let arguments: BTreeMap<&String, String> = wish
            .arguments
            .iter()
            .filter(|(name, _)| wish.full || !is_hidden(name))
            .map(|(name, value)| (name, without_password(value)))
            .collect();
        if !arguments.is_empty() {
            parameters.insert("args".into(), json!(arguments));
        }
        let folders: Vec<Value> = wish.folders.iter().map(|name| json!({ "name": name })).collect();
        if !folders.is_empty() {
            parameters.insert("locals".into(), folders.into());
        }
        let wanted = |wanted: &BTreeSet<(String, bool)>| -> Vec<Value> {
            let words = |(id, optional): &(String, bool)| match optional {
                true => json!({ "id": id, "optional": true }),
                false => json!({ "id": id }),
            };
            wanted.iter().map(words).collect()
        };
        for (name, what) in [("secrets", &self.secrets), ("ssh", &self.agents)] {
            if wish.full && !what.is_empty() {
                parameters.insert(name.into(), wanted(what).into());
            }
        }
        parameters
    }

    fn metadata(&self, wish: &ProvenanceWish) -> Map<String, Value> {
        let is_told = wish.full
            || (self.secrets.is_empty()
                && self.agents.is_empty()
                && !wish.arguments.keys().any(|name| is_hidden(name)));
        let is_known = wish.folders.is_empty()
            && (wish.address.is_none() || wish.checksum.is_some())
            && self.materials.iter().all(|(_, digest)| digest.is_some());
        let mut metadata = Map::new();
        metadata.insert("buildInvocationID".into(), wish.invocation.clone().into());
        metadata.insert("buildStartedOn".into(), self.started.to_string().into());
        metadata.insert("buildFinishedOn".into(), self.finished.to_string().into());
        let completeness = json!({ "parameters": is_told, "environment": true, "materials": is_known });
        metadata.insert("completeness".into(), completeness);
        metadata.insert("reproducible".into(), wish.reproducible.into());
        metadata.insert(MORE.into(), self.more(wish));
        metadata
    }

    fn more(&self, wish: &ProvenanceWish) -> Value {
        use base64::Engine as _;
        let mut more = Map::new();
        if !wish.repository.is_empty() {
            more.insert("vcs".into(), json!(wish.repository));
        }
        if wish.full {
            let data = base64::engine::general_purpose::STANDARD.encode(&wish.text);
            let info = json!({ "filename": wish.entry_point, "language": "Dockerfile", "data": data });
            more.insert("source".into(), json!({ "locations": self.steps.locations, "infos": [info] }));
            more.insert("layers".into(), self.steps.layers.clone().into());
        }
        more.into()
    }
}

/// Whether only somebody who wants to know everything is told.
fn is_hidden(argument: &str) -> bool {
    argument.starts_with("build-arg:") || argument.starts_with("label:")
}

fn material((uri, digest): &(String, Option<Checksum>)) -> Value {
    match digest {
        Some(checksum) => json!({ "uri": uri, "digest": checksum.shown() }),
        None => json!({ "uri": uri }),
    }
}

/// An address as everybody may read it.
fn without_password(address: &str) -> String {
    let Some((scheme, rest)) = address.split_once("://") else { return address.to_owned() };
    let end = rest.find('/').unwrap_or(rest.len());
    let (host, path) = rest.split_at_checked(end).unwrap_or((rest, ""));
    match host.rsplit_once('@') {
        Some((_, host)) => format!("{scheme}://{host}{path}"),
        None => address.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(full: bool) -> ProvenanceWish {
        let arguments = [("build-arg:TOKEN", "canary"), ("label:a", "b"), ("target", "last")];
        ProvenanceWish {
            full,
            entry_point: "Dockerfile".into(),
            text: b"FROM x".to_vec(),
            arguments: arguments.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
            folders: vec!["context".into()],
            repository: BTreeMap::from([("source".to_owned(), "https://example.test/r".to_owned())]),
            ..ProvenanceWish::default()
        }
    }

    fn built() -> Provenance {
        let time = Timestamp::from_unix(0, 0);
        Provenance {
            platform: "linux/arm64".parse().expect("a platform"),
            materials: vec![
                (package::url_of_text("busybox", &Platform::host()), Checksum::of_text("sha256:ab")),
                (without_password("https://me:word@example.test/f@g"), None),
            ],
            steps: Steps {
                definition: vec![json!({ "id": "step0" })],
                layers: Map::from_iter([("step0:0".to_owned(), json!([[]]))]),
                ..Steps::default()
            },
            secrets: BTreeSet::from([("s".to_owned(), true)]),
            agents: BTreeSet::new(),
            started: time,
            finished: time,
        }
    }

    #[test]
    fn little_is_told_unless_all_is_wanted() {
        let statement = built().statement(&wish(false));
        let told = statement.predicate.to_string();
        assert!(!told.contains("canary") && !told.contains("step0") && !told.contains("word"), "{told}");
        let said = &statement.predicate;
        assert_eq!(said["invocation"]["parameters"]["args"], json!({ "target": "last" }));
        assert_eq!(said["invocation"]["environment"]["platform"], "linux/arm64");
        assert_eq!(said["metadata"]["completeness"]["parameters"], false);
        assert_eq!(said["metadata"][MORE]["vcs"]["source"], "https://example.test/r");
        assert_eq!(said["metadata"][MORE].get("source"), None);
        assert_eq!(said["materials"][1], json!({ "uri": "https://example.test/f@g" }));
        let uri = said["materials"][0]["uri"].as_str().expect("a text");
        assert!(uri.starts_with("pkg:docker/busybox@latest?platform=linux%2F"), "{uri}");
    }

    #[test]
    fn a_context_from_elsewhere_is_told_with_what_was_found_there() {
        let mut built = built();
        built.materials.pop();
        let from = |checksum: Option<Checksum>| {
            let address = Some("https://me:word@example.test/r.git#v1".to_owned());
            built
                .statement(&ProvenanceWish { address, checksum, folders: Vec::new(), ..wish(false) })
                .predicate
        };
        let uri = "https://example.test/r.git#v1";
        let said = from(Some(Checksum::of_commit("c0".into())));
        let source = json!({ "uri": uri, "digest": { "sha1": "c0" }, "entryPoint": "Dockerfile" });
        assert_eq!(said["invocation"]["configSource"], source);
        assert_eq!(said["materials"][1], json!({ "uri": uri, "digest": { "sha1": "c0" } }));
        assert_eq!(said["metadata"]["completeness"]["materials"], true);
        let said = from(None);
        assert_eq!(said["materials"][1], json!({ "uri": uri }));
        assert_eq!(said["metadata"]["completeness"]["materials"], false);
    }

    #[test]
    fn all_is_told_when_it_is_wanted() {
        let said = built().statement(&wish(true)).predicate;
        assert_eq!(said["invocation"]["parameters"]["args"]["build-arg:TOKEN"], "canary");
        assert_eq!(said["invocation"]["parameters"]["secrets"], json!([{ "id": "s", "optional": true }]));
        assert_eq!(said["buildConfig"]["llbDefinition"][0]["id"], "step0");
        assert_eq!(said["metadata"][MORE]["source"]["infos"][0]["data"], "RlJPTSB4");
        assert_eq!(said["metadata"][MORE]["layers"]["step0:0"], json!([[]]));
        assert_eq!(said["metadata"]["completeness"]["parameters"], true);
        assert_eq!(said["metadata"]["completeness"]["materials"], false);
    }
}
