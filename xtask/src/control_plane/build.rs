//! Building the control plane's Go binary, once per machine and version.

use std::path::PathBuf;

use anyhow::{Result, bail};

use crate::go::Program;

/// The version that the API server reports; clients decide by it what it can do.
const KUBERNETES_VERSION: (&str, &str, &str) = ("1", "36", "v1.36.3");

/// The control plane's binary: from the cache, else built into it with progress lines.
///
/// `BAILEY_CONTROL_PLANE` names a binary to use instead.
///
/// # Errors
/// When Go is missing or the build fails, with the end of what Go said.
pub fn binary() -> Result<PathBuf> {
    if let Some(given) = std::env::var_os("BAILEY_CONTROL_PLANE").map(PathBuf::from) {
        if given.is_file() {
            return Ok(given);
        }
        bail!("`BAILEY_CONTROL_PLANE` is `{}`, which is no file", given.display());
    }
    program().binary()
}

fn program() -> Program {
    let announcement =
        "etcd, kube-apiserver, kube-controller-manager and kubectl from source (once, 4 to 10 minutes)";
    Program { name: "control-plane", announcement, link_flags: link_flags() }
}

fn link_flags() -> String {
    let (major, minor, version) = KUBERNETES_VERSION;
    let package = "k8s.io/component-base/version";
    format!(
        "-s -w -X {package}.gitVersion={version} -X {package}.gitMajor={major} -X {package}.gitMinor={minor}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_name_the_version_that_is_linked() {
        let module = std::fs::read_to_string(program().module().join("go.mod")).unwrap();
        assert!(module.contains(&format!("k8s.io/kubernetes {}", KUBERNETES_VERSION.2)));
    }
}
