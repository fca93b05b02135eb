//! The table: one rule a row, with what it concerns and who may pass.

use model::{Code, Operation};

use super::{Question, Wall, namespaces};

/// One wall.
pub(super) struct Rule {
    /// The name, which the message has.
    pub(super) name: &'static str,
    /// What it concerns: a resource of the core group, or any.
    resource: Option<&'static str>,
    operations: &'static [Operation],
    code: Code,
    /// What is wrong, if anything.
    test: fn(&Question<'_>) -> Option<String>,
}

/// Every rule. Administrators and the cluster's own controllers pass all of them.
pub(super) const RULES: &[Rule] = &[
    Rule {
        name: "tenant-label",
        resource: Some("namespaces"),
        operations: &[Operation::Create, Operation::Update],
        code: Code::TenantDenied,
        test: namespaces::label_is_taken,
    },
    Rule {
        name: "owner-references",
        resource: Some("namespaces"),
        operations: &[Operation::Create, Operation::Update],
        code: Code::TenantDenied,
        test: namespaces::has_new_owner_references,
    },
    Rule {
        name: "namespace-name",
        resource: Some("namespaces"),
        operations: &[Operation::Create],
        code: Code::TenantDenied,
        test: namespaces::has_a_foreign_name,
    },
    Rule {
        name: "suspended",
        resource: None,
        operations: &[Operation::Create],
        code: Code::TenantSuspended,
        test: namespaces::grows_while_suspended,
    },
    // Last: it takes a slot.
    Rule {
        name: "namespace-limit",
        resource: Some("namespaces"),
        operations: &[Operation::Create],
        code: Code::NamespaceLimit,
        test: namespaces::is_one_too_many,
    },
];

impl Rule {
    pub(super) fn concerns(&self, question: &Question<'_>) -> bool {
        let request = question.request;
        let resource = self.resource.is_none_or(|resource| {
            request.resource.group.is_empty() && request.resource.resource == resource
        });
        !question.asker.trusted && resource && self.operations.contains(&request.operation)
    }

    pub(super) fn check(&self, question: &Question<'_>) -> Result<(), Wall> {
        match (self.test)(question) {
            Some(wrong) => Err(Wall { code: self.code, message: format!("wall `{}`: {wrong}", self.name) }),
            None => Ok(()),
        }
    }
}
