//! One row of the table after the other, and what legitimately passes it.

use model::{
    GroupVersionResource, Member, NamespaceRules, Operation, Subject, TENANT_LABEL, Tenant, UserInfo,
};
use serde_json::json;

use super::*;

fn tenant(name: &str, owners: &[&str]) -> Tenant {
    let members = owners
        .iter()
        .map(|owner| Member { subject: Subject::User((*owner).to_owned()), role: TenantRole::Owner });
    Tenant {
        name: name.to_owned(),
        members: members.collect(),
        namespaces: NamespaceRules { prefix: format!("{name}-"), limit: Some(2) },
        suspended: false,
    }
}

/// alice owns alpha and gamma, bob owns beta; alpha has a namespace, beta is suspended.
fn guard() -> Guard {
    let (mut beta, alpha, gamma) =
        (tenant("beta", &["bob"]), tenant("alpha", &["alice"]), tenant("gamma", &["alice", "carol"]));
    beta.suspended = true;
    let namespaces = [("alpha-one", "alpha"), ("beta-one", "beta")];
    let namespaces = namespaces.map(|(namespace, tenant)| (namespace.to_owned(), tenant.to_owned()));
    let index = TenantIndex::new([beta, alpha, gamma].map(Arc::new), namespaces);
    Guard::new(watch::channel(Arc::new(index)).1, ["platform".to_owned()])
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
    let labels = tenant.map_or_else(|| json!({}), |tenant| json!({TENANT_LABEL: tenant}));
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})
}

fn create(who: &str, name: &str, tenant: Option<&str>) -> Request {
    request(who, Operation::Create, name, [namespace(name, tenant), Value::Null])
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
        assert_eq!(wall(&guard, Phase::Validate, &update("alice", Some("alpha"), sub_resource)), None);
        assert_eq!(wall(&guard, Phase::Validate, &update("root", Some("beta"), sub_resource)), None);
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
fn the_limit_is_exact_while_the_snapshot_lags() {
    let guard = guard();
    let mut dry = create("alice", "alpha-dry", Some("alpha"));
    dry.dry_run = true;
    assert_eq!(wall(&guard, Phase::Validate, &dry), None, "a dry run takes no slot");
    let second = create("alice", "alpha-two", Some("alpha"));
    assert_eq!(wall(&guard, Phase::Validate, &second), None);
    assert_eq!(wall(&guard, Phase::Validate, &second), None, "the same once more, after a conflict");
    let third = create("alice", "alpha-three", Some("alpha"));
    assert_refused(&guard, Phase::Validate, &third, Code::NamespaceLimit, "2 of at most 2");
    // Another tenant has slots of its own.
    assert_eq!(wall(&guard, Phase::Validate, &create("alice", "gamma-one", Some("gamma"))), None);
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
    let guard = Guard::new(watch::channel(Arc::default()).1, []);
    assert!(guard.judge(Phase::Mutate, &create("eve", "x", None)).unwrap().is_none());
    assert_eq!(wall(&guard, Phase::Validate, &create("eve", "x", None)), None);
    let claim = create("eve", "x", Some("future"));
    assert_refused(&guard, Phase::Validate, &claim, Code::TenantDenied, "no owner of the tenant `future`");
}
