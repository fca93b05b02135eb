//! Bailey without a cluster: policies from files, read again when they change; certificates too.

use std::path::Path;
use std::sync::Arc;

use reqwest::{Certificate, Client};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use tests::{Standalone, https_client, required_label, until, until_some};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use xtask::control_plane::Authority;
use xtask::{guests, workspace};

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
    let old = https_client(&bailey.authority);
    bailey.send(&old, "allowed").await.unwrap();

    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::create(folder.path(), "next").unwrap();
    let issued = authority.server("bailey").unwrap();
    std::fs::copy(&issued.key, &bailey.settings.server.key).unwrap();
    std::fs::copy(&issued.certificate, &bailey.settings.server.certificate).unwrap();
    let next = folder.path().join("next.crt");
    until("the new certificate is served", async || {
        bailey.send(&https_client(&next), "allowed").await.is_ok()
    })
    .await;
    assert!(bailey.send(&https_client(&bailey.authority), "allowed").await.is_err());
    bailey.send(&old, "allowed").await.unwrap();
}

/// A connection with the first half of a review sent.
async fn half_a_review(bailey: &Standalone) -> (TlsStream<TcpStream>, Vec<u8>) {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(&bailey.authority).unwrap() {
        roots.add(certificate.unwrap()).unwrap();
    }
    let config = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let stream = TcpStream::connect(("127.0.0.1", bailey.settings.webhook_port)).await.unwrap();
    let name = ServerName::try_from("127.0.0.1").unwrap();
    let mut stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap();
    let body = std::fs::read(workspace::root().join("deploy/samples/reviews/allowed.json")).unwrap();
    let head = format!("POST /validate HTTP/1.1\r\nhost: bailey\r\ncontent-length: {}\r\n\r\n", body.len());
    let (first, rest) = body.split_at(body.len() / 2);
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(first).await.unwrap();
    stream.flush().await.unwrap();
    (stream, rest.to_vec())
}

#[tokio::test]
async fn what_is_in_flight_is_finished_when_bailey_is_told_to_stop() {
    let mut bailey = Standalone::start(owner_policy);
    let (mut stream, rest) = half_a_review(&bailey).await;
    // A review that is answered shows that the server has taken the connection before it.
    assert_eq!(bailey.message("allowed").await, None);
    let told = std::process::Command::new("kill").arg(bailey.component.pid().to_string()).status().unwrap();
    assert!(told.success());
    let port = bailey.settings.webhook_port;
    until("new connections are refused", async || TcpStream::connect(("127.0.0.1", port)).await.is_err())
        .await;

    stream.write_all(&rest).await.unwrap();
    let mut answer = String::new();
    let mut buffer = [0; 4096];
    while !answer.contains("\"response\"") {
        let read = stream.read(&mut buffer).await.unwrap();
        assert_ne!(read, 0, "closed before the answer: {answer}");
        answer.push_str(&String::from_utf8_lossy(&buffer[..read]));
    }
    assert!(answer.contains("\"allowed\":true"), "{answer}");
    let ended = until_some("the process has ended", async || bailey.component.exited()).await;
    assert!(ended.success(), "{ended}");
}

#[tokio::test]
async fn both_versions_of_http_are_spoken() {
    let bailey = Standalone::start(owner_policy);
    let url = format!("https://127.0.0.1:{}/healthz", bailey.settings.webhook_port);
    let response = https_client(&bailey.authority).get(&url).send().await.unwrap();
    assert_eq!(response.version(), reqwest::Version::HTTP_2);
    let certificate = Certificate::from_pem(&std::fs::read(&bailey.authority).unwrap()).unwrap();
    let old = Client::builder().tls_certs_only([certificate]).no_proxy().http1_only().build().unwrap();
    assert_eq!(old.get(&url).send().await.unwrap().version(), reqwest::Version::HTTP_11);
}
