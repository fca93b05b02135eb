//! `gen`: files that are made from code.

use std::path::Path;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use xtask::progress::say;
use xtask::workspace;

use super::run;

const CRDS: &str = "deploy/crds";

/// Arguments of `gen`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Only say whether the files are fresh; fail when they are not.
    #[arg(long)]
    check: bool,
}

/// Writes or checks the custom resource definitions.
pub(crate) fn generate(arguments: &Arguments) -> Result<()> {
    if arguments.check {
        return check();
    }
    write(CRDS)?;
    say(format!("wrote `{CRDS}`"));
    Ok(())
}

/// Fails when `deploy/crds` is not what the code says.
pub(super) fn check() -> Result<()> {
    let fresh = tempfile::tempdir()?;
    write(&fresh.path().to_string_lossy())?;
    let stale = differences(&workspace::root().join(CRDS), fresh.path())?;
    if !stale.is_empty() {
        bail!("`{CRDS}` is stale ({}); run `cargo xtask gen` and commit the result", stale.join(", "));
    }
    Ok(())
}

fn write(folder: &str) -> Result<()> {
    // The definitions come from the crate that reads the objects. It is run, not linked, so that
    // `cargo xtask` itself compiles in seconds.
    let bailey = run::build_all()?;
    run::read(&bailey.to_string_lossy(), &["crds", "--out", folder]).map(drop)
}

/// The names of files that differ between two folders, or are in only one.
fn differences(committed: &Path, fresh: &Path) -> Result<Vec<String>> {
    let mut names: Vec<String> = names(committed)?.into_iter().chain(names(fresh)?).collect();
    names.sort();
    names.dedup();
    names.retain(|name| std::fs::read(committed.join(name)).ok() != std::fs::read(fresh.join(name)).ok());
    Ok(names)
}

fn names(folder: &Path) -> Result<Vec<String>> {
    let entries = std::fs::read_dir(folder).with_context(|| format!("cannot list `{}`", folder.display()))?;
    Ok(entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_changed_missing_and_surplus_files() {
        let (committed, fresh) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let write = |folder: &tempfile::TempDir, name: &str, text: &str| {
            std::fs::write(folder.path().join(name), text)
        };
        write(&committed, "same", "1").unwrap();
        write(&fresh, "same", "1").unwrap();
        write(&committed, "changed", "1").unwrap();
        write(&fresh, "changed", "2").unwrap();
        write(&committed, "removed", "1").unwrap();
        write(&fresh, "added", "1").unwrap();
        assert_eq!(differences(committed.path(), fresh.path()).unwrap(), ["added", "changed", "removed"]);
    }
}
