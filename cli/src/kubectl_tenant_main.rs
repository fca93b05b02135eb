//! The binary `kubectl-tenant`, which kubectl runs as `kubectl tenant`: all it does is in the library beside it.

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::tenant_main()
}
