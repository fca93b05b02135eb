//! The command lines of Bailey, `bailey` and `kubectl tenant`: one file per command, and the codes they exit with.
//!
//! Comes in: arguments and environment. Goes out: text for people, or one JSON value a line for
//! programs, on standard output; errors on standard error; an [`Exit`] code.

#![forbid(unsafe_code)]

mod arguments;
mod commands;
mod connection;
mod exit;
mod kubectl_tenant;
mod output;
mod written;

use std::io::{IsTerminal, StdoutLock, Write};
use std::process::ExitCode;

use clap::Parser;

pub use arguments::{Cli, Command};
pub use exit::Exit;
pub use kubectl_tenant::TenantCli;

/// Runs the command of `bailey` that the process's arguments name.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    finish(async |out, colour| commands::run(cli.command, out, colour).await)
}

/// Runs the command of `kubectl tenant` that the process's arguments name.
#[must_use]
pub fn tenant_main() -> ExitCode {
    let cli = TenantCli::parse();
    finish(async |out, colour| kubectl_tenant::run(cli, out, colour).await)
}

/// Runs a command to its end, and says on standard error why it failed.
fn finish(run: impl AsyncFnOnce(&mut StdoutLock<'_>, bool) -> anyhow::Result<Exit>) -> ExitCode {
    let stdout = std::io::stdout();
    let colour = stdout.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let outcome = tokio::runtime::Runtime::new()
        .map_err(anyhow::Error::from)
        .and_then(|runtime| runtime.block_on(run(&mut stdout.lock(), colour)));
    match outcome {
        Ok(exit) => exit.into(),
        Err(error) => {
            let exit = Exit::of(&error);
            if exit != Exit::Done {
                // Nobody is left to be told when standard error is closed.
                let _ = writeln!(std::io::stderr(), "error: {}", output::one_line(&format!("{error:#}")));
            }
            exit.into()
        }
    }
}
