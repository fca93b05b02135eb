//! What tenants hold that there is only one of: PersistentVolumes and host names, watched.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use futures::stream::{BoxStream, select_all};
use futures::{Stream, StreamExt};
use kube::api::{Api, ApiResource, DynamicObject};
use kube::core::GroupVersionKind;
use kube::runtime::utils::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Client, ResourceExt};
use model::{Holder, Holdings, TENANT_LABEL};
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::retry::{http_status, map_event, shown, watch_pauses};

/// How long changes are gathered before they are published.
const DEBOUNCE: Duration = Duration::from_millis(10);

/// The kinds that are watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Volume,
    Ingress,
    Gateway,
    HttpRoute,
    GrpcRoute,
    // Gateway API 1.5, 1.3 and older ones; where several are served the same objects are seen several times.
    TlsRoute,
    TlsRouteAlpha3,
    TlsRouteAlpha2,
}

/// The kinds of objects that have host names.
pub(crate) fn host_kinds() -> impl Iterator<Item = ApiResource> {
    Kind::ALL.into_iter().filter(|kind| *kind != Kind::Volume).map(Kind::resource)
}

impl Kind {
    const ALL: [Self; 8] = [
        Self::Volume,
        Self::Ingress,
        Self::Gateway,
        Self::HttpRoute,
        Self::GrpcRoute,
        Self::TlsRoute,
        Self::TlsRouteAlpha3,
        Self::TlsRouteAlpha2,
    ];

    fn resource(self) -> ApiResource {
        let (group, version, kind, plural) = match self {
            Self::Volume => ("", "v1", "PersistentVolume", "persistentvolumes"),
            Self::Ingress => ("networking.k8s.io", "v1", "Ingress", "ingresses"),
            Self::Gateway => ("gateway.networking.k8s.io", "v1", "Gateway", "gateways"),
            Self::HttpRoute => ("gateway.networking.k8s.io", "v1", "HTTPRoute", "httproutes"),
            Self::GrpcRoute => ("gateway.networking.k8s.io", "v1", "GRPCRoute", "grpcroutes"),
            Self::TlsRoute => ("gateway.networking.k8s.io", "v1", "TLSRoute", "tlsroutes"),
            Self::TlsRouteAlpha3 => ("gateway.networking.k8s.io", "v1alpha3", "TLSRoute", "tlsroutes"),
            Self::TlsRouteAlpha2 => ("gateway.networking.k8s.io", "v1alpha2", "TLSRoute", "tlsroutes"),
        };
        ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), plural)
    }
}

/// What one object holds.
#[derive(Debug, Clone, PartialEq)]
enum Held {
    Volume(Holder),
    Hosts(Vec<String>),
}

/// Namespace and name of an object.
type Place = (String, String);

#[derive(Default)]
struct Known {
    objects: BTreeMap<Kind, BTreeMap<Place, Held>>,
    listing: BTreeMap<Kind, BTreeMap<Place, Held>>,
    listed: BTreeSet<Kind>,
}

/// A change of what is watched.
type Seen = (Kind, Result<Event<(Place, Held)>, watcher::Error>);

/// Publishes what is held, and whether all kinds are listed, for ever.
pub(super) async fn run(client: Client, holdings: watch::Sender<Arc<Holdings>>, synced: watch::Sender<bool>) {
    let mut seen = events(&client);
    let mut known = Known::default();
    let mut due: Option<Instant> = None;
    loop {
        tokio::select! {
            Some((kind, event)) = seen.next() => if known.take(kind, event) {
                due = due.or_else(|| Instant::now().checked_add(DEBOUNCE));
            },
            () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                due = None;
                if known.listed.len() == Kind::ALL.len() {
                    holdings.send_replace(Arc::new(known.holdings()));
                    synced.send_if_modified(|synced| !std::mem::replace(synced, true));
                }
            }
            else => return,
        }
    }
}

impl Known {
    /// Takes a change in; whether there may be something to publish.
    fn take(&mut self, kind: Kind, event: Result<Event<(Place, Held)>, watcher::Error>) -> bool {
        let objects = self.objects.entry(kind).or_default();
        let listing = self.listing.entry(kind).or_default();
        match event {
            Ok(Event::Init) => listing.clear(),
            Ok(Event::InitApply((place, held))) => _ = listing.insert(place, held),
            Ok(Event::InitDone) => {
                *objects = std::mem::take(listing);
                self.listed.insert(kind);
                return true;
            }
            Ok(Event::Apply((place, held))) => return objects.insert(place, held.clone()) != Some(held),
            Ok(Event::Delete((place, _))) => return objects.remove(&place).is_some(),
            Err(error) => {
                // Where there is no such kind nobody holds any.
                let missing = http_status(&error) == Some(404);
                if !missing || !self.listed.contains(&kind) {
                    tracing::warn!(?kind, error = shown(&error), "what tenants hold cannot be watched");
                }
                return missing && self.listed.insert(kind);
            }
        }
        false
    }

    fn holdings(&self) -> Holdings {
        let all = || self.objects.values().flatten();
        let volumes: HashMap<String, Holder> = all()
            .filter_map(|((_, name), held)| match held {
                Held::Volume(holder) => Some((name.clone(), holder.clone())),
                Held::Hosts(_) => None,
            })
            .collect();
        let hosts = all().flat_map(|((namespace, _), held)| match held {
            Held::Hosts(hosts) => hosts.iter().map(|host| (host.clone(), namespace.clone())).collect(),
            Held::Volume(_) => Vec::new(),
        });
        Holdings::new(volumes, hosts)
    }
}

fn events(client: &Client) -> BoxStream<'static, Seen> {
    select_all(Kind::ALL.map(|kind| one(client, kind).boxed())).boxed()
}

fn one(client: &Client, kind: Kind) -> impl Stream<Item = Seen> + Send + use<> {
    let api: Api<DynamicObject> = Api::all_with(client.clone(), &kind.resource());
    let keyed = move |object: DynamicObject| {
        let held = held(kind, &object);
        ((object.namespace().unwrap_or_default(), object.name_any()), held)
    };
    watcher(api, watcher::Config::default())
        .backoff(watch_pauses())
        .map(move |event| (kind, event.map(|event| map_event(event, keyed))))
}

fn held(kind: Kind, object: &DynamicObject) -> Held {
    if kind != Kind::Volume {
        return Held::Hosts(model::hosts(&object.data));
    }
    let claim = object.data.pointer("/spec/claimRef/namespace").and_then(Value::as_str);
    Held::Volume(match (object.labels().get(TENANT_LABEL), claim) {
        (Some(tenant), _) => Holder::Tenant(tenant.clone()),
        (None, Some(namespace)) => Holder::Namespace(namespace.to_owned()),
        (None, None) => Holder::Nobody,
    })
}
