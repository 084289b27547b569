//! The terminal: opened in the container's own devpts, shown at /dev/console, controlled by the new session.

use std::os::fd::AsFd;

use linux::SysResult;
use linux::mount::{attach, clone_tree};
use linux::root::RootDir;
use linux::terminal::Pty;
use rustix::fs::{Mode, OFlags};

use super::device::place_holder;
use crate::report::{At, StepResult, Teller};
use crate::request::Stdio;
use crate::step::Step;

/// Opens the terminal if there is to be one, hands its master end to the maker and makes it the standard streams.
pub(super) fn set_up<'a>(
    stdio: &Stdio,
    root: &RootDir,
    console: bool,
    teller: &Teller<'_>,
) -> StepResult<'a> {
    let Stdio::Terminal { rows, columns } = stdio else { return Ok(()) };
    let pty = linux::terminal::open_in(root).at(Step::Terminal)?;
    if (*rows, *columns) != (0, 0) {
        linux::terminal::resize(&pty.master, *rows, *columns).at(Step::Terminal)?;
    }
    if console {
        show_console(&pty, root).at(Step::Terminal)?;
    }
    teller.terminal(pty.master.as_fd()).at(Step::Terminal)?;
    for number in 0..3 {
        linux::descriptor::place_in_child(pty.slave.as_fd(), number).at(Step::Streams)?;
    }
    linux::terminal::take_control(pty.slave.as_fd()).at(Step::Terminal)
}

fn show_console(pty: &Pty, root: &RootDir) -> SysResult<()> {
    let flags = OFlags::PATH | OFlags::DIRECTORY;
    let directory = root.open_file(c"dev", flags, Mode::empty())?;
    let target = place_holder(directory.as_fd(), c"console")?;
    let tree = clone_tree(pty.slave.as_fd(), c"", false)?;
    attach(tree.as_fd(), target.as_fd())
}
