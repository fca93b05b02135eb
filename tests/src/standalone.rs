//! Bailey over a folder of files, without a cluster.

use std::path::{Path, PathBuf};

use reqwest::{Certificate, Client};
use serde_json::Value;
use tempfile::TempDir;
use xtask::control_plane::prepare_standalone;
use xtask::daemon::{self, Policies, Settings};
use xtask::process::{Component, Guard};
use xtask::workspace;

/// A running `bailey` that reads its policies from files.
pub struct Standalone {
    /// How it was started.
    pub settings: Settings,
    /// The authority of its certificate.
    pub authority: PathBuf,
    /// The process.
    pub component: Component,
    guard: Guard,
}

impl Standalone {
    /// Starts over a folder with the files that `write` puts there.
    ///
    /// # Panics
    /// When it does not become ready.
    pub fn start(write: impl FnOnce(&Path)) -> Self {
        Self::start_with(&[], write)
    }

    /// The same with more flags.
    ///
    /// # Panics
    /// When it does not become ready.
    pub fn start_with(flags: &[String], write: impl FnOnce(&Path)) -> Self {
        let folder = TempDir::with_prefix("bailey-standalone-").unwrap().keep();
        let mut guard = Guard::start(Some(&folder)).unwrap();
        let access = prepare_standalone(&folder).unwrap();
        let policies = folder.join("policies");
        std::fs::create_dir(&policies).unwrap();
        write(&policies);
        let mut settings = Settings::for_cluster(&daemon::built("debug").unwrap(), &access).unwrap();
        settings.policies = Policies::Files(policies);
        settings.client_authority = None;
        settings.extra = flags.to_vec();
        let mut component = settings.spawn().unwrap();
        guard.watch(component.pid()).unwrap();
        settings.wait_ready(&mut component).unwrap_or_else(|error| panic!("{error:#}"));
        Self { authority: access.authority(), settings, component, guard }
    }

    /// Writes a policy file.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn write(&self, name: &str, text: &str) {
        let Policies::Files(folder) = &self.settings.policies else { panic!("files were asked for") };
        std::fs::write(folder.join(name), text).unwrap();
    }

    /// A request with one of the sample reviews for `/validate`.
    ///
    /// # Panics
    /// When there is no such sample.
    pub fn review(&self, client: &Client, sample: &str) -> reqwest::RequestBuilder {
        let file = workspace::root().join(format!("deploy/samples/reviews/{sample}.json"));
        let url = format!("https://127.0.0.1:{}/validate?timeout=5s", self.settings.webhook_port);
        client.post(url).header("content-type", "application/json").body(std::fs::read(file).unwrap())
    }

    /// Sends one of the sample reviews and returns the response.
    ///
    /// # Errors
    /// When it is not answered.
    ///
    /// # Panics
    /// When the answer is not JSON.
    pub async fn send(&self, client: &Client, sample: &str) -> reqwest::Result<Value> {
        let body = self.review(client, sample).send().await?.bytes().await?;
        Ok(serde_json::from_slice::<Value>(&body).unwrap()["response"].take())
    }

    /// The message of a refused sample; `None` where it is allowed.
    ///
    /// # Panics
    /// When there is no answer.
    pub async fn message(&self, sample: &str) -> Option<String> {
        let response = self.send(&https_client(&self.authority), sample).await.unwrap();
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

/// A client that trusts this authority alone.
///
/// # Panics
/// When the file holds no certificate.
pub fn https_client(authority: &Path) -> Client {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let authority = Certificate::from_pem(&std::fs::read(authority).unwrap()).unwrap();
    Client::builder().tls_certs_only([authority]).no_proxy().build().unwrap()
}
