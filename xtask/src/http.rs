//! A plain HTTP GET on loopback, which is all that readiness needs.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, Result};

const TIMEOUT: Duration = Duration::from_secs(2);

/// Status code and body of `GET path` on a loopback port.
///
/// # Errors
/// When nobody listens, or the answer takes longer than two seconds or is no HTTP.
pub fn get(port: u16, path: &str) -> Result<(u16, String)> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    parse(&String::from_utf8_lossy(&answer))
}

/// True when `GET path` answers with a 2xx status.
#[must_use]
pub fn is_ok(port: u16, path: &str) -> bool {
    get(port, path).is_ok_and(|(status, _)| (200..300).contains(&status))
}

/// As many different free loopback ports as asked for.
///
/// They are free when this returns; another process can take one before it is used, so callers try
/// again with new ports.
///
/// # Errors
/// When the system has no free port.
pub fn free_ports<const N: usize>() -> Result<[u16; N]> {
    let mut held = Vec::new();
    let mut ports = [0; N];
    for port in &mut ports {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port on 127.0.0.1")?;
        *port = listener.local_addr()?.port();
        held.push(listener);
    }
    Ok(ports)
}

fn parse(answer: &str) -> Result<(u16, String)> {
    let (head, body) = answer.split_once("\r\n\r\n").context("the answer is no HTTP")?;
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
    Ok((status.context("the answer has no status code")?, body.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_status_and_body() {
        let (status, body) = parse("HTTP/1.1 503 Service Unavailable\r\nA: b\r\n\r\nno policies").unwrap();
        assert_eq!((status, body.as_str()), (503, "no policies"));
    }

    #[test]
    fn refuses_what_is_no_http() {
        assert!(parse("SSH-2.0-OpenSSH").is_err());
        assert!(parse("HTTP/1.1 abc\r\n\r\n").is_err());
    }

    #[test]
    fn ports_differ() {
        let [a, b, c] = free_ports().unwrap();
        assert!(a != b && b != c && a != c);
    }
}
