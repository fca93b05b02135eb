//! `up --standalone`: the webhook over files, and sample reviews to send to it.

use std::path::Path;

use anyhow::{Context as _, Result};
use xtask::control_plane::{Access, prepare_standalone};
use xtask::daemon::{Policies, Settings};
use xtask::progress::say;
use xtask::{guests, http, install, workspace};

use super::state::{State, build_of};
use super::up::{SAMPLE_MODULE, build_bailey, remember};

const REVIEWS: [(&str, &str); 3] = [
    ("Allowed", "allowed"),
    ("Refused by a Rego policy", "refused-by-rego"),
    ("Refused by a WebAssembly plugin", "refused-by-wasm"),
];

/// Starts the daemon over a folder of sample policies and prints what to send to it.
pub(super) fn up(folder: &Path) -> Result<()> {
    let binary = build_bailey()?;
    let modules = guests::build()?;
    let mut state = State::load(folder);
    let running = state.bailey.clone().filter(|bailey| {
        build_of(&binary).is_ok_and(|build| state.standalone && state.bailey_runs(folder, &build))
            && http::is_ok(bailey.http_port, "/readyz")
    });
    let policies = folder.join("policies");
    if let Some(bailey) = running {
        say("bailey runs already");
        write_policies(&policies, &modules)?;
        print(&Access::new(folder), &policies, bailey.webhook_port);
        return Ok(());
    }
    state.stop(folder);
    write_policies(&policies, &modules)?;
    say("starting bailey over files");
    let settings = settings(folder, &binary, &policies)?;
    let mut component = settings.spawn()?;
    state.standalone = true;
    state.bailey = Some(remember(&settings, component.pid())?);
    state.save(folder)?;
    settings.wait_ready(&mut component)?;
    print(&Access::new(folder), &policies, settings.webhook_port);
    Ok(())
}

fn settings(folder: &Path, binary: &Path, policies: &Path) -> Result<Settings> {
    let access = prepare_standalone(folder)?;
    let mut settings = Settings::for_cluster(binary, &access)?;
    settings.policies = Policies::Files(policies.to_path_buf());
    // There is no API server: whoever tries it out has no client certificate.
    settings.client_authority = None;
    Ok(settings)
}

/// Copies the samples; the plugin is read from its file instead of a ConfigMap.
fn write_policies(policies: &Path, modules: &Path) -> Result<()> {
    std::fs::create_dir_all(policies).with_context(|| format!("cannot create `{}`", policies.display()))?;
    let module = modules.join(format!("{SAMPLE_MODULE}.wasm"));
    let bytes = std::fs::read(&module).with_context(|| format!("cannot read `{}`", module.display()))?;
    for (name, text) in install::samples(&install::digest(&bytes))? {
        let file = policies.join(name);
        std::fs::write(&file, from_file(&text, &module))
            .with_context(|| format!("cannot write `{}`", file.display()))?;
    }
    Ok(())
}

/// Replaces the line that names a ConfigMap by one that names a file.
fn from_file(policy: &str, module: &Path) -> String {
    let line = |line: &str| match line.split_once("configMap: {") {
        Some((indentation, _)) => format!("{indentation}file: {}\n", module.display()),
        None => format!("{line}\n"),
    };
    policy.lines().map(line).collect()
}

fn print(access: &Access, policies: &Path, port: u16) {
    println!("\nBailey runs as a webhook without a cluster. Send it what an API server would send:");
    for (title, name) in REVIEWS {
        println!(
            "\n{title}:\n  curl --silent --cacert {ca} --header 'Content-Type: application/json' --data @{review} \
             https://127.0.0.1:{port}/validate",
            ca = access.authority().display(),
            review = workspace::root().join(format!("deploy/samples/reviews/{name}.json")).display(),
        );
    }
    println!("\nPolicies, read again when they change: {}", policies.display());
    println!("Stop: cargo xtask down{}", super::try_out::dir_flag(access.folder()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sample_plugin_is_read_from_a_file() {
        let samples = install::samples("sha256:00").unwrap();
        let (_, plugin) = samples.iter().find(|(name, _)| name == "allowed-registries.yaml").unwrap();
        let text = from_file(plugin, Path::new("/modules/x.wasm"));
        assert!(text.contains("\n      file: /modules/x.wasm\n      digest: sha256:00\n"), "{text}");
        assert!(!text.contains("configMap: {"));
    }

    #[test]
    fn sample_reviews_are_there() {
        for (_, name) in REVIEWS {
            assert!(workspace::root().join(format!("deploy/samples/reviews/{name}.json")).is_file());
        }
    }
}
