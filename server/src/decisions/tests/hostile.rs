//! Peers that are not what they say, or are broken. Whatever they do, the answer of the others stands.

use std::convert::Infallible;
use std::time::Instant;

use axum::body::{Body, Bytes};
use axum::http::header;
use futures::stream;

use super::super::peers::{ANSWER_BYTES, PATIENCE};
use super::super::question::Question;
use super::*;

const HOST: &str = "127.0.0.1";

fn body(body: impl Fn() -> Body + Clone + Send + Sync + 'static) -> Router {
    Router::new().fallback(async move || body())
}

fn text(text: String) -> Router {
    body(move || Body::from(text.clone()))
}

fn records(records: &[Record]) -> Router {
    text(json!({"replica": "r", "records": records}).to_string())
}

/// Asks a peer that listens with `tls` and answers with `routes`, together with an honest one.
async fn ask(authority: &Authority, address: SocketAddr) -> Vec<(String, u64)> {
    let store = Store::with(vec![refused(1)]).await;
    let honest = Replica::random();
    let honest = peers_router(Arc::clone(&store.own), honest);
    let honest = Listening::start(authority.tls(HOST, HOST), honest).await;
    let (counted, metrics) = Counted::new();
    let urls = vec![url(address), url(honest.address)];
    let peers = Peers::new(urls, authority.tls(HOST, HOST), Replica::random(), metrics);
    let start = Instant::now();
    let all = peers.ask("physics", &Question { limit: 3, ..Question::default() }).await;
    assert!(start.elapsed() < PATIENCE.saturating_mul(2), "{:?}", start.elapsed());
    assert_eq!((all.answered, all.unanswered, all.records.len()), (1, 1, 1));
    counted.unanswered()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_peer_must_not_answer_is_not_used() {
    let authority = Authority::new();
    let foreign = Record { tenant: Some("chemistry".into()), ..refused(2) };
    let endless = || {
        body(|| Body::from_stream(stream::repeat(Ok::<_, Infallible>(Bytes::from_static(&[b' '; 65_536])))))
    };
    let silent = || body(|| Body::from_stream(stream::pending::<Result<Bytes, Infallible>>()));
    let elsewhere = || {
        let to = [(header::LOCATION, "https://127.0.0.1:1/v1/decisions/physics")];
        Router::new().fallback(async move || (StatusCode::TEMPORARY_REDIRECT, to))
    };
    let failing = || Router::new().fallback(async || StatusCode::INTERNAL_SERVER_ERROR);
    let cases = [
        (text("<html>".into()), "malformed"),
        (text(String::new()), "malformed"),
        (text("[".repeat(100_000)), "malformed"),
        (text(json!({"replica": "r", "records": [{"id": "x"}]}).to_string()), "malformed"),
        (text(json!({"records": []}).to_string()), "malformed"),
        (text(" ".repeat(ANSWER_BYTES + 1)), "too_large"),
        (endless(), "too_large"),
        (silent(), "late"),
        (Router::new().fallback(async || std::future::pending::<()>().await), "late"),
        (elsewhere(), "refused"),
        (failing(), "refused"),
        (Router::new().fallback(async || StatusCode::NO_CONTENT), "refused"),
        (records(&[refused(2), foreign]), "not_asked_for"),
        (records(&[Record { tenant: None, ..refused(2) }]), "not_asked_for"),
        (records(&[2, 3, 4, 5].map(refused)), "not_asked_for"),
    ];
    for (routes, reason) in cases {
        let peer = Listening::start(authority.tls(HOST, HOST), routes).await;
        assert_eq!(ask(&authority, peer.address).await, [(reason.to_owned(), 1)]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_has_to_show_a_certificate_for_the_host_of_the_url() {
    let (authority, other) = (Authority::new(), Authority::new());
    for (issuer, name) in [(&other, HOST), (&authority, "127.0.0.2"), (&authority, "localhost")] {
        let peer = Listening::start(issuer.tls(name, HOST), records(&[refused(2)])).await;
        assert_eq!(ask(&authority, peer.address).await, [("connection".to_owned(), 1)], "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_takes_connections_and_says_nothing_is_late() {
    let authority = Authority::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    assert_eq!(ask(&authority, listener.local_addr().unwrap()).await, [("late".to_owned(), 1)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_silent_peers_take_no_longer_than_one_and_the_last_is_heard() {
    let authority = Authority::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent = url(listener.local_addr().unwrap());
    let store = Store::with(vec![refused(1)]).await;
    let honest = peers_router(Arc::clone(&store.own), Replica::random());
    let honest = Listening::start(authority.tls(HOST, HOST), honest).await;
    let urls = [vec![silent; 40], vec![url(honest.address)]].concat();
    let (counted, metrics) = Counted::new();
    let peers = Peers::new(urls, authority.tls(HOST, HOST), Replica::random(), metrics);
    let start = Instant::now();
    let all = peers.ask("physics", &Question::default()).await;
    assert!(start.elapsed() < PATIENCE.saturating_mul(2), "{:?}", start.elapsed());
    assert_eq!((all.answered, all.unanswered), (1, 40));
    assert_eq!(counted.unanswered(), [("late".to_owned(), 40)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_without_address_is_one_that_did_not_answer() {
    let authority = Authority::new();
    let (counted, metrics) = Counted::new();
    let nowhere = vec!["https://bailey-peers.invalid:1".parse().unwrap()];
    let peers = Peers::new(nowhere, authority.tls(HOST, HOST), Replica::random(), metrics);
    let all = peers.ask("physics", &Question::default()).await;
    assert_eq!((all.answered, all.unanswered, all.more), (0, 0, true));
    let reasons = counted.unanswered();
    // Where the resolver is slow, it is late instead.
    assert!(
        matches!(reasons.as_slice(), [(reason, 1)] if reason == "unresolved" || reason == "late"),
        "{reasons:?}"
    );
}
