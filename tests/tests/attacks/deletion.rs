use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::json;
use tests::{
    ADMIN, Objects, Tenant, World, create_namespace as create, documents, namespaces, refusal, until,
};

#[tokio::test]
async fn a_tenant_with_namespaces_goes_only_when_it_says_so_and_takes_them_with_it() {
    let tenant = Tenant::create("leavers", "{members: [{kind: User, name: bob, role: owner}]}").await;
    create(ADMIN, "leavers-one", json!({"bailey.dev/tenant": "leavers"})).await.unwrap();
    create(ADMIN, "leavers-saved", json!({"bailey.dev/tenant": "leavers"})).await.unwrap();
    until("both namespaces count", async || tenant.get().await.data["status"]["namespaceCount"] == 2).await;
    let admin = Objects::new(World::shared().client(ADMIN).await);
    let object = documents("{apiVersion: bailey.dev/v1alpha1, kind: Tenant, metadata: {name: leavers}}")
        .swap_remove(0);
    let refused = refusal(admin.delete(&object).await);
    assert!(
        refused.message.contains("wall `tenant-deletion`") && refused.message.contains("has 2 namespaces"),
        "{}",
        refused.message
    );

    // An object that does not go, put there by an administrator.
    let stuck = documents(
        "{apiVersion: v1, kind: ConfigMap, metadata: {name: stuck, namespace: leavers-one, finalizers: [example.com/never]}}",
    );
    admin.apply(&stuck[0]).await.unwrap();
    tenant.set("{members: [{kind: User, name: bob, role: owner}], deletion: {protected: false, graceSeconds: 3}}").await;
    admin.delete(&object).await.unwrap();
    // Within the grace time one is saved.
    let saved = json!({"metadata": {"labels": {"bailey.dev/tenant": null}}});
    namespaces(ADMIN)
        .await
        .patch("leavers-saved", &PatchParams::default(), &Patch::Merge(&saved))
        .await
        .unwrap();
    let ready = async || tenant.get().await.data["status"]["conditions"][0].clone();
    until("the status says what keeps the namespace", async || {
        let ready = ready().await;
        let message = ready["message"].as_str().unwrap_or_default().to_owned();
        ready["reason"] == "DeletionBlocked"
            && message.contains("leavers-one")
            && message.contains("example.com/never")
    })
    .await;
    let freed = Patch::Merge(json!({"metadata": {"finalizers": null}}));
    admin.api(&stuck[0]).patch("stuck", &PatchParams::default(), &freed).await.unwrap();
    until("the tenant is gone after its namespace", async || admin.get(&object).await.is_err()).await;
    assert!(namespaces(ADMIN).await.get_opt("leavers-one").await.unwrap().is_none());
    let saved = namespaces(ADMIN).await.get("leavers-saved").await.unwrap();
    assert!(saved.metadata.deletion_timestamp.is_none());
    namespaces(ADMIN).await.delete("leavers-saved", &DeleteParams::default()).await.unwrap();
}
