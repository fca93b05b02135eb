//! `cargo xtask`: see `cargo xtask help`.

mod tasks;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    match tasks::Task::parse().run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            xtask::progress::say(format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}
