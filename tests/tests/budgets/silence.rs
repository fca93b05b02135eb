//! Connections to the API server that fall silent: what carried them went away without a word, and only new ones work.

use std::time::Duration;

use tests::{Passage, Replicas};
use xtask::daemon::Policies;

use super::*;

/// How long a dead connection may be waited for, and then some.
const LONG: Duration = Duration::from_secs(180);

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_whose_connections_fall_silent_lets_in_and_sees_deletes_again() {
    let world = World::start();
    let passage = Passage::to_api_server(&world).await;
    let _replicas = Replicas::start_with(&world, 2, |_, settings| {
        settings.policies = Policies::Cluster(passage.kubeconfig().to_owned());
    });
    let spec = "{namespaces: {prefix: ''}, quota: {hard: {secrets: 40}}}";
    let _tenant = Tenant::create_in(&world, "silence", spec).await;
    give_namespace(&world, "silence", "silence-a").await;
    let label = json!({"metadata": {"labels": Replicas::label(1)}});
    let client = world.client(ADMIN).await;
    let namespaces: Api<k8s_openapi::api::core::v1::Namespace> = Api::all(client.clone());
    namespaces.patch("silence-a", &PatchParams::default(), &Patch::Merge(label)).await.unwrap();
    let secrets: Api<Secret> = Api::namespaced(client, "silence-a");
    let fill = async |prefix: &str, many, what: &str| {
        native::fill_for(LONG, what, many, async |number| {
            let secret = json!({"metadata": {"name": format!("{prefix}-{number}")}});
            let secret: Secret = serde_json::from_value(secret).unwrap();
            secrets.create(&PostParams::default(), &secret).await.map(drop)
        })
        .await;
    };
    fill("before", 2, "before").await;
    passage.fall_silent();
    fill("after", 38, "its shares are written on another connection").await;
    for number in 0..20 {
        secrets.delete(&format!("after-{number}"), &DeleteParams::default()).await.unwrap();
    }
    fill("again", 20, "what is deleted is seen on another connection").await;
}
