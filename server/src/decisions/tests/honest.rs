//! Replicas that are what they say.

use axum::body::Body;
use axum::http::{Request, header};
use serde_json::Value;
use tower::ServiceExt;

use super::*;

const HOST: &str = "127.0.0.1";

/// A replica that answers others, and what it is asked with.
async fn replica(authority: &Authority, records: Vec<Record>) -> (Store, Replica, Listening) {
    let (store, replica) = (Store::with(records).await, Replica::random());
    let routes = peers_router(Arc::clone(&store.own), replica.clone());
    let listening = Listening::start(authority.tls(HOST, HOST), routes).await;
    (store, replica, listening)
}

/// The answer of the aggregated API: status, warning and body.
async fn asked(decisions: Decisions, query: &str) -> (u16, Option<String>, Value) {
    let routes = router(decisions).layer(Extension(admission::Peer::Trusted));
    let uri = format!("/apis/decisions.bailey.dev/v1alpha1/decisions/physics{query}");
    let response = routes.oneshot(Request::get(uri).body(Body::empty()).unwrap()).await.unwrap();
    let warning = response.headers().get(header::WARNING).map(|text| text.to_str().unwrap().to_owned());
    let status = response.status().as_u16();
    let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
    (status, warning, serde_json::from_slice(&body).unwrap())
}

fn numbers(body: &Value) -> Vec<String> {
    let items = body["items"].as_array().unwrap().iter();
    items
        .map(|item| {
            item["id"]
                .as_str()
                .unwrap()
                .trim_start_matches("019470f2-0000-7000-8000-")
                .trim_start_matches('0')
                .to_owned()
        })
        .collect()
}

/// The replica with `own` records, which knows others at these addresses.
async fn knows(authority: &Authority, own: Vec<Record>, urls: Vec<PeerUrl>) -> (Store, Decisions) {
    let store = Store::with(own).await;
    let peers = Peers::new(urls, authority.tls(HOST, HOST), Replica::random(), Counted::new().1);
    let decisions = Decisions { record: Arc::clone(&store.own), peers: Some(peers), uses: None };
    (store, decisions)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_newest_of_all_replicas_come_oldest_first_and_each_once() {
    let authority = Authority::new();
    let foreign = Record { tenant: Some("chemistry".into()), ..refused(9) };
    let (_one, _, first) = replica(&authority, vec![refused(2), refused(5), foreign]).await;
    let (_two, _, second) = replica(&authority, vec![refused(3), refused(1)]).await;
    let urls = vec![url(first.address), url(second.address)];
    for (query, expected) in
        [("", &["1", "2", "3", "4", "5"][..]), ("?limit=2", &["4", "5"]), ("?limit=0", &[])]
    {
        // The own record has one that another has too.
        let (_own, decisions) = knows(&authority, vec![refused(4), refused(3)], urls.clone()).await;
        let (status, warning, body) = asked(decisions, query).await;
        assert_eq!((status, warning), (200, None), "{body}");
        assert_eq!(numbers(&body), expected);
        assert_eq!(body["metadata"]["incomplete"], false);
        assert_eq!(body["metadata"]["replicas"], json!({"known": 3, "answered": 3}));
        assert!(!body.to_string().contains("choir"), "{body}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_is_found_at_any_replica_and_ambiguous_over_all() {
    let authority = Authority::new();
    let (_one, _, first) = replica(&authority, vec![refused(2)]).await;
    let ask = async |query: &str| {
        let (_own, decisions) = knows(&authority, vec![refused(1)], vec![url(first.address)]).await;
        asked(decisions, query).await
    };
    let (status, _, body) = ask("?id=019470f2-0000-7000-8000-000000000002").await;
    assert_eq!((status, numbers(&body)), (200, vec!["2".to_owned()]));
    let (status, _, body) = ask("?id=019470F2").await;
    let message = body["message"].as_str().unwrap();
    assert_eq!(status, 400);
    assert!(
        message.contains("several ids") && message.contains("0001, 0194") && message.ends_with("0002"),
        "{message}"
    );
    let (status, _, body) = ask("?id=019470ff").await;
    assert_eq!(status, 404);
    assert!(body["message"].as_str().unwrap().contains("no record has the id `019470ff`"), "{body}");
    assert_eq!(ask("?id=0194").await.0, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_replica_is_told_in_the_answer_and_in_the_header() {
    let authority = Authority::new();
    let (_one, _, first) = replica(&authority, vec![refused(2)]).await;
    let (_two, _, gone) = replica(&authority, vec![refused(3)]).await;
    let urls = vec![url(first.address), url(gone.address)];
    drop(gone);
    for query in ["", "?id=019470f2-0000-7000-8000-000000000002"] {
        let (_own, decisions) = knows(&authority, vec![refused(1)], urls.clone()).await;
        let (status, warning, body) = asked(decisions, query).await;
        assert_eq!(status, 200, "{body}");
        assert_eq!(body["metadata"]["incomplete"], true);
        assert_eq!(body["metadata"]["replicas"], json!({"known": 3, "answered": 2}));
        let text = "1 of 3 replicas of Bailey did not answer: their decisions are missing here";
        assert_eq!(warning, Some(format!("299 - \"{text}\"")));
        assert_eq!(body["metadata"]["warning"], text);
    }
    let (_own, decisions) = knows(&authority, vec![refused(1)], urls).await;
    let (status, warning, body) = asked(decisions, "?id=019470ff").await;
    assert_eq!((status, warning.is_some()), (404, true));
    assert!(body["message"].as_str().unwrap().contains("1 of 3 replicas"), "{body}");
}

#[tokio::test(flavor = "multi_thread")]
async fn peers_that_are_not_found_are_told_though_nobody_knows_how_many() {
    let authority = Authority::new();
    let nowhere = "https://bailey-peers.invalid:1".parse().unwrap();
    let (_own, decisions) = knows(&authority, vec![refused(1)], vec![nowhere]).await;
    let (status, warning, body) = asked(decisions, "").await;
    assert_eq!((status, warning.is_some()), (200, true));
    assert_eq!(body["metadata"]["incomplete"], true);
    assert_eq!(
        body["metadata"]["warning"],
        "other replicas of Bailey were not found: their decisions are missing here"
    );
    assert_eq!(body["metadata"]["replicas"], json!({"known": 1, "answered": 1}));
}

#[tokio::test(flavor = "multi_thread")]
async fn oneself_and_a_replica_with_two_addresses_count_once() {
    let authority = Authority::new();
    let (one, replica, first) = replica(&authority, vec![refused(1)]).await;
    let again =
        Listening::start(authority.tls(HOST, HOST), peers_router(Arc::clone(&one.own), replica.clone()))
            .await;
    let urls = vec![url(first.address), url(again.address)];
    let ask = async |replica| {
        let peers = Peers::new(urls.clone(), authority.tls(HOST, HOST), replica, Counted::new().1);
        let all = peers.ask("physics", &Default::default()).await;
        (all.answered, all.unanswered, all.records.len())
    };
    assert_eq!(ask(Replica::random()).await, (1, 0, 1));
    assert_eq!(ask(replica).await, (0, 0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_name_is_asked_at_its_addresses() {
    let authority = Authority::new();
    let store = Store::with(vec![refused(1)]).await;
    let tls = || authority.tls("localhost", "localhost");
    let routes = peers_router(Arc::clone(&store.own), Replica::random());
    let listening = Listening::start(tls(), routes).await;
    let urls = vec![format!("https://localhost:{}", listening.address.port()).parse().unwrap()];
    let peers = Peers::new(urls, tls(), Replica::random(), Counted::new().1);
    let all = peers.ask("physics", &Default::default()).await;
    // Where the name has an IPv6 address too, nobody is there.
    assert_eq!((all.answered, all.records.len(), all.more), (1, 1, false));
}

#[tokio::test]
async fn without_peers_the_answer_says_nothing_of_replicas() {
    let store = Store::with(vec![refused(1)]).await;
    let decisions = Decisions { record: Arc::clone(&store.own), peers: None, uses: None };
    let (status, warning, body) = asked(decisions, "").await;
    assert_eq!((status, warning), (200, None));
    assert_eq!(body["metadata"], json!({"name": "physics"}));
}

#[test]
fn a_peer_is_a_host_and_a_port() {
    let host = |text: &str| text.parse::<PeerUrl>().map(|url| (url.host().to_owned(), url.port()));
    assert_eq!(
        host("https://bailey-peers.bailey-system.svc:8445").unwrap(),
        ("bailey-peers.bailey-system.svc".into(), 8445)
    );
    assert_eq!(host("https://[::1]/").unwrap(), ("::1".into(), 443));
    for bad in [
        "",
        "bailey-peers:8445",
        "http://a:1",
        "https://u@a:1",
        "https://:p@a:1",
        "https://a:1/x",
        "https://a:1?x",
        "https://a:1#x",
    ] {
        assert!(host(bad).is_err(), "{bad}");
    }
    let url: PeerUrl = "https://a:1".parse().unwrap();
    let question = url.question("../x?y", &[("user", "a&limit=500".to_owned())]);
    assert_eq!(question.as_str(), "https://a:1/v1/decisions/..%2Fx%3Fy?user=a%26limit%3D500");
}
