//! Who somebody is, and is no longer.

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};
use tests::gateway::Gateway;
use tests::{ADMIN, ALICE, World, https_client, until};

use crate::wire::{connect, exchange, statuses};
use crate::{gateway, text};

#[tokio::test]
async fn a_service_account_acts_as_itself_until_it_is_gone() {
    let gateway = gateway().await;
    let world = World::shared();
    let admin = |arguments: &[&str]| {
        let output = world.kubectl(ADMIN, &[arguments, &["--namespace=shop-web"]].concat());
        assert!(output.status.success(), "{}", text(&output));
        text(&output)
    };
    admin(&["create", "serviceaccount", "robot"]);
    admin(&["create", "rolebinding", "robot", "--clusterrole=view", "--serviceaccount=shop-web:robot"]);
    let token = admin(&["create", "token", "robot"]);
    let client = https_client(&world.access().authority());
    let ask = async |path: &str| {
        let response = client.get(gateway.url(path)).bearer_auth(token.trim()).send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    };
    let own = "/api/v1/namespaces/shop-web/configmaps";
    until("its rights are known", async || ask(own).await.0 == 200).await;
    let (status, refused) = ask("/api/v1/namespaces/bank-web/configmaps").await;
    assert!(status == 403 && refused.contains("system:serviceaccount:shop-web:robot"), "{refused}");
    admin(&["delete", "serviceaccount", "robot"]);
    until("the token is no longer believed", async || ask(own).await.0 == 401).await;
}

#[tokio::test]
async fn a_service_account_of_no_tenant_does_not_pass() {
    let gateway = gateway().await;
    let world = World::shared();
    let token = world.kubectl(ADMIN, &["create", "token", "default", "--namespace=default"]);
    let client = https_client(&world.access().authority());
    let request = client.get(gateway.url("/api")).bearer_auth(text(&token).trim());
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), 403);
    assert!(response.text().await.unwrap().contains("gateway_tenant"));
}

#[tokio::test]
async fn a_token_that_is_none_is_refused() {
    let gateway = gateway().await;
    let client = https_client(&World::shared().access().authority());
    for token in ["none", "e30.e30.e30", "a.b.c", "=", "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZG1pbiJ9."] {
        let response = client.get(gateway.url("/api")).bearer_auth(token).send().await.unwrap();
        assert_eq!(response.status(), 401, "{token}");
    }
    for header in ["Basic YWxpY2U6YWxpY2U=", "Bearer", "Negotiate a", "Bearer a b"] {
        let response = client.get(gateway.url("/api")).header("Authorization", header).send().await.unwrap();
        assert_eq!(response.status(), 401, "{header}");
        assert_eq!(response.headers()["www-authenticate"], "Bearer");
    }
    assert_eq!(client.get(gateway.url("/api")).send().await.unwrap().status(), 401);
}

#[tokio::test]
async fn a_storm_of_tokens_keeps_nobody_out() {
    let _shared = gateway().await;
    let gateway = Gateway::start("storm", &[]);
    let client = https_client(&World::shared().access().authority());
    let ask = async |token: String| {
        client.get(gateway.url("/version")).bearer_auth(token).send().await.unwrap().status().as_u16()
    };
    let storm = futures::future::join_all((0..300).map(|number| ask(format!("made-up-{number}"))));
    let (answers, alice) = futures::future::join(storm, ask(gateway.token(ALICE))).await;
    assert_eq!(alice, 200);
    // Each is told that it is no good, or to come back.
    assert!(answers.iter().all(|status| [401, 429].contains(status)), "{answers:?}");
    assert!(gateway.metric(r#"bailey_gateway_tokens_total{result="rejected"}"#) >= 20);
    assert_eq!(gateway.metric(r#"bailey_gateway_tokens_total{result="accepted"}"#), 1);
}

fn issuer(name: &str) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn issue(issuer: &CertifiedIssuer<'static, KeyPair>, name: &str, groups: &[&str]) -> (String, String) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    for group in groups {
        params.distinguished_name.push(DnType::OrganizationName, *group);
    }
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let key = KeyPair::generate().unwrap();
    (params.signed_by(&key, issuer).unwrap().pem(), key.serialize_pem())
}

#[tokio::test]
async fn a_client_certificate_says_who_somebody_is() {
    let _shared = gateway().await;
    let authority = issuer("tenants");
    let file = World::shared().access().folder().join("tenants-ca.crt");
    std::fs::write(&file, authority.pem()).unwrap();
    let gateway = Gateway::start("certificates", &[&format!("--gateway-client-ca={}", file.display())]);
    let ask = async |name: &str, groups: &[&str]| {
        let (certificate, key) = issue(&authority, name, groups);
        let line =
            "GET /api/v1/namespaces/shop-web/configmaps HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
        exchange(&gateway, Some((&certificate, &key)), line).await
    };
    let answer = ask("alice", &["some-group"]).await;
    assert_eq!(statuses(&answer), ["200"], "{answer}");
    let answer = ask("bob", &[]).await;
    assert!(statuses(&answer) == ["403"] && answer.contains(r#"User \"bob\" cannot list"#), "{answer}");
    for (name, groups) in [
        ("system:admin", &[][..]),
        ("alice", &["system:masters"]),
        ("system:node:a", &["system:nodes"]),
        ("system:serviceaccount:shop-web:default", &["system:serviceaccounts"]),
    ] {
        let answer = ask(name, groups).await;
        assert!(statuses(&answer) == ["403"] && answer.contains("gateway_identity"), "{name}: {answer}");
    }
    let (certificate, key) = issue(&issuer("others"), "alice", &[]);
    let line = "GET /api HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    // In TLS 1.3 the client hears of it after its own part is done.
    let refused = match connect(&gateway, "http/1.1", Some((&certificate, &key))).await {
        Ok(_) => exchange(&gateway, Some((&certificate, &key)), line).await.is_empty(),
        Err(_) => true,
    };
    assert!(refused);
    // Without one, a token is asked for.
    let answer = exchange(&gateway, None, line).await;
    assert_eq!(statuses(&answer), ["401"], "{answer}");
}
