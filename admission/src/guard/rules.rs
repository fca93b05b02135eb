//! The table: one rule a row, with what it concerns and who may pass.

use model::{Code, Operation};

use super::{Question, Wall, namespaces, network, objects};

/// One wall.
pub(super) struct Rule {
    /// The name, which the message has.
    name: &'static str,
    /// Group and plural name of what it concerns; `None` for everything.
    resource: Option<(&'static str, &'static str)>,
    operations: &'static [Operation],
    /// Whether it is meant for the cluster's own controllers too.
    controllers: bool,
    code: Code,
    /// What is wrong, if anything.
    test: fn(&Question<'_>) -> Option<String>,
}

const NAMESPACES: Option<(&str, &str)> = Some(("", "namespaces"));
const WRITES: &[Operation] = &[Operation::Create, Operation::Update];

/// Every rule. Administrators pass all of them.
pub(super) const RULES: &[Rule] = &[
    rule("tenant-label", NAMESPACES, WRITES, namespaces::label_is_taken),
    rule("wall-labels", NAMESPACES, WRITES, namespaces::wall_labels_differ),
    rule("owner-references", NAMESPACES, WRITES, namespaces::has_new_owner_references),
    rule("namespace-name", NAMESPACES, &[Operation::Create], namespaces::has_a_foreign_name),
    rule(
        "managed-objects",
        None,
        &[Operation::Create, Operation::Update, Operation::Delete],
        objects::is_managed,
    ),
    rule("network-policy", Some(("networking.k8s.io", "networkpolicies")), WRITES, network::opens_the_wall),
    Rule {
        controllers: true,
        code: Code::TenantNotReady,
        ..rule("standing-walls", Some(("", "pods")), &[Operation::Create], objects::comes_before_the_walls)
    },
    Rule {
        code: Code::TenantSuspended,
        ..rule("suspended", None, &[Operation::Create], namespaces::grows_while_suspended)
    },
    // Last: it takes a slot.
    Rule {
        code: Code::NamespaceLimit,
        ..rule("namespace-limit", NAMESPACES, &[Operation::Create], namespaces::is_one_too_many)
    },
];

/// A rule for users, which refuses with [`Code::TenantDenied`].
const fn rule(
    name: &'static str,
    resource: Option<(&'static str, &'static str)>,
    operations: &'static [Operation],
    test: fn(&Question<'_>) -> Option<String>,
) -> Rule {
    Rule { name, resource, operations, controllers: false, code: Code::TenantDenied, test }
}

impl Rule {
    pub(super) fn concerns(&self, question: &Question<'_>) -> bool {
        let (asker, resource) = (&question.asker, &question.request.resource);
        let meant = !asker.administrator && (self.controllers || !asker.controller);
        let named = |(group, name): (&str, &str)| resource.group == group && resource.resource == name;
        meant && self.operations.contains(&question.request.operation) && self.resource.is_none_or(named)
    }

    pub(super) fn check(&self, question: &Question<'_>) -> Result<(), Wall> {
        match (self.test)(question) {
            Some(wrong) => Err(Wall { code: self.code, message: format!("wall `{}`: {wrong}", self.name) }),
            None => Ok(()),
        }
    }
}
