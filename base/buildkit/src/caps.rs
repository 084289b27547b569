//! `moby.buildkit.v1.apicaps`: what each side can do, told before it is asked for.

/// One ability.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ApiCap {
    /// Its name.
    #[prost(string, tag = "1")]
    pub id: String,
    /// Whether it can be used.
    #[prost(bool, tag = "2")]
    pub enabled: bool,
    /// Whether it will go.
    #[prost(bool, tag = "3")]
    pub deprecated: bool,
    /// Why not, as a word.
    #[prost(string, tag = "4")]
    pub disabled_reason: String,
    /// Why not, for people.
    #[prost(string, tag = "5")]
    pub disabled_reason_msg: String,
    /// What to use instead.
    #[prost(string, tag = "6")]
    pub disabled_alternative: String,
}

/// What the gateway can be asked for; the list the Docker engine's own BuildKit gives for the methods there are here.
pub const FRONTEND: [&str; 16] = [
    "solve.base",
    "solve.inlinereturn",
    "resolveimage",
    "resolveimage.resolvemode",
    "readfile",
    "return",
    "returnmap",
    "readdir",
    "statfile",
    "importcaches",
    "proto.refarray",
    "reference.output",
    "frontend.inputs",
    "frontend.caps",
    "gateway.solve.evaluate",
    "gateway.evaluate",
];

/// What operations can do, as far as clients ask before they use it.
pub const OPERATIONS: [&str; 17] = [
    "source.image",
    "source.local",
    "source.local.unique",
    "source.local.sessionid",
    "source.local.includepatterns",
    "source.local.followpaths",
    "source.local.excludepatterns",
    "source.local.sharedkeyhint",
    "source.http",
    "source.http.checksum",
    "source.git",
    "source.git.fullurl",
    "source.git.keepgitdir",
    "constraints",
    "platform",
    "meta.description",
    "exporter.image.attestations",
];

/// Enabled abilities of these names.
pub fn enabled(names: &[&str]) -> Vec<ApiCap> {
    names.iter().map(|name| ApiCap { id: (*name).to_owned(), enabled: true, ..ApiCap::default() }).collect()
}
