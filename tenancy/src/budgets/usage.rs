//! The objects that count toward budgets, watched, and told to the ledger.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use model::TenantIndex;
use quota::desk::Desk;
use quota::ledger::{Charges, Domains, Kind, Place, Stored, counted_as, is_claim_for_devices};
use quota::measure::{Amounts, ExtendedNames, Measured, Sum, add_up, kinds_of, measure};
use serde::Deserialize;
use tokio::sync::watch;

use super::identity::Identity;
use super::source::{Raw, Seen, Source};
use crate::tasks::{Task, Tasks};

/// Kinds of which more than the metadata counts.
const WHOLE: [(&str, &str); 4] =
    [("", "pods"), ("", "persistentvolumeclaims"), ("", "services"), ("resource.k8s.io", "resourceclaims")];

/// How many objects are compared at once.
const CHUNK: usize = 1_000;

/// Follows the tenants, and every kind that some budget is about.
pub(super) struct Usage {
    client: Client,
    desk: Arc<Desk>,
    check: Duration,
    tasks: Tasks,
    /// The watches, with the sums that are read.
    following: BTreeMap<Arc<Kind>, (Arc<[Sum]>, Task)>,
    domains: Arc<Domains>,
    /// What DeviceClasses say, once they are listed; followed while claims for devices count.
    extended: watch::Sender<Option<Arc<ExtendedNames>>>,
    classes: Option<Task>,
}

impl Usage {
    pub(super) fn new(client: Client, desk: Arc<Desk>, check: Duration, tasks: Tasks) -> Self {
        let (following, domains) = (BTreeMap::new(), Arc::default());
        Self {
            client,
            desk,
            check,
            tasks,
            following,
            domains,
            extended: watch::Sender::new(None),
            classes: None,
        }
    }

    /// Begins when the shares are listed: what is listed after them is as new as what they say, or versions went back.
    pub(super) async fn run(
        mut self,
        mut tenants: watch::Receiver<Arc<TenantIndex>>,
        mut shares: watch::Receiver<bool>,
    ) {
        // An error means that the task has ended, and with it the process.
        drop(shares.wait_for(|listed| *listed).await);
        let mut extended = self.extended.subscribe();
        loop {
            let index = Arc::clone(&tenants.borrow_and_update());
            let domains = self.desk.change(|ledger| {
                ledger.set_tenants(index);
                Arc::clone(ledger.domains())
            });
            if !Arc::ptr_eq(&domains, &self.domains) {
                self.follow(&domains);
                self.domains = domains;
                self.desk.nudge();
            }
            tokio::select! {
                changed = tenants.changed() => if changed.is_err() {
                    return;
                },
                // The sender lives as long as this.
                _ = extended.changed() => self.rename(),
            }
        }
    }

    /// DeviceClasses say something else: claims for devices are listed anew.
    fn rename(&mut self) {
        let names = self.extended.borrow().clone().unwrap_or_default();
        self.following.retain(|kind, _| !is_claim_for_devices(kind));
        self.desk.change(|ledger| ledger.set_extended(names));
        let domains = Arc::clone(&self.domains);
        self.follow(&domains);
        self.desk.nudge();
    }

    fn follow(&mut self, domains: &Domains) {
        let mut kinds: BTreeMap<Arc<str>, BTreeSet<Arc<Kind>>> = BTreeMap::new();
        for resource in domains.resources() {
            let known = kinds_of(&resource).unwrap_or_default();
            kinds.insert(resource, known.into_iter().map(Arc::new).collect());
        }
        let wanted: BTreeSet<Arc<Kind>> = kinds.values().flatten().cloned().collect();
        let sums = self.desk.change(|ledger| {
            ledger.set_kinds(kinds);
            wanted.iter().map(|kind| (Arc::clone(kind), ledger.sums(kind))).collect::<BTreeMap<_, _>>()
        });
        self.following.retain(|kind, (read, _)| sums.get(kind).is_some_and(|sums| same(read, sums)));
        let of_devices = wanted.iter().any(|kind| is_claim_for_devices(kind));
        self.classes =
            self.classes.take().filter(|_| of_devices).or_else(|| of_devices.then(|| self.follow_classes()));
        if !of_devices {
            // What is not followed is not known any more.
            self.extended.send_if_modified(|known| known.take().is_some());
        }
        for (kind, sums) in sums {
            // How many devices of what a claim asks for is not known yet.
            if is_claim_for_devices(&kind) && self.extended.borrow().is_none() {
                continue;
            }
            if !self.following.contains_key(&kind) {
                let task = self.tasks.spawn(format!("use of {kind}"), self.follower(&kind, &sums));
                self.following.insert(kind, (sums, task));
            }
        }
    }

    fn follow_classes(&self) -> Task {
        let source = Source {
            client: self.client.clone(),
            group: "resource.k8s.io".to_owned(),
            resource: "deviceclasses".to_owned(),
            metadata_only: false,
            check: None,
        };
        let (extended, mut classes) = (self.extended.clone(), BTreeMap::new());
        let follow = source.follow(move |seen| {
            match seen {
                Seen::All(_, objects) => classes = objects.iter().filter_map(named).collect(),
                Seen::Set(object) => classes.extend(named(&object)),
                Seen::Gone(object) => {
                    named(&object).into_iter().for_each(|(name, _)| _ = classes.remove(&name));
                }
                Seen::Listing | Seen::Version(_) | Seen::Checked(..) | Seen::Broken => return,
            }
            let names = classes.iter().filter_map(|(class, name)| Some((class.clone(), name.clone()?)));
            let names: ExtendedNames = names.collect();
            extended.send_if_modified(|known| {
                let changed = known.as_deref() != Some(&names);
                *known = changed.then(|| Arc::new(names)).or_else(|| known.take());
                changed
            });
        });
        self.tasks.spawn("device classes", follow)
    }

    fn follower(&self, kind: &Arc<Kind>, sums: &Arc<[Sum]>) -> impl Future<Output = ()> + Send + 'static {
        let whole = !sums.is_empty() || WHOLE.contains(&(kind.group.as_str(), kind.resource.as_str()));
        let source = Source {
            client: self.client.clone(),
            group: kind.group.clone(),
            resource: kind.resource.clone(),
            metadata_only: !whole,
            check: Some(self.check),
        };
        let (kind, sums) = (Arc::clone(kind), Arc::clone(sums));
        let (desk, extended) = (Arc::clone(&self.desk), self.extended.borrow().clone().unwrap_or_default());
        let mut reader = Reader { kind, sums, extended, known: HashSet::new(), horizon: 0, newest: 0 };
        source.follow(move |seen| reader.tell(&desk, seen))
    }
}

/// A DeviceClass, and what extended resource its devices are.
fn named(object: &Raw) -> Option<(String, Option<String>)> {
    #[derive(Deserialize)]
    struct Class {
        #[serde(default)]
        spec: Spec,
    }
    #[derive(Deserialize, Default)]
    #[serde(rename_all = "camelCase")]
    struct Spec {
        extended_resource_name: Option<String>,
    }
    let Identity { name, .. } = Identity::of(object.get())?;
    let class: Class = serde_json::from_str(object.get()).ok()?;
    Some((name.to_string(), class.spec.extended_resource_name.filter(|name| !name.is_empty())))
}

/// Whether these are the same sums.
fn same(some: &[Sum], others: &[Sum]) -> bool {
    some.iter().map(Sum::resource_name).eq(others.iter().map(Sum::resource_name))
}

/// Reads what objects of a kind count as. Most objects of a kind count as the same: that is kept once.
struct Reader {
    kind: Arc<Kind>,
    sums: Arc<[Sum]>,
    extended: Arc<ExtendedNames>,
    known: HashSet<Charges>,
    /// What others had seen when the list began.
    horizon: u64,
    /// The version of the last list.
    newest: u64,
}

impl Reader {
    fn tell(&mut self, desk: &Desk, seen: Seen) {
        match seen {
            Seen::Listing => self.horizon = desk.read(|ledger| ledger.horizon(&self.kind)),
            Seen::All(version, objects) => {
                self.known.clear();
                // The versions of one process only grow.
                if version < self.newest && version > 0 {
                    tracing::warn!(kind = %self.kind, version, before = self.newest, "versions went back");
                    return desk.distrust("a list is older than the one before");
                }
                self.newest = version;
                if version < self.horizon {
                    tracing::warn!(kind = %self.kind, version, horizon = self.horizon, "versions went back, all is counted anew");
                    desk.change(|ledger| ledger.rolled_back(&self.kind));
                }
                let all = objects.iter().filter_map(|object| self.stored(object));
                let all: Vec<_> = all.map(|(place, stored)| (place.namespace, place.name, stored)).collect();
                desk.change(|ledger| ledger.replace(&self.kind, version, all));
                desk.nudge();
            }
            Seen::Set(object) => {
                if let Some((place, stored)) = self.stored(&object) {
                    desk.change(|ledger| ledger.upsert(place, stored));
                }
            }
            Seen::Gone(object) => {
                if let Some((place, stored)) = self.stored(&object) {
                    desk.change(|ledger| ledger.delete(&place, &stored.uid, stored.version));
                }
            }
            Seen::Broken => {
                desk.change(|ledger| ledger.unlist(&self.kind));
                desk.suspect();
            }
            Seen::Version(version) => desk.change(|ledger| ledger.bookmark(&self.kind, version)),
            Seen::Checked(version, objects) => self.check(desk, version, &objects),
        }
    }

    /// Holds what is known against what there is, at the same version: they differ by a fault of ours alone.
    fn check(&mut self, desk: &Desk, version: u64, objects: &[Raw]) {
        let all: Vec<_> = objects.iter().filter_map(|object| self.stored(object)).collect();
        // A part at a time: requests are answered in between. Nothing else tells of this kind.
        let unlike = |part: &[(Place, Stored)]| desk.read(|ledger| ledger.unlike(part));
        let unlike: usize = all.chunks(CHUNK).map(unlike).sum();
        let gone = desk.read(|ledger| ledger.known_of(&self.kind)).saturating_sub(all.len());
        let drift = unlike.saturating_add(gone);
        desk.checked(drift);
        if drift > 0 {
            tracing::error!(kind = %self.kind, version, objects = drift, "what was counted was wrong, and is put right");
            let all = all.into_iter().map(|(place, stored)| (place.namespace, place.name, stored)).collect();
            desk.change(|ledger| ledger.replace(&self.kind, version, all));
            desk.nudge();
        }
    }

    fn stored(&mut self, object: &Raw) -> Option<(Place, Stored)> {
        let Identity { namespace, name, uid, version, tenant } = Identity::of(object.get())?;
        let (charges, class) = self.charges(object.get());
        let place = Place { kind: Arc::clone(&self.kind), namespace: namespace.into(), name: name.into() };
        let stored = Stored { uid: uid.into(), version, tenant: tenant.map(Arc::from), class, charges };
        Some((place, stored))
    }

    fn charges(&mut self, object: &str) -> (Charges, Option<Arc<str>>) {
        let uncounted = |error| {
            // The API server took it; a later version of Kubernetes may know more than this one.
            tracing::error!(kind = %self.kind, %error, "a stored object cannot be counted");
        };
        let measured = measure(&self.kind.group, &self.kind.resource, object.as_bytes());
        let measured = measured.map_err(uncounted).unwrap_or_else(|()| Measured::default());
        let mut summed = Amounts::new();
        // Each by itself: one that cannot be read takes nothing from the others.
        for sum in self.sums.iter() {
            match add_up([sum], object.as_bytes()) {
                Ok(amounts) => summed.extend(amounts),
                // Of tenants without this budget any value is let in.
                Err(error) => tracing::debug!(kind = %self.kind, %error, "a sum counts nothing of an object"),
            }
        }
        let (charges, class) = counted_as(&self.kind, &measured, &summed, &self.extended);
        match self.known.get(&charges) {
            Some(known) => (Arc::clone(known), class),
            None => {
                self.known.insert(Arc::clone(&charges));
                (charges, class)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use quota::ledger::Ledger;

    use super::*;

    fn raw(name: &str, uid: &str, version: u64) -> Raw {
        let metadata = serde_json::json!({
            "name": name, "namespace": "a", "uid": uid, "resourceVersion": version.to_string(),
        });
        serde_json::value::to_raw_value(&serde_json::json!({ "metadata": metadata })).unwrap()
    }

    #[test]
    fn what_is_counted_wrong_is_found_and_put_right() {
        let desk = Desk::new(Ledger::new("one"));
        let kind = Arc::new(Kind::new("", "configmaps"));
        desk.change(|ledger| {
            ledger.set_kinds(BTreeMap::from([("configmaps".into(), BTreeSet::from([Arc::clone(&kind)]))]));
        });
        let (sums, extended) = (Arc::default(), Arc::default());
        let mut reader =
            Reader { kind: Arc::clone(&kind), sums, extended, known: HashSet::new(), horizon: 0, newest: 0 };
        reader.tell(&desk, Seen::All(5, vec![raw("one", "1", 3), raw("two", "2", 4)]));
        reader.tell(&desk, Seen::Version(9));
        let counts = |desk: &Desk| (desk.counts().checks, desk.counts().drift);
        reader.tell(&desk, Seen::Checked(9, vec![raw("one", "1", 3), raw("two", "2", 4)]));
        assert_eq!(counts(&desk), (1, 0));
        // One was made again under its name, one is gone, and one came: as if the watch had lost all of it.
        reader.tell(&desk, Seen::Checked(9, vec![raw("one", "3", 7), raw("three", "4", 8)]));
        assert_eq!(counts(&desk), (2, 2));
        reader.tell(&desk, Seen::Checked(9, vec![raw("one", "3", 7), raw("three", "4", 8)]));
        assert_eq!(counts(&desk), (3, 2));
        reader.tell(&desk, Seen::Checked(9, vec![raw("one", "3", 7)]));
        assert_eq!((counts(&desk), desk.read(|ledger| ledger.known_of(&kind))), ((4, 3), 1));
        assert_eq!(desk.read(|ledger| ledger.version(&kind)), Some(9));
        assert_eq!(desk.distrusted(), None, "versions did not go back");
    }
}
