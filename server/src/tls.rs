//! Certificate, key and the authority of callers: read again when they change.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use admission::Peer;
use anyhow::{Context, bail};
use arc_swap::ArcSwap;
use prometheus_client::metrics::counter::Counter;
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig, ServerConnection};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tenancy::cluster::{FrontProxy, FrontProxyWatch};

use crate::certificate_name::has_name;

/// How often the files are looked at. Polling, as it sees every way a file is replaced.
const POLL: Duration = Duration::from_secs(1);

/// Who may call.
pub(crate) enum Callers {
    /// Whoever reaches the port.
    Anyone,
    /// Whoever has a certificate of the authority in this PEM file with one of these names; with any, for `None`.
    Signed { authority: PathBuf, names: Option<Vec<String>> },
    /// The API server, as it publishes itself for aggregated APIs; nobody before that is known. The name replaces the
    /// published ones.
    FrontProxy { published: FrontProxyWatch, name: Option<String> },
}

/// The TLS configuration in force. New connections take the newest; open ones keep theirs.
#[derive(Clone)]
pub(crate) struct Tls(Arc<ArcSwap<InForce>>);

/// What one connection is made with, and judged by.
pub(crate) struct InForce {
    /// For who calls.
    pub(crate) server: Arc<ServerConfig>,
    /// For calling others who have a certificate of the same authority, with the own certificate; `None` without one.
    pub(crate) client: Option<Arc<ClientConfig>>,
    authority: Authority,
}

/// What callers have to show.
#[derive(Clone, PartialEq, Eq)]
enum Authority {
    Nothing,
    NotKnownYet,
    Signed { by: Vec<u8>, names: Option<Vec<String>> },
}

#[derive(PartialEq, Eq)]
struct Material {
    certificate: Vec<u8>,
    key: Vec<u8>,
    authority: Authority,
}

/// Where it all comes from.
struct Origin {
    certificate: PathBuf,
    key: PathBuf,
    callers: Callers,
}

impl Tls {
    /// Reads everything, and goes on watching it until the process ends.
    ///
    /// # Errors
    /// When a file cannot be read or used.
    pub(crate) fn load(
        certificate: &Path,
        key: &Path,
        callers: Callers,
        reloads: Counter,
    ) -> anyhow::Result<Self> {
        let origin = Origin { certificate: certificate.to_owned(), key: key.to_owned(), callers };
        let material = origin.first()?;
        let tls = Self(Arc::new(ArcSwap::from_pointee(material.in_force()?)));
        tokio::spawn(watch(origin, material, tls.clone(), reloads));
        Ok(tls)
    }

    /// The configuration for a new connection.
    pub(crate) fn in_force(&self) -> Arc<InForce> {
        self.0.load_full()
    }
}

impl InForce {
    /// What is known of the other end of a connection that was made with this.
    pub(crate) fn peer(&self, connection: &ServerConnection) -> Peer {
        let names = match &self.authority {
            Authority::Nothing => return Peer::Unchecked,
            Authority::NotKnownYet => return Peer::Untrusted,
            Authority::Signed { names, .. } => names,
        };
        // rustls has checked the chain against the client authority before any certificate is seen here.
        let leaf = connection.peer_certificates().and_then(|chain| chain.first());
        let Some(leaf) = leaf else { return Peer::Untrusted };
        match names.as_ref().is_none_or(|names| names.iter().any(|name| has_name(leaf, name))) {
            true => Peer::Trusted,
            false => Peer::Untrusted,
        }
    }
}

impl Origin {
    /// What there is at the start: the API server may publish itself later, and its absence is no reason not to start.
    fn first(&self) -> anyhow::Result<Material> {
        match self.callers {
            Callers::FrontProxy { .. } => self.with(Authority::NotKnownYet),
            Callers::Anyone | Callers::Signed { .. } => self.read(),
        }
    }

    fn read(&self) -> anyhow::Result<Material> {
        self.with(self.callers.read()?)
    }

    fn with(&self, authority: Authority) -> anyhow::Result<Material> {
        Ok(Material { certificate: read(&self.certificate)?, key: read(&self.key)?, authority })
    }
}

impl Callers {
    /// Waits until it is time to look again.
    async fn pause(&mut self) {
        let pause = tokio::time::sleep(POLL);
        match self {
            Self::FrontProxy { published, .. } => {
                // Who publishes it never ends; if it did, there would still be the files.
                tokio::select! { () = pause => {}, Ok(()) = published.current.changed() => {} }
            }
            Self::Anyone | Self::Signed { .. } => pause.await,
        }
    }

    fn read(&self) -> anyhow::Result<Authority> {
        match self {
            Self::Anyone => Ok(Authority::Nothing),
            Self::Signed { authority, names } => {
                Ok(Authority::Signed { by: read(authority)?, names: names.clone() })
            }
            Self::FrontProxy { published, name } => {
                let Some(found) = published.current.borrow().clone() else {
                    return Ok(Authority::NotKnownYet);
                };
                let names = Some(proxy_names(&found, name.as_deref())?);
                Ok(Authority::Signed { by: found.authority.clone().into_bytes(), names })
            }
        }
    }
}

/// The names that the API server's certificate may have.
fn proxy_names(found: &FrontProxy, name: Option<&str>) -> anyhow::Result<Vec<String>> {
    let names = name.map_or_else(|| found.names.clone(), |name| vec![name.to_owned()]);
    // To Kubernetes this means any: then RBAC would hold for whoever has any certificate of that authority.
    if names.is_empty() {
        bail!("the API server names no certificate for aggregated APIs: say which with --proxy-name");
    }
    Ok(names)
}

impl Material {
    fn in_force(&self) -> anyhow::Result<InForce> {
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&self.certificate)
            .collect::<Result<_, _>>()
            .context("the TLS certificate is not PEM")?;
        if chain.is_empty() {
            bail!("the TLS certificate file holds no certificate");
        }
        let key = PrivateKeyDer::from_pem_slice(&self.key).context("the TLS key is not a PEM private key")?;
        let (builder, client) = match &self.authority {
            Authority::Nothing | Authority::NotKnownYet => {
                (ServerConfig::builder().with_no_client_auth(), None)
            }
            Authority::Signed { by, .. } => {
                let roots = Arc::new(roots(by)?);
                // Clients without a certificate may still read probes; what else they ask is refused.
                let verifier = WebPkiClientVerifier::builder(Arc::clone(&roots))
                    .allow_unauthenticated()
                    .build()
                    .context("the client authority cannot be used")?;
                let client = ClientConfig::builder().with_root_certificates(roots);
                let client = client
                    .with_client_auth_cert(chain.clone(), key.clone_key())
                    .context("the TLS certificate and key do not belong together")?;
                (ServerConfig::builder().with_client_cert_verifier(verifier), Some(Arc::new(client)))
            }
        };
        let mut server = builder
            .with_single_cert(chain, key)
            .context("the TLS certificate and key do not belong together")?;
        server.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(InForce { server: Arc::new(server), client, authority: self.authority.clone() })
    }
}

fn roots(authority: &[u8]) -> anyhow::Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(authority) {
        roots.add(certificate.context("the client authority is not PEM")?)?;
    }
    Ok(roots)
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("cannot read `{}`", path.display()))
}

/// Puts what changed in force. A half-written or mismatched pair keeps the last good one.
async fn watch(mut origin: Origin, mut last: Material, tls: Tls, reloads: Counter) {
    let mut reported = String::new();
    loop {
        origin.callers.pause().await;
        let material = match origin.read() {
            Ok(material) if material == last => continue,
            Ok(material) => material,
            Err(error) => {
                report(&mut reported, &error);
                continue;
            }
        };
        match material.in_force() {
            Ok(fresh) => {
                tls.0.store(Arc::new(fresh));
                reloads.inc();
                reported.clear();
                last = material;
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
        tracing::error!(error = %text, "changed TLS certificates cannot be used, the last good ones stay in force");
        *reported = text;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_is_never_any_name() {
        let found = |names: &[&str]| FrontProxy {
            authority: String::new(),
            names: names.iter().map(|name| (*name).to_owned()).collect(),
        };
        assert_eq!(proxy_names(&found(&["a", "b"]), None).unwrap(), ["a", "b"]);
        assert_eq!(proxy_names(&found(&["a"]), Some("c")).unwrap(), ["c"]);
        assert_eq!(proxy_names(&found(&[]), Some("c")).unwrap(), ["c"]);
        assert!(proxy_names(&found(&[]), None).unwrap_err().to_string().contains("--proxy-name"));
    }
}
