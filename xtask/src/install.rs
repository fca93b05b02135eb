//! Putting Bailey's objects into a cluster: definitions, rights, webhooks, modules, samples.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::control_plane::Access;
use crate::workspace;

const DEPLOY: &str = "deploy";

/// Installs the namespace, Bailey's rights and its custom resources, and waits until they are served.
///
/// # Errors
/// When `deploy/` is incomplete or the API server refuses something.
pub fn prerequisites(access: &Access) -> Result<()> {
    for name in ["namespace.yaml", "rbac.yaml", "gateway-rbac.yaml", "secret-copies.yaml"] {
        access.apply(&manifest(name)?)?;
    }
    for file in yaml_files(&workspace::root().join(DEPLOY).join("crds"))? {
        access.apply(&read(&file)?)?;
    }
    let names = [
        "crd/policies.bailey.dev",
        "crd/policybindings.bailey.dev",
        "crd/tenants.bailey.dev",
        "crd/isolationprofiles.bailey.dev",
        "crd/quotaledgers.bailey.dev",
        "crd/hostnameclaims.bailey.dev",
        "crd/grantledgers.bailey.dev",
        "crd/policyexceptions.bailey.dev",
        "crd/quotarequests.bailey.dev",
        "crd/fairnessclasses.bailey.dev",
        "crd/rateledgers.bailey.dev",
    ];
    let wait = ["wait", "--for=condition=Established", "--timeout=60s"];
    access.run(&[&wait[..], &names[..]].concat()).map(drop)
}

/// The label of a namespace that says which of several replicas the API server asks about it.
pub const REPLICA_LABEL: &str = "bailey.dev/test-replica";

/// Points the API server's webhooks at a Bailey on a loopback port.
///
/// # Errors
/// When the API server refuses the configurations.
pub fn webhooks(access: &Access, port: u16) -> Result<()> {
    webhooks_for(access, port, "bailey", None)
}

/// Points the API server at several replicas: for a namespace whose label [`REPLICA_LABEL`] has a number, at that of
/// these ports, for all others at the first.
///
/// # Errors
/// When the API server refuses the configurations.
pub fn replicas(access: &Access, ports: &[u16]) -> Result<()> {
    for (number, port) in ports.iter().enumerate() {
        let values = format!("{{key: {REPLICA_LABEL}, operator: In, values: [\"{number}\"]}}");
        let others = format!("{{key: {REPLICA_LABEL}, operator: DoesNotExist}}");
        let (name, whose) =
            if number == 0 { ("bailey".to_owned(), others) } else { (format!("bailey-{number}"), values) };
        webhooks_for(access, *port, &name, Some(&whose))?;
    }
    Ok(())
}

fn webhooks_for(access: &Access, port: u16, name: &str, namespaces: Option<&str>) -> Result<()> {
    const EXEMPT: &str = "operator: NotIn, values: [kube-system, bailey-system]}";
    let authority = std::fs::read(access.authority()).context("cannot read the certificate authority")?;
    let mut text = manifest("webhooks-url.yaml")?
        .replace("${ADDRESS}", &format!("127.0.0.1:{port}"))
        .replace("${CA_BUNDLE}", &STANDARD.encode(authority))
        .replace("  name: bailey\n", &format!("  name: {name}\n"));
    if let Some(namespaces) = namespaces {
        text = text.replace(EXEMPT, &format!("{EXEMPT}\n    - {namespaces}"));
    }
    access.apply(&text)
}

/// Has the API server ask another webhook on a loopback port too about every new ConfigMap.
///
/// # Errors
/// When the API server refuses the configuration.
pub fn denier(access: &Access, port: u16, authority: &[u8]) -> Result<()> {
    let configuration = json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": "denier"},
        "webhooks": [{
            "name": "denier.bailey.dev",
            "admissionReviewVersions": ["v1"],
            "sideEffects": "None",
            "clientConfig": {
                "url": format!("https://127.0.0.1:{port}/validate"),
                "caBundle": STANDARD.encode(authority),
            },
            "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"], "operations": ["CREATE"]}],
        }],
    });
    access.apply(&configuration.to_string())
}

/// Has the API server pass questions for decisions on to a Bailey on a loopback port.
///
/// # Errors
/// When the API server refuses the objects.
pub fn decisions(access: &Access, port: u16) -> Result<()> {
    let authority = std::fs::read(access.authority()).context("cannot read the certificate authority")?;
    let text = manifest("decisions-url.yaml")?
        .replace("${PORT}", &port.to_string())
        .replace("${CA_BUNDLE}", &STANDARD.encode(authority));
    access.apply(&text)
}

/// Puts `kubectl-tenant`, which is built beside `bailey`, where kubectl finds it: next to itself.
///
/// # Errors
/// When it has not been built, or the folder cannot be written.
pub fn kubectl_plugin(access: &Access, bailey: &Path) -> Result<()> {
    let plugin = bailey.with_file_name("kubectl-tenant");
    let link = access.kubectl().with_file_name("kubectl-tenant");
    let place = || format!("cannot link `{}` to `{}`", link.display(), plugin.display());
    let plugin = plugin.canonicalize().with_context(place)?;
    if link.symlink_metadata().is_ok() {
        std::fs::remove_file(&link).with_context(place)?;
    }
    std::os::unix::fs::symlink(&plugin, &link).with_context(place)
}

/// The kinds of objects that hold modules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ModuleHolder {
    /// A ConfigMap.
    ConfigMap,
    /// A Secret.
    Secret,
}

/// Stores a WebAssembly module as the object `bailey-system/<name>` and returns its digest, `sha256:…`.
///
/// # Errors
/// When the API server refuses it, for example because it is above 1 MiB.
pub fn module(access: &Access, holder: ModuleHolder, name: &str, bytes: &[u8]) -> Result<String> {
    let (kind, field) = match holder {
        ModuleHolder::ConfigMap => ("ConfigMap", "binaryData"),
        ModuleHolder::Secret => ("Secret", "data"),
    };
    let object = json!({
        "apiVersion": "v1",
        "kind": kind,
        "metadata": {"name": name, "namespace": "bailey-system"},
        field: {format!("{name}.wasm"): STANDARD.encode(bytes)},
    });
    access.apply(&object.to_string())?;
    Ok(digest(bytes))
}

/// The sample policies as (file name, text), with the digest of the module filled in.
///
/// # Errors
/// When `deploy/samples` cannot be read.
pub fn samples(module_digest: &str) -> Result<Vec<(String, String)>> {
    let files = yaml_files(&workspace::root().join(DEPLOY).join("samples"))?;
    let filled = files.into_iter().map(|file| {
        let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        Ok((name, read(&file)?.replace("${DIGEST}", module_digest)))
    });
    filled.collect()
}

/// The sample tenants and their fairness classes.
///
/// # Errors
/// When the file cannot be read.
pub fn sample_tenants() -> Result<String> {
    read(&workspace::root().join(DEPLOY).join("samples/tenants/teams.yaml"))
}

/// The digest of a module as policies name it: `sha256:` and hexadecimal digits.
#[must_use]
pub fn digest(bytes: &[u8]) -> String {
    let digits: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{digits}")
}

fn manifest(name: &str) -> Result<String> {
    read(&workspace::root().join(DEPLOY).join("manifests").join(name))
}

fn yaml_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder).with_context(|| format!("cannot list `{}`", folder.display()))?;
    let mut files: Vec<PathBuf> = entries.filter_map(|entry| entry.ok().map(|entry| entry.path())).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "yaml"));
    files.sort();
    Ok(files)
}

fn read(file: &Path) -> Result<String> {
    std::fs::read_to_string(file).with_context(|| format!("cannot read `{}`", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digest_is_that_of_the_standard() {
        // The SHA-256 of the empty string.
        let empty = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(digest(b""), empty);
    }

    #[test]
    fn the_plugin_is_linked_beside_kubectl_again_and_again() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("bin")).unwrap();
        let access = Access::new(folder.path());
        let built = folder.path().join("bailey");
        assert!(kubectl_plugin(&access, &built).unwrap_err().to_string().contains("kubectl-tenant"));
        std::fs::write(folder.path().join("kubectl-tenant"), "built").unwrap();
        for _ in 0..2 {
            kubectl_plugin(&access, &built).unwrap();
            assert_eq!(std::fs::read_to_string(folder.path().join("bin/kubectl-tenant")).unwrap(), "built");
        }
    }

    #[test]
    fn no_placeholder_is_left_in_samples() {
        for (name, text) in samples("sha256:00").unwrap() {
            assert!(!text.contains("${"), "{name} has a placeholder that nobody fills in");
        }
    }
}
