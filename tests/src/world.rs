//! A control plane with Bailey as its webhook.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Mutex, OnceLock};

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use tempfile::TempDir;
use xtask::control_plane::{Access, ControlPlane, Lifetime, build};
use xtask::daemon::{self, Settings};
use xtask::install::ModuleHolder;
use xtask::process::{Component, wait_until};
use xtask::{guests, http, install};

use crate::{Namespace, SOON, User};

static SHARED: OnceLock<World> = OnceLock::new();

/// A running control plane and the running `bailey` that it asks.
pub struct World {
    /// The running daemon.
    pub bailey: Bailey,
    access: Access,
    plane: Mutex<ControlPlane>,
}

/// The `bailey` process of a world.
pub struct Bailey {
    /// How it was started.
    pub settings: Settings,
    component: Mutex<Component>,
}

impl World {
    /// The world that all tests of one file share, started by the first that asks.
    ///
    /// # Panics
    /// When it cannot be started; the message has the end of the failing component's log.
    pub fn shared() -> &'static Self {
        SHARED.get_or_init(Self::start)
    }

    /// A world of its own, with Bailey as its webhook and no policies.
    ///
    /// # Panics
    /// When it cannot be started; the message has the end of the failing component's log.
    #[must_use]
    pub fn start() -> Self {
        Self::start_binary(&daemon::built("debug").unwrap_or_else(fail))
    }

    /// The same with another `bailey` binary, for a bench.
    ///
    /// # Panics
    /// As [`World::start`].
    #[must_use]
    pub fn start_binary(binary: &Path) -> Self {
        // The guard of the control plane removes the folder, also where nothing is dropped.
        let folder = TempDir::with_prefix("bailey-test-").unwrap().keep();
        let control_plane = build::binary().unwrap_or_else(fail);
        let mut plane = ControlPlane::start(&control_plane, &folder, Lifetime::Owner).unwrap_or_else(fail);
        let access = plane.access().clone();
        install::prerequisites(&access).unwrap_or_else(fail);
        let settings = Settings::for_cluster(binary, &access).unwrap_or_else(fail);
        install::webhooks(&access, settings.webhook_port).unwrap_or_else(fail);
        wait_until_asked(&access);
        let mut component = settings.spawn().unwrap_or_else(fail);
        plane.watch(component.pid()).unwrap_or_else(fail);
        settings.wait_ready(&mut component).unwrap_or_else(fail);
        install::decisions(&access, settings.api_port).unwrap_or_else(fail);
        let bailey = Bailey { settings, component: Mutex::new(component) };
        Self { bailey, access, plane: Mutex::new(plane) }
    }

    /// The files of the control plane.
    pub fn access(&self) -> &Access {
        &self.access
    }

    /// A client of a user.
    ///
    /// # Panics
    /// When the kubeconfig is broken.
    pub async fn client(&self, user: User) -> Client {
        // The process has one cryptography provider; every client may ask for it first.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let kubeconfig = Kubeconfig::read_from(self.access.kubeconfig(user)).unwrap();
        let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap();
        Client::try_from(config).unwrap()
    }

    /// A new namespace for one test.
    pub async fn namespace(&self, purpose: &str) -> Namespace {
        Namespace::create(self, purpose).await
    }

    /// Stores a built guest in a ConfigMap and returns its digest.
    ///
    /// # Panics
    /// When the guest has not been built.
    pub fn store_module(&self, name: &str) -> String {
        install::module(&self.access, ModuleHolder::ConfigMap, name, &guest(name)).unwrap_or_else(fail)
    }

    /// Stores a built guest in a Secret and returns its digest.
    ///
    /// # Panics
    /// When the guest has not been built.
    pub fn store_secret_module(&self, name: &str) -> String {
        install::module(&self.access, ModuleHolder::Secret, name, &guest(name)).unwrap_or_else(fail)
    }

    /// Stores bytes in a ConfigMap as if they were a guest, and returns their digest.
    ///
    /// # Panics
    /// When the API server refuses.
    pub fn store_bytes(&self, name: &str, bytes: &[u8]) -> String {
        install::module(&self.access, ModuleHolder::ConfigMap, name, bytes).unwrap_or_else(fail)
    }

    /// Runs kubectl as a user, whatever comes of it.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn kubectl(&self, user: User, arguments: &[&str]) -> Output {
        let mut command = Command::new(self.access.kubectl());
        command.arg("--kubeconfig").arg(self.access.kubeconfig(user)).args(arguments);
        command.stdin(Stdio::null()).output().unwrap()
    }

    /// Points the API server at Bailey again, after a test took the webhooks away.
    ///
    /// # Panics
    /// When the API server refuses.
    pub fn install_webhooks(&self) {
        install::webhooks(&self.access, self.bailey.settings.webhook_port).unwrap_or_else(fail);
    }

    /// Takes the webhooks away.
    ///
    /// # Panics
    /// When the API server refuses.
    pub fn remove_webhooks(&self) {
        let kinds = ["delete", "validatingwebhookconfiguration,mutatingwebhookconfiguration", "bailey"];
        self.access.run(&[&kinds[..], &["--ignore-not-found"]].concat()).map(drop).unwrap_or_else(fail);
    }

    /// Stops Bailey and starts it again with the same settings.
    ///
    /// # Panics
    /// When it does not become ready.
    pub fn restart_bailey(&self) {
        self.stop_bailey();
        self.start_bailey();
    }

    /// Has a process end with this one, however it ends.
    ///
    /// # Panics
    /// When another thread panicked with the control plane.
    pub(crate) fn watch(&self, pid: u32) {
        self.plane.lock().unwrap().watch(pid).unwrap_or_else(fail);
    }

    /// Undoes [`World::watch`].
    ///
    /// # Panics
    /// When another thread panicked with the control plane.
    pub(crate) fn unwatch(&self, pid: u32) {
        self.plane.lock().unwrap().forget(pid).unwrap_or_else(fail);
    }

    /// Ends a component of the control plane as a crash would.
    ///
    /// # Panics
    /// When it does not run.
    pub fn crash(&self, component: &str) {
        self.plane.lock().unwrap().crash(component).unwrap_or_else(fail);
    }

    /// Starts a component again that crashed.
    ///
    /// # Panics
    /// When it does not become ready.
    pub fn revive(&self, component: &str) {
        self.plane.lock().unwrap().revive(component).unwrap_or_else(fail);
    }

    /// Waits until Bailey has ended by itself, and starts it again, as a cluster would.
    ///
    /// # Panics
    /// When it does not end soon.
    pub fn wait_for_end_of_bailey(&self) {
        let ended = || self.bailey.component.lock().unwrap().exited().is_some();
        assert!(wait_until(SOON, ended), "Bailey goes on: {}", self.bailey.log_tail());
        let pid = self.bailey.pid();
        self.plane.lock().unwrap().forget(pid).unwrap_or_else(fail);
        self.start_bailey();
    }

    /// Stops Bailey as a rollout does.
    ///
    /// # Panics
    /// When another thread panicked with it.
    pub fn stop_bailey(&self) {
        let mut component = self.bailey.component.lock().unwrap();
        component.stop();
        self.plane.lock().unwrap().forget(component.pid()).unwrap_or_else(fail);
    }

    /// Starts Bailey again.
    ///
    /// # Panics
    /// When it does not become ready.
    pub fn start_bailey(&self) {
        let mut component = self.bailey.settings.spawn().unwrap_or_else(fail);
        self.plane.lock().unwrap().watch(component.pid()).unwrap_or_else(fail);
        self.bailey.settings.wait_ready(&mut component).unwrap_or_else(fail);
        *self.bailey.component.lock().unwrap() = component;
    }
}

impl Bailey {
    /// The Prometheus metrics as text.
    ///
    /// # Panics
    /// When it does not answer.
    pub fn metrics(&self) -> String {
        let (status, body) = http::get(self.settings.http_port, "/metrics").unwrap_or_else(fail);
        assert_eq!(status, 200, "{body}");
        body
    }

    /// How many reviews it has answered.
    ///
    /// # Panics
    /// When it does not answer.
    pub fn reviews(&self) -> u64 {
        let metrics = self.metrics();
        let lines = metrics.lines().filter(|line| line.starts_with("bailey_admission_requests_total"));
        let values = lines.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok());
        values.sum()
    }

    /// Runs `bailey audit …` over its database and returns what it prints, or its error.
    ///
    /// # Errors
    /// With the command's own message when it fails.
    ///
    /// # Panics
    /// When the command cannot be started or prints no text.
    pub fn audit(&self, arguments: &[&str]) -> Result<String, String> {
        let (sub_command, rest) = arguments.split_first().expect("a sub-command");
        let mut command = Command::new(&self.settings.binary);
        command.args(["audit", sub_command, "--audit-db"]).arg(self.settings.audit_database()).args(rest);
        let output = command.output().unwrap();
        if output.status.success() {
            return Ok(String::from_utf8(output.stdout).unwrap());
        }
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }

    /// Its process.
    ///
    /// # Panics
    /// When another thread panicked with it.
    pub fn pid(&self) -> u32 {
        self.component.lock().unwrap().pid()
    }

    /// The end of its log.
    ///
    /// # Panics
    /// When another thread panicked with it.
    pub fn log_tail(&self) -> String {
        self.component.lock().unwrap().log_tail()
    }

    /// Its log file.
    pub fn log(&self) -> PathBuf {
        self.settings.folder.join("bailey.log")
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // Before the control plane, whose drop follows: bailey would only log its absence.
        if let Ok(component) = self.bailey.component.get_mut() {
            component.stop();
            if let Ok(plane) = self.plane.get_mut() {
                let _ = plane.forget(component.pid());
            }
        }
    }
}

fn guest(name: &str) -> Vec<u8> {
    let file = guests::folder().join(format!("{name}.wasm"));
    std::fs::read(&file)
        .unwrap_or_else(|error| panic!("`{}`: {error}; run `cargo xtask test`", file.display()))
}

/// Waits until the API server asks both webhooks, which is while nobody answers them yet.
///
/// It learns of them by a watch: a request before that would be let through, and a test would be wrong.
fn wait_until_asked(access: &Access) {
    let create = ["create", "configmap", "probe", "--dry-run=server", "--namespace=default"];
    let delete = ["delete", "configmap", "kube-root-ca.crt", "--dry-run=server", "--namespace=default"];
    for (arguments, webhook) in [(create, "mutate.bailey.dev"), (delete, "validate.bailey.dev")] {
        let fails = || access.run(&arguments).is_err_and(|error| error.to_string().contains(webhook));
        assert!(wait_until(SOON, fails), "the API server does not ask `{webhook}`");
    }
}

/// Fails the test with the whole chain of causes.
pub(crate) fn fail<T, E: std::fmt::Display>(error: E) -> T {
    panic!("{error:#}")
}
