//! The walls around tenants, as far as admission holds them: a table of rules, in Rust.
//!
//! Guarantee: every rule reads one snapshot of tenants and namespaces and the request, makes no call and
//! waits for nothing. What RBAC refuses never comes here; a rule stands where RBAC cannot tell: by the
//! value of a label, by a name, by a number.

mod bindings;
mod claims;
mod classes;
mod connect;
mod edits;
mod exceptions;
mod hosts;
pub(crate) mod metadata;
mod namespaces;
mod network;
mod objects;
mod ownership;
mod pods;
mod question;
mod requests;
mod rules;
mod services;
mod tenant_objects;

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use model::{Code, Holdings, HostnameAsk, Request, TenantIndex};
use serde_json::Value;
use tokio::sync::watch;

use crate::pipeline::Phase;
use question::{Asker, Question};
use rules::{HOSTNAMES, RULES, has_hostnames};

/// Whose work the cluster's own controllers do; they are under RBAC, and not under the guard.
const CONTROLLERS: [&str; 2] = ["system:serviceaccounts:kube-system", "system:serviceaccounts:bailey-system"];
/// How long a Pod waits for the walls of its namespace.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long before a request's deadline that wait ends.
const MARGIN: Duration = Duration::from_millis(300);
/// The controller manager, where its controllers have no accounts of their own.
const CONTROLLER_MANAGER: &str = "system:kube-controller-manager";

/// Holds requests against the walls of tenants.
#[derive(Debug)]
pub struct Guard {
    tenants: watch::Receiver<Arc<TenantIndex>>,
    holdings: watch::Receiver<Arc<Holdings>>,
    administrators: BTreeSet<String>,
}

/// A wall that a request ran into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wall {
    /// The rule's name; empty where no rule but the request itself is at fault.
    pub rule: &'static str,
    /// The stable code.
    pub code: Code,
    /// Which rule, what was found and what would pass.
    pub message: String,
}

/// A request as the guard changed it.
#[derive(Debug)]
pub(crate) struct Changed {
    /// The request with the changed object.
    pub(crate) request: Request,
    /// The JSON Patch operations of the change.
    pub(crate) patch: Vec<Value>,
}

impl Guard {
    /// A guard over the newest of these snapshots. Users of the groups `administrators` pass every wall.
    pub fn new(
        tenants: watch::Receiver<Arc<TenantIndex>>,
        holdings: watch::Receiver<Arc<Holdings>>,
        administrators: impl IntoIterator<Item = String>,
    ) -> Self {
        let administrators = administrators.into_iter().collect();
        Self { tenants, holdings, administrators }
    }

    /// The names of all walls.
    pub fn walls() -> impl Iterator<Item = &'static str> {
        RULES.iter().map(|rule| rule.name)
    }

    /// The tenant that a request concerns: that of its namespace; for a new namespace the one it names, if the
    /// user belongs to it; for what has no namespace the user's only one.
    pub(crate) fn tenant_of(&self, request: &Request) -> Option<String> {
        let tenants = self.snapshot();
        if let Some(name) = tenants.name_for(&request.namespace) {
            return Some(name.to_owned());
        }
        let roles = tenants.roles_of(&request.user);
        let object = request.object.as_deref().filter(|_| request.is_namespace());
        let named = namespaces::tenant_label(object);
        match (named, roles.first_key_value()) {
            (Some(named), _) if roles.contains_key(named.as_str()) => Some(named),
            (None, Some((tenant, _))) if roles.len() == 1 => Some((*tenant).to_owned()),
            _ => None,
        }
    }

    /// The tenant at whose cost a request is decided on: that which it concerns, or the first one that the user belongs
    /// to, and its weight. So nobody gains by belonging to several.
    pub(crate) fn flow_of(&self, request: &Request) -> Option<(String, NonZeroU32)> {
        let tenants = self.snapshot();
        let name = self.tenant_of(request).or_else(|| {
            let roles = tenants.roles_of(&request.user);
            let first = roles.keys().next().copied().or_else(|| tenants.home_of(&request.user));
            first.map(str::to_owned)
        })?;
        // A namespace may name a tenant that is not there.
        let weight = tenants.tenant(&name).map_or(NonZeroU32::MIN, |tenant| tenant.weight);
        Some((name, weight))
    }

    /// The tenant that a change is counted for; nobody for administrators and the cluster's own controllers.
    pub(crate) fn payer_of(&self, request: &Request) -> Option<String> {
        if is_controller(request) || self.is_administrator(request) {
            return None;
        }
        self.snapshot().payer(&request.user, Some(&request.namespace)).map(str::to_owned)
    }

    /// Whether a request is about what is in a tenant's namespace.
    pub(crate) fn is_inside(&self, request: &Request) -> bool {
        !request.is_cluster_scoped() && self.snapshot().name_for(&request.namespace).is_some()
    }

    /// Holds a request against every rule; in the mutating phase gives what the guard changes.
    pub(crate) fn judge(&self, phase: Phase, request: &Request) -> Result<Option<Changed>, Wall> {
        let tenants = self.snapshot();
        let holdings = Arc::clone(&self.holdings.borrow());
        let question = self.question(request, &tenants, &holdings);
        match phase {
            Phase::Mutate => {
                let mut edits = namespaces::edits(&question)?;
                edits.extend(classes::defaults(&question));
                edits.extend(tenant_objects::edits(&question));
                edits.extend(exceptions::edits(&question));
                edits.extend(requests::edits(&question));
                edits::apply(request, &edits)
            }
            Phase::Validate => {
                let mut rules = RULES.iter().filter(|rule| rule.concerns(&question));
                rules.try_for_each(|rule| rule.check(&question)).map(|()| None)
            }
        }
    }

    fn snapshot(&self) -> Arc<TenantIndex> {
        Arc::clone(&self.tenants.borrow())
    }

    fn is_administrator(&self, request: &Request) -> bool {
        request.user.groups.iter().any(|group| self.administrators.contains(group))
    }

    /// The host names that a request brings and that have to be claimed for its tenant.
    pub(crate) fn hostnames_of(&self, request: &Request) -> Option<HostnameAsk> {
        if !has_hostnames(&request.resource) {
            return None;
        }
        let rule = RULES.iter().find(|rule| rule.name == HOSTNAMES)?;
        let tenants = self.snapshot();
        let holdings = Arc::clone(&self.holdings.borrow());
        let question = self.question(request, &tenants, &holdings);
        rule.concerns(&question).then(|| hosts::to_claim(&question)).flatten()
    }

    fn question<'a>(
        &self,
        request: &'a Request,
        tenants: &'a TenantIndex,
        holdings: &'a Holdings,
    ) -> Question<'a> {
        let asker = Asker::new(tenants, request, self.is_administrator(request), is_controller(request));
        Question::new(request, tenants, holdings, asker)
    }

    /// Waits, bounded, until a request's namespace is known, and for a Pod until its walls stand: those of a new one
    /// take a moment.
    pub(crate) async fn settle(&self, request: &Request, deadline: Instant) {
        let controller = is_controller(request);
        let stands = |tenants: &Arc<TenantIndex>| !objects::has_to_wait(tenants, request, controller);
        if stands(&self.tenants.borrow()) {
            return;
        }
        // What is left is for the answer.
        let last = deadline.checked_sub(MARGIN).unwrap_or(deadline);
        let latest = Instant::now().checked_add(PATIENCE).map_or(last, |until| until.min(last));
        let mut tenants = self.tenants.clone();
        // Past its time the rule refuses.
        let _late = tokio::time::timeout_at(latest.into(), tenants.wait_for(stands)).await;
    }
}

/// The wall that a host name of another tenant is.
pub(crate) fn taken(hostname: &str) -> Wall {
    let message = format!("wall `{HOSTNAMES}`: {}", hosts::in_use(hostname));
    Wall { rule: HOSTNAMES, code: Code::TenantDenied, message }
}

/// Whether one of the cluster's own controllers asks.
pub(crate) fn is_controller(request: &Request) -> bool {
    let user = &request.user;
    user.username == CONTROLLER_MANAGER
        || user.groups.iter().any(|group| CONTROLLERS.contains(&group.as_str()))
}

#[cfg(test)]
mod tests;
