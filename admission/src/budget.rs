//! The last stage of a request that nothing has refused: it takes what it needs from the budgets of its tenant.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use model::{Amount, Code, Operation, Request, TENANT_LABEL, TenantIndex, TenantRole, is_bytes};
use quota::desk::{Desk, Full, Refused};
use quota::grants::{GrantDesk, Late};
use quota::ledger::{Ask, Charges, Kind, NAMESPACES, Owner, Place, Ticket, counted_as};
use quota::measure::{
    ExtendedNames, MeasureError, Measured, Sum, add_up, add_up_scale, measure, unspecified,
};
use serde::Deserialize;
use tokio::sync::watch;

use crate::guard::is_controller;
use crate::native;

/// How long after its review a request may still be stored: the API server's own bound of 34 s, and a margin.
pub(crate) const LEASE: Duration = Duration::from_secs(40);
/// The subresource that changes the replicas of a workload.
const SCALE: &str = "scale";
/// How long before a request's deadline its answer has to be known.
const MARGIN: Duration = Duration::from_millis(200);

/// Holds requests against the budgets of tenants.
#[derive(Debug)]
pub struct Budgets {
    desk: Arc<Desk>,
    grants: Arc<GrantDesk>,
    tenants: watch::Receiver<Arc<TenantIndex>>,
    administrators: BTreeSet<String>,
}

/// Why a request is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) code: Code,
    pub(crate) message: String,
}

impl Budgets {
    /// Budgets at these desks. Users of the groups `administrators` may create namespaces beyond a limit.
    pub fn new(
        desk: Arc<Desk>,
        grants: Arc<GrantDesk>,
        tenants: watch::Receiver<Arc<TenantIndex>>,
        administrators: impl IntoIterator<Item = String>,
    ) -> Self {
        Self { desk, grants, tenants, administrators: administrators.into_iter().collect() }
    }

    /// Takes what a request needs, waiting where the share of this replica has to grow. It is kept until the object is
    /// seen stored, or the request has ended without it.
    pub(crate) async fn charge(&self, request: &Request, deadline: Instant) -> Result<(), Refusal> {
        native::hold(&self.desk, &self.grants, request).await?;
        let Some(growth) = self.growth(request)? else { return Ok(()) };
        let tenant = Arc::clone(&growth.tenant);
        let kind = Arc::clone(&growth.place.kind);
        let latest = deadline.checked_sub(MARGIN).unwrap_or(deadline);
        match self.desk.take(growth.clone(), request.dry_run, latest).await {
            Ok(ticket) => self.granted(&growth, ticket, request.dry_run, latest).await,
            Err(Refused::Full(full)) => Err(self.full(request, &tenant, &kind, *full)),
            Err(Refused::Late) => Err(Refusal {
                code: Code::QuotaUnavailable,
                message: format!(
                    "what is left of the budget of the tenant `{tenant}` is not known now, the same request may pass soon"
                ),
            }),
            Err(Refused::Fenced) => Err(Refusal {
                code: Code::QuotaUnavailable,
                message: "bailey cannot renew its lease at the API server, and gives nothing of budgets until it can"
                    .to_owned(),
            }),
        }
    }

    /// Waits until the namespace's grants suffice, where ResourceQuotas hold the budget too.
    async fn granted(
        &self,
        growth: &Ask,
        ticket: Option<Ticket>,
        dry_run: bool,
        latest: Instant,
    ) -> Result<(), Refusal> {
        self.grants.wait(growth, dry_run, latest).await.map_err(|late| {
            ticket.iter().for_each(|ticket| self.desk.give_back(ticket));
            let Late { pool, resource } = late;
            let namespace = &growth.place.namespace;
            Refusal {
                code: Code::QuotaUnavailable,
                message: format!(
                    "the budget `{pool}` has room, and what Kubernetes' own quota in the namespace `{namespace}` allows of \
                     `{resource}` could not be raised in time, the same request may pass soon"
                ),
            }
        })
    }

    /// What a request asks of budgets; `None` where it concerns none.
    fn growth(&self, request: &Request) -> Result<Option<Ask>, Refusal> {
        let writes = matches!(request.operation, Operation::Create | Operation::Update);
        let counts = matches!(request.sub_resource.as_str(), "" | "resize" | SCALE);
        let Some(object) = request.object.as_deref().filter(|_| writes && counts) else { return Ok(None) };
        // Administrators and controllers give a tenant namespaces beyond its limit.
        if request.is_namespace() && (self.is_administrator(request) || is_controller(request)) {
            return Ok(None);
        }
        let kind = Kind::new(&request.resource.group, &request.resource.resource);
        let tenants = Arc::clone(&self.tenants.borrow());
        let labelled =
            |object: Option<&[u8]>| identity(object).labels.unwrap_or_default().remove(TENANT_LABEL);
        let (tenant, before) = match request.is_cluster_scoped() {
            false => (tenants.name_for(&request.namespace).map(str::to_owned), None),
            true => (labelled(Some(object)), labelled(request.old_object.as_deref())),
        };
        let Some(tenant) = tenant else { return Ok(None) };
        if !self.desk.read(|ledger| ledger.counts(&tenant, &kind)) {
            return Ok(None);
        }
        // What came from another tenant is new to this one.
        let stays = !request.is_cluster_scoped() || before.as_ref() == Some(&tenant);
        let old = request.old_object.as_deref().filter(|_| stays);
        self.says_all(&kind, &tenant, request, object)?;
        let sums = self.desk.read(|ledger| ledger.sums(&kind));
        // What others are held to asks nothing of this one.
        let own = |sum: &&Sum| self.desk.read(|ledger| ledger.limits(&tenant, sum.resource_name()));
        let sums: Vec<&Sum> = sums.iter().filter(own).collect();
        let extended = self.desk.read(quota::ledger::Ledger::extended);
        let charges = |object: &[u8]| match request.sub_resource.as_str() {
            SCALE => charges_of_scale(&kind, &sums, object),
            _ => charges(&kind, &sums, &extended, object),
        };
        let (after, class) = charges(object).map_err(|error| unmeasured(&error))?;
        // What could not be read counted nothing so far.
        let (before, _) = old.and_then(|old| charges(old).ok()).unwrap_or_default();
        let meta = identity(Some(object));
        let from = request
            .old_object
            .as_deref()
            .map(|old| identity(Some(old)).resource_version.parse().unwrap_or(0));
        let uid = if from.is_some() { request.uid.clone() } else { meta.uid };
        let name = if request.name.is_empty() { meta.name } else { request.name.clone() };
        let namespace = if request.is_cluster_scoped() { "" } else { request.namespace.as_str() };
        let place = Place { kind: Arc::new(kind), namespace: namespace.into(), name: name.into() };
        let until = self.desk.after(LEASE);
        Ok(Some(Ask { place, tenant: tenant.into(), class, uid: uid.into(), from, before, after, until }))
    }

    /// Every container of a new Pod says how much it needs of what is limited.
    fn says_all(&self, kind: &Kind, tenant: &str, request: &Request, object: &[u8]) -> Result<(), Refusal> {
        if kind.resource != "pods" || !kind.group.is_empty() || request.operation != Operation::Create {
            return Ok(());
        }
        let limited: BTreeSet<Arc<str>> = self.desk.read(|ledger| {
            let domain = ledger.domains().of_tenant(tenant).map(|(_, domain)| domain);
            domain.into_iter().flat_map(|domain| domain.resources(tenant)).cloned().collect()
        });
        match unspecified(object, |name| limited.contains(name)).map_err(|error| unmeasured(&error))? {
            None => Ok(()),
            Some((container, resource)) => Err(Refusal {
                code: Code::QuotaUnspecified,
                message: format!(
                    "the tenant `{tenant}` has a budget of `{resource}`, and the container `{container}` does not say how \
                     much it needs: set it in `resources`"
                ),
            }),
        }
    }

    fn is_administrator(&self, request: &Request) -> bool {
        request.user.groups.iter().any(|group| self.administrators.contains(group))
    }

    /// Which limit, what it has, what would pass, and what takes the most.
    fn full(&self, request: &Request, tenant: &str, kind: &Kind, full: Full) -> Refusal {
        let Full { short, line, mut consumers } = full;
        let resource = short.limit.resource.as_ref();
        if resource == NAMESPACES {
            // What was just stored is still in a share too: together they are no more than the limit.
            let taken = line.used.saturating_add(line.held).min(line.bound).max(line.used);
            return namespaces(&short.limit.owner, taken, line.bound);
        }
        let role = self.tenants.borrow().roles_of(&request.user).get(tenant).copied();
        if !self.is_administrator(request) && role.is_none_or(|role| role < TenantRole::Viewer) {
            consumers.retain(|consumer| *consumer.namespace == request.namespace);
        }
        let shown = |amount: i128| Amount::of(amount, is_bytes(resource));
        let held = if line.held > 0 {
            format!(" and {} held for requests under way", shown(line.held))
        } else {
            String::new()
        };
        let whose = match &short.limit.owner {
            Owner::Tenant(tenant) => {
                format!("the budget of the tenant `{tenant}` is {} of `{resource}`", shown(line.bound))
            }
            Owner::Band(tenant, band) => {
                format!(
                    "the budget of the tenant `{tenant}` for its band `{band}` is {} of `{resource}`",
                    shown(line.bound)
                )
            }
            Owner::Cohort(cohort) => {
                format!(
                    "the tenants of the cohort `{cohort}` lend each other {} of `{resource}`",
                    shown(line.bound)
                )
            }
        };
        let mut message = format!(
            "{whose}, of which {} are used{held}; this asks for {} more, and {}",
            shown(line.used),
            shown(short.asked),
            match short.room {
                ..=0 => "nothing more would pass now".to_owned(),
                room => format!("up to {} would pass now", shown(room)),
            }
        );
        if short.wanted_back > 0 {
            message.push_str(&format!(
                "; {} of it are wanted back by those who lend them",
                shown(short.wanted_back)
            ));
        }
        if !consumers.is_empty() {
            let largest = consumers.iter().map(|consumer| {
                format!(
                    "{} {}/{} ({})",
                    consumer.kind,
                    consumer.namespace,
                    consumer.name,
                    shown(consumer.amount)
                )
            });
            message.push_str(&format!(
                "; the largest of the tenant are {}",
                largest.collect::<Vec<_>>().join(", ")
            ));
        }
        message
            .push_str(&format!("; delete some {kind}, or ask for more with `kubectl tenant request quota`"));
        Refusal { code: Code::QuotaExceeded, message }
    }
}

fn namespaces(owner: &Owner, used: i128, bound: i128) -> Refusal {
    let (Owner::Tenant(owner) | Owner::Band(owner, _) | Owner::Cohort(owner)) = owner;
    let [used, bound] = [used, bound].map(|amount| Amount::of(amount, false));
    Refusal {
        code: Code::NamespaceLimit,
        message: format!(
            "the tenant `{owner}` has {used} of at most {bound} namespaces; delete one, or ask for more"
        ),
    }
}

fn unmeasured(error: &MeasureError) -> Refusal {
    Refusal {
        code: Code::QuotaUnspecified,
        message: format!("it cannot be counted toward a budget: {error}"),
    }
}

/// What an object counts as, and the PriorityClass of a Pod.
type Counted = (Charges, Option<Arc<str>>);

fn charges(
    kind: &Kind,
    sums: &[&Sum],
    extended: &ExtendedNames,
    object: &[u8],
) -> Result<Counted, MeasureError> {
    let measured = measure(&kind.group, &kind.resource, object)?;
    Ok(counted_as(kind, &measured, &add_up(sums.iter().copied(), object)?, extended))
}

/// What the object of a request to `scale` says of the one that it scales: only what depends on the replicas.
fn charges_of_scale(kind: &Kind, sums: &[&Sum], object: &[u8]) -> Result<Counted, MeasureError> {
    let sums = add_up_scale(sums.iter().copied(), object)?;
    Ok(counted_as(kind, &Measured::default(), &sums, &ExtendedNames::new()))
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Identity {
    name: String,
    uid: String,
    resource_version: String,
    labels: Option<BTreeMap<String, String>>,
}

fn identity(object: Option<&[u8]>) -> Identity {
    crate::guard::metadata::parts(object)
}
