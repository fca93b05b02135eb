//! What no library sends: bytes on a TLS connection to the gateway.

use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tests::gateway::Gateway;
use tests::{User, World};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

pub(crate) type Stream = TlsStream<TcpStream>;

/// A client's certificate and key, in PEM.
pub(crate) type Identity<'a> = (&'a str, &'a str);

/// Connects, with this protocol of TLS's, and a receive buffer as small as can be.
pub(crate) async fn connect(
    gateway: &Gateway,
    protocol: &str,
    client: Option<Identity<'_>>,
) -> std::io::Result<Stream> {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(World::shared().access().authority()).unwrap()).unwrap();
    let builder = ClientConfig::builder().with_root_certificates(roots);
    let mut config = match client {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => {
            let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()];
            builder
                .with_client_auth_cert(chain, PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap())
                .unwrap()
        }
    };
    config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
    let socket = TcpSocket::new_v4()?;
    socket.set_recv_buffer_size(4_096)?;
    let stream = socket.connect(format!("127.0.0.1:{}", gateway.port).parse().unwrap()).await?;
    TlsConnector::from(Arc::new(config)).connect(ServerName::try_from("127.0.0.1").unwrap(), stream).await
}

/// Sends bytes, and gives what comes back until the gateway closes or has nothing more to say to requests that end with
/// `Connection: close`.
pub(crate) async fn exchange(gateway: &Gateway, client: Option<Identity<'_>>, bytes: &str) -> String {
    let mut stream = connect(gateway, "http/1.1", client).await.unwrap();
    let _ = stream.write_all(bytes.as_bytes()).await;
    let mut answer = Vec::new();
    // An end without TLS' own is one too.
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

/// A request of a user, of lines of a head and a body; the connection is closed after it.
pub(crate) async fn ask(gateway: &Gateway, user: User, line: &str, headers: &str, body: &str) -> String {
    let token = gateway.token(user);
    let head =
        format!("{line} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n");
    exchange(gateway, None, &format!("{head}{headers}\r\n{body}")).await
}

/// The status of the first answer, and how many there are.
pub(crate) fn statuses(answers: &str) -> Vec<&str> {
    answers.split("HTTP/1.1 ").skip(1).map(|answer| &answer[..3]).collect()
}
