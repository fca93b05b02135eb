//! `up` and `down`: Bailey on a real control plane, to try it out.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use xtask::control_plane::{Access, ControlPlane, Lifetime, build};
use xtask::daemon::{self, Settings};
use xtask::install::ModuleHolder;
use xtask::progress::say;
use xtask::{go, guests, http, install, workspace};

use super::state::{Bailey, State, build_of};
use super::{run, try_out, up_standalone};

/// The plugin that the WebAssembly sample uses.
pub(super) const SAMPLE_MODULE: &str = "allowed-registries";

/// Arguments of `up`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Start the webhook over files, without a cluster: needs no Go.
    #[arg(long)]
    standalone: bool,
    /// Where certificates, kubeconfigs, logs and data go [default: target/up].
    #[arg(long, value_name = "FOLDER")]
    dir: Option<PathBuf>,
}

/// Arguments of `down`.
#[derive(Debug, Args)]
pub(crate) struct DownArguments {
    /// The folder that `up` was given [default: target/up].
    #[arg(long, value_name = "FOLDER")]
    dir: Option<PathBuf>,
}

/// Starts everything, or what is missing of it, and prints what to try.
pub(crate) fn up(arguments: &Arguments) -> Result<()> {
    let folder = folder(arguments.dir.as_deref())?;
    if arguments.standalone {
        return up_standalone::up(&folder);
    }
    if !go::is_installed() {
        bail!(
            "Go is not installed, and the control plane (etcd, kube-apiserver) is built with it: install Go 1.26 or \
             later (https://go.dev/dl), or run `cargo xtask up --standalone` for the webhook without a cluster"
        );
    }
    let binary = build_bailey()?;
    let modules = guests::build()?;
    let control_plane = build::binary()?;
    let mut state = State::load(&folder);
    let access = ensure_control_plane(&folder, &control_plane, &mut state)?;
    let bailey = ensure_webhook(&access, &binary, &mut state)?;
    install::webhooks(&access, bailey.webhook_port)?;
    install::decisions(&access, bailey.api_port)?;
    install::kubectl_plugin(&access, &binary)?;
    say("installing sample policies");
    install_samples(&access, &modules)?;
    try_out::print_cluster(&access);
    Ok(())
}

/// Stops what `up` started.
pub(crate) fn down(arguments: &DownArguments) -> Result<()> {
    let folder = folder(arguments.dir.as_deref())?;
    let mut state = State::load(&folder);
    let stopped = state.stop(&folder);
    state.save(&folder)?;
    if stopped.is_empty() {
        say(format!("nothing of `{}` was running", folder.display()));
    } else {
        say(format!("stopped {}", stopped.join(", ")));
    }
    Ok(())
}

/// The release binary, built if needed.
pub(super) fn build_bailey() -> Result<PathBuf> {
    say("building bailey (the first time takes several minutes)");
    run::show("cargo", &["build", "--release", "--package", "cli"])?;
    daemon::built("release")
}

/// Where the release binary is.
pub(super) fn release_binary() -> PathBuf {
    workspace::target().join("release/bailey")
}

/// Remembers a daemon that was started with `settings`.
pub(super) fn remember(settings: &Settings, pid: u32) -> Result<Bailey> {
    let build = build_of(&settings.binary)?;
    Ok(Bailey {
        pid,
        webhook_port: settings.webhook_port,
        http_port: settings.http_port,
        api_port: settings.api_port,
        build,
    })
}

fn folder(given: Option<&Path>) -> Result<PathBuf> {
    let folder = given.map_or_else(|| workspace::target().join("up"), Path::to_path_buf);
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot create `{}`", folder.display()))?;
    // Absolute: it is how processes are recognised, and kubeconfigs are used from other folders.
    folder.canonicalize().with_context(|| format!("cannot find `{}`", folder.display()))
}

fn ensure_control_plane(folder: &Path, binary: &Path, state: &mut State) -> Result<Access> {
    let access = Access::new(folder);
    if !state.standalone && state.control_plane_runs(folder) && access.is_ready() {
        say("the control plane runs already");
        return Ok(access);
    }
    state.stop(folder);
    // A new control plane has new keys: old data would hold secrets nobody can use.
    let data = folder.join("etcd");
    if data.exists() {
        std::fs::remove_dir_all(&data).with_context(|| format!("cannot remove `{}`", data.display()))?;
    }
    say("starting etcd, kube-apiserver and kube-controller-manager");
    let plane = ControlPlane::start(binary, folder, Lifetime::Detached)?;
    state.standalone = false;
    state.control_plane = plane.processes().into_iter().map(|(name, pid)| (name.to_owned(), pid)).collect();
    state.save(folder)?;
    Ok(access)
}

/// Starts bailey and installs what it needs, in the order that works.
fn ensure_webhook(access: &Access, binary: &Path, state: &mut State) -> Result<Bailey> {
    let asked = access.run(&["get", "validatingwebhookconfigurations", "bailey"]).is_ok();
    if asked {
        // Nothing can be written before bailey answers.
        let bailey = ensure_bailey(access, binary, state)?;
        install::prerequisites(access)?;
        return Ok(bailey);
    }
    say("installing custom resources and rights");
    install::prerequisites(access)?;
    ensure_bailey(access, binary, state)
}

fn ensure_bailey(access: &Access, binary: &Path, state: &mut State) -> Result<Bailey> {
    let folder = access.folder();
    if let Some(bailey) = &state.bailey
        && state.bailey_runs(folder, &build_of(binary)?)
        && http::is_ok(bailey.http_port, "/readyz")
    {
        say("bailey runs already");
        return Ok(bailey.clone());
    }
    let mut settings = Settings::for_cluster(binary, access)?;
    if let Some(bailey) = state.bailey.clone() {
        state.stop_bailey(folder);
        // The ports of before: the API server needs a moment to learn of others.
        (settings.webhook_port, settings.http_port) = (bailey.webhook_port, bailey.http_port);
        settings.api_port = bailey.api_port;
    }
    say("starting bailey");
    let mut component = settings.spawn()?;
    let bailey = remember(&settings, component.pid())?;
    state.bailey = Some(bailey.clone());
    state.save(folder)?;
    settings.wait_ready(&mut component)?;
    Ok(bailey)
}

fn install_samples(access: &Access, modules: &Path) -> Result<()> {
    let module = modules.join(format!("{SAMPLE_MODULE}.wasm"));
    let bytes = std::fs::read(&module).with_context(|| format!("cannot read `{}`", module.display()))?;
    let digest = install::module(access, ModuleHolder::ConfigMap, SAMPLE_MODULE, &bytes)?;
    for (_, text) in install::samples(&digest)? {
        access.apply(&text)?;
    }
    for kind in ["policies.bailey.dev", "policybindings.bailey.dev"] {
        access.run(&["wait", "--for=condition=Ready", "--timeout=15s", "--all", kind])?;
    }
    access.apply(&install::sample_tenants()?)?;
    for kind in ["tenants.bailey.dev", "fairnessclasses.bailey.dev"] {
        access.run(&["wait", "--for=condition=Ready", "--timeout=15s", "--all", kind])?;
    }
    let arguments = ["get", "serviceaccount", "default", "--namespace", try_out::NAMESPACE];
    access.run_until(Duration::from_secs(20), &arguments).map(drop)
}
