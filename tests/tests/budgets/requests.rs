//! What tenants ask for beyond their budgets, who grants it, and when that ends.

use kube::api::{DynamicObject, Patch, PatchParams};
use serde_json::Value;
use tests::{ADMIN, BOB, Objects, documents, until_some};

use super::*;

/// A request for more ConfigMaps.
fn request(namespace: &str, name: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": "bailey.dev/v1alpha1", "kind": "QuotaRequest",
        "metadata": {"name": name, "namespace": namespace}, "spec": spec,
    })
}

fn more(count: u32) -> Value {
    json!({"amounts": {"count/configmaps": count}, "reason": "a term"})
}

async fn objects(user: User) -> Objects {
    Objects::new(World::shared().client(user).await)
}

/// Asks as a user, once the rights of it have followed.
async fn ask(user: User, request: &Value) -> DynamicObject {
    let objects = objects(user).await;
    until_some("the request is made", async || objects.apply(request).await.ok()).await
}

/// Writes a decision as an administrator does.
async fn decide(request: &DynamicObject, decision: Value) -> kube::Result<DynamicObject> {
    decide_as(ADMIN, request, decision).await
}

async fn decide_as(user: User, request: &DynamicObject, mut decision: Value) -> kube::Result<DynamicObject> {
    decision["generation"] = json!(request.metadata.generation);
    let object = serde_json::to_value(request).unwrap();
    let patch = Patch::Merge(json!({"status": {"decision": decision}}));
    let name = object["metadata"]["name"].as_str().unwrap();
    objects(user).await.api(&object).patch_status(name, &PatchParams::default(), &patch).await
}

async fn approve(request: &DynamicObject, count: u32) -> DynamicObject {
    let decision = json!({"verdict": "Approved", "granted": {"count/configmaps": count}});
    decide(request, decision).await.unwrap()
}

/// Waits until Bailey says how a request stands; gives it.
async fn until_state(request: &Value, state: &str) -> DynamicObject {
    let admin = objects(ADMIN).await;
    until_some(&format!("the request is {state}"), async || {
        admin.get(request).await.ok().filter(|found| found.data["status"]["state"] == state)
    })
    .await
}

/// Whether one more ConfigMap fits now, and nothing of it stays.
async fn fits(maps: &Api<ConfigMap>) -> bool {
    let dry = PostParams { dry_run: true, ..PostParams::default() };
    match maps.create(&dry, &map("more")).await {
        Ok(_) => true,
        Err(error) => {
            let refused = refusal::<ConfigMap>(Err(error));
            assert_eq!(refused.reason, "quota_exceeded", "{}", refused.message);
            false
        }
    }
}

async fn until_fits(maps: &Api<ConfigMap>, whether: bool) {
    until(&format!("one more fits: {whether}"), async || fits(maps).await == whether).await;
}

fn message(result: kube::Result<DynamicObject>) -> (u16, String) {
    match result {
        Err(kube::Error::Api(status)) => (status.code, status.message.clone()),
        other => panic!("it was let in: {other:?}"),
    }
}

#[tokio::test]
async fn what_is_granted_counts_until_it_ends_or_is_withdrawn() {
    // Each namespace has a ConfigMap of Kubernetes' own.
    tenant("asking", "alice", "{hard: {configmaps: 2}}", &["asking-one"]).await;
    let maps = until_ready(ALICE, "asking-one").await;
    // Kubernetes may try to make its own more than once, and what that held is given back later.
    super::native::fill(&maps, "first", 1).await;
    let refused = refusal(create(&maps, "second").await);
    assert!(refused.message.contains("`kubectl tenant request quota`"), "{}", refused.message);

    let wish = request("asking-one", "more", &more(2));
    let asked = ask(ALICE, &wish).await;
    assert_eq!(asked.data["spec"]["requestedBy"], "alice");
    until_state(&wish, "Pending").await;
    assert!(!fits(&maps).await, "nothing is granted before it is approved");

    let soon = k8s_openapi::jiff::Timestamp::now() + k8s_openapi::jiff::SignedDuration::from_secs(8);
    let decision =
        json!({"verdict": "Approved", "granted": {"configmaps": 1}, "until": soon, "by": "nobody"});
    let decided = decide(&asked, decision).await.unwrap();
    assert_eq!(decided.data["status"]["decision"]["by"], ADMIN.name);
    assert_eq!(decided.data["status"]["decision"]["tenant"], "asking");
    until("the create that was refused passes", async || create(&maps, "second").await.is_ok()).await;
    let refused = refusal(create(&maps, "third").await);
    assert!(refused.message.contains("is 3 of `configmaps`"), "{}", refused.message);
    maps.delete("second", &DeleteParams::default()).await.unwrap();

    let over = until_state(&wish, "Expired").await;
    assert_eq!(over.data["status"]["conditions"][0]["reason"], "Expired");
    until_fits(&maps, false).await;
    let refused = refusal(create(&maps, "second").await);
    assert!(refused.message.contains("is 2 of `configmaps`"), "{}", refused.message);

    // Decided on again, without an end; then withdrawn.
    let last = objects(ADMIN).await.get(&wish).await.unwrap();
    let forever = json!({"verdict": "Approved", "granted": {"configmaps": 1}, "until": null});
    decide(&last, forever).await.unwrap();
    until_state(&wish, "Approved").await;
    until_fits(&maps, true).await;
    objects(ALICE).await.delete(&wish).await.unwrap();
    until_fits(&maps, false).await;
}

#[tokio::test]
async fn a_refused_request_grants_nothing_and_one_that_is_changed_neither() {
    tenant("revising", "alice", "{hard: {configmaps: 1}}", &["revising-one"]).await;
    let maps = maps(ALICE, "revising-one").await;
    until("the namespace is ready", async || {
        maps.get_opt("kube-root-ca.crt").await.is_ok_and(|it| it.is_some())
    })
    .await;
    let wish = request("revising-one", "more", &more(2));
    let asked = ask(ALICE, &wish).await;
    decide(&asked, json!({"verdict": "Refused", "reason": "no room"})).await.unwrap();
    until_state(&wish, "Refused").await;
    assert!(!fits(&maps).await);
    let refused = message(decide(&asked, json!({"verdict": "Approved", "granted": {"configmaps": 3}})).await);
    assert!(refused.1.contains("wall `quota-grant`: of `configmaps` 2 were asked for"), "{refused:?}");

    approve(&asked, 2).await;
    until_state(&wish, "Approved").await;
    until_fits(&maps, true).await;
    // More than was approved is another request.
    let changed = ask(ALICE, &request("revising-one", "more", &more(50))).await;
    let pending = until_state(&wish, "Pending").await;
    assert!(
        pending.data["status"]["conditions"][0]["message"].as_str().unwrap().contains("was changed after")
    );
    until_fits(&maps, false).await;
    // Nor is it decided on as it was before.
    let late = message(decide(&asked, json!({"verdict": "Approved", "granted": {"configmaps": 2}})).await);
    assert!(late.1.contains("the request was changed meanwhile"), "{late:?}");
    let kept = approve(&changed, 2).await;
    until_fits(&maps, true).await;
    assert_eq!(kept.data["status"]["decision"]["granted"], json!({"count/configmaps": 2}));
}

#[tokio::test]
async fn nobody_in_a_tenant_approves_what_it_asks_for() {
    tenant("greedy", "alice", "{hard: {configmaps: 1}}", &["greedy-one"]).await;
    let maps = maps(ALICE, "greedy-one").await;
    until("the namespace is ready", async || {
        maps.get_opt("kube-root-ca.crt").await.is_ok_and(|it| it.is_some())
    })
    .await;
    // By its spec: what is written beside is dropped, or said to be wrong.
    let approval =
        json!({"verdict": "Approved", "generation": 1, "granted": {"configmaps": 9}, "tenant": "greedy"});
    let mut wish = request("greedy-one", "more", &more(9));
    wish["status"] = json!({"decision": approval, "state": "Approved"});
    wish["spec"]["requestedBy"] = json!(ADMIN.name);
    let asked = ask(ALICE, &wish).await;
    assert_eq!(asked.data["spec"]["requestedBy"], "alice");
    assert_eq!(asked.data["status"]["decision"], Value::Null);
    let api = objects(ALICE).await.api(&wish);
    let (merge, apply) = (PatchParams::default(), PatchParams::apply("alice").force());
    let again = api.patch("more", &apply, &Patch::Apply(&wish)).await.unwrap();
    assert_eq!(again.data["status"]["decision"], Value::Null);

    // By its status, which RBAC keeps from her.
    let decision = json!({"verdict": "Approved", "granted": {"configmaps": 9}});
    assert!(is_forbidden(decide_as(ALICE, &asked, decision.clone()).await));
    assert!(is_forbidden(api.patch_status("more", &apply, &Patch::Apply(&wish)).await));

    // Where an administrator gave her the right by mistake, a wall does; her service accounts too.
    let grants = documents(
        "apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: greedy-mistake}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: bailey-quota-approver}
subjects:
- {apiGroup: rbac.authorization.k8s.io, kind: User, name: alice}
- {kind: ServiceAccount, name: default, namespace: greedy-one}
",
    );
    let admin = objects(ADMIN).await;
    admin.apply(&grants[0]).await.unwrap();
    let wall = "wall `quota-decision`: what is granted of the request `more` is for administrators to say";
    until("the mistake has its effect", async || {
        message(decide_as(ALICE, &asked, decision.clone()).await).1.contains(wall)
    })
    .await;
    let body = json!({"status": {"decision": approval}});
    let tries = [
        api.patch_status("more", &apply, &Patch::Apply(&wish)).await,
        api.patch_status("more", &merge, &Patch::Merge(&body)).await,
        replaced(&api, &approval).await,
    ];
    for tried in tries {
        let (code, text) = message(tried);
        assert!(code == 403 && text.contains(wall), "{text}");
    }
    let text = body.to_string();
    let robot =
        ["--as=system:serviceaccount:greedy-one:default", "-n", "greedy-one", "patch", "quotarequest"];
    let patch = ["more", "--subresource=status", "--type=merge", "-p", &text];
    let tried = World::shared().kubectl(ADMIN, &[&robot[..], &patch[..]].concat());
    assert!(String::from_utf8_lossy(&tried.stderr).contains(wall), "{tried:?}");
    admin.delete(&grants[0]).await.unwrap();
    assert!(!fits(&maps).await);
    assert_eq!(until_state(&wish, "Pending").await.data["status"]["decision"], Value::Null);
}

/// Replaces the status of `more` with one that has a decision; again where the controller wrote meanwhile.
async fn replaced(api: &Api<DynamicObject>, approval: &Value) -> kube::Result<DynamicObject> {
    loop {
        let mut whole = api.get("more").await.unwrap();
        whole.data["status"]["decision"] = approval.clone();
        match api.replace_status("more", &PostParams::default(), &whole).await {
            Err(kube::Error::Api(status)) if status.code == 409 => {}
            answer => return answer,
        }
    }
}

#[tokio::test]
async fn a_request_is_its_own_tenants_and_the_budget_above_holds_all_the_same() {
    let above = Tenant::create(
        "deans",
        "{members: [{kind: User, name: carol, role: owner}], namespaces: {prefix: ''}, quota: {hard: {configmaps: 3}}}",
    )
    .await;
    let spec = "{members: [{kind: User, name: alice, role: owner}], namespaces: {prefix: ''}, parent: deans, quota: {hard: {configmaps: 2}}}";
    Tenant::create("readers", spec).await;
    give_namespace(World::shared(), "readers", "readers-one").await;
    tenant("writers", "bob", "{hard: {configmaps: 1}}", &["writers-one"]).await;
    let maps = until_ready(ALICE, "readers-one").await;
    create(&maps, "first").await.unwrap();

    // Another tenant's request changes nothing here.
    let theirs = ask(BOB, &request("writers-one", "more", &more(5))).await;
    approve(&theirs, 5).await;
    until_state(&request("writers-one", "more", &more(5)), "Approved").await;
    assert!(!fits(&maps).await);
    let foreign = objects(BOB).await.apply(&request("readers-one", "more", &more(5))).await;
    assert!(is_forbidden(foreign), "nor does one write into a namespace of others");

    let wish = request("readers-one", "more", &more(5));
    approve(&ask(ALICE, &wish).await, 5).await;
    until("one more is let in", async || create(&maps, "second").await.is_ok()).await;
    let refused = refusal(create(&maps, "third").await);
    assert!(refused.message.contains("the budget of the tenant `deans` is 3"), "{}", refused.message);
    drop(above);
}

#[tokio::test]
async fn what_cannot_be_granted_is_refused_when_it_is_asked_for() {
    tenant("naming", "alice", "{hard: {configmaps: 5, pods: 3}}", &["naming-one"]).await;
    until_ready(ALICE, "naming-one").await;
    let alice = objects(ALICE).await;
    let asked = |amounts: Value| json!({"amounts": amounts, "reason": "a term"});
    let cases = [
        (asked(json!({"podz": 1})), "quota_invalid", "`podz`"),
        (asked(json!({"pods": -1})), "quota_invalid", "cannot be negative"),
        (asked(json!({"pods": 0})), "quota_invalid", "`pods` is 0"),
        (asked(json!({"services": 1})), "quota_invalid", "the tenant `naming` has no budget of `services`"),
        (json!({"amounts": {"pods": 1}, "reason": " "}), "quota_invalid", "spec.reason"),
        (
            json!({"amounts": {"pods": 1}, "reason": "r", "band": "batch"}),
            "quota_invalid",
            "has no band `batch`",
        ),
        (
            json!({"amounts": {"pods": 1}, "reason": "r", "until": "2020-01-01T00:00:00Z"}),
            "quota_invalid",
            "future",
        ),
        (asked(json!({"pods": "-1"})), "", "spec.amounts.pods"),
        (asked(json!({"pods": "many"})), "", "spec.amounts.pods"),
        (asked(json!({})), "", "should have at least 1 propert"),
        (json!({"amounts": {"pods": 1}}), "", "spec.reason"),
        (json!({"amounts": {"pods": 1}, "reason": "r", "duration": "soon"}), "", "spec.duration"),
        (
            json!({"amounts": {"pods": 1}, "reason": "r", "duration": "1h", "until": "2126-01-01T00:00:00Z"}),
            "",
            "not both",
        ),
    ];
    until("she may ask", async || alice.apply(&request("naming-one", "good", &more(1))).await.is_ok()).await;
    for (spec, code, part) in cases {
        let tried = alice.apply(&request("naming-one", "bad", &spec)).await;
        let said = match &tried {
            Err(kube::Error::Api(status)) => status.message.clone(),
            other => panic!("{spec}: {other:?}"),
        };
        assert!(said.contains(part), "{spec}: {said}");
        if !code.is_empty() {
            let refused = refusal(tried);
            assert_eq!((refused.code, refused.reason.as_str()), (422, code), "{said}");
        }
    }
    let nobodys = objects(ADMIN).await.apply(&request("default", "more", &more(1))).await;
    assert!(refusal(nobodys).message.contains("the namespace `default` belongs to no tenant"));
}

#[tokio::test]
async fn what_was_granted_is_the_same_after_a_restart() {
    let world = World::start();
    let spec = "{members: [{kind: User, name: alice, role: owner}], namespaces: {prefix: ''}, quota: {hard: {configmaps: 1}}}";
    Tenant::create_in(&world, "resting", spec).await;
    give_namespace(&world, "resting", "resting-one").await;
    let maps: Api<ConfigMap> = Api::namespaced(world.client(ALICE).await, "resting-one");
    until("the namespace is ready", async || {
        maps.get_opt("kube-root-ca.crt").await.is_ok_and(|it| it.is_some())
    })
    .await;
    let admin = Objects::new(world.client(ADMIN).await);
    let wish = request("resting-one", "more", &more(1));
    let asked = admin.apply(&wish).await.unwrap();
    let decision = json!({
        "verdict": "Approved", "generation": asked.metadata.generation, "granted": {"configmaps": 1},
        "until": k8s_openapi::jiff::Timestamp::now() + k8s_openapi::jiff::SignedDuration::from_hours(1),
    });
    let patch = Patch::Merge(json!({"status": {"decision": decision}}));
    admin.api(&wish).patch_status("more", &PatchParams::default(), &patch).await.unwrap();
    until_fits(&maps, true).await;
    world.restart_bailey();
    // Ready, it knows both the budget and what is granted.
    assert!(fits(&maps).await);
    create(&maps, "more").await.unwrap();
    assert!(!fits(&maps).await);
}

#[tokio::test]
async fn how_many_requests_there_are_has_a_budget_too() {
    let quota = "{hard: {configmaps: 5, count/quotarequests.bailey.dev: 1}}";
    tenant("wordy", "alice", quota, &["wordy-one"]).await;
    ask(ALICE, &request("wordy-one", "first", &more(1))).await;
    let second = objects(ALICE).await.apply(&request("wordy-one", "second", &more(1))).await;
    let refused = refusal(second);
    assert_eq!(refused.reason, "quota_exceeded", "{}", refused.message);
}
