//! Dockerfiles, planned as far as that goes without an engine, and ignore files.

use builder::Dockerfile;
use builder::plan::{Base, Bases, Options, Plan, Style};
use oci::Platform;

/// Every image is there; those it names have the Dockerfile's own lines as triggers.
struct Anything(Vec<String>);

impl Bases for Anything {
    type Error = std::convert::Infallible;

    fn base(&mut self, _: &str, platform: &Platform) -> Result<Base, Self::Error> {
        let mut base = Base::default();
        base.config.platform = platform.clone();
        base.config.config.on_build = Some(self.0.clone());
        Ok(base)
    }
}

/// Dockerfiles: refused, or planned with every step in its graph.
pub fn dockerfile(data: &[u8]) {
    let Ok(file) = Dockerfile::read(data) else { return };
    let triggers = String::from_utf8_lossy(data).lines().take(3).map(str::to_owned).collect();
    for style in [Style::Classic, Style::BuildKit] {
        let options =
            Options { style, platform: Platform::host(), host: Platform::host(), ..Options::default() };
        for triggers in [Vec::new(), Vec::clone(&triggers)] {
            let Ok(plan) = Plan::new(&file, &options, &mut Anything(triggers)) else { continue };
            for (id, vertex) in plan.graph.vertices() {
                assert!(vertex.inputs.iter().all(|input| *input < id), "inputs come before what needs them");
                for selection in vertex.operation.selections() {
                    if let builder::operation::Origin::Input(input) = &selection.origin {
                        assert!(*input < vertex.inputs.len(), "an origin is an input");
                    }
                }
            }
            let steps = plan.steps.iter().filter_map(|step| step.vertex);
            assert!(steps.into_iter().all(|vertex| plan.graph.get(vertex).is_some()));
            let _ = plan.image(&[]);
        }
    }
}

/// Ignore files, and what they say of some paths.
pub fn ignore_file(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let Ok(ignore) = build_context::Ignore::read(&text) else { return };
    for path in ["a", "a/b", "a/b/c.txt", ".git/config", "ä/ö"].into_iter().chain(text.lines().take(5)) {
        let _ = (ignore.is_ignored(path), ignore.may_show_below(path));
    }
}

#[cfg(test)]
mod tests {
    use crate::tests::damage_so_often;

    #[test]
    fn dockerfiles() {
        let all = b"# syntax=docker/dockerfile:1\n# escape=\\\nARG V=1\nFROM --platform=linux/amd64 a:${V:-2} AS one\nARG V\n\
            ENV A=b C=\"d e\"\nRUN --mount=type=cache,target=/c,sharing=locked --network=none echo $A \\\n  more\n\
            RUN <<E cat 3<<-'F'\nx $y\nE\n\tz\nF\nCOPY --from=one --chown=1:2 --chmod=u+x [\"a b\", \"c\", \"/d/\"]\n\
            ADD --checksum=sha256:11 http://h/f /x\nHEALTHCHECK --interval=1s --retries=3 CMD [\"t\"]\nONBUILD COPY . /o\n";
        let rest = b"FROM scratch\nCOPY <<F /f\n${x:?no} ${y##*/} ${z/a/b}\nF\nFROM 0\nEXPOSE 80-90/udp $P\nVOLUME [\"/v\"]\nUSER u:g\n\
            WORKDIR a/../b\nSHELL [\"sh\"]\nSTOPSIGNAL 9\nLABEL a=b\nMAINTAINER m\nENTRYPOINT x\nCMD y\nRUN --mount=from=0,target=/m z\n";
        damage_so_often(1_500, &[all, rest], super::dockerfile);
    }

    #[test]
    fn ignore_files() {
        damage_so_often(1_500, &[b"# c\n*.o\n!keep.o\n**/tmp*/[a-c]\\*\n/../x\n!a/b\n"], super::ignore_file);
    }
}
