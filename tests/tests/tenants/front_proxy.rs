//! The API server's own certificate, which Bailey learns from what the API server publishes.

use reqwest::{Certificate, Client, Identity};
use serde_json::{Value, json};
use tests::{ADMIN, World, until};
use xtask::control_plane::Issued;

const PATH: &str = "/apis/decisions.bailey.dev/v1alpha1/decisions/told";

/// A client that trusts the world's authority, and shows this certificate.
pub(super) fn client(world: &World, identity: Option<Issued>) -> Client {
    let authority = Certificate::from_pem(&std::fs::read(world.access().authority()).unwrap()).unwrap();
    let builder = Client::builder().tls_certs_only([authority]).no_proxy();
    let Some(issued) = identity else { return builder.build().unwrap() };
    let pem = [std::fs::read(issued.certificate).unwrap(), std::fs::read(issued.key).unwrap()].concat();
    builder.identity(Identity::from_pem(&pem).unwrap()).build().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authority_that_the_api_server_publishes_later_is_known_without_a_restart() {
    let world = World::start();
    let folder = world.access().folder().join("next");
    std::fs::create_dir(&folder).unwrap();
    let next = xtask::control_plane::Authority::create(&folder, "ca").unwrap();
    let (named, other) =
        (next.client("named", "front-proxy-client").unwrap(), next.client("other", "x").unwrap());
    let url = format!("https://127.0.0.1:{}{PATH}", world.bailey.settings.api_port);
    let status = async |issued: &Issued| {
        client(&world, Some(issued.clone()))
            .get(&url)
            .send()
            .await
            .ok()
            .map(|answer| answer.status().as_u16())
    };
    let served = || world.kubectl(ADMIN, &["get", "--raw", PATH]).status.success();
    until("the API server is known", async || served()).await;
    assert_eq!(status(&named).await, None);

    let map = ["extension-apiserver-authentication", "--namespace", "kube-system"];
    let text = world.access().run(&[&["get", "configmap"], &map[..], &["-o", "json"]].concat()).unwrap();
    let published: Value = serde_json::from_str(&text).unwrap();
    let now = published["data"]["requestheader-client-ca-file"].as_str().unwrap().to_owned();
    let publish = async |authority: String| {
        let patch = json!({"data": {"requestheader-client-ca-file": authority}}).to_string();
        world
            .access()
            .run(&[&["patch", "configmap"], &map[..], &["--type=merge", "-p", &patch]].concat())
            .unwrap();
    };
    // What is no certificate changes nothing.
    publish("-----BEGIN CERTIFICATE-----\nbm8=\n-----END CERTIFICATE-----\n".to_owned()).await;
    until("the fault is in the log", async || world.bailey.log_tail().contains("cannot be used")).await;
    assert!(served());

    publish(format!("{now}{}", std::fs::read_to_string(folder.join("ca.crt")).unwrap())).await;
    until("the new authority is known", async || status(&named).await == Some(200)).await;
    assert_eq!(status(&other).await, Some(403));
    assert!(served());
    publish(now).await;
    until("it is forgotten", async || status(&named).await.is_none()).await;
}
