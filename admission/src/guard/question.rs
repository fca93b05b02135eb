//! What a rule is asked: the request, who asks, and what is known of the cluster.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use model::{Holdings, Operation, Request, Rules, Tenant, TenantIndex, TenantRole};
use serde_json::Value;
use time::OffsetDateTime;

use super::pods::{PodSpec, pod_of};

/// What a rule is asked. What several rules read is read once.
pub(super) struct Question<'a> {
    pub(super) request: &'a Request,
    pub(super) tenants: &'a TenantIndex,
    pub(super) holdings: &'a Holdings,
    pub(super) asker: Asker<'a>,
    /// Now, as calendars have it.
    pub(super) time: OffsetDateTime,
    tenant: Option<&'a Arc<Tenant>>,
    pod: OnceCell<Result<Option<PodSpec>, String>>,
    object: OnceCell<Option<Value>>,
}

/// Who asks, as far as walls are concerned.
pub(super) struct Asker<'a> {
    /// Whether they are an administrator: no wall is meant for them.
    pub(super) administrator: bool,
    /// Whether they are one of the cluster's own controllers: few walls are meant for those.
    pub(super) controller: bool,
    /// Whether they belong to a tenant, or are a service account in a namespace of one.
    pub(super) member: bool,
    roles: BTreeMap<&'a str, TenantRole>,
    /// The tenant in whose namespace they live, if they are a service account.
    home: Option<&'a str>,
}

impl<'a> Asker<'a> {
    pub(super) fn new(
        tenants: &'a TenantIndex,
        request: &Request,
        administrator: bool,
        controller: bool,
    ) -> Self {
        let roles = tenants.roles_of(&request.user);
        let home = tenants.home_of(&request.user).filter(|tenant| tenants.tenant(tenant).is_some());
        Self { administrator, controller, member: !roles.is_empty() || home.is_some(), roles, home }
    }

    pub(super) fn owns(&self, tenant: &str) -> bool {
        self.roles.get(tenant) == Some(&TenantRole::Owner)
    }

    /// Whether they have a role in a tenant, or live in it.
    pub(super) fn belongs_to(&self, tenant: &str) -> bool {
        self.roles.contains_key(tenant) || self.home == Some(tenant)
    }

    /// The tenants they own.
    pub(super) fn owned(&self) -> impl Iterator<Item = &str> {
        self.roles.iter().filter(|(_, role)| **role == TenantRole::Owner).map(|(tenant, _)| *tenant)
    }
}

impl<'a> Question<'a> {
    pub(super) fn new(
        request: &'a Request,
        tenants: &'a TenantIndex,
        holdings: &'a Holdings,
        asker: Asker<'a>,
    ) -> Self {
        let tenant = tenants.name_for(&request.namespace).and_then(|name| tenants.tenant(name));
        Self {
            request,
            tenants,
            holdings,
            asker,
            time: OffsetDateTime::now_utc(),
            tenant,
            pod: OnceCell::new(),
            object: OnceCell::new(),
        }
    }

    /// The tenant in whose namespace the object is.
    pub(super) fn tenant(&self) -> Option<&'a Arc<Tenant>> {
        self.tenant
    }

    /// What objects may be there: the tenant's rules, and those of all above it.
    pub(super) fn rules(&self) -> impl Iterator<Item = &'a Rules> + use<'a> {
        self.tenant.into_iter().flat_map(|tenant| tenant.isolation.rules.iter().map(Arc::as_ref))
    }

    /// The Pod that the request makes or changes in a tenant's namespace, now or, for users, by its template.
    pub(super) fn pod(&self) -> Option<&PodSpec> {
        self.read_pod().as_ref().ok()?.as_ref()
    }

    /// Why there is a Pod that cannot be read.
    pub(super) fn unreadable_pod(&self) -> Option<String> {
        self.read_pod().as_ref().err().cloned()
    }

    fn read_pod(&self) -> &Result<Option<PodSpec>, String> {
        self.pod.get_or_init(|| {
            // What controllers make from templates comes as Pods in the end.
            let template = self.request.resource.resource != "pods";
            if self.tenant.is_none() || (self.asker.controller && template) {
                return Ok(None);
            }
            pod_of(self.request)
        })
    }

    /// The object of a request in a tenant's namespace; `None` where what rules read of it stays as it was.
    pub(super) fn object(&self) -> Option<&Value> {
        self.object.get_or_init(|| self.read_object()).as_ref()
    }

    fn read_object(&self) -> Option<Value> {
        self.tenant?;
        let read = |object: Option<&bytes::Bytes>| -> Option<Value> { serde_json::from_slice(object?).ok() };
        let new = read(self.request.object.as_ref())?;
        if self.request.operation == Operation::Update
            && let Some(old) = read(self.request.old_object.as_ref())
        {
            let same = |path: &str| new.pointer(path) == old.pointer(path);
            if same("/spec") && same("/metadata/annotations") && same("/status/loadBalancer") {
                return None;
            }
        }
        Some(new)
    }
}
