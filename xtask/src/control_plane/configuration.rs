//! The files a control plane is started with: kubeconfigs, admission configuration, keys.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use rcgen::KeyPair;
use serde_json::{Value, json};

use super::access::Access;
use super::certificates::{Authority, Issued, write, write_private};
use super::users::{self, token, token_file};

/// The name in the certificate that the API server shows to nodes.
pub const NODE_CLIENT: &str = "kube-apiserver-kubelet-client";

/// Everything on disk that the components read, in the world's folder.
pub(super) struct Files {
    pub(super) server: Issued,
    pub(super) service_account_key: PathBuf,
    pub(super) service_account_public: PathBuf,
    pub(super) tokens: PathBuf,
    pub(super) admission: PathBuf,
    /// What the API server shows to aggregated APIs.
    pub(super) proxy: Issued,
    /// What the API server shows to nodes.
    pub(super) node_client: Issued,
}

impl Files {
    /// Writes what does not depend on ports.
    pub(super) fn create(folder: &Path) -> Result<Self> {
        for part in ["certs", "kubeconfig", "logs", "bin"] {
            let part = folder.join(part);
            std::fs::create_dir_all(&part).with_context(|| format!("cannot create `{}`", part.display()))?;
        }
        let certs = folder.join("certs");
        let authority = Authority::create(&certs, "ca")?;
        let webhook_client = authority.client("webhook-client", "kube-apiserver")?;
        let service_account_key = certs.join("service-accounts.key");
        let service_account_public = certs.join("service-accounts.pub");
        let key = KeyPair::generate()?;
        write_private(&service_account_key, &key.serialize_pem())?;
        write(&service_account_public, &key.public_key_pem())?;
        authority.bailey("bailey")?;
        authority.server("node")?;
        let proxy = Authority::create(&certs, "proxy-ca")?.client("proxy-client", "front-proxy-client")?;
        Ok(Self {
            server: authority.server("apiserver")?,
            node_client: authority.client("node-client", NODE_CLIENT)?,
            service_account_key,
            service_account_public,
            tokens: folder.join("tokens.csv"),
            admission: write_admission(folder, &webhook_client)?,
            proxy,
        })
    }

    /// Writes the token file and a kubeconfig per user, for an API server at `url`.
    pub(super) fn write_users(&self, access: &Access, url: &str) -> Result<()> {
        let secret = random_secret()?;
        write_private(&self.tokens, &token_file(&secret))?;
        for (file, _) in users::ALL {
            let user = json!({"token": token(&secret, file)});
            let cluster = json!({"server": url, "certificate-authority": access.authority()});
            write_private(&access.kubeconfig_file(file), &kubeconfig_text(&cluster, file, &user)?)?;
        }
        Ok(())
    }
}

/// A command that is kubectl of the same version as the API server.
pub(super) fn write_kubectl(folder: &Path, binary: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let script = folder.join("bin/kubectl");
    write(&script, &format!("#!/bin/sh\nexec '{}' kubectl \"$@\"\n", binary.display()))?;
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755))?;
    Ok(())
}

/// A kubeconfig; JSON is YAML too.
fn kubeconfig_text(cluster: &Value, name: &str, user: &Value) -> Result<String> {
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "bailey", "cluster": cluster}],
        "users": [{"name": name, "user": user}],
        "contexts": [{"name": name, "context": {"cluster": "bailey", "user": name}}],
        "current-context": name,
    });
    Ok(serde_json::to_string_pretty(&config)?)
}

/// Makes the API server show a client certificate to every webhook, so that `--client-ca` works.
fn write_admission(folder: &Path, client: &Issued) -> Result<PathBuf> {
    let client_config = folder.join("kubeconfig/webhook-client");
    let user = json!({"client-certificate": client.certificate, "client-key": client.key});
    // The user `*` is taken for every webhook, whatever its host.
    write_private(&client_config, &kubeconfig_text(&json!({"server": "https://127.0.0.1"}), "*", &user)?)?;
    let configuration = json!({
        "apiVersion": "apiserver.config.k8s.io/v1",
        "kind": "WebhookAdmissionConfiguration",
        "kubeConfigFile": client_config,
    });
    let plugins = ["ValidatingAdmissionWebhook", "MutatingAdmissionWebhook"]
        .map(|name| json!({"name": name, "configuration": configuration}));
    let config = json!({"apiVersion": "apiserver.config.k8s.io/v1", "kind": "AdmissionConfiguration", "plugins": plugins});
    let file = folder.join("admission.json");
    write(&file, &serde_json::to_string_pretty(&config)?)?;
    Ok(file)
}

/// 128 random bits as hexadecimal digits.
fn random_secret() -> Result<String> {
    use std::io::Read as _;
    let mut bytes = [0_u8; 16];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes).context("cannot read `/dev/urandom`")?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
