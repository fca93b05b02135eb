//! One row of the table after the other, and what legitimately passes it.

use std::collections::BTreeMap;

use bytes::Bytes;
use model::Operation;
use model::{
    Contents, GroupVersionResource, Isolation, Member, NamespaceRules, NamespaceState, Network,
    POD_SECURITY_LABELS, Subject, TENANT_LABEL, Tenant, TenantRole, UserInfo, WALLS_LABEL, WALLS_STANDING,
};
use serde_json::json;

use super::*;

mod exceptions;
mod pods;
mod quota;

fn tenant(name: &str, owners: &[&str]) -> Tenant {
    let members = owners.iter().map(|owner| Member {
        subject: Subject::User((*owner).to_owned()),
        role: TenantRole::Owner,
        cluster_role: None,
    });
    Tenant {
        name: name.to_owned(),
        parents: Vec::new(),
        members: members.collect(),
        namespaces: NamespaceRules { prefix: format!("{name}-"), limit: Some(2) },
        budget: model::Budget::default(),
        suspended: false,
        weight: NonZeroU32::MIN,
        profile: "default".to_owned(),
        isolation: Isolation {
            pod_security: pod_security(),
            network: Some(Network {
                egress: vec!["203.0.113.0/24".to_owned()],
                ingress_from: vec!["ingress".to_owned()],
                ingress_selectors: Vec::new(),
            }),
            contents: Contents::default(),
            rules: Vec::new(),
            fault: None,
        },
    }
}

fn pod_security() -> BTreeMap<String, String> {
    BTreeMap::from([(format!("{POD_SECURITY_LABELS}enforce"), "baseline".to_owned())])
}

fn state(tenant: Option<&str>, stands: bool) -> NamespaceState {
    let mut labels = pod_security();
    labels.extend(tenant.map(|tenant| (TENANT_LABEL.to_owned(), tenant.to_owned())));
    labels.extend(stands.then(|| (WALLS_LABEL.to_owned(), WALLS_STANDING.to_owned())));
    NamespaceState::of(labels)
}

/// alice owns alpha and gamma, bob owns beta; alpha has a namespace, beta is suspended.
fn guard() -> Guard {
    let (mut beta, alpha, gamma) =
        (tenant("beta", &["bob"]), tenant("alpha", &["alice"]), tenant("gamma", &["alice", "carol"]));
    beta.suspended = true;
    beta.weight = NonZeroU32::new(4).unwrap();
    let namespaces = [("alpha-one", Some("alpha")), ("beta-one", Some("beta")), ("free", None)];
    let namespaces =
        namespaces.map(|(namespace, tenant)| (namespace.to_owned(), Arc::new(state(tenant, true))));
    let index = TenantIndex::new([beta, alpha, gamma].map(Arc::new), namespaces);
    Guard::new(watch::channel(Arc::new(index)).1, holdings(), ["platform".to_owned()])
}

fn holdings() -> watch::Receiver<Arc<Holdings>> {
    watch::channel(Arc::default()).1
}

fn user(name: &str) -> UserInfo {
    let groups = match name {
        "root" => vec!["platform".to_owned()],
        "job-controller" => vec!["system:serviceaccounts:kube-system".to_owned()],
        _ => vec!["system:authenticated".to_owned()],
    };
    UserInfo { username: name.to_owned(), groups, ..UserInfo::default() }
}

fn request(who: &str, operation: Operation, name: &str, objects: [Value; 2]) -> Request {
    let [object, old] = objects;
    let text = |object: &Value| (!object.is_null()).then(|| Bytes::from(object.to_string()));
    Request {
        uid: "u".to_owned(),
        kind: model::GroupVersionKind {
            group: String::new(),
            version: "v1".into(),
            kind: "Namespace".into(),
        },
        resource: GroupVersionResource {
            group: String::new(),
            version: "v1".to_owned(),
            resource: "namespaces".to_owned(),
        },
        sub_resource: String::new(),
        name: name.to_owned(),
        namespace: name.to_owned(),
        operation,
        user: user(who),
        dry_run: false,
        raw: Bytes::from(json!({"uid": "u", "object": object, "oldObject": old}).to_string()),
        object: text(&object),
        old_object: text(&old),
    }
}

fn namespace(name: &str, tenant: Option<&str>) -> Value {
    let mut labels = json!(pod_security());
    if let Some(tenant) = tenant {
        labels[TENANT_LABEL] = json!(tenant);
    }
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})
}

fn create(who: &str, name: &str, tenant: Option<&str>) -> Request {
    request(who, Operation::Create, name, [namespace(name, tenant), Value::Null])
}

#[test]
fn a_request_takes_its_turn_with_the_weight_of_its_tenant() {
    let guard = guard();
    let flow = |who, name| {
        let flow = guard.flow_of(&request(who, Operation::Create, name, [Value::Null, Value::Null]));
        flow.map(|(tenant, weight)| (tenant, weight.get()))
    };
    assert_eq!(flow("eve", "beta-one"), Some(("beta".to_owned(), 4)));
    assert_eq!(flow("bob", "elsewhere"), Some(("beta".to_owned(), 4)));
    assert_eq!(flow("alice", "elsewhere"), Some(("alpha".to_owned(), 1)), "of several the first by name");
    assert_eq!(flow("eve", "free"), None);
}

/// The code and the message of the wall, if there is one.
fn wall(guard: &Guard, phase: Phase, request: &Request) -> Option<(Code, String)> {
    guard.judge(phase, request).err().map(|wall| (wall.code, wall.message))
}

fn assert_refused(guard: &Guard, phase: Phase, request: &Request, code: Code, part: &str) {
    let found = wall(guard, phase, request);
    assert!(found.as_ref().is_some_and(|(is, text)| *is == code && text.contains(part)), "{part}: {found:?}");
}

#[test]
fn a_namespace_of_an_owner_gets_the_label() {
    let guard = guard();
    let labelled = |request: &Request| {
        let changed = guard.judge(Phase::Mutate, request).unwrap().unwrap();
        let meta = Request::metadata(changed.request.object.as_deref().unwrap()).unwrap();
        (meta.labels.get(TENANT_LABEL).cloned().unwrap(), changed.patch)
    };
    let (tenant, patch) = labelled(&create("carol", "gamma-one", None));
    assert_eq!(tenant, "gamma");
    assert_eq!(
        patch,
        [json!({"op": "add", "path": "/metadata/labels/bailey.dev~1tenant", "value": "gamma"})]
    );
    // Of several tenants the prefix tells.
    assert_eq!(labelled(&create("alice", "alpha-two", None)).0, "alpha");
    let bare = json!({"metadata": {"name": "gamma-x"}});
    let (_, patch) = labelled(&request("carol", Operation::Create, "gamma-x", [bare, Value::Null]));
    assert_eq!(patch[0], json!({"op": "add", "path": "/metadata/labels", "value": {}}));
    for untouched in
        [create("root", "alpha-x", None), create("alice", "x", Some("gamma")), create("eve", "x", None)]
    {
        assert!(guard.judge(Phase::Mutate, &untouched).unwrap().is_none());
    }
    assert_refused(
        &guard,
        Phase::Mutate,
        &create("alice", "x", None),
        Code::TenantAmbiguous,
        "`alpha`, `gamma`",
    );
}

#[test]
fn only_an_owner_creates_for_a_tenant_and_with_its_prefix() {
    let guard = guard();
    assert_eq!(wall(&guard, Phase::Validate, &create("alice", "alpha-two", Some("alpha"))), None);
    let rows = [
        (create("alice", "beta-two", Some("beta")), "no owner of the tenant `beta`"),
        (create("eve", "alpha-two", Some("alpha")), "no owner of the tenant `alpha`"),
        (create("alice", "alpha-two", None), "has no label"),
        (create("alice", "two", Some("alpha")), "`alpha-two` would"),
    ];
    for (request, part) in rows {
        assert_refused(&guard, Phase::Validate, &request, Code::TenantDenied, part);
    }
    for trusted in
        [create("root", "two", Some("beta")), create("root", "kube-x", None), create("eve", "x", None)]
    {
        assert_eq!(wall(&guard, Phase::Validate, &trusted), None);
    }
}

#[test]
fn the_label_never_changes_by_any_subresource() {
    let guard = guard();
    let update = |who: &str, tenant: Option<&str>, sub_resource: &str| {
        let objects = [namespace("alpha-one", tenant), namespace("alpha-one", Some("alpha"))];
        let mut request = request(who, Operation::Update, "alpha-one", objects);
        request.sub_resource = sub_resource.to_owned();
        request
    };
    for sub_resource in ["", "status", "finalize"] {
        for tenant in [None, Some("beta"), Some("gamma")] {
            let request = update("alice", tenant, sub_resource);
            assert_refused(&guard, Phase::Validate, &request, Code::TenantDenied, "only an administrator");
        }
        assert_eq!(wall(&guard, Phase::Validate, &update("root", Some("beta"), sub_resource)), None);
        let same = update("alice", Some("alpha"), sub_resource);
        // A member finalizes none: what is in it would stay.
        assert_eq!(wall(&guard, Phase::Validate, &same).is_some(), sub_resource == "finalize");
    }
}

#[test]
fn owner_references_are_not_for_namespaces() {
    let guard = guard();
    let mut object = namespace("alpha-two", Some("alpha"));
    object["metadata"]["ownerReferences"] = json!([{"kind": "Tenant", "name": "beta", "uid": "1"}]);
    let request = request("alice", Operation::Create, "alpha-two", [object, Value::Null]);
    assert_refused(&guard, Phase::Validate, &request, Code::TenantDenied, "ownerReferences");
}

#[test]
fn a_suspended_tenant_gets_nothing_new() {
    let guard = guard();
    assert_refused(
        &guard,
        Phase::Validate,
        &create("bob", "beta-two", Some("beta")),
        Code::TenantSuspended,
        "`beta` is suspended",
    );
    let mut pod =
        request("bob", Operation::Create, "beta-one", [json!({"metadata": {"name": "p"}}), Value::Null]);
    (pod.resource.resource, pod.kind.kind, pod.name) = ("pods".into(), "Pod".into(), "p".into());
    assert_refused(&guard, Phase::Validate, &pod, Code::TenantSuspended, "`beta` is suspended");
    pod.user = user("job-controller");
    assert_eq!(wall(&guard, Phase::Validate, &pod), None, "what runs goes on");
    pod.user = user("bob");
    pod.operation = Operation::Delete;
    assert_eq!(wall(&guard, Phase::Validate, &pod), None);
}

#[test]
fn a_tenant_that_does_not_exist_yet_cannot_be_claimed() {
    let guard = Guard::new(watch::channel(Arc::default()).1, holdings(), []);
    assert!(guard.judge(Phase::Mutate, &create("eve", "x", None)).unwrap().is_none());
    assert_eq!(wall(&guard, Phase::Validate, &create("eve", "x", None)), None);
    let claim = create("eve", "x", Some("future"));
    assert_refused(&guard, Phase::Validate, &claim, Code::TenantDenied, "no owner of the tenant `future`");
}

fn in_namespace(who: &str, operation: Operation, resource: [&str; 2], object: Value) -> Request {
    let [group, plural] = resource;
    let mut request = request(who, operation, "alpha-one", [object.clone(), object]);
    if operation == Operation::Create {
        request.old_object = None;
    }
    request.kind =
        model::GroupVersionKind { group: group.into(), version: "v1".into(), kind: "Other".into() };
    (request.resource.group, request.resource.resource) = (group.into(), plural.into());
    request.name = "x".into();
    request
}

#[test]
fn labels_that_are_walls_stay_as_the_profile_says() {
    let guard = guard();
    let enforce = format!("{POD_SECURITY_LABELS}enforce");
    let mut weak = namespace("alpha-one", Some("alpha"));
    weak["metadata"]["labels"][&enforce] = json!("privileged");
    let good = namespace("alpha-one", Some("alpha"));
    let update = request("alice", Operation::Update, "alpha-one", [weak.clone(), good.clone()]);
    assert_refused(&guard, Phase::Validate, &update, Code::TenantDenied, "stays `baseline`");
    // At creation the guard puts it right, and whoever goes around that is refused.
    let sneaky = request("alice", Operation::Create, "alpha-two", [weak, Value::Null]);
    assert_refused(&guard, Phase::Validate, &sneaky, Code::TenantDenied, "stays `baseline`");
    let patch = guard.judge(Phase::Mutate, &sneaky).unwrap().unwrap().patch;
    assert_eq!(patch[0]["value"], "baseline");
    // A namespace does not open itself.
    let mut open = good.clone();
    open["metadata"]["labels"][WALLS_LABEL] = json!(WALLS_STANDING);
    let opened = request("alice", Operation::Update, "alpha-one", [open, good]);
    assert_refused(&guard, Phase::Validate, &opened, Code::TenantDenied, "not yours to set");
    // Where there is no tenant, Pod Security is whoever's right it is.
    let mut free = namespace("free", None);
    free["metadata"]["labels"][&enforce] = json!("privileged");
    let update = request("eve", Operation::Update, "free", [free, namespace("free", None)]);
    assert_eq!(wall(&guard, Phase::Validate, &update), None);
}

#[test]
fn what_bailey_keeps_is_not_touched() {
    let guard = guard();
    let role = ["rbac.authorization.k8s.io", "rolebindings"];
    let kept = json!({"metadata": {"name": "x", "labels": {"bailey.dev/managed-by": "bailey"}}});
    for (operation, part) in [
        (Operation::Create, "leave it out"),
        (Operation::Update, "Bailey keeps this object"),
        (Operation::Delete, "Bailey keeps this object"),
    ] {
        let request = in_namespace("alice", operation, role, kept.clone());
        assert_refused(&guard, Phase::Validate, &request, Code::TenantDenied, part);
        for trusted in ["root", "job-controller"] {
            let request = in_namespace(trusted, operation, role, kept.clone());
            assert_eq!(wall(&guard, Phase::Validate, &request), None, "{trusted}");
        }
    }
    let own = json!({"metadata": {"name": "x", "labels": {"app": "web"}}});
    assert_eq!(wall(&guard, Phase::Validate, &in_namespace("alice", Operation::Delete, role, own)), None);
}

#[test]
fn a_network_policy_opens_nothing_beyond_the_tenant() {
    let guard = guard();
    let policy = |spec: Value| {
        let object = json!({"metadata": {"name": "x"}, "spec": spec});
        in_namespace("alice", Operation::Create, ["networking.k8s.io", "networkpolicies"], object)
    };
    let namespaces = |labels: Value| json!([{"namespaceSelector": {"matchLabels": labels}}]);
    let refused = [
        (json!({"ingress": [{}]}), "a rule without `from`"),
        (json!({"egress": [{"to": []}]}), "a rule without `to`"),
        (json!({"egress": [{"to": [{"ipBlock": {"cidr": "0.0.0.0/0"}}]}]}), "`0.0.0.0/0`"),
        (json!({"ingress": [{"from": [{"ipBlock": {"cidr": "203.0.113.0/24"}}]}]}), "the addresses"),
        (json!({"ingress": [{"from": [{"namespaceSelector": {}}]}]}), "another tenant's"),
        (json!({"ingress": [{"from": namespaces(json!({"team": "x"}))}]}), "another tenant's"),
        (json!({"ingress": [{"from": namespaces(json!({TENANT_LABEL: "beta"}))}]}), "another tenant's"),
        (
            json!({"ingress": [{"from": namespaces(json!({"kubernetes.io/metadata.name": "beta-one"}))}]}),
            "another",
        ),
        (
            json!({"egress": [{"to": namespaces(json!({"kubernetes.io/metadata.name": "ingress"}))}]}),
            "another",
        ),
        (json!({"ingress": 7}), "cannot be read"),
    ];
    for (spec, part) in refused {
        assert_refused(&guard, Phase::Validate, &policy(spec), Code::TenantDenied, part);
    }
    let fine = [
        json!({"podSelector": {}, "policyTypes": ["Ingress"]}),
        json!({"ingress": [{"from": [{"podSelector": {"matchLabels": {"app": "web"}}}]}]}),
        json!({"ingress": [{"from": namespaces(json!({TENANT_LABEL: "alpha", "color": "blue"}))}]}),
        json!({"ingress": [{"from": namespaces(json!({"kubernetes.io/metadata.name": "ingress"}))}]}),
        json!({"egress": [{"to": namespaces(json!({"kubernetes.io/metadata.name": "alpha-one"}))}]}),
        json!({"egress": [{"to": [{"ipBlock": {"cidr": "203.0.113.0/24"}}]}]}),
    ];
    for spec in fine {
        assert_eq!(wall(&guard, Phase::Validate, &policy(spec)), None);
    }
}

#[test]
fn every_wall_is_explained_and_no_other() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/walls.md");
    let text = std::fs::read_to_string(page).unwrap();
    let rows = text.lines().filter_map(|line| line.strip_prefix("| `"));
    let explained: Vec<&str> = rows.filter_map(|row| row.split('`').next()).collect();
    let walls: Vec<&str> = Guard::walls().collect();
    let sorted = |mut names: Vec<&str>| {
        names.sort_unstable();
        names.into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(sorted(explained), sorted(walls));
}
