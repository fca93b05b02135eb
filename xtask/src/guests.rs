//! Building the WebAssembly guests of `wasm-plugins/`.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::progress::say;
use crate::workspace;

/// The folder with the built guests, one `<plugin>.wasm` each.
#[must_use]
pub fn folder() -> PathBuf {
    workspace::target().join("guests")
}

/// Builds the guests; cargo does nothing where nothing changed.
///
/// # Errors
/// When a guest does not compile.
pub fn build() -> Result<PathBuf> {
    let output = folder();
    say("building the WebAssembly guests");
    std::fs::create_dir_all(&output).with_context(|| format!("cannot create `{}`", output.display()))?;
    let manifest = workspace::root().join("wasm-plugins/Cargo.toml");
    let mut command = Command::new("cargo");
    command.args(["run", "--quiet", "--package", "build-plugins", "--manifest-path"]).arg(manifest);
    // A workspace of its own with other targets: its own build folder, or the two would lock each other out.
    command
        .env("CARGO_TARGET_DIR", workspace::target().join("wasm-plugins"))
        .args(["--", "--out"])
        .arg(&output);
    let status = command.status().context("cannot start `cargo`")?;
    if !status.success() {
        bail!("the guests of `wasm-plugins/` do not build ({status}); what failed is printed above");
    }
    Ok(output)
}
