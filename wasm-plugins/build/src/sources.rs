use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use sha2::{Digest, Sha256};

/// Folders that hold no sources of guests.
const LEFT_OUT: [&str; 2] = ["target", "hostile"];

/// A digest of all files of the workspace and of the compilers' versions.
pub fn digest(root: &Path, versions: &[&str]) -> anyhow::Result<String> {
    let mut files = Vec::new();
    collect(root, &mut files)?;
    files.sort();
    let mut hash = Sha256::new();
    for version in versions {
        part(&mut hash, version.as_bytes());
    }
    for file in files {
        let content = fs::read(&file).with_context(|| format!("`{}` cannot be read", file.display()))?;
        part(&mut hash, file.strip_prefix(root)?.as_os_str().as_encoded_bytes());
        part(&mut hash, &content);
    }
    Ok(format!("sha256:{:x}", hash.finalize()))
}

/// The digest of bytes, as a policy pins it.
pub fn sha256(bytes: &[u8]) -> String {
    format!("sha256:{:x}", Sha256::digest(bytes))
}

/// One part with its length, so that no two lists of parts hash alike.
fn part(hash: &mut Sha256, bytes: &[u8]) {
    hash.update((bytes.len() as u64).to_le_bytes());
    hash.update(bytes);
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("`{}` cannot be read", folder.display()))? {
        let entry = entry?;
        let left_out = LEFT_OUT.iter().any(|name| entry.file_name() == *name);
        match entry.file_type()? {
            _ if left_out => {}
            kind if kind.is_dir() => collect(&entry.path(), files)?,
            kind if kind.is_file() => files.push(entry.path()),
            _ => {}
        }
    }
    Ok(())
}
