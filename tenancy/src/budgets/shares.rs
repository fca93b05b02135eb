//! The persisted shares: watched, and written by compare-and-swap.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use kube::api::{Api, DeleteParams, PostParams, Preconditions};
use kube::{Client, ResourceExt};
use quota::desk::Desk;
use quota::ledger::{Draft, Shares};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{interval, sleep, timeout};

use super::source::{Raw, Seen, Source};
use crate::api::GROUP;
use crate::api::ledger::{QuotaLedger, QuotaLedgerSpec};
use crate::cluster::api_message;

/// The pause after a write whose outcome is not known.
const PAUSE: Duration = Duration::from_millis(50);
/// How long a round of writes waits for news before it looks again.
const LOOK: Duration = Duration::from_millis(5);
/// How long the watch may take to tell a write that came first.
const TOLD: Duration = Duration::from_millis(20);
/// The shortest time between two looks: what comes meanwhile is answered together.
const GATHER: Duration = Duration::from_millis(1);
/// How often shares are looked at that nobody waits for.
const TIDY: Duration = Duration::from_secs(5);

/// Holders that are gone for good, whose shares are free again.
pub(super) type Gone = Arc<BTreeSet<Arc<str>>>;

/// Tells the ledger of every change of the persisted shares; `listed` becomes true with the first list.
pub(super) async fn follow(client: Client, desk: Arc<Desk>, listed: watch::Sender<bool>) {
    let source = Source {
        client,
        group: GROUP.to_owned(),
        resource: "quotaledgers".to_owned(),
        metadata_only: false,
        check: None,
    };
    let mut marks = BTreeMap::new();
    source
        .follow(move |seen| {
            match seen {
                Seen::Listing => {
                    marks = desk.read(|ledger| {
                        let mark = |name: Arc<str>| (Arc::clone(&name), ledger.mark(&name));
                        ledger.names().into_iter().map(mark).collect()
                    });
                    return;
                }
                // An API server that has just started does not serve them yet: that says nothing of them.
                Seen::All(0, _) => _ = listed.send_replace(true),
                Seen::All(_, objects) => {
                    let all: Vec<_> = objects.iter().filter_map(read).collect();
                    let mut absent = desk.read(quota::ledger::Ledger::names);
                    for (domain, persisted) in all {
                        absent.remove(&domain);
                        let since = marks.get(&domain).copied().unwrap_or_default();
                        desk.observe_since(&domain, Some(persisted), since);
                    }
                    for domain in &absent {
                        desk.observe_since(domain, None, marks.get(domain).copied().unwrap_or_default());
                    }
                    listed.send_replace(true);
                }
                Seen::Set(object) => {
                    if let Some((domain, persisted)) = read(&object) {
                        desk.observe(&domain, Some(persisted), false);
                    }
                }
                // Whoever needs it reads it again.
                Seen::Gone(object) => {
                    if let Some((domain, _)) = read(&object) {
                        desk.change(|ledger| ledger.forget_shares(&domain));
                    }
                }
                Seen::Broken => return desk.suspect(),
                Seen::Version(_) | Seen::Checked(..) => return,
            }
            desk.nudge();
        })
        .await;
}

fn read(object: &Raw) -> Option<(Arc<str>, (Shares, u64))> {
    match serde_json::from_str::<QuotaLedger>(object.get()) {
        Ok(object) => persisted(&object).map(|persisted| (Arc::from(object.name_any()), persisted)),
        Err(error) => {
            tracing::error!(%error, "a QuotaLedger cannot be read");
            None
        }
    }
}

fn persisted(object: &QuotaLedger) -> Option<(Shares, u64)> {
    let version = object.metadata.resource_version.as_deref()?.parse().ok()?;
    Some((object.spec.to_shares(), version))
}

/// Writes shares: for those that wait, for others that want something back, and to tidy up.
#[derive(Clone)]
pub(super) struct Writer {
    api: Api<QuotaLedger>,
    desk: Arc<Desk>,
    gone: watch::Receiver<Gone>,
}

/// What came of a write.
enum Outcome {
    Written(u64),
    /// Another write came first.
    Lost,
    Unknown(String),
}

impl Writer {
    pub(super) fn new(client: Client, desk: Arc<Desk>, gone: watch::Receiver<Gone>) -> Self {
        Self { api: Api::all(client), desk, gone }
    }

    /// Writes one domain after another change of its own; several domains at once.
    pub(super) async fn run(self) {
        let mut rounds: JoinSet<Arc<str>> = JoinSet::new();
        let mut running: BTreeSet<Arc<str>> = BTreeSet::new();
        let mut tidy = interval(TIDY);
        loop {
            let mut tidies = false;
            tokio::select! {
                () = self.desk.work() => {}
                Some(ended) = rounds.join_next() => match ended {
                    Ok(domain) => _ = running.remove(&domain),
                    // A panic is a fault of ours: the domain is free for the next round.
                    Err(error) => {
                        tracing::error!(%error, "a round of writes failed");
                        running.clear();
                    }
                },
                _ = tidy.tick() => tidies = true,
            }
            if tidies {
                for (domain, version) in self.desk.read(quota::ledger::Ledger::abandoned) {
                    self.remove(&domain, version).await;
                }
            }
            for domain in self.due(tidies, &running) {
                if running.insert(Arc::clone(&domain)) {
                    rounds.spawn(self.clone().round(domain));
                }
            }
        }
    }

    /// The domains with something to write; of busy ones only those that somebody waits for.
    fn due(&self, tidies: bool, busy: &BTreeSet<Arc<str>>) -> BTreeSet<Arc<str>> {
        let mut due = self.desk.waited_for();
        due.extend(self.desk.owing(busy));
        if tidies {
            let (now, gone) = (self.desk.now(), Arc::clone(&self.gone.borrow()));
            // A domain at a time: requests are answered in between.
            for domain in self.desk.read(quota::ledger::Ledger::names) {
                let untidy = self.desk.read(|ledger| {
                    ledger.owes(&domain)
                        || ledger.is_untidy(&domain, now)
                        || ledger.has_holder(&domain, &gone)
                });
                due.extend(untidy.then_some(domain));
            }
        }
        due
    }

    /// Writes one domain until nothing waits and nothing is owed.
    async fn round(self, domain: Arc<str>) -> Arc<str> {
        loop {
            let mut news = self.desk.news();
            let gone = Arc::clone(&self.gone.borrow());
            match self.desk.draft(&domain, &gone) {
                None => self.read(&domain).await,
                Some(draft) if !draft.changed => self.desk.settle(&draft, None),
                Some(draft) => match self.put(&draft).await {
                    Outcome::Written(version) => self.desk.settle(&draft, Some(version)),
                    Outcome::Lost => {
                        self.desk.lost(&draft);
                        self.catch_up(&draft, &mut news).await;
                        continue;
                    }
                    Outcome::Unknown(why) => {
                        tracing::warn!(%domain, error = why, "shares of budgets cannot be written");
                        sleep(PAUSE).await;
                        self.read(&domain).await;
                    }
                },
            }
            let waits = self.desk.waited_for().contains(&domain);
            if !waits && !self.desk.read(|ledger| ledger.owes(&domain)) {
                return domain;
            }
            sleep(GATHER).await;
            if waits {
                // Without news it is only looked whether someone has waited long enough.
                let _quiet = timeout(LOOK, news.changed()).await;
            }
        }
    }

    async fn put(&self, draft: &Draft) -> Outcome {
        let mut object = QuotaLedger::new(&draft.domain, QuotaLedgerSpec::of(&draft.shares));
        let parameters = PostParams::default();
        let written = match draft.version {
            Some(version) => {
                object.metadata.resource_version = Some(version.to_string());
                self.api.replace(&draft.domain, &parameters, &object).await
            }
            None => self.api.create(&parameters, &object).await,
        };
        match written {
            Ok(object) => match persisted(&object) {
                Some((_, version)) => Outcome::Written(version),
                None => Outcome::Unknown("the API server names no resource version".to_owned()),
            },
            Err(kube::Error::Api(status)) if status.code == 409 || status.code == 404 => Outcome::Lost,
            Err(error) => Outcome::Unknown(api_message(&error)),
        }
    }

    /// Waits until the watch has told the write that came first, which it mostly has by now, or reads it.
    async fn catch_up(&self, draft: &Draft, news: &mut watch::Receiver<u64>) {
        let told = async {
            while !self.desk.read(|ledger| ledger.has_moved(&draft.domain, draft.version)) {
                // The sender lives as long as the desk.
                let _news = news.changed().await;
            }
        };
        if timeout(TOLD, told).await.is_err() {
            self.read(&draft.domain).await;
        }
    }

    /// Reads the shares as they are now.
    async fn read(&self, domain: &Arc<str>) {
        let since = self.desk.read(|ledger| ledger.mark(domain));
        match self.api.get_opt(domain).await {
            Ok(object) => {
                let persisted = object.as_ref().and_then(persisted);
                self.desk.observe_since(domain, persisted, since);
            }
            Err(error) => {
                tracing::warn!(%domain, error = api_message(&error), "shares of budgets cannot be read");
                sleep(PAUSE).await;
            }
        }
    }

    /// Gives back everything that requests under way do not need: the replica ends.
    pub(super) async fn give_back(&self) {
        let domains = self.desk.change(|ledger| {
            ledger.set_fence(0);
            ledger.names()
        });
        for domain in domains {
            for _attempt in 0..5 {
                let gone = Arc::clone(&self.gone.borrow());
                let Some(draft) = self.desk.draft(&domain, &gone).filter(|draft| draft.changed) else {
                    break;
                };
                match self.put(&draft).await {
                    Outcome::Written(version) => self.desk.settle(&draft, Some(version)),
                    Outcome::Lost => {
                        self.desk.lost(&draft);
                        self.read(&domain).await;
                        continue;
                    }
                    Outcome::Unknown(_) => {}
                }
                break;
            }
        }
    }

    /// Removes the shares of a domain that is no more.
    async fn remove(&self, domain: &str, version: u64) {
        let preconditions = Preconditions { resource_version: Some(version.to_string()), uid: None };
        let parameters = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::default() };
        if let Err(error) = self.api.delete(domain, &parameters).await {
            tracing::debug!(domain, error = api_message(&error), "shares of a former domain stay for now");
        }
    }
}
