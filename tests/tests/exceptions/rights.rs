//! Who asks for exceptions, who reads them, and who decides.

use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use serde_json::json;
use tests::{ADMIN, ALICE, BOB, CAROL, Objects, World, is_forbidden, may, refusal, until};

use crate::{Lab, approval};

#[tokio::test]
async fn editors_ask_viewers_read_and_strangers_do_neither() {
    let lab = Lab::create("rights").await;
    lab.ask("one", &lab.exception("web", 600, &json!({}))).await;
    let [bobs, carols] = [lab.exceptions(BOB, "one").await, lab.exceptions(CAROL, "one").await];
    until("bob may look", async || bobs.get("web").await.is_ok()).await;
    let another = lab.exception("another", 600, &json!({}));
    assert!(is_forbidden(bobs.create(&PostParams::default(), &another).await));
    assert!(is_forbidden(bobs.delete("web", &DeleteParams::default()).await));
    assert!(is_forbidden(carols.list(&ListParams::default()).await));
    assert!(is_forbidden(carols.create(&PostParams::default(), &another).await));
    lab.exceptions(ALICE, "one").await.delete("web", &DeleteParams::default()).await.unwrap();
}

#[tokio::test]
async fn a_tenant_does_not_approve_its_own_exception_by_any_road() {
    let lab = Lab::create("forged").await;
    let world = World::shared();
    let api = lab.exceptions(ALICE, "one").await;
    // What comes with the request is dropped.
    let mut born = lab.exception("web", 600, &json!({"requestedBy": "admin"}));
    born.data["status"] = approval("Approved", "u", 1)["status"].clone();
    let made = api.create(&PostParams::default(), &born).await.unwrap();
    assert_eq!((made.data.get("status"), &made.data["spec"]["requestedBy"]), (None, &json!("alice")));
    let (uid, generation) = (made.metadata.uid.unwrap(), made.metadata.generation.unwrap());
    let forged = approval("Approved", &uid, generation);
    let patched = api.patch("web", &PatchParams::default(), &Patch::Merge(&forged)).await.unwrap();
    assert!(patched.data["status"].get("approval").is_none(), "{:?}", patched.data);

    // RBAC's wall: the status has rights of its own, which no member can give.
    let merge = PatchParams::default();
    assert!(is_forbidden(api.patch_status("web", &merge, &Patch::Merge(&forged)).await));
    let alice = world.client(ALICE).await;
    for verb in ["update", "patch"] {
        assert!(!may(&alice, verb, ("bailey.dev", "policyexceptions/status"), "forged-one").await);
    }
    let role = "{apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {name: judge, namespace: forged-one}, \
                rules: [{apiGroups: [bailey.dev], resources: [policyexceptions/status], verbs: [patch]}]}";
    let given = Objects::new(alice).apply(&tests::documents(role)[0]).await;
    assert!(given.is_err_and(|error| error.to_string().contains("not currently held")));

    // Bailey's wall, where an administrator gave her the right by mistake.
    Objects::new(world.client(ADMIN).await).apply_all(MISTAKE).await;
    until("the mistake holds", async || {
        !is_forbidden(api.patch_status("web", &merge, &Patch::Merge(&forged)).await)
    })
    .await;
    let forced = PatchParams::apply("alice").force();
    let whole = json!({
        "apiVersion": "bailey.dev/v1alpha1", "kind": "PolicyException", "metadata": {"name": "web"},
        "status": forged["status"],
    });
    let mut replaced = api.get("web").await.unwrap();
    replaced.data["status"] = json!({"approval": forged["status"]["approval"]});
    for result in [
        api.patch_status("web", &merge, &Patch::Merge(&forged)).await,
        api.patch_status("web", &forced, &Patch::Apply(&whole)).await,
        api.replace_status("web", &PostParams::default(), &replaced).await,
    ] {
        let refused = refusal(result);
        let says = "wall `exception-approval`: exceptions are approved and refused by users of the groups in \
                    `--administrators`: ask one for `bailey exception approve web -n forged-one`";
        assert!(refused.reason == "tenant_denied" && refused.message.contains(says), "{}", refused.message);
    }
    assert!(lab.pod("one", "web", json!({})).await.is_err());
}

const MISTAKE: &str = "apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: mistake, namespace: forged-one}
rules: [{apiGroups: [bailey.dev], resources: [policyexceptions/status], verbs: [get, update, patch]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: mistake, namespace: forged-one}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: mistake}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: alice}]
";

#[tokio::test]
async fn a_decision_is_on_what_was_looked_at_and_says_truly_who_made_it() {
    let lab = Lab::create("judged").await;
    let asked = lab.ask("one", &lab.exception("web", 600, &json!({}))).await.metadata;
    let (uid, admins) = (asked.uid.unwrap(), lab.exceptions(ADMIN, "one").await);
    let widen = json!({"spec": {"reason": "and all the rest"}});
    lab.exceptions(ALICE, "one")
        .await
        .patch("web", &PatchParams::default(), &Patch::Merge(&widen))
        .await
        .unwrap();
    let decide = async |uid: &str, generation: i64, by: &str| {
        let mut approval = approval("Approved", uid, generation);
        approval["status"]["approval"]["by"] = json!(by);
        admins.patch_status("web", &PatchParams::default(), &Patch::Merge(&approval)).await
    };
    let refused = refusal(decide(&uid, 1, "admin").await);
    assert!(
        refused.message.contains("wall `exception-terms`: status.approval.generation is 1"),
        "{}",
        refused.message
    );
    let refused = refusal(decide("another", 2, "admin").await);
    assert!(refused.message.contains("look at it again"), "{}", refused.message);
    let decided = decide(&uid, 2, "alice").await.unwrap();
    assert_eq!(decided.data["status"]["approval"]["by"], "admin");
    assert!(decided.data["status"]["approval"]["at"].is_string());
}

#[tokio::test]
async fn an_exception_lasts_no_longer_than_it_may() {
    let lab = Lab::create("lasting").await;
    let api = lab.exceptions(ALICE, "one").await;
    const DAY: i64 = 86_400;
    for (seconds, says) in [(91 * DAY, "more than 90 days ahead"), (-DAY, "which is over")] {
        let result = api.create(&PostParams::default(), &lab.exception("long", seconds, &json!({}))).await;
        let refused = refusal(result);
        assert!(
            refused.message.contains("wall `exception-terms`") && refused.message.contains(says),
            "{}",
            refused.message
        );
    }
    lab.ask("one", &lab.exception("long", 89 * DAY, &json!({}))).await;
    let extend =
        json!({"spec": {"expires": lab.exception("long", 91 * DAY, &json!({})).data["spec"]["expires"]}});
    let extended = api.patch("long", &PatchParams::default(), &Patch::Merge(&extend)).await;
    assert!(refusal(extended).message.contains("more than 90 days ahead"));
}
