//! Bailey without a cluster: policies from files, read again when they change; certificates too.

use std::path::{Path, PathBuf};

use reqwest::{Certificate, Client};
use serde_json::Value;
use tests::{required_label, until, until_some};
use xtask::control_plane::{Authority, prepare_standalone};
use xtask::daemon::{self, Policies, Settings};
use xtask::process::{Component, Guard};
use xtask::{guests, workspace};

struct Standalone {
    settings: Settings,
    authority: PathBuf,
    component: Component,
    guard: Guard,
}

impl Standalone {
    /// Starts over a folder with the files that `write` puts there.
    fn start(write: impl FnOnce(&Path)) -> Self {
        let folder = tempfile::TempDir::with_prefix("bailey-standalone-").unwrap().keep();
        let mut guard = Guard::start(Some(&folder)).unwrap();
        let access = prepare_standalone(&folder).unwrap();
        let policies = folder.join("policies");
        std::fs::create_dir(&policies).unwrap();
        write(&policies);
        let mut settings = Settings::for_cluster(&daemon::built("debug").unwrap(), &access).unwrap();
        settings.policies = Policies::Files(policies);
        settings.client_authority = None;
        let mut component = settings.spawn().unwrap();
        guard.watch(component.pid()).unwrap();
        settings.wait_ready(&mut component).unwrap_or_else(|error| panic!("{error:#}"));
        Self { authority: access.authority(), settings, component, guard }
    }

    fn write(&self, name: &str, text: &str) {
        let Policies::Files(folder) = &self.settings.policies else { panic!("files were asked for") };
        std::fs::write(folder.join(name), text).unwrap();
    }

    /// Sends one of the sample reviews and returns the response.
    async fn send(&self, client: &Client, review: &str) -> reqwest::Result<Value> {
        let file = workspace::root().join(format!("deploy/samples/reviews/{review}.json"));
        let url = format!("https://127.0.0.1:{}/validate?timeout=5s", self.settings.webhook_port);
        let sent =
            client.post(url).header("content-type", "application/json").body(std::fs::read(file).unwrap());
        let body = sent.send().await?.bytes().await?;
        Ok(serde_json::from_slice::<Value>(&body).unwrap()["response"].take())
    }

    async fn message(&self, review: &str) -> Option<String> {
        let response = self.send(&client(&self.authority), review).await.unwrap();
        let message = response["status"]["message"].as_str().map(str::to_owned);
        assert_eq!(response["allowed"] == true, message.is_none(), "{response}");
        message
    }
}

impl Drop for Standalone {
    fn drop(&mut self) {
        self.component.stop();
        let _ = self.guard.forget(self.component.pid());
    }
}

fn client(authority: &Path) -> Client {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let authority = Certificate::from_pem(&std::fs::read(authority).unwrap()).unwrap();
    Client::builder().tls_certs_only([authority]).no_proxy().build().unwrap()
}

fn owner_policy(folder: &Path) {
    std::fs::write(folder.join("owner.yaml"), required_label("owner", "team-a", "owner", "deny")).unwrap();
}

#[tokio::test]
async fn a_rego_policy_and_a_plugin_from_files_decide() {
    let bailey = Standalone::start(|folder| {
        owner_policy(folder);
        for name in ["allowed-registries.yaml", "allowed-registries.wasm"] {
            let file = guests::folder().join(name);
            let copied = std::fs::copy(&file, folder.join(name));
            copied.unwrap_or_else(|error| panic!("`{}`: {error}; run `cargo xtask test`", file.display()));
        }
    });
    assert_eq!(bailey.message("allowed").await, None);
    let message = bailey.message("refused-by-rego").await.unwrap();
    assert!(message.contains("label `owner` is missing"), "{message}");
    let message = bailey.message("refused-by-wasm").await.unwrap();
    assert!(message.contains("docker.io/library/nginx"), "{message}");
}

#[tokio::test]
async fn a_changed_file_is_decided_with_and_a_broken_one_is_not() {
    let bailey = Standalone::start(owner_policy);
    assert!(bailey.message("refused-by-rego").await.is_some());
    // The other label: now the review which passed is refused.
    bailey.write("owner.yaml", &required_label("owner", "team-a", "cost-center", "deny"));
    until("the new label is wanted", async || {
        bailey.message("allowed").await.is_some_and(|message| message.contains("`cost-center`"))
    })
    .await;
    // A broken version, and beside it a good one that shows when the folder has been read.
    let good = required_label("owner", "team-a", "cost-center", "deny");
    bailey.write("owner.yaml", &good.replace("violation contains", "violation containz"));
    bailey.write("team.yaml", &required_label("team", "team-a", "team", "deny"));
    let message = until_some("the second policy decides", async || {
        bailey.message("allowed").await.filter(|message| message.contains("`team`"))
    })
    .await;
    assert!(message.contains("`cost-center`"), "the last good version is gone: {message}");
}

#[tokio::test]
async fn a_new_certificate_is_served_without_dropping_connections() {
    let bailey = Standalone::start(owner_policy);
    // Keeps its connection, and trusts only the first authority: it cannot connect again.
    let old = client(&bailey.authority);
    bailey.send(&old, "allowed").await.unwrap();

    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::create(folder.path(), "next").unwrap();
    let issued = authority.server("bailey").unwrap();
    std::fs::copy(&issued.key, &bailey.settings.server.key).unwrap();
    std::fs::copy(&issued.certificate, &bailey.settings.server.certificate).unwrap();
    let next = folder.path().join("next.crt");
    until("the new certificate is served", async || bailey.send(&client(&next), "allowed").await.is_ok())
        .await;
    assert!(bailey.send(&client(&bailey.authority), "allowed").await.is_err());
    bailey.send(&old, "allowed").await.unwrap();
}
