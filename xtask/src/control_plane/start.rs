//! Starting and stopping a control plane.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::access::Access;
use super::configuration::{Files, write_kubectl};
use crate::http;
use crate::process::{Component, Guard};

const READY: Duration = Duration::from_secs(120);
const ATTEMPTS: usize = 3;

/// How long a control plane lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lifetime {
    /// As long as the process that started it; its folder is removed with it.
    Owner,
    /// Until it is stopped by its process ids.
    Detached,
}

/// A running control plane.
#[derive(Debug)]
pub struct ControlPlane {
    access: Access,
    components: Vec<Component>,
    /// How each was started.
    commands: BTreeMap<&'static str, Command>,
    etcd_port: u16,
    guard: Option<Guard>,
}

impl ControlPlane {
    /// Starts everything in `folder` and returns once the API server and the controllers work.
    ///
    /// # Errors
    /// When a component does not become ready within two minutes, with the end of its log.
    pub fn start(binary: &Path, folder: &Path, lifetime: Lifetime) -> Result<Self> {
        let files = Files::create(folder)?;
        write_kubectl(folder, binary)?;
        let mut failure = None;
        for _ in 0..ATTEMPTS {
            let guard = match lifetime {
                Lifetime::Owner => Some(Guard::start(Some(folder))?),
                Lifetime::Detached => None,
            };
            let (access, components) = (Access::new(folder), Vec::new());
            let mut plane = Self { access, components, commands: BTreeMap::new(), etcd_port: 0, guard };
            match plane.run(binary, &files) {
                Ok(()) => return Ok(plane),
                Err(error) => {
                    plane.stop_components();
                    // Keep the folder for the next attempt and for whoever reads the logs.
                    if !format!("{error:#}").contains("address already in use") {
                        return Err(error);
                    }
                    failure = Some(error);
                }
            }
        }
        Err(failure.context("the control plane was never started")?)
    }

    fn run(&mut self, binary: &Path, files: &Files) -> Result<()> {
        let [client, peer, secure, controllers] = http::free_ports()?;
        let folder = self.access.folder().to_path_buf();
        self.etcd_port = client;
        files.write_users(&self.access, &format!("https://127.0.0.1:{secure}"))?;
        self.launch("etcd", etcd(binary, &folder, client, peer))?;
        self.launch("kube-apiserver", api_server(binary, files, &folder, client, secure))?;
        self.wait_until_ready("etcd")?;
        self.wait_until_ready("kube-apiserver")?;
        self.launch("kube-controller-manager", controller_manager(binary, files, &self.access, controllers))?;
        self.wait_until_ready("kube-controller-manager")
    }

    fn wait_until_ready(&mut self, name: &str) -> Result<()> {
        let arguments = ["get", "serviceaccount", "default", "--namespace", "default"];
        match name {
            "etcd" => self.wait_for(name, |plane| http::is_ok(plane.etcd_port, "/health")),
            "kube-apiserver" => self.wait_for(name, |plane| plane.access.is_ready()),
            _ => self.wait_for(name, |plane| plane.access.run(&arguments).is_ok()),
        }
    }

    /// Ends a component as a crash would.
    ///
    /// # Errors
    /// When there is none of this name.
    pub fn crash(&mut self, name: &str) -> Result<()> {
        let position = self.components.iter().position(|component| component.name() == name);
        let mut component = self.components.remove(position.with_context(|| format!("no `{name}` runs"))?);
        component.kill();
        self.forget(component.pid())
    }

    /// Starts a component again that crashed, and waits until it works.
    ///
    /// # Errors
    /// When it was never started, or does not become ready within two minutes.
    pub fn revive(&mut self, name: &str) -> Result<()> {
        let known = self.commands.remove_entry(name);
        let (name, command) = known.with_context(|| format!("`{name}` was never started"))?;
        self.launch(name, command)?;
        self.wait_until_ready(name)
    }

    fn launch(&mut self, name: &'static str, mut command: Command) -> Result<()> {
        let log = self.access.log(name);
        let component = Component::spawn(name, &mut command, log)?;
        self.commands.insert(name, command);
        if let Some(guard) = &mut self.guard {
            guard.watch(component.pid())?;
        }
        self.components.push(component);
        Ok(())
    }

    fn wait_for(&mut self, name: &str, ready: impl Fn(&Self) -> bool) -> Result<()> {
        let position = self.components.iter().position(|component| component.name() == name);
        let index = position.with_context(|| format!("`{name}` was not started"))?;
        // Out of the list while it waits, so that the condition may look at the whole control plane.
        let mut component = self.components.remove(index);
        let result = component.wait_ready(READY, || ready(self));
        self.components.insert(index, component);
        result
    }

    /// Its files, and kubectl.
    #[must_use]
    pub fn access(&self) -> &Access {
        &self.access
    }

    /// Name and process id of each component.
    #[must_use]
    pub fn processes(&self) -> Vec<(&'static str, u32)> {
        self.components.iter().map(|component| (component.name(), component.pid())).collect()
    }

    /// Makes another process end with this control plane, if it has an owner.
    ///
    /// # Errors
    /// When the guard is gone.
    pub fn watch(&mut self, pid: u32) -> Result<()> {
        self.guard.as_mut().map_or(Ok(()), |guard| guard.watch(pid))
    }

    /// Takes a process out of what ends with this control plane.
    ///
    /// # Errors
    /// When the guard is gone.
    pub fn forget(&mut self, pid: u32) -> Result<()> {
        self.guard.as_mut().map_or(Ok(()), |guard| guard.forget(pid))
    }

    fn stop_components(&mut self) {
        // In reverse: whoever depends on another goes first.
        for component in self.components.iter_mut().rev() {
            component.stop();
            if let Some(guard) = &mut self.guard {
                let _ = guard.forget(component.pid());
            }
        }
        self.components.clear();
    }
}

impl Drop for ControlPlane {
    fn drop(&mut self) {
        if self.guard.is_some() {
            self.stop_components();
        }
    }
}

/// Writes the certificates that a Bailey without a cluster serves with into `folder`.
///
/// # Errors
/// When the folder cannot be written.
pub fn prepare_standalone(folder: &Path) -> Result<Access> {
    Files::create(folder)?;
    Ok(Access::new(folder))
}

fn etcd(binary: &Path, folder: &Path, client: u16, peer: u16) -> Command {
    let (client, peer) = (format!("http://127.0.0.1:{client}"), format!("http://127.0.0.1:{peer}"));
    let mut command = Command::new(binary);
    command.arg("etcd").arg("--data-dir").arg(folder.join("etcd"));
    command.args(["--listen-client-urls", &client, "--advertise-client-urls", &client]);
    command.args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer]);
    command.args(["--initial-cluster", &format!("default={peer}")]);
    // Nothing here is worth a disk flush per write.
    command.args(["--unsafe-no-fsync", "--log-level", "warn"]);
    command
}

fn api_server(binary: &Path, files: &Files, folder: &Path, etcd: u16, port: u16) -> Command {
    let mut command = Command::new(binary);
    command.arg("kube-apiserver");
    command.arg(format!("--etcd-servers=http://127.0.0.1:{etcd}"));
    command.arg(format!("--secure-port={port}"));
    command.args(["--bind-address=127.0.0.1", "--advertise-address=127.0.0.1"]);
    // There is no service network: nobody needs the endpoints of the `kubernetes` service.
    command.args(["--endpoint-reconciler-type=none", "--service-cluster-ip-range=10.96.0.0/16"]);
    command.args(["--authorization-mode=RBAC,Node", "--allow-privileged=true", "--profiling=false"]);
    let mut file = |flag: &str, file: &Path| {
        command.arg(format!("{flag}={}", file.display()));
    };
    file("--cert-dir", &folder.join("certs"));
    file("--tls-cert-file", &files.server.certificate);
    file("--tls-private-key-file", &files.server.key);
    file("--token-auth-file", &files.tokens);
    file("--admission-control-config-file", &files.admission);
    file("--requestheader-client-ca-file", &folder.join("certs/proxy-ca.crt"));
    file("--proxy-client-cert-file", &files.proxy.certificate);
    file("--proxy-client-key-file", &files.proxy.key);
    file("--kubelet-certificate-authority", &folder.join("certs/ca.crt"));
    file("--kubelet-client-certificate", &files.node_client.certificate);
    file("--kubelet-client-key", &files.node_client.key);
    file("--service-account-key-file", &files.service_account_public);
    file("--service-account-signing-key-file", &files.service_account_key);
    command.arg("--service-account-issuer=https://kubernetes.default.svc");
    command.args([
        "--requestheader-allowed-names=front-proxy-client",
        "--requestheader-username-headers=X-Remote-User",
    ]);
    command.args([
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
    ]);
    command
}

fn controller_manager(binary: &Path, files: &Files, access: &Access, port: u16) -> Command {
    let kubeconfig = access.kubeconfig_file("controller-manager");
    let mut command = Command::new(binary);
    command.arg("kube-controller-manager");
    for flag in ["--kubeconfig", "--authentication-kubeconfig", "--authorization-kubeconfig"] {
        command.arg(format!("{flag}={}", kubeconfig.display()));
    }
    command.arg(format!("--secure-port={port}")).arg("--bind-address=127.0.0.1");
    command.arg(format!("--cert-dir={}", access.folder().join("certs").display()));
    command.arg(format!("--service-account-private-key-file={}", files.service_account_key.display()));
    command.arg(format!("--root-ca-file={}", access.authority().display()));
    command.args(["--use-service-account-credentials=true", "--leader-elect=false", "--profiling=false"]);
    command
}
