//! What tenants are told while the API server is away.

use tests::gateway::Gateway;
use tests::{ALICE, BOB, Tenant, User, World, https_client, until};

const MEMBERS: &str =
    "{members: [{kind: User, name: alice, role: owner}, {kind: User, name: bob, role: viewer}]}";

#[tokio::test]
async fn nothing_is_answered_from_memory() {
    // It lives as long as the process, whose end ends it.
    let world: &'static World = Box::leak(Box::new(World::start()));
    Tenant::create_in(world, "away", MEMBERS).await;
    let gateway = Gateway::start_in(world, "outage", &[]);
    let client = https_client(&world.access().authority());
    let ask = async |user: User| {
        let request = client.get(gateway.url("/version")).bearer_auth(gateway.token(user));
        let response = request.send().await.unwrap();
        let retry = response.headers().contains_key("retry-after");
        (response.status().as_u16(), retry, response.text().await.unwrap())
    };
    until("alice passes", async || ask(ALICE).await.0 == 200).await;
    world.crash("kube-apiserver");
    // Whose token alice's is, is known for a moment; bob's is not.
    for user in [ALICE, BOB] {
        let (status, retry, text) = ask(user).await;
        assert!(
            [502, 503].contains(&status) && retry && text.contains("gateway_unavailable"),
            "{status}: {text}"
        );
    }
    world.revive("kube-apiserver");
    for user in [ALICE, BOB] {
        until("it goes on", async || ask(user).await.0 == 200).await;
    }
}
