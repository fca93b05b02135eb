//! Creators who race each other for the budget of a tenant, and faults beside them.
//!
//! What is stored is followed by a watch, event by event: a budget that is passed at any version is seen.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures::StreamExt;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client, ResourceExt};
use serde_json::json;

/// What is run.
#[derive(Debug, Clone)]
pub struct Race {
    /// What the namespaces' names begin with.
    pub prefix: String,
    /// The tenants.
    pub tenants: usize,
    /// The namespaces of each.
    pub namespaces: usize,
    /// How many create and delete at once, in all.
    pub creators: usize,
    /// The ConfigMaps that a tenant may have in all, beside those of Kubernetes' own.
    pub budget: usize,
    /// Of a hundred operations, those that delete.
    pub deletes: u64,
    /// For how long.
    pub time: Duration,
    /// Whether creates end in other ways too: dry runs, names that are taken, generated names, changes.
    pub mixed: bool,
    /// Whether ResourceQuotas hold the budgets too.
    pub native: bool,
}

/// What came of it.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// Creates that were let in.
    pub created: u64,
    /// Creates that were refused for the budget.
    pub refused: u64,
    /// Of those, the ones for which there was room all the while.
    pub falsely: u64,
    /// Creates of a name that was taken.
    pub taken: u64,
    /// Conflicts that reached a client.
    pub conflicts: u64,
    /// Creates that some other webhook refused.
    pub denied: u64,
    /// Requests that were not answered, or with a fault.
    pub failed: u64,
    /// The most that any tenant had at any version.
    pub most: usize,
    /// The median and the 99th percentile of the time of a create that was let in.
    pub times: (Duration, Duration),
    /// The last fault.
    pub fault: String,
}

/// The state that all share.
struct Track {
    race: Race,
    stored: Mutex<BTreeMap<usize, Stored>>,
    asked: Vec<AtomicU64>,
    stop: AtomicBool,
}

#[derive(Default)]
struct Stored {
    names: BTreeSet<(String, String)>,
    most: usize,
    /// The most since a create began to be answered: reset by nobody, read as differences of `peaks`.
    peaks: Vec<(Instant, usize)>,
}

impl Race {
    /// The namespaces of a tenant.
    #[must_use]
    pub fn namespace(&self, tenant: usize, number: usize) -> String {
        format!("{}-{tenant}-{number}", self.prefix)
    }

    /// Runs it; the namespaces and budgets are there.
    ///
    /// # Panics
    /// When the API server is not to be reached at all.
    pub async fn run(&self, client: &Client) -> Outcome {
        let asked = (0..self.tenants).map(|_| AtomicU64::new(0)).collect();
        let track = Arc::new(Track {
            race: self.clone(),
            stored: Mutex::default(),
            asked,
            stop: AtomicBool::new(false),
        });
        let watching = tokio::spawn(follow(client.clone(), Arc::clone(&track)));
        let until = Instant::now() + self.time;
        let creators = (0..self.creators)
            .map(|number| tokio::spawn(create_and_delete(client.clone(), Arc::clone(&track), number, until)));
        let mut outcome = Outcome::default();
        let mut times = Vec::new();
        for creator in creators.collect::<Vec<_>>() {
            let (part, its) = creator.await.unwrap();
            outcome.add(&part);
            times.extend(its);
        }
        // What is under way is stored by now; the watch tells it.
        tokio::time::sleep(Duration::from_millis(500)).await;
        track.stop.store(true, Ordering::Release);
        watching.abort();
        let stored = track.stored.lock().unwrap();
        outcome.most = stored.values().map(|stored| stored.most).max().unwrap_or_default();
        times.sort();
        let at = |percent: usize| {
            times.get(times.len().saturating_sub(1) * percent / 100).copied().unwrap_or_default()
        };
        outcome.times = (at(50), at(99));
        outcome
    }
}

impl Outcome {
    fn add(&mut self, other: &Self) {
        self.created += other.created;
        self.refused += other.refused;
        self.falsely += other.falsely;
        self.taken += other.taken;
        self.conflicts += other.conflicts;
        self.denied += other.denied;
        self.failed += other.failed;
        if !other.fault.is_empty() {
            self.fault.clone_from(&other.fault);
        }
    }
}

/// Keeps what is stored, as the watch tells it.
async fn follow(client: Client, track: Arc<Track>) {
    let api: Api<ConfigMap> = Api::all(client);
    let mut events = Box::pin(watcher(api, watcher::Config::default().labels("race=yes")));
    while let Some(event) = events.next().await {
        let Ok(event) = event else { continue };
        let (map, there) = match &event {
            Event::Apply(map) | Event::InitApply(map) => (map, true),
            Event::Delete(map) => (map, false),
            Event::Init => {
                // All are told anew.
                track.stored.lock().unwrap().values_mut().for_each(|stored| stored.names.clear());
                continue;
            }
            Event::InitDone => continue,
        };
        let namespace = map.namespace().unwrap_or_default();
        let Some(tenant) = namespace.strip_prefix(&format!("{}-", track.race.prefix)) else { continue };
        let Some(tenant) = tenant.split('-').next().and_then(|tenant| tenant.parse().ok()) else { continue };
        let mut stored = track.stored.lock().unwrap();
        let stored = stored.entry(tenant).or_default();
        let key = (namespace, map.name_any());
        if there {
            stored.names.insert(key)
        } else {
            stored.names.remove(&key)
        };
        let now = stored.names.len();
        stored.most = stored.most.max(now);
        stored.peaks.push((Instant::now(), now));
        if stored.peaks.len() > 20_000 {
            stored.peaks.drain(..10_000);
        }
    }
}

impl Track {
    /// The most that was stored since a moment, and shortly before it.
    fn most_since(&self, tenant: usize, since: Instant) -> usize {
        let stored = self.stored.lock().unwrap();
        let Some(stored) = stored.get(&tenant) else { return 0 };
        let since = since.checked_sub(Duration::from_millis(20)).unwrap_or(since);
        let recent = stored.peaks.iter().rev().take_while(|(when, _)| *when >= since).map(|(_, now)| *now);
        recent.max().unwrap_or(0).max(stored.names.len())
    }

    fn some_name(&self, tenant: usize, random: &mut Random) -> Option<(String, String)> {
        let stored = self.stored.lock().unwrap();
        let names = &stored.get(&tenant)?.names;
        (!names.is_empty()).then(|| names.iter().nth(random.below(names.len() as u64) as usize).cloned())?
    }
}

/// Numbers that look random, the same for each seed (xorshift64*).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn below(&mut self, bound: u64) -> u64 {
        (self.next() >> 33) % bound.max(1)
    }
}

async fn create_and_delete(
    client: Client,
    track: Arc<Track>,
    number: usize,
    until: Instant,
) -> (Outcome, Vec<Duration>) {
    let race = &track.race;
    let tenant = number % race.tenants;
    let mut random = Random(0x9E37_79B9_7F4A_7C15 ^ (number as u64 + 1));
    let (mut outcome, mut times) = (Outcome::default(), Vec::new());
    let mut serial = 0_u64;
    while Instant::now() < until {
        if random.below(100) < race.deletes {
            if let Some((namespace, name)) = track.some_name(tenant, &mut random) {
                let maps: Api<ConfigMap> = Api::namespaced(client.clone(), &namespace);
                // Another may have deleted it.
                let _gone = maps.delete(&name, &DeleteParams::default()).await;
            }
            continue;
        }
        let namespace = race.namespace(tenant, random.below(race.namespaces as u64) as usize);
        let maps: Api<ConfigMap> = Api::namespaced(client.clone(), &namespace);
        serial += 1;
        let way = if race.mixed { random.below(20) } else { 0 };
        let mut object: ConfigMap =
            serde_json::from_value(json!({"metadata": {"labels": {"race": "yes"}}})).unwrap();
        match way {
            1 => object.metadata.name = track.some_name(tenant, &mut random).map(|(_, name)| name),
            2 => object.metadata.generate_name = Some("g".to_owned()),
            3 => {
                if let Some((namespace, name)) = track.some_name(tenant, &mut random) {
                    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), &namespace);
                    let change = Patch::Merge(json!({"data": {"serial": serial.to_string()}}));
                    let _gone = maps.patch(&name, &PatchParams::default(), &change).await;
                }
                continue;
            }
            _ => object.metadata.name = Some(format!("m-{number}-{serial}")),
        }
        if object.metadata.name.is_none() && object.metadata.generate_name.is_none() {
            continue;
        }
        let parameters = PostParams { dry_run: way == 4, ..PostParams::default() };
        let began = Instant::now();
        let others = track.asked[tenant].fetch_add(1, Ordering::AcqRel);
        let answer = maps.create(&parameters, &object).await;
        let others = others.max(track.asked[tenant].fetch_sub(1, Ordering::AcqRel) - 1);
        if way == 4 {
            continue;
        }
        match answer {
            Ok(_) => {
                outcome.created += 1;
                times.push(began.elapsed());
            }
            Err(kube::Error::Api(status)) => match status.code {
                409 if status.reason == "AlreadyExists" => outcome.taken += 1,
                409 => {
                    outcome.conflicts += 1;
                    outcome.fault = status.message.clone();
                }
                403 if status.message.contains("exceeded quota")
                    || status.message.contains("the budget of the tenant") =>
                {
                    outcome.refused += 1;
                    let most = track.most_since(tenant, began) + others as usize;
                    outcome.falsely += u64::from(most < race.budget);
                }
                403 => {
                    outcome.denied += 1;
                    outcome.fault = status.message.clone();
                }
                _ => {
                    outcome.failed += 1;
                    outcome.fault = status.message.clone();
                }
            },
            Err(error) => {
                outcome.failed += 1;
                outcome.fault = error.to_string();
            }
        }
    }
    (outcome, times)
}

/// Makes the tenants with their budgets and namespaces, which are spread over so many replicas.
///
/// # Panics
/// When something is refused, or does not come to be soon.
pub async fn populate(world: &crate::World, race: &Race, replicas: usize) {
    let client = world.client(crate::ADMIN).await;
    for tenant in 0..race.tenants {
        let name = format!("{}-{tenant}", race.prefix);
        // Each namespace has a ConfigMap of Kubernetes' own.
        let budget = race.budget + race.namespaces;
        let enforcement = if race.native { "Native" } else { "Ledger" };
        let spec = format!(
            "{{namespaces: {{prefix: ''}}, quota: {{hard: {{configmaps: {budget}}}, enforcement: {enforcement}}}}}"
        );
        let _tenant = crate::Tenant::create_in(world, &name, &spec).await;
        for number in 0..race.namespaces {
            let namespace = race.namespace(tenant, number);
            crate::give_namespace(world, &name, &namespace).await;
            let label = json!({"metadata": {"labels": crate::Replicas::label(number % replicas.max(1))}});
            let all: Api<k8s_openapi::api::core::v1::Namespace> = Api::all(client.clone());
            all.patch(&namespace, &PatchParams::default(), &Patch::Merge(label)).await.unwrap();
            let maps: Api<ConfigMap> = Api::namespaced(client.clone(), &namespace);
            crate::until("Kubernetes' own ConfigMap is there", async || {
                maps.get_opt("kube-root-ca.crt").await.unwrap().is_some()
            })
            .await;
        }
    }
}
