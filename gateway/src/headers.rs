//! Headers: what a client may send, what of it goes on, and who the API server is told is asking.

use http::header::{
    AUTHORIZATION, CONNECTION, CONTENT_LENGTH, COOKIE, EXPECT, HOST, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION,
    SEC_WEBSOCKET_PROTOCOL, TE, TRAILER, TRANSFER_ENCODING, UPGRADE, VIA,
};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Version};
use model::{Code, UserInfo};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use crate::refusal::Refusal;

/// What the name of a credential in a list of WebSocket protocols begins with.
const SOCKET_TOKEN: &str = "base64url.bearer.authorization.k8s.io";

/// What a key of `Impersonate-Extra-` is written in, as RFC 9110 has it, but for `%` itself.
const TOKEN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Protocols that a connection may change to: those of exec, attach, port-forward and of watches by browsers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Upgrade {
    WebSocket,
    Spdy,
}

impl Upgrade {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::WebSocket => "websocket",
            Self::Spdy => "SPDY/3.1",
        }
    }
}

/// Holds a request's headers against the rules; gives the protocol that the client wants to change to.
///
/// # Errors
/// [`Code::GatewayImpersonation`] for every spelling of impersonation, [`Code::GatewayRequest`] for what has two readings.
pub(crate) fn check<B>(request: &Request<B>) -> Result<Option<Upgrade>, Refusal> {
    let headers = request.headers();
    if let Some(name) = headers.keys().find(|name| plain(name).starts_with("impersonate")) {
        let message = format!(
            "the header `{name}` asks to act as somebody else, which this endpoint does for nobody; \
             leave `--as` out, or use the API server's own address"
        );
        return Err(Refusal::new(Code::GatewayImpersonation, message));
    }
    for name in [AUTHORIZATION, CONTENT_LENGTH, HOST, UPGRADE] {
        if headers.get_all(&name).iter().nth(1).is_some() {
            return Err(refuse(format!("the header `{name}` is there more than once")));
        }
    }
    check_host(request)?;
    let protocols = headers.get_all(SEC_WEBSOCKET_PROTOCOL);
    if protocols.iter().any(|value| value.to_str().is_ok_and(|text| text.contains(SOCKET_TOKEN))) {
        return Err(refuse(
            "a token in `Sec-WebSocket-Protocol` does not pass; send it as `Authorization: Bearer`".into(),
        ));
    }
    upgrade(request)
}

fn refuse(message: String) -> Refusal {
    Refusal::new(Code::GatewayRequest, message)
}

/// The name as a careless server might read it: percent signs decoded, underscores for hyphens.
fn plain(name: &HeaderName) -> String {
    percent_decode_str(name.as_str()).decode_utf8_lossy().to_lowercase().replace('_', "-")
}

/// One host, said once, and a target that does not name another.
fn check_host<B>(request: &Request<B>) -> Result<(), Refusal> {
    let (uri, host) = (request.uri(), request.headers().get(HOST));
    match request.version() {
        Version::HTTP_11 if uri.authority().is_some() => {
            Err(refuse("the target has to be a path: this endpoint is no proxy".into()))
        }
        Version::HTTP_11 if host.is_none() => Err(refuse("the header `Host` is missing".into())),
        Version::HTTP_11 => Ok(()),
        Version::HTTP_2 => {
            let authority = uri.authority().map(|authority| authority.as_str().as_bytes());
            match host {
                Some(host) if authority.is_some_and(|authority| authority != host.as_bytes()) => {
                    Err(refuse("`:authority` and `Host` differ".into()))
                }
                _ => Ok(()),
            }
        }
        version => Err(refuse(format!("{version:?} does not pass; use HTTP/1.1 or HTTP/2"))),
    }
}

fn upgrade<B>(request: &Request<B>) -> Result<Option<Upgrade>, Refusal> {
    let headers = request.headers();
    let Some(wanted) = headers.get(UPGRADE) else { return Ok(None) };
    let named = |value: &HeaderValue| {
        value
            .to_str()
            .is_ok_and(|text| text.split(',').any(|part| part.trim().eq_ignore_ascii_case("upgrade")))
    };
    if request.version() != Version::HTTP_11 || !headers.get_all(CONNECTION).iter().any(named) {
        return Err(refuse("`Upgrade` needs HTTP/1.1 and `Connection: Upgrade`".into()));
    }
    match wanted.as_bytes() {
        wanted if wanted.eq_ignore_ascii_case(b"websocket") => Ok(Some(Upgrade::WebSocket)),
        wanted if wanted.eq_ignore_ascii_case(b"spdy/3.1") => Ok(Some(Upgrade::Spdy)),
        _ => Err(refuse("only `websocket` and `SPDY/3.1` pass in `Upgrade`".into())),
    }
}

/// Takes out what a client may not say to the API server: who it is, by which way it came, and what concerns one
/// connection only.
pub(crate) fn strip(headers: &mut HeaderMap) {
    hop_by_hop(headers);
    for name in [AUTHORIZATION, HOST, CONTENT_LENGTH, EXPECT, COOKIE, VIA] {
        headers.remove(name);
    }
    let forged = |name: &HeaderName| {
        let plain = plain(name);
        let begins =
            ["x-remote-", "x-forwarded", "forwarded", "x-real-ip", "x-original-", "x-client-cert", "x-ssl-"];
        begins.iter().any(|begin| plain.starts_with(begin))
    };
    let forged: Vec<HeaderName> = headers.keys().filter(|name| forged(name)).cloned().collect();
    for name in forged {
        headers.remove(name);
    }
}

/// Takes out what concerns one connection only.
pub(crate) fn hop_by_hop(headers: &mut HeaderMap) {
    let named = headers.get_all(CONNECTION).iter().filter_map(|value| value.to_str().ok());
    let named =
        named.flat_map(|text| text.split(',')).filter_map(|name| name.trim().parse::<HeaderName>().ok());
    let named: Vec<HeaderName> = named.collect();
    let fixed =
        [CONNECTION, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE];
    let others = ["keep-alive", "proxy-connection"].map(HeaderName::from_static);
    for name in named.into_iter().chain(fixed).chain(others) {
        headers.remove(name);
    }
}

/// Tells the API server who is asking.
///
/// # Errors
/// [`Code::GatewayIdentity`] for a name that no header can carry.
pub(crate) fn impersonate(headers: &mut HeaderMap, user: &UserInfo) -> Result<(), Refusal> {
    let user_name = HeaderName::from_static("impersonate-user");
    headers.insert(user_name, value(&user.username)?);
    // The API server knows the rest of a service account by its name, and lets nobody say it who may act as service
    // accounts and as nobody else.
    if user.username.starts_with("system:serviceaccount:") {
        return Ok(());
    }
    if !user.uid.is_empty() {
        headers.insert(HeaderName::from_static("impersonate-uid"), value(&user.uid)?);
    }
    for group in user.groups.iter().filter(|group| *group != "system:authenticated") {
        headers.append(HeaderName::from_static("impersonate-group"), value(group)?);
    }
    for (key, values) in &user.extra {
        let name = format!("impersonate-extra-{}", utf8_percent_encode(&key.to_lowercase(), TOKEN));
        let name = HeaderName::try_from(name).map_err(|_| unspeakable(key))?;
        for text in values {
            headers.append(&name, value(text)?);
        }
    }
    Ok(())
}

fn value(text: &str) -> Result<HeaderValue, Refusal> {
    let clean = !text.is_empty() && text.trim() == text;
    HeaderValue::from_str(text).ok().filter(|_| clean && text.is_ascii()).ok_or_else(|| unspeakable(text))
}

fn unspeakable(text: &str) -> Refusal {
    let message = format!(
        "the name {text:?} of the user or of one of its groups cannot be said to the API server: it is empty, or has \
         other than visible ASCII characters"
    );
    Refusal::new(Code::GatewayIdentity, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(headers: &[(&str, &str)]) -> Request<()> {
        let builder = Request::get("/api").header("host", "a");
        headers.iter().fold(builder, |builder, (name, value)| builder.header(*name, *value)).body(()).unwrap()
    }

    #[test]
    fn impersonation_is_refused_in_every_spelling() {
        for name in [
            "Impersonate-User",
            "impersonate-group",
            "IMPERSONATE-UID",
            "Impersonate-Extra-scopes",
            "Impersonate_User",
            "impersonate%2duser",
            "Impersonate-Extra-a%2fb",
            "imp%65rsonate-user",
            "Impersonate",
            "Impersonate%5FUser",
        ] {
            assert_eq!(
                check(&request(&[(name, "x")])).unwrap_err().code,
                Code::GatewayImpersonation,
                "{name}"
            );
        }
    }

    #[test]
    fn what_is_said_twice_is_refused() {
        for name in ["authorization", "content-length", "host", "upgrade"] {
            let twice = request(&[(name, "a"), (name, "b")]);
            assert_eq!(check(&twice).unwrap_err().code, Code::GatewayRequest, "{name}");
        }
    }

    #[test]
    fn a_request_has_one_host() {
        let absolute = Request::get("http://b/api").header("host", "a").body(()).unwrap();
        assert!(check(&absolute).is_err());
        assert!(check(&Request::get("/api").body(()).unwrap()).is_err());
        let two = |host| {
            Request::get("https://a/api").version(Version::HTTP_2).header("host", host).body(()).unwrap()
        };
        assert!(check(&two("b")).is_err());
        assert_eq!(check(&two("a")), Ok(None));
        let old = Request::get("/api").version(Version::HTTP_10).header("host", "a").body(()).unwrap();
        assert!(check(&old).is_err());
    }

    #[test]
    fn connections_change_only_to_what_kubernetes_uses() {
        let wanted =
            |protocol, connection| check(&request(&[("upgrade", protocol), ("connection", connection)]));
        assert_eq!(wanted("websocket", "Upgrade"), Ok(Some(Upgrade::WebSocket)));
        assert_eq!(wanted("SPDY/3.1", "keep-alive, upgrade"), Ok(Some(Upgrade::Spdy)));
        for (protocol, connection) in [
            ("h2c", "Upgrade"),
            ("websocket, h2c", "Upgrade"),
            ("websocket", "close"),
            ("TLS/1.0", "Upgrade"),
        ] {
            assert_eq!(wanted(protocol, connection).unwrap_err().code, Code::GatewayRequest, "{protocol}");
        }
        let token =
            ("sec-websocket-protocol", "v5.channel.k8s.io, base64url.bearer.authorization.k8s.io.eHh4");
        assert!(check(&request(&[("upgrade", "websocket"), ("connection", "upgrade"), token])).is_err());
    }

    #[test]
    fn nothing_goes_on_that_says_who_asks() {
        let mut headers = request(&[
            ("authorization", "Bearer x"),
            ("x-remote-user", "admin"),
            ("X_Remote_Group", "system:masters"),
            ("x%2dremote-user", "admin"),
            ("x-remote-extra-a", "b"),
            ("forwarded", "for=a"),
            ("x-forwarded-for", "b"),
            ("x-forwarded-host", "c"),
            ("x-real-ip", "d"),
            ("connection", "x-private, close"),
            ("x-private", "e"),
            ("keep-alive", "5"),
            ("te", "trailers"),
            ("trailer", "a"),
            ("transfer-encoding", "chunked"),
            ("proxy-authorization", "f"),
            ("cookie", "g"),
            ("content-length", "5"),
            ("expect", "100-continue"),
            ("accept", "application/json"),
            ("audit-id", "h"),
        ]);
        let headers = headers.headers_mut();
        strip(headers);
        let left: std::collections::BTreeSet<&str> = headers.keys().map(HeaderName::as_str).collect();
        assert_eq!(left, ["accept", "audit-id"].into());
    }

    #[test]
    fn a_user_is_said_whole_and_a_service_account_by_name() {
        let mut user = UserInfo {
            username: "oidc:alice@example.com".into(),
            uid: "7".into(),
            groups: vec!["a".into(), "system:authenticated".into(), "b".into()],
            extra: [("Example.com/Scope".to_owned(), vec!["x".to_owned(), "y".to_owned()])].into(),
        };
        let mut headers = HeaderMap::new();
        impersonate(&mut headers, &user).unwrap();
        let all = |name: &str| {
            headers.get_all(name).iter().map(|value| value.to_str().unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(all("impersonate-user"), ["oidc:alice@example.com"]);
        assert_eq!(all("impersonate-uid"), ["7"]);
        assert_eq!(all("impersonate-group"), ["a", "b"]);
        assert_eq!(all("impersonate-extra-example.com%2fscope"), ["x", "y"]);
        user.username = "system:serviceaccount:a:b".into();
        let mut headers = HeaderMap::new();
        impersonate(&mut headers, &user).unwrap();
        assert_eq!(headers.len(), 1);
    }

    #[test]
    fn a_name_that_no_header_carries_is_refused() {
        for name in ["", "a\r\nImpersonate-Group: system:masters", " a", "a ", "\u{e4}", "a\0"] {
            let user = UserInfo { username: name.into(), ..UserInfo::default() };
            assert_eq!(
                impersonate(&mut HeaderMap::new(), &user).unwrap_err().code,
                Code::GatewayIdentity,
                "{name:?}"
            );
        }
    }
}
