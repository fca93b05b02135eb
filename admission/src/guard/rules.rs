//! The table: one rule a row, with what it concerns and who may pass.

use model::{Code, GroupVersionResource, Operation};

use super::pods::{self, images, placement, resources, volumes};
use super::{
    Question, Wall, bindings, claims, classes, connect, exceptions, hosts, namespaces, network, objects,
    ownership, requests, services, tenant_objects,
};

/// One wall.
pub(super) struct Rule {
    /// The name, which the message has.
    pub(super) name: &'static str,
    /// What it concerns.
    concerned: Concerned,
    operations: &'static [Operation],
    /// For whom it is meant.
    audience: Audience,
    code: Code,
    /// What is wrong, if anything.
    test: fn(&Question<'_>) -> Option<String>,
}

/// What a rule concerns.
#[derive(Clone, Copy)]
enum Concerned {
    Everything,
    /// One group and plural name.
    One(&'static str, &'static str),
    /// Several of them.
    Some(&'static [(&'static str, &'static str)]),
}

/// For whom a rule is meant.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Audience {
    /// Members of tenants, and service accounts in tenants' namespaces, who are no administrators.
    Members,
    /// Everybody but administrators and the cluster's own controllers.
    Users,
    /// Everybody but administrators.
    UsersAndControllers,
    /// Administrators too: it holds a slip up, not an attack.
    All,
}

use Audience::{All, Members, Users, UsersAndControllers};
use Concerned::{Everything, One, Some as Several};

/// The name of the rule of host names.
pub(super) const HOSTNAMES: &str = "hostnames";

const CREATE: &[Operation] = &[Operation::Create];
const WRITES: &[Operation] = &[Operation::Create, Operation::Update];
const CHANGES: &[Operation] = &[Operation::Create, Operation::Update, Operation::Delete];
const ACCESS: &[Operation] = &[Operation::Connect, Operation::Update];

const NAMESPACES: Concerned = One("", "namespaces");
const SERVICES: Concerned = One("", "services");
const CLAIMS: Concerned = One("", "persistentvolumeclaims");
const BINDINGS: Concerned = One("rbac.authorization.k8s.io", "rolebindings");
const REQUESTS: Concerned = One("bailey.dev", "quotarequests");
const EXCEPTIONS: Concerned = One("bailey.dev", "policyexceptions");
const GATEWAY: &str = "gateway.networking.k8s.io";
/// Pods, and what has templates of them.
const PODS: Concerned = Several(&[
    ("", "pods"),
    ("", "podtemplates"),
    ("", "replicationcontrollers"),
    ("apps", "deployments"),
    ("apps", "replicasets"),
    ("apps", "statefulsets"),
    ("apps", "daemonsets"),
    ("batch", "jobs"),
    ("batch", "cronjobs"),
]);
/// Pods, and what gives one a node.
const PLACED: Concerned = Several(&[
    ("", "pods"),
    ("", "bindings"),
    ("", "podtemplates"),
    ("", "replicationcontrollers"),
    ("apps", "deployments"),
    ("apps", "replicasets"),
    ("apps", "statefulsets"),
    ("apps", "daemonsets"),
    ("batch", "jobs"),
    ("batch", "cronjobs"),
]);
const HOSTS: Concerned = Several(&[
    ("networking.k8s.io", "ingresses"),
    (GATEWAY, "gateways"),
    (GATEWAY, "httproutes"),
    (GATEWAY, "grpcroutes"),
    (GATEWAY, "tlsroutes"),
]);
const DEVICES: Concerned =
    Several(&[("resource.k8s.io", "resourceclaims"), ("resource.k8s.io", "resourceclaimtemplates")]);
const ENDPOINTS: Concerned = Several(&[("", "endpoints"), ("discovery.k8s.io", "endpointslices")]);

/// Every rule.
pub(super) const RULES: &[Rule] = &[
    // Whose a namespace is.
    rule("tenant-label", NAMESPACES, WRITES, Users, namespaces::label_is_taken),
    rule("wall-labels", NAMESPACES, WRITES, Users, namespaces::wall_labels_differ),
    rule("owner-references", NAMESPACES, WRITES, Users, namespaces::has_new_owner_references),
    rule("namespace-name", NAMESPACES, CREATE, Users, namespaces::has_a_foreign_name),
    rule("namespace-metadata", NAMESPACES, WRITES, Users, namespaces::has_wrong_metadata),
    // What nobody but administrators and Bailey writes.
    rule("cluster-objects", Everything, CHANGES, Members, tenant_objects::is_the_clusters),
    rule(
        "tenant-object",
        One("bailey.dev", "tenants"),
        CHANGES,
        Members,
        tenant_objects::changes_more_than_members,
    ),
    rule(
        "tenant-deletion",
        One("bailey.dev", "tenants"),
        &[Operation::Delete],
        All,
        tenant_objects::is_deleted_with_namespaces,
    ),
    rule("quota-decision", REQUESTS, WRITES, Members, requests::is_decided_by_a_member),
    Rule { code: Code::QuotaInvalid, ..rule("quota-grant", REQUESTS, WRITES, All, requests::grants_in_vain) },
    Rule { code: Code::QuotaInvalid, ..rule("quota-request", REQUESTS, WRITES, All, requests::asks_in_vain) },
    rule("exception-approval", EXCEPTIONS, WRITES, Users, exceptions::are_decided_by_another),
    rule("exception-terms", EXCEPTIONS, WRITES, All, exceptions::have_wrong_terms),
    rule("native-grants", One("", "resourcequotas"), CHANGES, All, objects::is_a_grant),
    rule("managed-objects", Everything, CHANGES, Users, objects::is_managed),
    rule(
        "network-policy",
        One("networking.k8s.io", "networkpolicies"),
        WRITES,
        Users,
        network::opens_the_wall,
    ),
    rule("finalizers", Everything, WRITES, Members, ownership::has_a_foreign_finalizer),
    rule("blocking-owners", Everything, WRITES, Members, ownership::blocks_the_cluster),
    // Rights.
    rule("binding-subjects", BINDINGS, WRITES, Users, bindings::give_rights_to_others),
    rule("binding-roles", BINDINGS, WRITES, Users, bindings::have_another_role),
    // Pods.
    rule("readable-pods", PODS, WRITES, UsersAndControllers, pods::cannot_be_read),
    rule("images", PODS, WRITES, UsersAndControllers, images::are_not_allowed),
    rule("volumes", PODS, WRITES, UsersAndControllers, volumes::are_not_allowed),
    rule("node-name", PLACED, CREATE, UsersAndControllers, placement::names_its_node),
    rule("node-selector", PODS, WRITES, UsersAndControllers, placement::selects_other_nodes),
    rule("tolerations", PODS, WRITES, UsersAndControllers, placement::tolerates_too_much),
    rule("scheduler", PODS, WRITES, UsersAndControllers, placement::has_another_scheduler),
    rule("topology-keys", PODS, WRITES, UsersAndControllers, placement::spreads_by_another_key),
    rule("qos-class", PODS, WRITES, UsersAndControllers, resources::has_another_class),
    rule("limit-ratio", PODS, WRITES, UsersAndControllers, resources::promises_too_much),
    rule("priority-class", PODS, WRITES, UsersAndControllers, classes::is_foreign_priority),
    rule("runtime-class", PODS, WRITES, UsersAndControllers, classes::is_foreign_runtime),
    rule("connect", Several(&[("", "pods"), ("", "services")]), ACCESS, Users, connect::is_closed),
    // What Pods use, and how they are reached.
    rule("device-class", DEVICES, WRITES, UsersAndControllers, classes::is_foreign_device),
    rule("device-claim", DEVICES, WRITES, Users, claims::says_it_is_a_pods),
    rule("storage-class", CLAIMS, WRITES, UsersAndControllers, classes::is_foreign_storage),
    rule("foreign-volume", CLAIMS, WRITES, UsersAndControllers, claims::takes_a_foreign_volume),
    rule("any-volume", CLAIMS, CREATE, UsersAndControllers, claims::takes_any_volume),
    rule("service-type", SERVICES, WRITES, Users, services::has_another_type),
    rule("service-address", SERVICES, WRITES, Users, services::claims_an_address),
    rule("external-name", SERVICES, WRITES, Users, services::points_elsewhere),
    rule("endpoints", ENDPOINTS, WRITES, Members, services::are_written_by_hand),
    rule("ingress-class", One("networking.k8s.io", "ingresses"), WRITES, Users, classes::is_foreign_ingress),
    rule("gateway-class", One(GATEWAY, "gateways"), WRITES, Users, classes::is_foreign_gateway),
    rule(HOSTNAMES, HOSTS, WRITES, Users, hosts::are_not_the_tenants),
    // When.
    Rule {
        code: Code::TenantNotReady,
        ..rule("standing-walls", Everything, WRITES, UsersAndControllers, objects::comes_before_the_walls)
    },
    Rule {
        code: Code::TenantSuspended,
        ..rule("suspended", Everything, CREATE, Users, namespaces::grows_while_suspended)
    },
];

/// A rule which refuses with [`Code::TenantDenied`].
const fn rule(
    name: &'static str,
    concerned: Concerned,
    operations: &'static [Operation],
    audience: Audience,
    test: fn(&Question<'_>) -> Option<String>,
) -> Rule {
    Rule { name, concerned, operations, audience, code: Code::TenantDenied, test }
}

impl Concerned {
    fn holds(self, group: &str, name: &str) -> bool {
        match self {
            Self::Everything => true,
            Self::One(known_group, known) => known == name && known_group == group,
            Self::Some(all) => all.contains(&(group, name)),
        }
    }
}

/// Whether objects of this kind have host names.
pub(super) fn has_hostnames(resource: &GroupVersionResource) -> bool {
    HOSTS.holds(&resource.group, &resource.resource)
}

impl Rule {
    pub(super) fn concerns(&self, question: &Question<'_>) -> bool {
        let (asker, resource) = (&question.asker, &question.request.resource);
        let meant = match self.audience {
            Members => asker.member && !asker.controller,
            Users => !asker.controller,
            UsersAndControllers | All => true,
        };
        meant
            && (!asker.administrator || self.audience == All)
            && self.operations.contains(&question.request.operation)
            && self.concerned.holds(&resource.group, &resource.resource)
    }

    pub(super) fn check(&self, question: &Question<'_>) -> Result<(), Wall> {
        match (self.test)(question) {
            Some(wrong) => Err(Wall {
                rule: self.name,
                code: self.code,
                message: format!("wall `{}`: {wrong}", self.name),
            }),
            None => Ok(()),
        }
    }
}
