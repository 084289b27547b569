//! The container's state machine.
//!
//! ```text
//!            Started              Paused
//! created ------------> running <--------> paused
//!    |                   |   ^    Resumed
//!    | StartFailed       |   | Started
//!    v           Exited  v   |      RestartScheduled
//! exited <---------------+---+--- exited/running --> restarting --Started--> running
//!    |                                                   | RestartStopped
//!    v Removing                                          v
//! removing --RemoveFailed--> dead --Removing--> removing --> (gone)
//! ```

use model::Timestamp;
use serde::{Deserialize, Serialize};

pub use crate::refusal::Refusal;

/// Where a container is in its life.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "lowercase")]
pub enum State {
    /// Made, never started.
    #[default]
    Created,
    /// Its init process runs.
    Running {
        /// The init process as the host numbers it.
        pid: i32,
    },
    /// Its processes are frozen.
    Paused {
        /// The init process as the host numbers it.
        pid: i32,
    },
    /// It exited and will be started again by its restart policy.
    Restarting,
    /// It is being removed.
    Removing,
    /// Its init process ended.
    Exited,
    /// Removal failed; only another removal is possible.
    Dead,
}

/// The state and what is remembered of earlier ones.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Lifecycle {
    /// Where it is now.
    pub state: State,
    /// When it was last started.
    pub started_at: Option<Timestamp>,
    /// When it last ended.
    pub finished_at: Option<Timestamp>,
    /// Exit code of the last end.
    pub exit_code: i32,
    /// The kernel killed a process of it for lack of memory in the last run.
    pub oom_killed: bool,
    /// Why the last start failed; empty when it did not.
    pub error: String,
    /// Restarts its policy has made since the last start by a user.
    pub restart_count: u32,
    /// It was stopped by a user and its policy is not to start it again.
    pub stopped_by_user: bool,
}

/// A step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Transition {
    /// The init process runs.
    Started {
        /// As the host numbers it.
        pid: i32,
        /// When.
        at: Timestamp,
    },
    /// A start did not succeed.
    StartFailed {
        /// Exit code to show (125, 126, 127).
        code: i32,
        /// Why.
        error: String,
    },
    /// Its processes were frozen.
    Paused,
    /// Its processes go on.
    Resumed,
    /// The init process ended.
    Exited {
        /// Its exit code.
        code: i32,
        /// The kernel killed a process of it for lack of memory.
        oom_killed: bool,
        /// When.
        at: Timestamp,
    },
    /// The init process ended and the restart policy will start it again.
    ExitedToRestart {
        /// Its exit code.
        code: i32,
        /// The kernel killed a process of it for lack of memory.
        oom_killed: bool,
        /// When.
        at: Timestamp,
    },
    /// A pending restart was called off.
    RestartStopped,
    /// Removal begins; `force` also from running states (the caller has killed it).
    Removing {
        /// The user insists.
        force: bool,
    },
    /// Removal did not succeed.
    RemoveFailed {
        /// Why.
        error: String,
    },
}

impl State {
    /// The word answers use.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Running { .. } => "running",
            Self::Paused { .. } => "paused",
            Self::Restarting => "restarting",
            Self::Removing => "removing",
            Self::Exited => "exited",
            Self::Dead => "dead",
        }
    }

    /// Whether Docker calls this state running (paused and restarting are).
    pub fn is_running(&self) -> bool {
        matches!(self, Self::Running { .. } | Self::Paused { .. } | Self::Restarting)
    }

    /// Whether processes exist.
    pub fn has_process(&self) -> bool {
        self.pid() != 0
    }

    /// Whether its processes are frozen.
    pub fn is_paused(&self) -> bool {
        matches!(self, Self::Paused { .. })
    }

    /// The init process as the host numbers it; 0 for none.
    pub fn pid(&self) -> i32 {
        match self {
            Self::Running { pid } | Self::Paused { pid } => *pid,
            _ => 0,
        }
    }
}

impl Lifecycle {
    /// Takes one step. `id` and `name` are for the refusal's text.
    ///
    /// # Errors
    /// Docker's refusal when the step is not possible now; nothing changes then.
    pub fn apply(&mut self, id: &str, name: &str, step: Transition) -> Result<(), Refusal> {
        use State::{Created, Dead, Exited, Paused, Removing, Restarting, Running};
        let next = match (&self.state, &step) {
            (Created | Exited | Restarting, Transition::Started { pid, .. }) => Running { pid: *pid },
            (_, Transition::Started { .. }) => {
                return Err(self.refuse_start(id).unwrap_or(Refusal::MarkedForRemoval));
            }
            // A container that never ran stays "created", as Docker shows it.
            (Created, Transition::StartFailed { .. }) => Created,
            (Exited | Restarting, Transition::StartFailed { .. }) => Exited,
            (_, Transition::StartFailed { .. }) => return Err(self.not_running(id)),
            (Running { pid }, Transition::Paused) => Paused { pid: *pid },
            (_, Transition::Paused) => {
                return Err(self.refuse_pause(id).unwrap_or_else(|| self.not_running(id)));
            }
            (Paused { pid }, Transition::Resumed) => Running { pid: *pid },
            (_, Transition::Resumed) => return Err(Refusal::NotPaused { id: id.to_owned() }),
            (Running { .. } | Paused { .. }, Transition::Exited { .. }) => Exited,
            (Running { .. } | Paused { .. }, Transition::ExitedToRestart { .. }) => Restarting,
            // A forced removal sees the exit while it is on its way.
            (Removing, Transition::Exited { .. } | Transition::ExitedToRestart { .. }) => Removing,
            (_, Transition::Exited { .. } | Transition::ExitedToRestart { .. }) => {
                return Err(self.not_running(id));
            }
            (Restarting, Transition::RestartStopped) => Exited,
            (_, Transition::RestartStopped) => return Err(self.not_running(id)),
            (_, Transition::Removing { force }) => match self.refuse_remove(name, *force) {
                Some(refusal) => return Err(refusal),
                None => Removing,
            },
            (Removing, Transition::RemoveFailed { .. }) => Dead,
            (_, Transition::RemoveFailed { .. }) => {
                return Err(Refusal::RemovalInProgress { name: name.to_owned() });
            }
        };
        self.state = next;
        self.remember(step);
        Ok(())
    }

    fn remember(&mut self, step: Transition) {
        match step {
            Transition::Started { at, .. } => {
                self.started_at = Some(at);
                self.exit_code = 0;
                self.oom_killed = false;
                self.error.clear();
            }
            Transition::StartFailed { code, error } => {
                self.exit_code = code;
                self.error = error;
            }
            Transition::Exited { code, oom_killed, at }
            | Transition::ExitedToRestart { code, oom_killed, at } => {
                self.exit_code = code;
                self.oom_killed = oom_killed;
                self.finished_at = Some(at);
            }
            Transition::RemoveFailed { error } => self.error = error,
            _ => {}
        }
    }

    fn not_running(&self, id: &str) -> Refusal {
        Refusal::NotRunning { id: id.to_owned() }
    }

    /// Why a start is not possible now.
    pub fn refuse_start(&self, id: &str) -> Option<Refusal> {
        match self.state {
            State::Created | State::Exited | State::Restarting => None,
            State::Running { .. } => Some(Refusal::AlreadyRunning { id: id.to_owned() }),
            State::Paused { .. } => Some(Refusal::StartPaused),
            State::Removing | State::Dead => Some(Refusal::MarkedForRemoval),
        }
    }

    /// Why a stop is not possible now.
    pub fn refuse_stop(&self, id: &str) -> Option<Refusal> {
        (!self.state.is_running()).then(|| Refusal::AlreadyStopped { id: id.to_owned() })
    }

    /// Why a signal, a process list or a resize is not possible now.
    pub fn refuse_signal(&self, id: &str) -> Option<Refusal> {
        match self.state {
            State::Running { .. } | State::Paused { .. } => None,
            State::Restarting => Some(Refusal::Restarting { id: id.to_owned() }),
            _ => Some(self.not_running(id)),
        }
    }

    /// Why a pause is not possible now.
    pub fn refuse_pause(&self, id: &str) -> Option<Refusal> {
        match self.state {
            State::Running { .. } => None,
            State::Paused { .. } => Some(Refusal::AlreadyPaused { id: id.to_owned() }),
            State::Restarting => Some(Refusal::Restarting { id: id.to_owned() }),
            _ => Some(self.not_running(id)),
        }
    }

    /// Why a resume is not possible now.
    pub fn refuse_resume(&self, id: &str) -> Option<Refusal> {
        (!self.state.is_paused()).then(|| Refusal::NotPaused { id: id.to_owned() })
    }

    /// Why an exec is not possible now; `name` as the user named the container.
    pub fn refuse_exec(&self, id: &str, name: &str) -> Option<Refusal> {
        match self.state {
            State::Running { .. } => None,
            State::Paused { .. } => Some(Refusal::ExecPaused { name: name.to_owned() }),
            State::Restarting => Some(Refusal::Restarting { id: id.to_owned() }),
            _ => Some(self.not_running(id)),
        }
    }

    /// Why an attach is not possible now; `name` as the user named the container.
    pub fn refuse_attach(&self, name: &str) -> Option<Refusal> {
        match self.state {
            State::Paused { .. } => Some(Refusal::AttachPaused { name: name.to_owned() }),
            State::Restarting => Some(Refusal::AttachRestarting { name: name.to_owned() }),
            _ => None,
        }
    }

    /// Why a removal is not possible now.
    pub fn refuse_remove(&self, name: &str, force: bool) -> Option<Refusal> {
        match self.state {
            State::Removing => Some(Refusal::RemovalInProgress { name: name.to_owned() }),
            _ if force => None,
            State::Running { .. } => Some(Refusal::RemoveRunning { name: name.to_owned(), state: "running" }),
            State::Restarting => Some(Refusal::RemoveRunning { name: name.to_owned(), state: "restarting" }),
            State::Paused { .. } => Some(Refusal::RemovePaused { name: name.to_owned() }),
            State::Created | State::Exited | State::Dead => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix(seconds, 0)
    }

    fn step(word: &str) -> Transition {
        match word {
            "start" => Transition::Started { pid: 7, at: at(1) },
            "fail" => Transition::StartFailed { code: 127, error: "no".to_owned() },
            "pause" => Transition::Paused,
            "resume" => Transition::Resumed,
            "exit" => Transition::Exited { code: 3, oom_killed: false, at: at(2) },
            "exit-restart" => Transition::ExitedToRestart { code: 3, oom_killed: true, at: at(2) },
            "restart-off" => Transition::RestartStopped,
            "remove" => Transition::Removing { force: false },
            "remove-force" => Transition::Removing { force: true },
            "remove-fail" => Transition::RemoveFailed { error: "busy".to_owned() },
            other => panic!("{other}"),
        }
    }

    fn check(steps: &str, expected: &str) {
        let mut lifecycle = Lifecycle::default();
        let outcome = steps.split(' ').try_for_each(|word| lifecycle.apply("ID", "web", step(word)));
        let shown = match outcome {
            Ok(()) => lifecycle.state.name().to_owned(),
            Err(refusal) => refusal.to_string(),
        };
        assert_eq!(shown, expected, "{steps}");
    }

    #[test]
    fn steps_lead_where_docker_goes() {
        check("start", "running");
        check("fail", "created");
        check("start exit fail", "exited");
        check("start pause", "paused");
        check("start pause resume exit", "exited");
        check("start exit start exit-restart", "restarting");
        check("start exit-restart start", "running");
        check("start exit-restart restart-off", "exited");
        check("start exit remove", "removing");
        check("start remove-force exit", "removing");
        check("remove remove-fail remove-force", "removing");
    }

    #[test]
    fn refusals_are_dockers() {
        check("start start", "container ID is already running");
        check("start pause start", "cannot start a paused container, try unpause instead");
        check("pause", "container ID is not running");
        check("start pause pause", "Container ID is already paused");
        check("start resume", "Container ID is not paused");
        check(
            "start remove",
            "cannot remove container \"/web\": container is running: stop the container before removing or force remove",
        );
        check(
            "start pause remove",
            "cannot remove container \"/web\": container is paused and must be unpaused first",
        );
        check("remove remove", "removal of container web is already in progress");
        check("remove start", "container is marked for removal and cannot be started");
        check("start exit exit", "container ID is not running");
    }

    #[test]
    fn a_refused_step_changes_nothing_and_a_start_forgets_the_last_end() {
        let mut lifecycle = Lifecycle::default();
        for word in ["start", "exit-restart"] {
            lifecycle.apply("ID", "web", step(word)).unwrap();
        }
        assert_eq!((lifecycle.exit_code, lifecycle.oom_killed), (3, true));
        let before = lifecycle.clone();
        lifecycle.apply("ID", "web", step("pause")).unwrap_err();
        assert_eq!(lifecycle, before);
        lifecycle.apply("ID", "web", step("start")).unwrap();
        assert_eq!(
            (lifecycle.exit_code, lifecycle.oom_killed, lifecycle.finished_at),
            (0, false, Some(at(2)))
        );
        let text = serde_json::to_string(&lifecycle).unwrap();
        assert_eq!(serde_json::from_str::<Lifecycle>(&text).unwrap(), lifecycle);
    }
}
