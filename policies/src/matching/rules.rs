//! The rules of one binding, ready to be tested.

use std::collections::BTreeMap;

use model::{
    Code, Globs, LabelSelector, LoadFault, MatchRules, ObjectMeta, Operation, Request, ResourceRule, Scope,
    Subjects,
};

use crate::EvaluationError;

/// The API group that `*` leaves out.
const OWN_GROUP: &str = "bailey.dev";

/// One binding's rules.
#[derive(Debug)]
pub(crate) struct Matcher {
    rows: Vec<ResourceRule>,
    namespaces: Globs,
    excluded_namespaces: Globs,
    namespace_selector: LabelSelector,
    object_selector: LabelSelector,
    names: Globs,
    subjects: SubjectGlobs,
    excluded_subjects: SubjectGlobs,
}

#[derive(Debug)]
struct SubjectGlobs {
    users: Globs,
    groups: Globs,
    service_accounts: Globs,
}

/// The labels and generated names of a request's objects, read at most once and only when a rule asks.
#[derive(Default)]
pub(crate) struct RequestLabels {
    read: Option<Result<Vec<ObjectMeta>, String>>,
}

impl RequestLabels {
    /// The metadata of the object and the old object, those which are there.
    pub(crate) fn of(&mut self, request: &Request) -> Result<&[ObjectMeta], EvaluationError> {
        let read = self.read.get_or_insert_with(|| {
            [&request.object, &request.old_object]
                .into_iter()
                .flatten()
                .map(|object| Request::metadata(object).map_err(|error| error.to_string()))
                .collect()
        });
        read.as_deref().map_err(|error| {
            EvaluationError::new(Code::MatchError, format!("the object's metadata cannot be read: {error}"))
        })
    }
}

impl Matcher {
    /// Prepares a binding's rules.
    ///
    /// # Errors
    /// [`Code::BindingInvalid`] when there is no row, a row names no kind and no resource, or a selector
    /// is not valid.
    pub(crate) fn new(rules: &MatchRules) -> Result<Self, LoadFault> {
        let fault = |message: String| LoadFault::new(Code::BindingInvalid, message);
        if rules.resources.is_empty() {
            return Err(fault("`spec.match.resources` needs at least one row".to_owned()));
        }
        for (number, row) in rules.resources.iter().enumerate() {
            if row.kinds.is_empty() && row.resources.is_empty() {
                return Err(fault(format!("`spec.match.resources[{number}]` needs kinds or resources")));
            }
        }
        for (field, selector) in
            [("namespaceSelector", &rules.namespace_selector), ("objectSelector", &rules.object_selector)]
        {
            selector.validate().map_err(|error| fault(format!("`spec.match.{field}`: {error}")))?;
        }
        Ok(Self {
            rows: rules.resources.clone(),
            namespaces: Globs::new(&rules.namespaces),
            excluded_namespaces: Globs::new(&rules.excluded_namespaces),
            namespace_selector: rules.namespace_selector.clone(),
            object_selector: rules.object_selector.clone(),
            names: Globs::new(&rules.names),
            subjects: SubjectGlobs::new(&rules.subjects),
            excluded_subjects: SubjectGlobs::new(&rules.excluded_subjects),
        })
    }

    pub(crate) fn rows(&self) -> &[ResourceRule] {
        &self.rows
    }

    /// Whether kind, operation and scope fit one of the rows.
    pub(crate) fn matches_resource(&self, request: &Request) -> bool {
        self.rows.iter().any(|row| row_matches(row, request))
    }

    /// Whether any rule looks at a namespace's labels.
    pub(crate) fn selects_namespaces(&self) -> bool {
        !self.namespace_selector.is_empty()
    }

    /// Whether the namespace's name and labels fit. `labels` is asked only where a rule needs it.
    pub(crate) fn matches_namespace<'a>(
        &self,
        name: &str,
        labels: impl FnOnce() -> Result<&'a BTreeMap<String, String>, EvaluationError>,
    ) -> Result<bool, EvaluationError> {
        if !self.matches_namespace_name(name) {
            return Ok(false);
        }
        Ok(self.namespace_selector.is_empty() || self.namespace_selector.matches(labels()?))
    }

    fn matches_namespace_name(&self, name: &str) -> bool {
        (self.namespaces.is_empty() || self.namespaces.matches(name))
            && !self.excluded_namespaces.matches(name)
    }

    /// The namespace rules for a request on a Namespace itself.
    pub(crate) fn matches_own_namespace(
        &self,
        request: &Request,
        labels: &mut RequestLabels,
    ) -> Result<bool, EvaluationError> {
        let name = if request.name.is_empty() { &request.namespace } else { &request.name };
        if !self.matches_namespace_name(name) {
            return Ok(false);
        }
        if self.namespace_selector.is_empty() {
            return Ok(true);
        }
        Ok(labels.of(request)?.iter().any(|meta| self.namespace_selector.matches(&meta.labels)))
    }

    /// The rules that look at the object and the user: what no index can decide beforehand.
    pub(crate) fn matches_object(
        &self,
        request: &Request,
        labels: &mut RequestLabels,
    ) -> Result<bool, EvaluationError> {
        if self.excluded_subjects.matches(request)
            || !(self.subjects.is_empty() || self.subjects.matches(request))
        {
            return Ok(false);
        }
        if !self.names.is_empty() && !self.matches_name(request, labels)? {
            return Ok(false);
        }
        if self.object_selector.is_empty() {
            return Ok(true);
        }
        Ok(labels.of(request)?.iter().any(|meta| self.object_selector.matches(&meta.labels)))
    }

    fn matches_name(&self, request: &Request, labels: &mut RequestLabels) -> Result<bool, EvaluationError> {
        if !request.name.is_empty() {
            return Ok(self.names.matches(&request.name));
        }
        let metas = labels.of(request)?;
        Ok(metas.iter().any(|meta| {
            let name = if meta.name.is_empty() { &meta.generate_name } else { &meta.name };
            self.names.matches(name)
        }))
    }
}

impl SubjectGlobs {
    fn new(subjects: &Subjects) -> Self {
        Self {
            users: Globs::new(&subjects.users),
            groups: Globs::new(&subjects.groups),
            service_accounts: Globs::new(&subjects.service_accounts),
        }
    }

    fn is_empty(&self) -> bool {
        self.users.is_empty() && self.groups.is_empty() && self.service_accounts.is_empty()
    }

    fn matches(&self, request: &Request) -> bool {
        let user = &request.user;
        self.users.matches(&user.username)
            || (!self.groups.is_empty() && user.groups.iter().any(|group| self.groups.matches(group)))
            || user
                .username
                .strip_prefix("system:serviceaccount:")
                .is_some_and(|account| self.service_accounts.matches(account))
    }
}

fn row_matches(row: &ResourceRule, request: &Request) -> bool {
    let operation = if row.operations.is_empty() {
        matches!(request.operation, Operation::Create | Operation::Update)
    } else {
        row.operations.contains(&request.operation)
    };
    operation
        && group_matches(&row.groups, &request.kind.group, &request.resource.group)
        && (row.versions.is_empty() || has(&row.versions, &request.resource.version))
        && (has(&row.kinds, &request.kind.kind) || has(&row.resources, &request.resource.resource))
        && sub_resource_matches(&row.sub_resources, &request.sub_resource)
        && match row.scope {
            Scope::Any => true,
            Scope::Cluster => request.is_cluster_scoped(),
            Scope::Namespaced => !request.is_cluster_scoped(),
        }
}

/// The kind's group and the resource's group differ for subresources such as `scale`; either may be meant.
fn group_matches(groups: &[String], kind: &str, resource: &str) -> bool {
    groups.iter().any(|group| group == kind || group == resource || (group == "*" && resource != OWN_GROUP))
}

fn sub_resource_matches(wanted: &[String], found: &str) -> bool {
    if wanted.is_empty() { found.is_empty() } else { has(wanted, found) }
}

fn has(list: &[String], text: &str) -> bool {
    list.iter().any(|item| item == text || item == "*")
}

#[cfg(test)]
#[path = "rules_tests.rs"]
mod tests;
