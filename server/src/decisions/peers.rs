use std::collections::HashSet;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use model::Record;
use reqwest::{Client, Response, StatusCode, redirect};
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};
use uuid::Uuid;

use super::door::PeerAnswer;
use super::fault::PeerFault;
use super::merge::merged;
use super::metrics::PeerMetrics;
use super::question::Question;
use super::url::PeerUrl;
use crate::tls::Tls;

/// How long all peers together may take to answer a question.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);
/// The longest answer of a peer, in bytes.
pub(super) const ANSWER_BYTES: usize = 4 << 20;
/// The most addresses of a host name that are asked.
const MOST_PEERS: usize = 32;
/// The most connections to peers at once, of all questions together; more wait, within their time.
const CONNECTIONS: usize = 64;
/// The most answers that are being read at once, each of up to [`ANSWER_BYTES`].
const READS: usize = 8;
/// The most host names that are resolved at once. The system's resolver cannot be interrupted.
const LOOKUPS: usize = 4;

/// What tells a running replica from all others, and itself from them: a host name of all leads back to it too.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Replica(String);

impl Replica {
    /// A name that no other has.
    pub(crate) fn random() -> Self {
        Self(Uuid::now_v7().to_string())
    }
}

/// The other replicas, and how they are asked.
pub(crate) struct Peers {
    urls: Vec<PeerUrl>,
    tls: Tls,
    replica: Replica,
    metrics: PeerMetrics,
    connections: Semaphore,
    reads: Semaphore,
    lookups: Arc<Semaphore>,
}

/// What the other replicas said.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    /// Their records together, oldest first, no more than were asked for.
    pub(super) records: Vec<Record>,
    /// How many replicas answered.
    pub(super) answered: usize,
    /// How many did not.
    pub(super) unanswered: usize,
    /// Whether there may be more, as a host name could not be resolved.
    pub(super) more: bool,
}

/// One address of a peer's URL.
#[derive(Debug, Clone, Copy)]
struct Target<'a> {
    url: &'a PeerUrl,
    address: SocketAddr,
}

impl Peers {
    /// Peers that are asked as `replica`, with the certificate and authority in force.
    pub(crate) fn new(urls: Vec<PeerUrl>, tls: Tls, replica: Replica, metrics: PeerMetrics) -> Self {
        let (connections, reads) = (Semaphore::new(CONNECTIONS), Semaphore::new(READS));
        Self { urls, tls, replica, metrics, connections, reads, lookups: Arc::new(Semaphore::new(LOOKUPS)) }
    }

    /// Asks all of them, for at most [`PATIENCE`].
    pub(super) async fn ask(&self, tenant: &str, question: &Question) -> Gathered {
        let start = Instant::now();
        let deadline = start.checked_add(PATIENCE).unwrap_or(start);
        let mut all = Gathered::default();
        // How many are asked at once is for `connections`.
        let mut answers = FuturesUnordered::new();
        for target in self.targets(deadline, &mut all).await {
            answers.push(self.answer(deadline, target, tenant, question));
        }
        let mut seen = HashSet::from([self.replica.clone()]);
        while let Some((target, answer)) = answers.next().await {
            match answer {
                Ok(answer) if seen.insert(answer.replica.clone()) => {
                    self.metrics.answered();
                    all.answered = all.answered.saturating_add(1);
                    all.records = merged(all.records, answer.records, question.most());
                }
                // Oneself, or a replica that has answered at another address.
                Ok(_) => {}
                Err(fault) => {
                    all.unanswered = all.unanswered.saturating_add(1);
                    self.missing(target.url, Some(target.address), &fault);
                }
            }
        }
        all
    }

    /// The addresses of all URLs.
    async fn targets(&self, deadline: Instant, all: &mut Gathered) -> Vec<Target<'_>> {
        let resolving = self.urls.iter().map(|url| in_time(deadline, self.addresses(url)));
        let resolved = futures::future::join_all(resolving).await;
        let mut targets = Vec::new();
        for (url, addresses) in self.urls.iter().zip(resolved) {
            match addresses {
                Ok(addresses) => {
                    let mut addresses = addresses.into_iter();
                    targets
                        .extend(addresses.by_ref().take(MOST_PEERS).map(|address| Target { url, address }));
                    for address in addresses {
                        all.unanswered = all.unanswered.saturating_add(1);
                        self.missing(url, Some(address), &PeerFault::TooMany { most: MOST_PEERS });
                    }
                }
                Err(fault) => {
                    all.more = true;
                    self.missing(url, None, &fault);
                }
            }
        }
        targets
    }

    async fn answer<'a>(
        &self,
        deadline: Instant,
        target: Target<'a>,
        tenant: &str,
        question: &Question,
    ) -> (Target<'a>, Result<PeerAnswer, PeerFault>) {
        (target, in_time(deadline, self.one(target, tenant, question)).await)
    }

    fn missing(&self, url: &PeerUrl, address: Option<SocketAddr>, fault: &PeerFault) {
        // Not a warning: every member of a tenant can ask, as often as they like. The metric is there to be watched.
        let source = std::error::Error::source(fault).map(ToString::to_string);
        tracing::debug!(host = url.host(), ?address, %fault, source, "a peer did not answer");
        self.metrics.unanswered(fault);
    }

    /// All addresses that the host has now.
    async fn addresses(&self, url: &PeerUrl) -> Result<HashSet<SocketAddr>, PeerFault> {
        // The semaphore is never closed.
        let permit = Arc::clone(&self.lookups).acquire_owned().await.ok();
        let (host, port) = (url.host().to_owned(), url.port());
        // A task of its own keeps the permit for as long as the resolver really takes.
        let found = tokio::spawn(async move {
            let found = tokio::net::lookup_host((host, port)).await.map(Iterator::collect::<HashSet<_>>);
            drop(permit);
            found
        });
        let found = found.await.map_err(std::io::Error::other).and_then(|found| found);
        let found = found.map_err(PeerFault::Unresolved)?;
        match found.is_empty() {
            true => Err(PeerFault::Unresolved(std::io::ErrorKind::NotFound.into())),
            false => Ok(found),
        }
    }

    /// Asks at one address.
    async fn one(
        &self,
        Target { url, address }: Target<'_>,
        tenant: &str,
        question: &Question,
    ) -> Result<PeerAnswer, PeerFault> {
        // The semaphores are never closed.
        let _connection = self.connections.acquire().await.ok();
        let client = self.client(url, address)?;
        let request = client.get(url.question(tenant, &question.pairs()));
        let mut response = request.send().await.map_err(PeerFault::Connection)?;
        if response.status() != StatusCode::OK {
            return Err(PeerFault::Refused(response.status()));
        }
        let _read = self.reads.acquire().await.ok();
        let body = read(&mut response).await?;
        understood(&body, tenant, question)
    }

    /// A client for one address, with what is in force now. Questions are rare: no connection is kept.
    fn client(&self, url: &PeerUrl, address: SocketAddr) -> Result<Client, PeerFault> {
        let tls = self.tls.in_force().client.clone().ok_or(PeerFault::NoCertificate)?;
        let client = Client::builder()
            .tls_backend_preconfigured((*tls).clone())
            .resolve(url.host(), address)
            .redirect(redirect::Policy::none())
            .https_only(true)
            .no_proxy()
            .http1_only();
        client.build().map_err(PeerFault::Connection)
    }
}

/// The body, if it is not too long.
async fn read(response: &mut Response) -> Result<Vec<u8>, PeerFault> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(PeerFault::Connection)? {
        if body.len().saturating_add(chunk.len()) > ANSWER_BYTES {
            return Err(PeerFault::TooLarge { most: ANSWER_BYTES });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// An answer, whose records are all such as were asked for.
fn understood(body: &[u8], tenant: &str, question: &Question) -> Result<PeerAnswer, PeerFault> {
    let answer: PeerAnswer = serde_json::from_slice(body).map_err(PeerFault::Malformed)?;
    let asked_for = answer.records.iter().all(|record| question.asks_for(tenant, record));
    match asked_for && answer.records.len() <= question.most() {
        true => Ok(answer),
        false => Err(PeerFault::NotAskedFor),
    }
}

async fn in_time<T>(
    deadline: Instant,
    answer: impl Future<Output = Result<T, PeerFault>>,
) -> Result<T, PeerFault> {
    timeout_at(deadline, answer).await.unwrap_or(Err(PeerFault::Late))
}
