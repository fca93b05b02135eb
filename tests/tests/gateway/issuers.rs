//! Identity tokens: of an issuer that the test plays, and of one that the API server is.

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode, get_current_timestamp};
use serde_json::{Value, json};
use tests::gateway::Gateway;
use tests::issuer::{Issuer, Signer};
use tests::{ADMIN, ALICE, Tenant, World, give_namespace, https_client, until};

use crate::lists::names;
use crate::{gateway, text};

const WHO: &str = "/apis/authentication.k8s.io/v1/selfsubjectreviews";

/// A gateway that trusts an issuer, whose groups are prefixed with `corp:`, and its users with this.
fn trusting(name: &str, url: &str, discovery: Option<&str>, prefix: &str) -> Gateway {
    let access = World::shared().access();
    let mut issuer = json!({
        "url": url, "certificateAuthorityFile": access.authority(), "audiences": ["bailey"],
        "username": {"claim": "sub", "prefix": prefix}, "groups": {"claim": "groups", "prefix": "corp:"},
        "algorithms": ["ES256", "RS256"],
    });
    if let Some(discovery) = discovery {
        issuer["discoveryURL"] = discovery.into();
    }
    trusting_issuer(name, &issuer)
}

/// A gateway that trusts this issuer.
pub(crate) fn trusting_issuer(name: &str, issuer: &Value) -> Gateway {
    let file = World::shared().access().folder().join(format!("issuers-{name}.yaml"));
    std::fs::write(&file, json!({"issuers": [issuer]}).to_string()).unwrap();
    Gateway::start(name, &[&format!("--gateway-issuers={}", file.display())])
}

/// The status of the answer to who somebody is, and the answer.
async fn ask(gateway: &Gateway, token: &str) -> (u16, Value) {
    let client = https_client(&World::shared().access().authority());
    let review = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"});
    let response = client.post(gateway.url(WHO)).bearer_auth(token).json(&review).send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

#[tokio::test]
async fn a_token_of_an_issuer_says_who_somebody_is() {
    let _shared = gateway().await;
    Tenant::create("corp", "{members: [{kind: Group, name: 'corp:staff', role: owner}]}").await;
    let signer = Signer::new("one");
    let issuer = Issuer::start(World::shared(), &signer).await;
    let gateway = trusting("issuer", &issuer.url, None, "corp:");
    // Tenants of the test above are known a moment later.
    until("the tenant is known", async || ask(&gateway, &signer.sign(&issuer.claims("ann"))).await.0 == 201)
        .await;
    let (_, who) = ask(&gateway, &signer.sign(&issuer.claims("ann"))).await;
    let user = &who["status"]["userInfo"];
    assert_eq!((&user["username"], &user["groups"][0]), (&json!("corp:ann"), &json!("corp:staff")));
    let mut claims = issuer.claims("ann");
    claims["groups"] = (0..300).map(|number| format!("team-{number}")).chain(["staff".to_owned()]).collect();
    let (_, who) = ask(&gateway, &signer.sign(&claims)).await;
    // And that of all users.
    assert_eq!(who["status"]["userInfo"]["groups"].as_array().unwrap().len(), 302, "{who}");
    // One of them is a member.
    give_namespace(World::shared(), "corp", "corp-web").await;
    let client = https_client(&World::shared().access().authority());
    let token = signer.sign(&claims);
    let list = async |path: &str| {
        let response = client.get(gateway.url(path)).bearer_auth(&token).send().await.unwrap();
        response.json::<Value>().await.unwrap()
    };
    until("the namespace is listed alone", async || {
        names(&list("/api/v1/namespaces").await["items"]).into_iter().eq(["corp-web".to_owned()])
    })
    .await;
    until("what is in it is listed", async || {
        list("/api/v1/configmaps").await["items"].as_array().is_some_and(|items| {
            !items.is_empty() && items.iter().all(|item| item["metadata"]["namespace"] == "corp-web")
        })
    })
    .await;
    let now = get_current_timestamp();
    let wrong = [
        ("exp", json!(now - 60)),
        ("nbf", json!(now + 60)),
        ("aud", json!("https://kubernetes.default.svc")),
        ("sub", json!("")),
        ("groups", json!([1])),
    ];
    for (name, value) in wrong {
        let mut claims = issuer.claims("ann");
        claims[name] = value;
        let (status, answer) = ask(&gateway, &signer.sign(&claims)).await;
        assert_eq!((status, &answer["reason"]), (401, &json!("Unauthorized")), "{name}: {answer}");
    }
    for forged in forgeries(&issuer, &signer) {
        assert_eq!(ask(&gateway, &forged).await.0, 401, "{forged}");
    }
    // Tokens that the API server knows are taken as before.
    assert_eq!(ask(&gateway, &gateway.token(ALICE)).await.0, 201);
}

/// Tokens that none of the issuer's keys has signed.
fn forgeries(issuer: &Issuer, signer: &Signer) -> Vec<String> {
    let claims = issuer.claims("ann");
    let whole = signer.sign(&claims);
    let payload = whole.split('.').nth(1).unwrap();
    // {"alg":"none"} and {"alg":"NONE","typ":"JWT"}, without and with another's signature.
    let none = ["eyJhbGciOiJub25lIn0", "eyJhbGciOiJOT05FIiwidHlwIjoiSldUIn0"];
    let none = none.iter().map(|head| format!("{head}.{payload}."));
    let public = serde_json::to_vec(&signer.jwk).unwrap();
    let header = Header { kid: Some("one".to_owned()), ..Header::new(Algorithm::HS256) };
    let confused = encode(&header, &claims, &EncodingKey::from_secret(&public)).unwrap();
    let same_id = Signer::new("one").sign(&claims);
    // Its own key in the header, and where to fetch it.
    let mallory = Signer::new("mallory");
    let header = Header {
        jwk: Some(mallory.jwk.clone()),
        jku: Some("https://127.0.0.1:1/keys".to_owned()),
        ..Header::new(Algorithm::ES256)
    };
    let brought = encode(&header, &claims, &mallory.key).unwrap();
    let other =
        mallory.sign(&json!({"iss": "https://other", "aud": "bailey", "exp": claims["exp"], "sub": "ann"}));
    none.chain([confused, same_id, brought, other]).collect()
}

#[tokio::test]
async fn no_claim_makes_a_system_user() {
    let _shared = gateway().await;
    let signer = Signer::new("one");
    let issuer = Issuer::start(World::shared(), &signer).await;
    let gateway = trusting("unprefixed", &issuer.url, None, "");
    for name in ["system:admin", "system:serviceaccount:shop-web:default", "system:node:a", "system:masters"]
    {
        let (status, answer) = ask(&gateway, &signer.sign(&issuer.claims(name))).await;
        assert_eq!(
            (status, &answer["details"]["causes"][0]["reason"]),
            (403, &json!("gateway_identity")),
            "{name}"
        );
    }
    let (status, answer) = ask(&gateway, &signer.sign(&issuer.claims("alice"))).await;
    assert_eq!(status, 201, "{answer}");
}

#[tokio::test]
async fn keys_change_and_an_issuer_may_be_away() {
    let _shared = gateway().await;
    let (one, two) = (Signer::new("one"), Signer::new("two"));
    let issuer = Issuer::start(World::shared(), &one).await;
    let gateway = trusting("rotation", &issuer.url, None, "");
    let by = |signer: &Signer| signer.sign(&issuer.claims("alice"));
    issuer.leave();
    assert_eq!(ask(&gateway, &by(&one)).await.0, 503);
    issuer.publish(&[&one]);
    until("its keys are read", async || ask(&gateway, &by(&one)).await.0 == 201).await;
    assert_eq!(ask(&gateway, &by(&two)).await.0, 401);
    issuer.publish(&[&two]);
    until("the new key is read", async || ask(&gateway, &by(&two)).await.0 == 201).await;
    // What the issuer no longer has is no longer good.
    assert_eq!(ask(&gateway, &by(&one)).await.0, 401);
    issuer.leave();
    assert_eq!(ask(&gateway, &by(&Signer::new("three"))).await.0, 401);
    assert_eq!(ask(&gateway, &by(&two)).await.0, 201);
}

#[tokio::test]
async fn the_api_server_is_an_issuer_too() {
    let shared = gateway().await;
    let world = World::shared();
    let admin = |arguments: &[&str]| {
        let output = world.kubectl(ADMIN, arguments);
        assert!(output.status.success(), "{}", text(&output));
        text(&output)
    };
    let role = "--clusterrole=system:service-account-issuer-discovery";
    admin(&["create", "clusterrolebinding", "discovery-for-all", role, "--group=system:unauthenticated"]);
    admin(&["create", "serviceaccount", "workload", "--namespace=shop-web"]);
    let member = "{kind: User, name: 'real:system:serviceaccount:shop-web:workload', role: viewer}";
    Tenant::create("real", &format!("{{members: [{member}]}}")).await;
    let server = shared.kubeconfig_of(ALICE)["clusters"][0]["cluster"]["server"].as_str().unwrap().to_owned();
    let discovery = format!("{server}/.well-known/openid-configuration");
    let gateway = trusting("real", "https://kubernetes.default.svc", Some(&discovery), "real:");
    let create = ["create", "token", "workload", "--namespace=shop-web"];
    let token = admin(&[&create[..], &["--audience=bailey"]].concat());
    until("it is known", async || ask(&gateway, token.trim()).await.0 == 201).await;
    let (_, who) = ask(&gateway, token.trim()).await;
    let name = "real:system:serviceaccount:shop-web:workload";
    assert_eq!(who["status"]["userInfo"]["username"], name, "{who}");
    // A token for the API server is of the same issuer, and not for the gateway: it is not tried elsewhere.
    assert_eq!(ask(&gateway, admin(&create).trim()).await.0, 401);
}
