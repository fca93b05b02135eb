//! Where things are in this repository and on this machine.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

/// The root folder of the repository.
#[must_use]
pub fn root() -> PathBuf {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().unwrap_or(xtask).to_path_buf()
}

/// The folder cargo builds into: `CARGO_TARGET_DIR`, else `target` in the root.
#[must_use]
pub fn target() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(folder) if !folder.is_empty() => root().join(folder),
        _ => root().join("target"),
    }
}

/// The folder for what is expensive to build and is shared by clones: `$XDG_CACHE_HOME/bailey`, else
/// `~/.cache/bailey`.
///
/// # Errors
/// When neither `XDG_CACHE_HOME` nor `HOME` is set.
pub fn cache() -> Result<PathBuf> {
    if let Some(folder) = std::env::var_os("XDG_CACHE_HOME").filter(|folder| !folder.is_empty()) {
        return Ok(PathBuf::from(folder).join("bailey"));
    }
    let home =
        std::env::var_os("HOME").context("neither `XDG_CACHE_HOME` nor `HOME` is set; set one of them")?;
    Ok(PathBuf::from(home).join(".cache/bailey"))
}

/// The first folder of `PATH` that holds the executable `program`, joined with it.
#[must_use]
pub fn find_program(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}
