//! What the gateway's account may do at the API server, whoever has its token.

use tests::{ALICE, World};

use crate::{gateway, text};

#[tokio::test]
async fn its_account_is_no_administrator_and_becomes_none() {
    let gateway = gateway().await;
    let world = World::shared();
    let file = world.access().gateway_kubeconfig();
    let config: serde_json::Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    let run = |arguments: &[&str]| {
        let output = gateway.kubectl_with(&config, "of-the-gateway", arguments);
        (output.status.success(), text(&output))
    };
    let list = ["get", "configmaps", "--namespace=shop-web"];
    let as_user = |flags: &[&str]| run(&[&list[..], flags].concat());
    let (allowed, said) = as_user(&["--as=alice", "--as-group=team-a", "--as-group=tenants"]);
    assert!(allowed, "{said}");
    for flags in [
        &[][..],
        &["--as=mallory", "--as-group=system:masters"],
        &[
            "--as=alice",
            "--as-group=a",
            "--as-group=b",
            "--as-group=c",
            "--as-group=d",
            "--as-group=system:masters",
        ],
        &["--as=system:node:a", "--as-group=system:nodes"],
        &["--as=system:node:a"],
        // A service account is itself, with no groups of others.
        &["--as=system:serviceaccount:shop-web:default", "--as-group=team-a"],
    ] {
        let (allowed, said) = as_user(flags);
        assert!(!allowed && said.contains("Forbidden"), "{flags:?}: {said}");
    }
    for what in [
        "create clusterrolebindings",
        "get secrets",
        "impersonate users",
        "create pods",
        "patch tenants.bailey.dev",
    ] {
        let (verb, resource) = what.split_once(' ').unwrap();
        let (_, said) = run(&["auth", "can-i", verb, resource, "--all-namespaces"]);
        assert!(said.lines().any(|line| line == "no"), "{what}: {said}");
    }
    let by_gateway = gateway.kubectl(ALICE, &list);
    assert!(by_gateway.status.success(), "{}", text(&by_gateway));
}
