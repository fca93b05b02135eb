use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};

use crate::Exit;

/// Arguments of `bailey crds`.
#[derive(Debug, clap::Args)]
pub struct CrdsArgs {
    /// Write one file per definition into this folder; without it they are printed
    #[arg(long, value_name = "DIR", conflicts_with = "check")]
    out: Option<PathBuf>,
    /// Compare with the files in this folder, and exit with code 4 where they differ
    #[arg(long, value_name = "DIR")]
    check: Option<PathBuf>,
}

pub(super) fn run(args: &CrdsArgs, out: &mut impl Write) -> anyhow::Result<Exit> {
    let documents = tenancy::crd_documents().map_err(|error| anyhow!(error))?;
    match (&args.out, &args.check) {
        (Some(folder), _) => write(folder, &documents, out),
        (None, Some(folder)) => check(folder, &documents, out),
        (None, None) => {
            for (_, yaml) in &documents {
                writeln!(out, "---\n{}", yaml.trim_end())?;
            }
            Ok(Exit::Done)
        }
    }
}

fn write(folder: &Path, documents: &[(String, String)], out: &mut impl Write) -> anyhow::Result<Exit> {
    std::fs::create_dir_all(folder)
        .with_context(|| format!("cannot create the folder `{}`", folder.display()))?;
    for (file, yaml) in documents {
        let path = folder.join(file);
        std::fs::write(&path, yaml).with_context(|| format!("cannot write `{}`", path.display()))?;
        writeln!(out, "{}", path.display())?;
    }
    Ok(Exit::Done)
}

fn check(folder: &Path, documents: &[(String, String)], out: &mut impl Write) -> anyhow::Result<Exit> {
    let mut exit = Exit::Done;
    for (file, yaml) in documents {
        let path = folder.join(file);
        let fault = match std::fs::read_to_string(&path) {
            Ok(found) if found == *yaml => continue,
            Ok(_) => "differs",
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => "is missing",
            Err(error) => return Err(error).with_context(|| format!("cannot read `{}`", path.display())),
        };
        exit = Exit::Differs;
        let folder = folder.display();
        writeln!(out, "`{}` {fault}: run `bailey crds --out {folder}`", path.display())?;
    }
    Ok(exit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_passes_the_check_and_a_change_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let (mut written, mut output) = (Vec::new(), Vec::new());
        let args = |out, check| CrdsArgs { out, check };
        let path = || Some(folder.path().to_owned());
        assert_eq!(run(&args(None, path()), &mut output).unwrap(), Exit::Differs);
        assert_eq!(run(&args(path(), None), &mut written).unwrap(), Exit::Done);
        assert_eq!(run(&args(None, path()), &mut Vec::new()).unwrap(), Exit::Done);

        let files: Vec<_> = String::from_utf8(written).unwrap().lines().map(PathBuf::from).collect();
        assert!(files.len() >= 2, "{files:?}");
        let missing = format!("`{}` is missing: run `bailey crds --out", files[0].display());
        assert!(String::from_utf8(output).unwrap().starts_with(&missing));
        std::fs::write(&files[0], "kind: Other\n").unwrap();
        let mut output = Vec::new();
        assert_eq!(run(&args(None, path()), &mut output).unwrap(), Exit::Differs);
        assert!(String::from_utf8(output).unwrap().contains("` differs: "));
    }
}
