//! The walls around tenants, as far as admission holds them: a table of rules, in Rust.
//!
//! Guarantee: every rule reads one snapshot of tenants and namespaces and the request, makes no call and
//! waits for nothing. What RBAC refuses never comes here; a rule stands where RBAC cannot tell: by the
//! value of a label, by a name, by a number.

mod namespaces;
mod network;
mod objects;
mod rules;
mod slots;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use model::{Code, Operation, Request, TenantIndex, TenantRole};
use serde_json::{Map, Value, json};
use tokio::sync::watch;

use crate::pipeline::Phase;
use rules::RULES;
use slots::Slots;

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
    administrators: BTreeSet<String>,
    slots: Slots,
}

/// A wall that a request ran into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wall {
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

/// What a rule is asked.
struct Question<'a> {
    request: &'a Request,
    tenants: &'a TenantIndex,
    asker: Asker<'a>,
    slots: &'a Slots,
    now: Instant,
}

/// Who asks, as far as walls are concerned.
struct Asker<'a> {
    /// Whether they are an administrator: no wall is meant for them.
    administrator: bool,
    /// Whether they are one of the cluster's own controllers: few walls are meant for those.
    controller: bool,
    roles: BTreeMap<&'a str, TenantRole>,
}

impl Asker<'_> {
    fn owns(&self, tenant: &str) -> bool {
        self.roles.get(tenant) == Some(&TenantRole::Owner)
    }

    /// The tenants they own.
    fn owned(&self) -> impl Iterator<Item = &str> {
        self.roles.iter().filter(|(_, role)| **role == TenantRole::Owner).map(|(tenant, _)| *tenant)
    }
}

impl Guard {
    /// A guard over the newest of these snapshots. Users of the groups `administrators` pass every wall.
    pub fn new(
        tenants: watch::Receiver<Arc<TenantIndex>>,
        administrators: impl IntoIterator<Item = String>,
    ) -> Self {
        Self { tenants, administrators: administrators.into_iter().collect(), slots: Slots::default() }
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

    /// Holds a request against every rule; in the mutating phase gives what the guard changes.
    pub(crate) fn judge(&self, phase: Phase, request: &Request) -> Result<Option<Changed>, Wall> {
        let tenants = self.snapshot();
        let roles = tenants.roles_of(&request.user);
        let asker = Asker {
            administrator: self.is_administrator(request),
            controller: is_controller(request),
            roles,
        };
        let question =
            Question { request, tenants: &tenants, asker, slots: &self.slots, now: Instant::now() };
        match phase {
            Phase::Mutate => namespaces::labels(&question)?.map(|change| change.apply(request)).transpose(),
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

    /// Hears that a request which passed was refused after all: the slot it took is free again.
    pub(crate) fn refused(&self, phase: Phase, request: &Request) {
        if phase == Phase::Validate && request.is_namespace() && request.operation == Operation::Create {
            self.slots.give_back(request);
        }
    }

    /// Waits, bounded, until the walls of a Pod's namespace stand: those of a new one take a moment.
    pub(crate) async fn settle(&self, request: &Request, deadline: Instant) {
        let stands = |tenants: &Arc<TenantIndex>| objects::walls_are_missing(tenants, request).is_none();
        if !objects::is_new_pod(request) || stands(&self.tenants.borrow()) {
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

fn is_controller(request: &Request) -> bool {
    let user = &request.user;
    user.username == CONTROLLER_MANAGER
        || user.groups.iter().any(|group| CONTROLLERS.contains(&group.as_str()))
}

/// Labels that the guard sets.
struct SetLabels(BTreeMap<String, String>);

impl SetLabels {
    fn apply(self, request: &Request) -> Result<Changed, Wall> {
        let unreadable = |error: serde_json::Error| Wall {
            code: Code::ReviewMalformed,
            message: format!("the object cannot be read: {error}"),
        };
        let mut envelope: Map<String, Value> = serde_json::from_slice(&request.raw).map_err(unreadable)?;
        let mut object = envelope.remove("object").unwrap_or_default();
        let Some(metadata) = object.pointer_mut("/metadata").and_then(Value::as_object_mut) else {
            let message = "the object has no metadata".to_owned();
            return Err(Wall { code: Code::ReviewMalformed, message });
        };
        let add = |path: String, value: Value| json!({"op": "add", "path": path, "value": value});
        let mut patch = Vec::new();
        let labels = metadata.entry("labels").or_insert(Value::Null);
        if !labels.is_object() {
            *labels = Value::Object(Map::new());
            patch.push(add("/metadata/labels".to_owned(), Value::Object(Map::new())));
        }
        for (name, value) in self.0 {
            let path = format!("/metadata/labels/{}", name.replace('~', "~0").replace('/', "~1"));
            patch.push(add(path, Value::String(value.clone())));
            if let Some(labels) = labels.as_object_mut() {
                labels.insert(name, Value::String(value));
            }
        }
        let text = serde_json::to_vec(&object).map_err(unreadable)?;
        envelope.insert("object".to_owned(), object);
        let raw = serde_json::to_vec(&envelope).map_err(unreadable)?;
        let request = Request { raw: Bytes::from(raw), object: Some(Bytes::from(text)), ..request.clone() };
        Ok(Changed { request, patch })
    }
}

#[cfg(test)]
mod tests;
