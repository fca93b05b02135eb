//! Starting `bailey serve` against a control plane or over files.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, bail};

use crate::control_plane::{Access, Issued};
use crate::process::Component;
use crate::{http, workspace};

const READY: Duration = Duration::from_secs(90);

/// Where `bailey` gets its policies from.
#[derive(Debug, Clone)]
pub enum Policies {
    /// The objects of the cluster that a kubeconfig leads to.
    Cluster(PathBuf),
    /// The YAML files of a folder.
    Files(PathBuf),
}

/// How to start `bailey serve`.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The `bailey` binary.
    pub binary: PathBuf,
    /// A folder for its audit database, its cache and its log.
    pub folder: PathBuf,
    /// Its policies.
    pub policies: Policies,
    /// Its serving certificate.
    pub server: Issued,
    /// The authority that clients must be signed by; `None` lets everyone ask.
    pub client_authority: Option<PathBuf>,
    /// The port of the webhooks, HTTPS on 127.0.0.1.
    pub webhook_port: u16,
    /// The port of health and metrics, HTTP on 127.0.0.1.
    pub http_port: u16,
    /// The port of the aggregated API, HTTPS on 127.0.0.1.
    pub api_port: u16,
    /// The authority of whoever may ask there, without a cluster that says it.
    pub proxy_authority: PathBuf,
    /// The parts it plays.
    pub roles: &'static str,
    /// More flags.
    pub extra: Vec<String>,
}

impl Settings {
    /// The daemon as the webhook of a control plane, on free ports.
    ///
    /// # Errors
    /// When the system has no free port.
    pub fn for_cluster(binary: &Path, access: &Access) -> Result<Self> {
        let [webhook_port, http_port, api_port] = http::free_ports()?;
        Ok(Self {
            binary: binary.to_path_buf(),
            folder: access.folder().join("bailey"),
            policies: Policies::Cluster(access.bailey_kubeconfig()),
            server: access.webhook_server(),
            client_authority: Some(access.authority()),
            webhook_port,
            http_port,
            api_port,
            proxy_authority: access.proxy_authority(),
            roles: "admission,controller",
            extra: Vec::new(),
        })
    }

    /// The audit database.
    #[must_use]
    pub fn audit_database(&self) -> PathBuf {
        self.folder.join("audit.db")
    }

    /// Flags for the replica of this number, one of those who answer each other at these ports.
    #[must_use]
    pub fn peer_flags(access: &Access, ports: &[u16], number: usize) -> Vec<String> {
        let own = ports.get(number).map(|port| format!("--peers-listen=127.0.0.1:{port}"));
        let all = ports.iter().map(|port| format!("--peers=https://127.0.0.1:{port}"));
        let authority = format!("--peers-ca={}", access.authority().display());
        own.into_iter().chain(all).chain(std::iter::once(authority)).collect()
    }

    /// Starts the daemon; see [`Settings::wait_ready`].
    ///
    /// # Errors
    /// When the binary cannot be started.
    pub fn spawn(&self) -> Result<Component> {
        std::fs::create_dir_all(&self.folder)?;
        Component::spawn("bailey", &mut self.command(), self.folder.join("bailey.log"))
    }

    /// Waits until `/readyz` says that policies are compiled and caches synced.
    ///
    /// # Errors
    /// When the daemon ends or is not ready in time, with the end of its log.
    pub fn wait_ready(&self, component: &mut Component) -> Result<()> {
        component.wait_ready(READY, || http::is_ok(self.http_port, "/readyz"))
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.binary);
        command.args(["serve", "--roles", self.roles]);
        command.arg("--listen").arg(format!("127.0.0.1:{}", self.webhook_port));
        command.arg("--http-listen").arg(format!("127.0.0.1:{}", self.http_port));
        command.arg("--tls-cert").arg(&self.server.certificate).arg("--tls-key").arg(&self.server.key);
        command
            .arg("--audit-db")
            .arg(self.audit_database())
            .arg("--cache-dir")
            .arg(self.folder.join("cache"));
        if let Some(authority) = &self.client_authority {
            command.arg("--client-ca").arg(authority);
        }
        command.arg("--api-listen").arg(format!("127.0.0.1:{}", self.api_port));
        match &self.policies {
            Policies::Cluster(kubeconfig) => command.env("KUBECONFIG", kubeconfig),
            Policies::Files(folder) => {
                command.env_remove("KUBECONFIG").arg("--policies").arg(folder);
                command.arg("--proxy-ca").arg(&self.proxy_authority)
            }
        };
        command.args(&self.extra);
        command
    }
}

/// The `bailey` binary of a cargo profile folder (`debug` or `release`).
///
/// # Errors
/// When it has not been built.
pub fn built(profile: &str) -> Result<PathBuf> {
    let binary = workspace::target().join(profile).join("bailey");
    if !binary.is_file() {
        bail!(
            "`{}` is missing; build it with `cargo build -p cli`, or run `cargo xtask test`",
            binary.display()
        );
    }
    Ok(binary)
}
