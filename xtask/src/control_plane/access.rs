//! Using a control plane that runs, whoever started it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use super::certificates::Issued;
use super::users::User;
use crate::process::wait_until;

/// The files of a control plane in its folder, and kubectl over them.
#[derive(Debug, Clone)]
pub struct Access {
    folder: PathBuf,
}

impl Access {
    /// The control plane in `folder`.
    #[must_use]
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    /// The folder with certificates, kubeconfigs, logs and data.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// A script that is kubectl, of the API server's version.
    #[must_use]
    pub fn kubectl(&self) -> PathBuf {
        self.folder.join("bin/kubectl")
    }

    /// The log file of a component.
    #[must_use]
    pub fn log(&self, component: &str) -> PathBuf {
        self.folder.join("logs").join(format!("{component}.log"))
    }

    /// The kubeconfig of a user.
    #[must_use]
    pub fn kubeconfig(&self, user: User) -> PathBuf {
        self.kubeconfig_file(user.name)
    }

    /// The kubeconfig of Bailey's service account.
    #[must_use]
    pub fn bailey_kubeconfig(&self) -> PathBuf {
        self.kubeconfig_file("bailey")
    }

    /// The kubeconfig of the gateway's service account.
    #[must_use]
    pub fn gateway_kubeconfig(&self) -> PathBuf {
        self.kubeconfig_file("bailey-gateway")
    }

    pub(super) fn kubeconfig_file(&self, name: &str) -> PathBuf {
        self.folder.join("kubeconfig").join(name)
    }

    /// The certificate authority as a PEM file: it signed the certificates of the API server, of the webhook
    /// and of the API server as the webhook's client.
    #[must_use]
    pub fn authority(&self) -> PathBuf {
        self.folder.join("certs/ca.crt")
    }

    /// The authority of the certificate that the API server shows to aggregated APIs, as a PEM file.
    #[must_use]
    pub fn proxy_authority(&self) -> PathBuf {
        self.folder.join("certs/proxy-ca.crt")
    }

    /// The certificate that the API server shows to aggregated APIs.
    #[must_use]
    pub fn proxy_client(&self) -> Issued {
        Issued::in_folder(&self.folder.join("certs"), "proxy-client")
    }

    /// The certificate that Bailey serves with, and shows to its peers.
    #[must_use]
    pub fn webhook_server(&self) -> Issued {
        Issued::in_folder(&self.folder.join("certs"), "bailey")
    }

    /// The certificate of a node's own endpoint.
    #[must_use]
    pub fn node_server(&self) -> Issued {
        Issued::in_folder(&self.folder.join("certs"), "node")
    }

    /// The certificate that the API server shows to webhooks.
    #[must_use]
    pub fn webhook_client(&self) -> Issued {
        Issued::in_folder(&self.folder.join("certs"), "webhook-client")
    }

    /// Runs kubectl as the administrator and returns what it prints.
    ///
    /// # Errors
    /// With kubectl's own message when it fails.
    pub fn run(&self, arguments: &[&str]) -> Result<String> {
        self.run_as(super::ADMIN, arguments)
    }

    /// Runs kubectl as a user and returns what it prints.
    ///
    /// # Errors
    /// With kubectl's own message when it fails.
    pub fn run_as(&self, user: User, arguments: &[&str]) -> Result<String> {
        let mut command = Command::new(self.kubectl());
        command.arg("--kubeconfig").arg(self.kubeconfig(user)).arg("--request-timeout=20s").args(arguments);
        let output = command.stdin(Stdio::null()).output().context("cannot start kubectl")?;
        if !output.status.success() {
            bail!("kubectl {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Runs kubectl as the administrator until it succeeds.
    ///
    /// # Errors
    /// With the last message when it still fails after `limit`.
    pub fn run_until(&self, limit: Duration, arguments: &[&str]) -> Result<String> {
        let mut last = None;
        wait_until(limit, || {
            let result = self.run(arguments);
            let done = result.is_ok();
            last = Some(result);
            done
        });
        last.context("kubectl was never run")?
    }

    /// Applies YAML or JSON documents as the administrator, by server-side apply.
    ///
    /// # Errors
    /// With kubectl's own message when the API server refuses them.
    pub fn apply(&self, documents: &str) -> Result<()> {
        let mut file = tempfile::Builder::new().suffix(".yaml").tempfile()?;
        std::io::Write::write_all(&mut file, documents.as_bytes())?;
        let path = file.path().to_string_lossy().into_owned();
        self.run(&["apply", "--server-side", "--force-conflicts", "-f", &path]).map(drop)
    }

    /// True when the API server answers that it is ready.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.run(&["get", "--raw", "/readyz"]).is_ok()
    }
}
