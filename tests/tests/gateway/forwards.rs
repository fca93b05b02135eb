//! The stock kubectl's port-forward to a real node, through the gateway and straight at the API server.

use std::io::{BufRead as _, BufReader};
use std::process::Child;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tests::gateway::Gateway;
use tests::node::Node;
use tests::{ALICE, World, until};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::OnceCell;

use crate::containers::{SOCKETS, STUDIO, kubectl, studio};

const HARBOUR: &str = "harbour";
static NODE: OnceCell<Node> = OnceCell::const_new();

async fn harbour() -> &'static Gateway {
    let gateway = studio().await;
    NODE.get_or_init(|| Node::start(World::shared(), STUDIO, HARBOUR, &["sleep", "3600"])).await;
    gateway
}

/// Sends back what comes, on a port of loopback; counts the connections that are open.
async fn echo() -> (u16, Arc<AtomicUsize>) {
    let (open, listener) = (Arc::new(AtomicUsize::new(0)), TcpListener::bind("127.0.0.1:0").await.unwrap());
    let (port, counter) = (listener.local_addr().unwrap().port(), Arc::clone(&open));
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let counter = Arc::clone(&counter);
            counter.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(async move {
                let (mut reader, mut writer) = stream.split();
                let _ = copy(&mut reader, &mut writer).await;
                counter.fetch_sub(1, Ordering::SeqCst);
            });
        }
    });
    (port, open)
}

/// Starts a port-forward, and gives the port that it listens on.
fn forward(gateway: Option<&Gateway>, sockets: bool, port: u16) -> (Child, u16) {
    let arguments = ["port-forward", HARBOUR, &format!(":{port}"), "--address=127.0.0.1"];
    let mut child = kubectl(gateway, ALICE, sockets, &arguments).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    // Forwarding from 127.0.0.1:34567 -> 80
    let from = line.split_whitespace().find_map(|word| word.strip_prefix("127.0.0.1:")?.parse().ok());
    (child, from.unwrap_or_else(|| panic!("{line:?}")))
}

#[tokio::test(flavor = "multi_thread")]
async fn several_connections_go_over_one_port_forward() {
    let gateway = harbour().await;
    let (port, open) = echo().await;
    for way in [None, Some(gateway)] {
        for sockets in SOCKETS {
            let (mut child, from) = forward(way, sockets, port);
            // One stays open while others come and go.
            let mut first = TcpStream::connect(("127.0.0.1", from)).await.unwrap();
            first.write_all(b"first").await.unwrap();
            let several = (0..8_u8).map(|number| tokio::spawn(exchange(from, vec![number; 256 << 10])));
            futures::future::try_join_all(several).await.unwrap();
            let mut said = [0; 5];
            first.read_exact(&mut said).await.unwrap();
            assert_eq!(&said, b"first");
            until("the others are closed", async || open.load(Ordering::SeqCst) == 1).await;
            // What kubectl leaves open when it goes, is closed at the node.
            child.kill().unwrap();
            child.wait().unwrap();
            until("the first is closed", async || open.load(Ordering::SeqCst) == 0).await;
        }
    }
}

async fn exchange(port: u16, bytes: Vec<u8>) {
    let stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let (mut reader, mut writer) = stream.into_split();
    let sent = bytes.clone();
    let sending = tokio::spawn(async move {
        writer.write_all(&sent).await.unwrap();
        writer
    });
    let mut back = vec![0; bytes.len()];
    reader.read_exact(&mut back).await.unwrap();
    assert!(back == bytes);
    drop(sending.await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_forward_is_one_stream() {
    let _shared = harbour().await;
    let gateway = Gateway::start("forwards", &["--gateway-streams=1"]);
    let (port, _) = echo().await;
    for sockets in SOCKETS {
        let (mut child, from) = forward(Some(&gateway), sockets, port);
        let several = (0..4_u8).map(|number| tokio::spawn(exchange(from, vec![number; 1 << 10])));
        futures::future::try_join_all(several).await.unwrap();
        until("it is counted once", async || gateway.metric("bailey_gateway_streams") == 1).await;
        child.kill().unwrap();
        child.wait().unwrap();
        until("its place is free", async || gateway.metric("bailey_gateway_streams") == 0).await;
    }
}
