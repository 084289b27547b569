//! Containers as a person uses them: terminals, detach keys, ports, links, restarts (MISSION rows 1 to 32).

mod lifecycle;
mod run;
mod terminal;
