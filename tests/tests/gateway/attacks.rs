//! Requests that no client of Kubernetes sends.

use std::fmt::Write as _;

use bytes::Bytes;
use serde_json::Value;
use tests::gateway::Gateway;
use tests::{ALICE, World, https_client, until, until_some};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::wire::{ask, connect, exchange, statuses};
use crate::{gateway, text};

const REVIEW: &str = r#"{"apiVersion":"authentication.k8s.io/v1","kind":"SelfSubjectReview"}"#;
const REVIEWS: &str = "POST /apis/authentication.k8s.io/v1/selfsubjectreviews";

fn json_head() -> String {
    format!("Content-Type: application/json\r\nContent-Length: {}\r\n", REVIEW.len())
}

#[tokio::test]
async fn impersonation_is_refused_in_every_spelling() {
    let gateway = gateway().await;
    for name in [
        "Impersonate-User",
        "impersonate-user",
        "IMPERSONATE-USER",
        "Impersonate-Group",
        "Impersonate-Uid",
        "Impersonate-Extra-Scopes",
        "Impersonate_User",
        "Impersonate%2dUser",
        "Impersonate-Extra-a%2fb",
        "Impersonate-User-Extra",
        "X\r\nImpersonate-User",
    ] {
        let answer = ask(gateway, ALICE, "GET /api", &format!("{name}: admin\r\n"), "").await;
        let refused = answer.contains("gateway_impersonation") && statuses(&answer) == ["403"];
        // A line without a colon is no header, and no request.
        let malformed = statuses(&answer) == ["400"];
        assert!(refused || (malformed && name.contains('\r')), "{name}: {answer}");
    }
    for name in ["Impersonate-User ", " Impersonate-User", "\tImpersonate-User", "Impersonate-User\0"] {
        let answer = ask(gateway, ALICE, "GET /api", &format!("{name}: admin\r\n"), "").await;
        assert_eq!(statuses(&answer), ["400"], "{name:?}: {answer}");
    }
    let named = gateway.kubectl(ALICE, &["get", "configmaps", "--as=admin"]);
    assert!(text(&named).contains("[gateway_impersonation]"), "{}", text(&named));
}

#[tokio::test]
async fn nothing_a_client_says_of_itself_is_believed() {
    let gateway = gateway().await;
    let forged = "X-Remote-User: admin\r\nX-Remote-Group: system:masters\r\nX_Remote_User: admin\r\n\
                  X-Remote-Extra-A: b\r\nForwarded: for=10.0.0.1\r\nX-Forwarded-For: 10.0.0.1\r\n\
                  X-Forwarded-User: admin\r\nProxy-Authorization: Basic YTpi\r\nCookie: a=b\r\n";
    let answer = ask(gateway, ALICE, REVIEWS, &format!("{forged}{}", json_head()), REVIEW).await;
    assert_eq!(statuses(&answer), ["201"], "{answer}");
    assert!(answer.contains(r#""username":"alice""#) && !answer.contains("masters"), "{answer}");
    // What the gateway says itself cannot be taken away by naming it.
    let named = format!("Connection: Impersonate-User, Authorization, Impersonate-Group\r\n{}", json_head());
    let answer = ask(gateway, ALICE, REVIEWS, &named, REVIEW).await;
    assert!(answer.contains(r#""username":"alice""#) && answer.contains("team-a"), "{answer}");
}

#[tokio::test]
async fn one_request_is_never_two_to_the_api_server() {
    let gateway = gateway().await;
    let smuggled = "GET /api/v1/namespaces/shop-web/secrets HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let token = gateway.token(ALICE);
    let chunk = format!("{:x}\r\n{REVIEW}\r\n0\r\n\r\n", REVIEW.len());
    let cases = [
        (
            "both lengths",
            format!("Content-Length: {}\r\nTransfer-Encoding: chunked\r\n", chunk.len() + smuggled.len()),
        ),
        (
            "the other order",
            format!("Transfer-Encoding: chunked\r\nContent-Length: {}\r\n", chunk.len() + smuggled.len()),
        ),
        ("two lengths", "Content-Length: 5\r\nContent-Length: 90\r\n".to_owned()),
        ("a list of lengths", "Content-Length: 5, 90\r\n".to_owned()),
        ("a signed length", "Content-Length: +5\r\n".to_owned()),
        ("a length with a space before the colon", "Content-Length : 5\r\n".to_owned()),
        ("a coding that is none", "Transfer-Encoding: xchunked\r\n".to_owned()),
        ("chunked not last", "Transfer-Encoding: chunked, identity\r\n".to_owned()),
        ("chunked with a tab", "Transfer-Encoding:\tchunked\r\n".to_owned()),
        ("a folded header", "Transfer-Encoding:\r\n chunked\r\n".to_owned()),
        ("an underscore", "Transfer_Encoding: chunked\r\n".to_owned()),
        ("a vertical tab", "Transfer-Encoding: \x0bchunked\r\n".to_owned()),
    ];
    for (name, headers) in cases {
        let head = format!("{REVIEWS} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n");
        let bytes = format!("{head}Content-Type: application/json\r\n{headers}\r\n{chunk}{smuggled}");
        let answer = exchange(gateway, None, &bytes).await;
        // The second one has no token: if it was ever a request, it was one of its own.
        assert!(
            !answer.contains("SecretList") && !statuses(&answer)[1..].contains(&"200"),
            "{name}: {answer}"
        );
        assert!(["400", "201", "411", "401"].contains(&statuses(&answer)[0]), "{name}: {answer}");
    }
}

#[tokio::test]
async fn what_has_two_readings_is_refused() {
    let gateway = gateway().await;
    let paths = [
        "//api/v1/namespaces/bank-web/secrets",
        "/api/v1/namespaces/shop-web/../bank-web/secrets",
        "/api/v1/namespaces/shop-web/%2e%2e/bank-web/secrets",
        "/api/v1/namespaces/shop-web%2f..%2fbank-web/secrets",
        "/api/v1;a=b/pods",
        "/api/v1/namespaces/shop-web/configmaps?watch=0&watch=1",
        "/api/v1/namespaces/shop-web/configmaps?a;watch=1",
        "/api/v1/%252e%252e/pods",
        "/api\\v1",
        "/api/v1/%00",
    ];
    for path in paths {
        let answer = ask(gateway, ALICE, &format!("GET {path}"), "", "").await;
        assert_eq!(statuses(&answer), ["400"], "{path}: {answer}");
    }
    for line in ["GET https://evil/api", "GET http://a/api", "CONNECT a:443", "TRACE /api", "OPTIONS *"] {
        let answer = ask(gateway, ALICE, line, "", "").await;
        assert!(["400", "405"].contains(&statuses(&answer)[0]), "{line}: {answer}");
    }
    let answer = ask(gateway, ALICE, "GET /api", "Host: b\r\n", "").await;
    assert!(answer.contains("gateway_request"), "{answer}");
    let other = "Authorization: Bearer other\r\n";
    assert!(ask(gateway, ALICE, "GET /api", other, "").await.contains("gateway_request"));
    let old = "GET /api HTTP/1.0\r\n\r\n";
    assert!(exchange(gateway, None, old).await.contains("400"));
}

#[tokio::test]
async fn heads_and_bodies_have_an_end() {
    let _shared = gateway().await;
    let gateway = Gateway::start("small", &["--gateway-body-bytes=2048"]);
    let many = (0..200).fold(String::new(), |mut all, number| {
        let _ = write!(all, "X-{number}: a\r\n");
        all
    });
    assert_eq!(statuses(&ask(&gateway, ALICE, "GET /api", &many, "").await), ["431"]);
    let long = format!("X-Long: {}\r\n", "a".repeat(100_000));
    assert_eq!(statuses(&ask(&gateway, ALICE, "GET /api", &long, "").await), ["431"]);
    let path = format!("GET /api?a={}", "a".repeat(20_000));
    assert_eq!(statuses(&ask(&gateway, ALICE, &path, "", "").await), ["414"]);
    let create = "POST /api/v1/namespaces/shop-web/configmaps";
    let said = "Content-Type: application/json\r\nContent-Length: 4096\r\n";
    let answer = ask(&gateway, ALICE, create, said, "").await;
    assert!(statuses(&answer) == ["413"] && answer.contains("gateway_too_large"), "{answer}");
    let body = format!("1000\r\n{}\r\n0\r\n\r\n", " ".repeat(4_096));
    let chunked = "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n";
    let answer = ask(&gateway, ALICE, create, chunked, &body).await;
    assert!(statuses(&answer) == ["413"] && answer.contains("gateway_too_large"), "{answer}");
}

#[tokio::test]
async fn a_reader_that_does_not_read_is_cut_off() {
    let shared = gateway().await;
    for number in 0..16 {
        let name = format!("large-{number}");
        let file = shared.settings.folder.join(&name);
        std::fs::write(&file, "a".repeat(900_000)).unwrap();
        let from = format!("--from-file=a={}", file.display());
        let made = shared.kubectl(ALICE, &["create", "configmap", &name, &from, "--namespace=shop-web"]);
        assert!(made.status.success(), "{}", text(&made));
    }
    let gateway = Gateway::start("slow", &["--gateway-patience=1"]);
    let mut streams = Vec::new();
    for _ in 0..2 {
        let mut stream = connect(&gateway, "http/1.1", None).await.unwrap();
        let token = gateway.token(ALICE);
        let list = "GET /api/v1/namespaces/shop-web/configmaps HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer";
        stream.write_all(format!("{list} {token}\r\n\r\n").as_bytes()).await.unwrap();
        streams.push(stream);
    }
    // Over HTTP/2 the connection goes on, and the stream's window is full.
    let second = list_over_http_2(&gateway).await;
    until("all are cut off", async || gateway.metric("bailey_gateway_slow_readers_total") == 3).await;
    drop(second);
    until("nothing is held for them", async || {
        gateway.metric("bailey_gateway_under_way") == 0 && gateway.metric("bailey_gateway_connections") == 0
    })
    .await;
    let mut rest = Vec::new();
    let _ = streams[0].read_to_end(&mut rest).await;
    assert!(rest.starts_with(b"HTTP/1.1 200") && rest.len() < 14_000_000, "{}", rest.len());
    // One who reads gets it whole.
    let whole =
        gateway.kubectl(ALICE, &["get", "configmaps", "--namespace=shop-web", "-o=name", "--chunk-size=0"]);
    assert_eq!(text(&whole).matches("large-").count(), 16);
    let gone =
        shared.kubectl(ALICE, &["delete", "configmap", "--all", "--namespace=shop-web", "--wait=false"]);
    assert!(gone.status.success(), "{}", text(&gone));
}

/// Asks for a list over HTTP/2, and opens no window for it.
async fn list_over_http_2(gateway: &Gateway) -> crate::wire::Stream {
    let mut stream = connect(gateway, "h2", None).await.unwrap();
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    bytes.extend(frame(SETTINGS, 0, 0, &[]));
    // `GET`, `https` and `a` of the static table of HPACK; then the path by its name there, and a token.
    let mut head = vec![0x82, 0x87, 0x41, 1, b'a'];
    let path = "/api/v1/namespaces/shop-web/configmaps";
    let token = format!("Bearer {}", gateway.token(ALICE));
    for (name, value) in [(0x04, path), (0x0f, token.as_str())] {
        // `authorization` is the 23rd: beyond four bits.
        head.extend(if name == 0x0f { vec![0x0f, 23 - 15] } else { vec![name] });
        assert!(value.len() < 127);
        head.push(u8::try_from(value.len()).unwrap());
        head.extend(value.as_bytes());
    }
    bytes.extend(frame(HEADERS, END_OF_ALL, 1, &head));
    stream.write_all(&bytes).await.unwrap();
    stream
}

#[tokio::test]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let _shared = gateway().await;
    let gateway = Gateway::start("late", &["--gateway-patience=1"]);
    let line = "POST /api/v1/namespaces/shop-web/configmaps";
    let answer =
        ask(&gateway, ALICE, line, "Content-Type: application/json\r\nContent-Length: 100\r\n", "{").await;
    assert!(statuses(&answer) == ["408"] && answer.contains("gateway_request"), "{answer}");
    until("nothing is held for it", async || gateway.metric("bailey_gateway_under_way") == 0).await;
}

#[tokio::test]
async fn an_address_has_so_many_connections() {
    let _shared = gateway().await;
    let gateway = Gateway::start("few", &["--gateway-connections-per-address=2"]);
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut stream = connect(&gateway, "http/1.1", None).await.unwrap();
        stream.write_all(b"GET /api HTTP/1.1\r\nHost: never-ends").await.unwrap();
        held.push(stream);
    }
    until("both are there", async || gateway.metric("bailey_gateway_connections") == 2).await;
    assert!(connect(&gateway, "http/1.1", None).await.is_err());
    assert_eq!(gateway.metric("bailey_gateway_connections_refused_total"), 1);
    held.pop();
    until_some("a place is free", async || connect(&gateway, "http/1.1", None).await.ok()).await;
}

#[tokio::test]
async fn a_client_that_resets_its_requests_is_disconnected() {
    let gateway = gateway().await;
    let mut stream = connect(gateway, "h2", None).await.unwrap();
    // `GET https://a/` with the static table of HPACK, and CANCEL for each: all of it at once.
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    bytes.extend(frame(SETTINGS, 0, 0, &[]));
    for number in 0..2_000 {
        let id = 2 * number + 1;
        bytes.extend(frame(HEADERS, END_OF_ALL, id, &[0x82, 0x84, 0x87, 0x41, 1, b'a']));
        bytes.extend(frame(RESET, 0, id, &8_u32.to_be_bytes()));
    }
    let _ = stream.write_all(&bytes).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    // Its payload begins with the last stream, then comes the reason: ENHANCE_YOUR_CALM.
    let goodbye =
        frames(&answer).into_iter().find(|(kind, _)| *kind == GOODBYE).expect("the gateway says goodbye");
    assert_eq!(goodbye.1[4..8], 11_u32.to_be_bytes());
    let url = gateway.url("/version");
    let other =
        https_client(&World::shared().access().authority()).get(url).bearer_auth(gateway.token(ALICE));
    assert_eq!(other.send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn the_protocol_changes_to_nothing_else() {
    let gateway = gateway().await;
    let answer = ask(
        gateway,
        ALICE,
        "GET /api",
        "Upgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\nConnection: Upgrade, HTTP2-Settings\r\n",
        "",
    )
    .await;
    assert_eq!(statuses(&answer), ["400"], "{answer}");
    let socket = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let answer = ask(gateway, ALICE, "GET /api/v1/namespaces/shop-web/configmaps/a", socket, "").await;
    assert!(answer.contains("gateway_request"), "{answer}");
    let token = format!("{socket}Sec-WebSocket-Protocol: base64url.bearer.authorization.k8s.io.YWRtaW4\r\n");
    let answer = ask(gateway, ALICE, "GET /api/v1/namespaces/shop-web/configmaps?watch=1", &token, "").await;
    assert!(answer.contains("Sec-WebSocket-Protocol"), "{answer}");
}

#[tokio::test]
async fn a_refusal_is_a_status_with_a_code() {
    let gateway = gateway().await;
    let answer = ask(gateway, ALICE, "GET //", "", "").await;
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    let status: Value = serde_json::from_slice(&Bytes::from(body.to_owned())).unwrap();
    assert_eq!(
        (&status["kind"], &status["code"], &status["reason"]),
        (&"Status".into(), &400.into(), &"BadRequest".into())
    );
    assert_eq!(status["details"]["causes"][0]["reason"], "gateway_request");
}

const HEADERS: u8 = 1;
const RESET: u8 = 3;
const SETTINGS: u8 = 4;
const GOODBYE: u8 = 7;
const END_OF_ALL: u8 = 5;

/// A frame of HTTP/2.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// The frames in some bytes, by kind and payload.
fn frames(mut bytes: &[u8]) -> Vec<(u8, &[u8])> {
    let mut frames = Vec::new();
    while let [high, middle, low, kind, rest @ ..] = bytes {
        let length = usize::from(*high) << 16 | usize::from(*middle) << 8 | usize::from(*low);
        let Some(payload) = rest.get(5..5 + length) else { break };
        frames.push((*kind, payload));
        bytes = &rest[5 + length..];
    }
    frames
}
