//! Development tasks: start Bailey on a real control plane, test, lint, generate.
//!
//! The binary is `cargo xtask`. The library part, [`control_plane`] and [`daemon`], is what the
//! whole-system tests start their worlds with. Nothing here is part of Bailey at run time, and
//! nothing here depends on Bailey's crates: the tasks build and run them as processes.

pub mod control_plane;
pub mod daemon;
pub mod go;
pub mod guests;
pub mod http;
pub mod install;
pub mod process;
pub mod progress;
pub mod workspace;
