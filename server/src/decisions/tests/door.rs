//! Who may ask a replica.

use reqwest::{Certificate, Client, Identity};

use super::*;

const HOST: &str = "127.0.0.1";

/// A client that trusts `authority`, with the certificate of `identity`'s authority for a name.
fn client(authority: &Authority, identity: Option<(&Authority, &str)>) -> Client {
    let trusted = Certificate::from_pem(&std::fs::read(authority.file()).unwrap()).unwrap();
    let builder = Client::builder().tls_certs_only([trusted]).no_proxy();
    let Some((issuer, name)) = identity else { return builder.build().unwrap() };
    let (certificate, key) = issuer.issue(name);
    let pem = [std::fs::read(certificate).unwrap(), std::fs::read(key).unwrap()].concat();
    builder.identity(Identity::from_pem(&pem).unwrap()).build().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_certificate_of_a_replica_opens_the_door() {
    let (authority, other) = (Authority::new(), Authority::new());
    let store = Store::with(vec![refused(1)]).await;
    let routes = peers_router(Arc::clone(&store.own), Replica::random());
    let listening = Listening::start(authority.tls(HOST, HOST), routes).await;
    let get = async |client: Client, path: &str| {
        let request = client.get(format!("https://{}{path}", listening.address));
        // What a tenant may write is no credential.
        let request = request.header("X-Remote-User", "admin").header("X-Remote-Group", "system:masters");
        request.send().await.map(|answer| answer.status().as_u16()).ok()
    };
    for path in ["/v1/decisions/physics", "/v1/decisions/physics?id=019470f2", "/", "/metrics"] {
        assert_eq!(get(client(&authority, None), path).await, Some(403), "{path}");
        assert_eq!(get(client(&authority, Some((&authority, "front-proxy-client"))), path).await, Some(403));
        assert_eq!(get(client(&authority, Some((&other, HOST))), path).await, None, "the handshake fails");
    }
    let good = client(&authority, Some((&authority, HOST)));
    for (path, status) in
        [("physics", 200), ("physics?limit=9999", 200), ("physics?colour=blue", 400), ("physics?id=x", 400)]
    {
        let url = format!("https://{}/v1/decisions/{path}", listening.address);
        assert_eq!(good.get(url).send().await.unwrap().status().as_u16(), status, "{path}");
    }
    let more = format!("https://{}/v1/peers", listening.address);
    assert_eq!(good.get(more).send().await.unwrap().status().as_u16(), 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_authority_opens_the_door_once_it_is_in_the_file() {
    let (authority, next) = (Authority::new(), Authority::new());
    let store = Store::with(Vec::new()).await;
    let routes = peers_router(Arc::clone(&store.own), Replica::random());
    let listening = Listening::start(authority.tls(HOST, HOST), routes).await;
    let url = format!("https://{}/v1/decisions/physics", listening.address);
    let of_next = client(&authority, Some((&next, HOST)));
    assert!(of_next.get(&url).send().await.is_err());
    let both = [std::fs::read(authority.file()).unwrap(), std::fs::read(next.file()).unwrap()].concat();
    std::fs::write(authority.file(), both).unwrap();
    let answered = async {
        while of_next.get(&url).send().await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(30), answered).await.unwrap();
}
