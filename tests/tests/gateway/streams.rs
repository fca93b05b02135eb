//! Connections that change their protocol, and answers that go on, byte by byte: who answers as a node here sees what comes.

use std::sync::{Arc, OnceLock};

use tests::gateway::Gateway;
use tests::node::announce;
use tests::{ALICE, World, until};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::gateway;
use crate::wire::{Stream, connect};

/// Answers as a kubelet does, but runs nothing: an upgrade is followed by an echo, a log by what is asked for.
async fn kubelet(mut stream: TlsStream<tokio::net::TcpStream>) -> std::io::Result<()> {
    let head = read_head(&mut stream).await?;
    let lower = head.to_lowercase();
    // Nothing of the user's credentials comes so far, and nothing that says for whom the gateway acts.
    assert!(!lower.contains("impersonate-") && !lower.contains("\r\nauthorization:"), "{head}");
    if head.contains("/containerLogs/") {
        let log = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nfirst\n\r\n";
        stream.write_all(log.as_bytes()).await?;
        stream.flush().await?;
        // The rest comes when the first line was read.
        LOG.get().expect("a log is asked for after the signal is there").notified().await;
        stream.write_all(b"7\r\nsecond\n\r\n0\r\n\r\n").await?;
        return stream.shutdown().await;
    }
    let answer = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n\
                  X-Stream-Protocol-Version: v4.channel.k8s.io\r\n\r\n";
    stream.write_all(answer.as_bytes()).await?;
    let mut buffer = [0; 1024];
    loop {
        let length = stream.read(&mut buffer).await?;
        if length == 0 {
            return stream.shutdown().await;
        }
        stream.write_all(&buffer[..length]).await?;
        stream.flush().await?;
    }
}

static LOG: OnceLock<tokio::sync::Notify> = OnceLock::new();

/// Starts the kubelet of a node with this name, which has a Pod of the same name in `shop-web`.
async fn node(name: &str) {
    let world = World::shared();
    let issued = world.access().webhook_server();
    let chain = vec![pem(&issued.certificate)];
    let config = rustls::ServerConfig::builder().with_no_client_auth();
    let config = config.with_single_cert(chain, pem(&issued.key)).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            if let Ok(stream) = acceptor.accept(stream).await {
                tokio::spawn(kubelet(stream));
            }
        }
    });
    announce(world, "shop-web", name, port).await;
}

fn pem<T: rustls::pki_types::pem::PemObject>(file: &std::path::Path) -> T {
    T::from_pem_file(file).unwrap()
}

async fn read_head<S: tokio::io::AsyncRead + Unpin>(stream: &mut S) -> std::io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}

/// The headers of kubectl's older way to a stream.
const SPDY: &str = "Connection: Upgrade\r\nUpgrade: SPDY/3.1\r\nX-Stream-Protocol-Version: v4.channel.k8s.io\r\n\
                    Content-Length: 0\r\n";

async fn begin(gateway: &Gateway, line: &str, headers: &str) -> (Stream, String) {
    let mut stream = connect(gateway, "http/1.1", None).await.unwrap();
    let token = gateway.token(ALICE);
    let head = format!("{line} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n{headers}\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let head = read_head(&mut stream).await.unwrap();
    (stream, head)
}

#[tokio::test]
async fn exec_goes_both_ways() {
    let _shared = gateway().await;
    let gateway = Gateway::start("exec", &[]);
    node("exec-node").await;
    let line = "POST /api/v1/namespaces/shop-web/pods/exec-node/exec?command=cat&stdin=true&stdout=true";
    let (mut stream, head) = begin(&gateway, line, SPDY).await;
    assert!(head.starts_with("HTTP/1.1 101") && head.to_lowercase().contains("upgrade: spdy/3.1"), "{head}");
    for text in ["one", "two"] {
        stream.write_all(text.as_bytes()).await.unwrap();
        let mut echo = [0; 3];
        stream.read_exact(&mut echo).await.unwrap();
        assert_eq!(echo, text.as_bytes());
    }
    for taken in ["bailey_gateway_streams", "bailey_gateway_connections"] {
        assert_eq!(gateway.metric(taken), 1, "{taken}");
    }
    drop(stream);
    until("its connection is closed", async || gateway.metric("bailey_gateway_connections") == 0).await;
    until("its place is free", async || gateway.metric("bailey_gateway_streams") == 0).await;
}

/// Whether the connections of the gateway are asked for a sign of life when they fall silent: each one of a client, and one
/// to the API server at least, to which some are not of clients.
fn is_asked_for_signs_of_life(gateway: &Gateway) -> bool {
    let of_gateway: Vec<String> = std::fs::read_dir(format!("/proc/{}/fd", gateway.pid()))
        .unwrap()
        .filter_map(|file| Some(std::fs::read_link(file.ok()?.path()).ok()?.to_str()?.to_owned()))
        .filter_map(|link| Some(link.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned()))
        .collect();
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let lines = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let open = lines.filter(|line| line[3] == "01" && of_gateway.iter().any(|inode| inode == line[9]));
    let port = |address: &str| u16::from_str_radix(address.rsplit_once(':').unwrap().1, 16).unwrap();
    let asked = |line: &Vec<&str>| line[5].starts_with("02:");
    let (of_clients, others): (Vec<_>, Vec<_>) = open.partition(|line| port(line[1]) == gateway.port);
    !of_clients.is_empty() && of_clients.iter().all(asked) && others.iter().any(asked)
}

#[tokio::test]
async fn a_stream_without_a_word_is_asked_for_a_sign_of_life() {
    let _shared = gateway().await;
    let gateway = Gateway::start("silent", &[]);
    node("silent-node").await;
    let line = "POST /api/v1/namespaces/shop-web/pods/silent-node/exec?command=cat&stdin=true&stdout=true";
    let (_stream, head) = begin(&gateway, line, SPDY).await;
    assert!(head.starts_with("HTTP/1.1 101"), "{head}");
    until("it is asked", async || is_asked_for_signs_of_life(&gateway)).await;
}

#[tokio::test]
async fn a_watch_goes_over_a_web_socket() {
    let gateway = gateway().await;
    let line =
        "GET /api/v1/namespaces/shop-web/configmaps?watch=true&fieldSelector=metadata.name=kube-root-ca.crt";
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                   Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nOrigin: https://a\r\n";
    let (mut stream, head) = begin(gateway, line, upgrade).await;
    assert!(head.starts_with("HTTP/1.1 101"), "{head}");
    assert!(head.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "the answer to the key: {head}");
    // One frame, of text, with the object that is there.
    let mut frame = [0; 2];
    stream.read_exact(&mut frame).await.unwrap();
    assert_eq!(frame[0], 0x81);
    let mut rest = [0; 200];
    stream.read_exact(&mut rest).await.unwrap();
    assert!(String::from_utf8_lossy(&rest).contains(r#""type":"ADDED""#));
}

#[tokio::test]
async fn a_log_comes_line_by_line() {
    let gateway = gateway().await;
    LOG.set(tokio::sync::Notify::new()).unwrap();
    node("log-node").await;
    let line = "GET /api/v1/namespaces/shop-web/pods/log-node/log?follow=true";
    let (mut stream, head) = begin(gateway, line, "Connection: close\r\n").await;
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    let mut text = String::new();
    while !text.contains("first") {
        text.push(char::from(stream.read_u8().await.unwrap()));
    }
    assert!(!text.contains("second"));
    LOG.get().unwrap().notify_one();
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest).await;
    assert!(String::from_utf8_lossy(&rest).contains("second"));
}
