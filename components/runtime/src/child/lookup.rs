//! Finds the command the way Go's `exec.LookPath` does, with its answers.

use linux::path_buffer::PathBuffer;
use linux::{Errno, SysResult};
use rustix::fs::{AtFlags, CWD, FileType, statat};

use crate::plan::ProcessPlan;
use crate::report::{Fault, StepResult};
use crate::step::Step;

/// Why a command cannot be executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LookupKind {
    /// The file itself could not be looked at.
    Stat,
    /// It is there and is not to be executed.
    Refused,
    /// It is in no directory of PATH.
    NotInPath,
}

/// The kind a fault's index stands for.
pub(crate) fn kind_of(index: u32) -> LookupKind {
    match index {
        1 => LookupKind::Refused,
        2 => LookupKind::NotInPath,
        _ => LookupKind::Stat,
    }
}

fn fault(kind: LookupKind, errno: Errno) -> Fault<'static> {
    Fault { step: Step::Lookup, errno, index: kind as usize, subject: b"" }
}

/// The path of the command, found with the rights it will run with. With a small init in front nothing is looked up.
pub(super) fn find(process: &ProcessPlan) -> StepResult<'static, PathBuffer> {
    let name = process.arguments.first().map(|name| name.to_bytes()).unwrap_or_default();
    if process.init.is_some() {
        return Ok(PathBuffer::new());
    }
    if name.contains(&b'/') {
        let path = PathBuffer::from_bytes(name).map_err(|errno| fault(LookupKind::Stat, errno))?;
        return check(&path).map(|()| path);
    }
    let missing = || fault(LookupKind::NotInPath, Errno::NOENT);
    let list = process.environment.value_of(b"PATH").ok_or_else(missing)?;
    if name.is_empty() || list.is_empty() {
        return Err(missing());
    }
    for directory in list.split(|byte| *byte == b':') {
        let directory = if directory.is_empty() { b"." } else { directory };
        if let Ok(path) = join(directory, name)
            && check(&path).is_ok()
        {
            return Ok(path);
        }
    }
    Err(missing())
}

fn join(directory: &[u8], name: &[u8]) -> SysResult<PathBuffer> {
    let mut path = PathBuffer::from_bytes(directory)?;
    path.push(name)?;
    Ok(path)
}

fn check(path: &PathBuffer) -> StepResult<'static> {
    let stat =
        statat(CWD, path.as_c_str(), AtFlags::empty()).map_err(|errno| fault(LookupKind::Stat, errno))?;
    if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
        return Err(fault(LookupKind::Refused, Errno::ISDIR));
    }
    match linux::execute::may_execute(path.as_c_str()) {
        Ok(()) => Ok(()),
        Err(_) => Err(fault(LookupKind::Refused, Errno::ACCESS)),
    }
}
