//! Users who log in at a real provider, and the stock kubectl with the identity token that they get.

use std::process::Output;

use serde_json::{Value, json};
use tests::gateway::Gateway;
use tests::provider::{Provider, Tokens};
use tests::{ALICE, Tenant, World, give_namespace, until};

use tokio::sync::OnceCell;

use crate::issuers::trusting_issuer;
use crate::{gateway, text};

static TENANT: OnceCell<()> = OnceCell::const_new();

/// A provider with ann, whose address is verified, and ben, whose is not; both are in group `smiths`.
fn provider(name: &str) -> Provider {
    let person = |name: &str, verified: bool| {
        json!({"name": name, "password": format!("{name}-secret"), "email": format!("{name}@example.com"),
            "verified": verified, "groups": ["smiths", "masons"]})
    };
    Provider::start(World::shared(), name, &json!([person("ann", true), person("ben", false)]))
}

/// A gateway that takes the provider's tokens for client `bailey`, by the address.
fn trusting(name: &str, provider: &Provider) -> Gateway {
    let authority = World::shared().access().authority();
    trusting_issuer(
        name,
        &json!({
            "url": provider.url, "certificateAuthorityFile": authority, "audiences": ["bailey"],
            "username": {"claim": "email", "prefix": "corp:"}, "groups": {"claim": "groups", "prefix": "corp:"},
        }),
    )
}

async fn login(provider: &Provider, client: &str, name: &str) -> Tokens {
    provider.login(client, name, &format!("{name}-secret")).await
}

/// The stock kubectl with a token in its kubeconfig.
fn kubectl(gateway: &Gateway, token: &str, arguments: &[&str]) -> Output {
    let mut config = gateway.kubeconfig_of(ALICE);
    config["clusters"][0]["cluster"]["server"] = gateway.url("").into();
    config["users"][0]["user"] = json!({"token": token});
    gateway.kubectl_with(&config, "login", arguments)
}

/// Why a token is not taken; `None` where it is.
fn refusal(gateway: &Gateway, token: &str) -> Option<String> {
    let output = kubectl(gateway, token, &["auth", "whoami", "--output=json"]);
    (!output.status.success()).then(|| text(&output))
}

/// A tenant of the provider's group `smiths`, with namespace `guild-web`.
async fn guild() {
    let _shared = gateway().await;
    TENANT
        .get_or_init(async || {
            let members = "[{kind: Group, name: 'corp:smiths', role: viewer}]";
            Tenant::create("guild", &format!("{{members: {members}}}")).await;
            give_namespace(World::shared(), "guild", "guild-web").await;
        })
        .await;
}

#[tokio::test]
async fn who_logs_in_at_a_provider_sees_their_tenants_namespaces() {
    guild().await;
    let provider = provider("login");
    let gateway = trusting("login", &provider);
    let ann = login(&provider, "bailey", "ann").await;
    until("the namespaces are listed", async || {
        let listed = kubectl(&gateway, &ann.identity, &["get", "namespaces", "--output=name"]);
        text(&listed) == "namespace/guild-web\n"
    })
    .await;
    let who = kubectl(&gateway, &ann.identity, &["auth", "whoami", "--output=json"]);
    let who: Value = serde_json::from_slice(&who.stdout).unwrap();
    let user = &who["status"]["userInfo"];
    assert_eq!(user["username"], "corp:ann@example.com");
    assert_eq!(user["groups"], json!(["corp:smiths", "corp:masons", "system:authenticated"]));
    // Not the address alone, but that it is verified; not the provider alone, but for whom the token is; and a token that
    // lets a client read something is none that says who somebody is.
    let ben = login(&provider, "bailey", "ben").await;
    let other = login(&provider, "other", "ann").await;
    for (token, why) in [
        (ben.identity, "an address in `email` that its issuer has not verified"),
        (other.identity, "InvalidAudience"),
        (other.access, "InvalidAudience"),
        (ann.access, "no text in the claim `email`"),
    ] {
        let told = refusal(&gateway, &token).unwrap_or_default();
        assert!(told.contains(why) && told.contains("gateway_unauthenticated"), "{why}: {told}");
    }
}

#[tokio::test]
async fn a_provider_has_new_keys_and_may_be_away() {
    guild().await;
    let mut provider = provider("keys");
    let gateway = trusting("keys", &provider);
    let first = login(&provider, "bailey", "ann").await.identity;
    until("the first key is read", async || refusal(&gateway, &first).is_none()).await;
    provider.rotate().await;
    let second = login(&provider, "bailey", "ann").await.identity;
    until("the second key is read", async || refusal(&gateway, &second).is_none()).await;
    // The provider publishes it still.
    assert_eq!(refusal(&gateway, &first), None);
    provider.rotate().await;
    let third = login(&provider, "bailey", "ann").await.identity;
    until("the third key is read", async || refusal(&gateway, &third).is_none()).await;
    let told = refusal(&gateway, &first).expect("its key is gone");
    assert!(told.contains("a key that its issuer does not have"), "{told}");
    assert_eq!(refusal(&gateway, &second), None);
    provider.leave();
    assert_eq!(refusal(&gateway, &third), None);
    let stranger = trusting("stranger", &provider);
    let told = refusal(&stranger, &third).expect("nobody has its keys");
    assert!(told.contains("cannot be read now") && told.contains("gateway_unavailable"), "{told}");
    provider.come_back();
    let fourth = login(&provider, "bailey", "ann").await.identity;
    for gateway in [&gateway, &stranger] {
        until("its keys are read", async || refusal(gateway, &fourth).is_none()).await;
        assert!(refusal(gateway, &third).is_some());
    }
}
