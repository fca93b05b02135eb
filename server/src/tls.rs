//! Certificate, key and client authority: read from files, read again when they change.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use admission::Peer;
use anyhow::{Context, bail};
use arc_swap::ArcSwap;
use prometheus_client::metrics::counter::Counter;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use crate::args::TlsArgs;

/// How often the files are looked at. Polling, as it sees every way a file is replaced.
const POLL: Duration = Duration::from_secs(1);

/// The TLS configuration in force. New connections take the newest; open ones keep theirs.
#[derive(Clone)]
pub(crate) struct Tls {
    config: Arc<ArcSwap<ServerConfig>>,
    client_name: Option<String>,
    checks_clients: bool,
}

#[derive(PartialEq, Eq)]
struct Files {
    certificate: Vec<u8>,
    key: Vec<u8>,
    client_ca: Option<Vec<u8>>,
}

impl Tls {
    /// Reads the files, and goes on watching them until the process ends.
    pub(crate) fn load(args: &TlsArgs, reloads: Counter) -> anyhow::Result<Self> {
        let files = Files::read(args)?;
        let tls = Self {
            config: Arc::new(ArcSwap::from_pointee(files.config()?)),
            client_name: args.client_name.clone(),
            checks_clients: args.client_ca.is_some(),
        };
        tokio::spawn(watch(args.clone(), files, Arc::clone(&tls.config), reloads));
        Ok(tls)
    }

    /// The configuration for a new connection.
    pub(crate) fn config(&self) -> Arc<ServerConfig> {
        self.config.load_full()
    }

    /// What is known of the other end of a connection.
    pub(crate) fn peer(&self, connection: &ServerConnection) -> Peer {
        if !self.checks_clients {
            return Peer::Unchecked;
        }
        // rustls has checked the chain against the client authority before any certificate is seen here.
        let leaf = connection.peer_certificates().and_then(|chain| chain.first());
        let Some(leaf) = leaf else { return Peer::Untrusted };
        match &self.client_name {
            Some(name) if !has_name(leaf, name) => Peer::Untrusted,
            _ => Peer::Trusted,
        }
    }
}

impl Files {
    fn read(args: &TlsArgs) -> anyhow::Result<Self> {
        Ok(Self {
            certificate: read(&args.tls_cert)?,
            key: read(&args.tls_key)?,
            client_ca: args.client_ca.as_deref().map(read).transpose()?,
        })
    }

    fn config(&self) -> anyhow::Result<ServerConfig> {
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&self.certificate)
            .collect::<Result<_, _>>()
            .context("the TLS certificate is not PEM")?;
        if chain.is_empty() {
            bail!("the TLS certificate file holds no certificate");
        }
        let key = PrivateKeyDer::from_pem_slice(&self.key).context("the TLS key is not a PEM private key")?;
        let builder = match &self.client_ca {
            None => ServerConfig::builder().with_no_client_auth(),
            Some(authority) => {
                let mut roots = RootCertStore::empty();
                for certificate in CertificateDer::pem_slice_iter(authority) {
                    roots.add(certificate.context("the client authority is not PEM")?)?;
                }
                // Clients without a certificate may still read probes; reviews of theirs are refused.
                let verifier = WebPkiClientVerifier::builder(Arc::new(roots))
                    .allow_unauthenticated()
                    .build()
                    .context("the client authority cannot be used")?;
                ServerConfig::builder().with_client_cert_verifier(verifier)
            }
        };
        let mut config = builder
            .with_single_cert(chain, key)
            .context("the TLS certificate and key do not belong together")?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(config)
    }
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("cannot read `{}`", path.display()))
}

/// Puts changed files in force. A half-written or mismatched pair keeps the last good one.
async fn watch(args: TlsArgs, mut last: Files, config: Arc<ArcSwap<ServerConfig>>, reloads: Counter) {
    let mut reported = String::new();
    loop {
        tokio::time::sleep(POLL).await;
        let files = match Files::read(&args) {
            Ok(files) if files == last => continue,
            Ok(files) => files,
            Err(error) => {
                report(&mut reported, &error);
                continue;
            }
        };
        match files.config() {
            Ok(fresh) => {
                config.store(Arc::new(fresh));
                reloads.inc();
                reported.clear();
                last = files;
                tracing::info!("TLS certificate reloaded");
            }
            Err(error) => report(&mut reported, &error),
        }
    }
}

/// Logs a fault once, not at every poll.
fn report(reported: &mut String, error: &anyhow::Error) {
    let text = format!("{error:#}");
    if *reported != text {
        tracing::error!(error = %text, "changed TLS files cannot be used, the last good ones stay in force");
        *reported = text;
    }
}

fn has_name(certificate: &CertificateDer<'_>, name: &str) -> bool {
    let Ok((_, certificate)) = X509Certificate::from_der(certificate) else { return false };
    let common = certificate.subject().iter_common_name().any(|found| found.as_str() == Ok(name));
    let alternative = certificate.subject_alternative_name().ok().flatten().is_some_and(|names| {
        names
            .value
            .general_names
            .iter()
            .any(|found| matches!(found, GeneralName::DNSName(dns) if *dns == name))
    });
    common || alternative
}
