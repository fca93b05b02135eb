//! Replicas that ask each other over real TLS, and others who pretend to be replicas.

mod door;
mod honest;
mod hostile;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use audit::{AuditConfig, AuditMetrics, AuditSink, AuditTask};
use axum::Router;
use model::{GroupVersionKind, Operation, Record, StageTimes};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, SanType};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::*;
use crate::listen;
use crate::tls::{Callers, Tls};

/// An authority, and the folder with what it signed.
struct Authority {
    folder: TempDir,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let folder = tempfile::tempdir().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "authority");
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        std::fs::write(folder.path().join("ca.crt"), issuer.pem()).unwrap();
        Self { folder, issuer }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("ca.crt")
    }

    /// Certificate and key for a name or an address, as files.
    fn issue(&self, name: &str) -> (PathBuf, PathBuf) {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.subject_alt_names = match name.parse() {
            Ok(address) => vec![SanType::IpAddress(address)],
            Err(_) => vec![SanType::DnsName(name.try_into().unwrap())],
        };
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let file = |extension| self.folder.path().join(format!("{name}.{extension}"));
        std::fs::write(file("crt"), certificate.pem()).unwrap();
        std::fs::write(file("key"), key.serialize_pem()).unwrap();
        (file("crt"), file("key"))
    }

    /// What a replica with a certificate for `name` serves and asks with; it takes callers that are `trusting`.
    fn tls(&self, name: &str, trusting: &str) -> Tls {
        let (certificate, key) = self.issue(name);
        let callers = Callers::Signed { authority: self.file(), names: Some(vec![trusting.to_owned()]) };
        Tls::load(&certificate, &key, callers, Counter::default()).unwrap()
    }
}

/// Something that listens, until it is dropped.
struct Listening {
    address: SocketAddr,
    _stop: DropGuard,
}

impl Listening {
    async fn start(tls: Tls, routes: Router) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        tokio::spawn(listen::serve(listener, Some(tls), routes, stop.clone()));
        Self { address, _stop: stop.drop_guard() }
    }
}

/// A record on disk.
struct Store {
    _folder: TempDir,
    _task: AuditTask,
    own: Arc<OwnRecord>,
}

impl Store {
    async fn with(records: Vec<Record>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("audit.db");
        let metrics = AuditMetrics::register(&mut Registry::default());
        let mut config = AuditConfig::new(&file);
        config.retention.max_age = None;
        let (sink, task) = AuditSink::open(config, metrics).await.unwrap();
        records.into_iter().for_each(|record| sink.record(record));
        sink.flush().await;
        Self { _folder: folder, _task: task, own: Arc::new(OwnRecord::new(file)) }
    }
}

/// The metrics of one asking replica.
struct Counted(Registry);

impl Counted {
    fn new() -> (Self, PeerMetrics) {
        let mut registry = Registry::default();
        let metrics = PeerMetrics::register(&mut registry);
        (Self(registry), metrics)
    }

    /// How often a peer did not answer, by reason.
    fn unanswered(&self) -> Vec<(String, u64)> {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.0).unwrap();
        let lines = text.lines().filter_map(|line| {
            let rest = line.strip_prefix("bailey_decisions_peers_unanswered_total{reason=\"")?;
            let (reason, count) = rest.split_once("\"} ")?;
            Some((reason.to_owned(), count.parse().unwrap()))
        });
        lines.collect()
    }
}

fn url(address: SocketAddr) -> PeerUrl {
    format!("https://{address}").parse().unwrap()
}

/// A refusal of a Pod of the tenant `physics`: the later, the higher the number, which ends its id too.
fn refused(number: i64) -> Record {
    Record {
        id: format!("019470f2-0000-7000-8000-{number:012}"),
        time_micros: 1_700_000_000_000_000_i64.saturating_add(number),
        phase: "validate".into(),
        uid: "u".into(),
        username: "ada".into(),
        groups: vec!["choir".into()],
        tenant: Some("physics".into()),
        operation: Some(Operation::Create),
        kind: GroupVersionKind { group: String::new(), version: "v1".into(), kind: "Pod".into() },
        sub_resource: String::new(),
        namespace: "physics-web".into(),
        name: "web".into(),
        dry_run: false,
        allowed: false,
        code: "policy_denied".into(),
        message: "label `owner` is missing".into(),
        patched: false,
        policies: Vec::new(),
        findings: Vec::new(),
        times: StageTimes::default(),
    }
}
