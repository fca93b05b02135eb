//! Lists as the API server writes them in JSON, put behind one another.

use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::{Bytes, BytesMut};
use http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, WARNING};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use model::Code;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::refusal::Refusal;

/// The longest list, in bytes.
const MAX_BYTES: usize = 16 << 20;

/// A list, a list of metadata, or a table. What is in it stays as it is.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Page {
    kind: String,
    api_version: String,
    pub(super) metadata: Metadata,
    #[serde(skip_serializing_if = "Option::is_none")]
    column_definitions: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    items: Option<Vec<Box<RawValue>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rows: Option<Vec<Box<RawValue>>>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Metadata {
    #[serde(default)]
    pub(super) resource_version: String,
    #[serde(default, rename = "continue", skip_serializing_if = "Option::is_none")]
    pub(super) rest: Option<String>,
}

impl Page {
    /// Reads a list.
    ///
    /// # Errors
    /// [`Code::GatewayUnavailable`] for what is none.
    pub(super) fn read(body: &Bytes) -> Result<Self, Refusal> {
        let mut page: Self = serde_json::from_slice(body).map_err(|error| {
            tracing::warn!(%error, "a list of the API server was not understood");
            Refusal::unavailable(StatusCode::BAD_GATEWAY, "the API server's list was not understood")
        })?;
        page.metadata.rest = page.metadata.rest.filter(|rest| !rest.is_empty());
        let place = if page.kind == "Table" { &mut page.rows } else { &mut page.items };
        place.get_or_insert_default();
        Ok(page)
    }

    /// How many objects it has.
    pub(super) fn len(&self) -> usize {
        self.items.iter().chain(&self.rows).map(Vec::len).sum()
    }

    /// Takes all objects out.
    pub(super) fn clear(&mut self) {
        self.items.iter_mut().chain(&mut self.rows).for_each(Vec::clear);
    }

    /// Puts another one behind it.
    pub(super) fn append(&mut self, more: Self) {
        self.items.get_or_insert_default().extend(more.items.into_iter().flatten());
        self.rows.get_or_insert_default().extend(more.rows.into_iter().flatten());
        if self.kind == "Table" {
            self.items = None;
        } else {
            self.rows = None;
        }
    }

    /// The answer, with what the API server said about the form, and its warnings.
    pub(super) fn respond(&self, said: &HeaderMap) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::new(self.write()));
        for name in [CONTENT_TYPE, WARNING] {
            for value in said.get_all(&name) {
                response.headers_mut().append(&name, value.clone());
            }
        }
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache, private"));
        response
    }

    fn write(&self) -> Bytes {
        // What was read becomes JSON again.
        serde_json::to_vec(self).unwrap_or_default().into()
    }
}

/// Reads the body of a list, as long as all that is counted together is not too long.
///
/// # Errors
/// [`Code::GatewayTooLarge`] above 16 MiB, [`Code::GatewayUnavailable`] where it breaks off.
pub(super) async fn collect(mut body: Incoming, count: &AtomicUsize) -> Result<Bytes, Refusal> {
    let mut read = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| {
            tracing::warn!(%error, "a list of the API server broke off");
            Refusal::unavailable(StatusCode::BAD_GATEWAY, "the API server's list broke off")
        })?;
        let Some(data) = frame.data_ref() else { continue };
        let before = count.fetch_add(data.len(), Ordering::Relaxed);
        if before.saturating_add(data.len()) > MAX_BYTES {
            let message = format!(
                "the list is longer than the {MAX_BYTES} bytes that are put together at once: ask for fewer objects with \
                 a lower `limit` (`kubectl --chunk-size`), or for one namespace"
            );
            return Err(Refusal::new(Code::GatewayTooLarge, message));
        }
        read.extend_from_slice(data);
    }
    Ok(read.freeze())
}

/// Asks for JSON alone, uncompressed: of what a client accepts, the parts that are JSON.
///
/// # Errors
/// [`Code::GatewayRequest`] with the status 406 where none is.
pub(super) fn accept_json(headers: &mut HeaderMap) -> Result<(), Refusal> {
    headers.remove(http::header::ACCEPT_ENCODING);
    let asked = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let asked: Vec<&str> = asked.flat_map(|text| text.split(',')).map(str::trim).collect();
    let media = |part: &&&str| part.split(';').next().is_some_and(|media| media.trim() == "application/json");
    let json: Vec<&str> = asked.iter().filter(media).copied().collect();
    let any = |part: &&str| {
        part.split(';').next().is_some_and(|media| matches!(media.trim(), "" | "*/*" | "application/*"))
    };
    let accept = if !json.is_empty() {
        HeaderValue::from_str(&json.join(",")).ok()
    } else if asked.is_empty() || asked.iter().any(any) {
        Some(HeaderValue::from_static("application/json"))
    } else {
        None
    };
    let Some(accept) = accept else {
        let message = "lists of all namespaces are put together in `application/json` only: accept that, or ask for one namespace";
        return Err(Refusal::new(Code::GatewayRequest, message).with_status(StatusCode::NOT_ACCEPTABLE));
    };
    headers.insert(ACCEPT, accept);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(text: &'static str) -> Page {
        Page::read(&Bytes::from_static(text.as_bytes())).unwrap()
    }

    #[test]
    fn lists_and_tables_are_put_behind_one_another_as_they_are() {
        let mut list = page(
            r#"{"kind":"PodList","apiVersion":"v1","metadata":{"resourceVersion":"7","continue":""},"items":[{"a": 1.0}]}"#,
        );
        list.append(page(r#"{"kind":"PodList","apiVersion":"v1","metadata":{},"items":null}"#));
        list.append(page(r#"{"kind":"PodList","apiVersion":"v1","metadata":{},"items":[{"b":2}]}"#));
        assert_eq!(list.len(), 2);
        let expected = r#"{"kind":"PodList","apiVersion":"v1","metadata":{"resourceVersion":"7"},"items":[{"a": 1.0},{"b":2}]}"#;
        assert_eq!(list.write(), expected);
        let mut table = page(
            r#"{"kind":"Table","apiVersion":"meta.k8s.io/v1","metadata":{"resourceVersion":"7"},"columnDefinitions":[1],"rows":[]}"#,
        );
        table.append(page(
            r#"{"kind":"Table","apiVersion":"meta.k8s.io/v1","metadata":{},"columnDefinitions":[1],"rows":[2]}"#,
        ));
        let expected = r#"{"kind":"Table","apiVersion":"meta.k8s.io/v1","metadata":{"resourceVersion":"7"},"columnDefinitions":[1],"rows":[2]}"#;
        assert_eq!(table.write(), expected);
        assert!(Page::read(&Bytes::from_static(b"k8s\0")).is_err());
    }

    #[test]
    fn json_is_asked_for_where_the_client_takes_it() {
        let accept = |text: Option<&str>| {
            let mut headers = HeaderMap::new();
            text.into_iter().for_each(|text| _ = headers.insert(ACCEPT, text.parse().unwrap()));
            accept_json(&mut headers)
                .map(|()| headers[ACCEPT].to_str().unwrap().to_owned())
                .map_err(|no| no.status)
        };
        let table = "application/json;as=Table;v=v1;g=meta.k8s.io";
        assert_eq!(
            accept(Some(&format!("{table}, application/json"))),
            Ok(format!("{table},application/json"))
        );
        let mixed = "application/vnd.kubernetes.protobuf,application/json";
        for text in [None, Some("*/*"), Some("application/json"), Some(mixed), Some("text/html, */*;q=0.1")] {
            assert_eq!(accept(text).as_deref(), Ok("application/json"), "{text:?}");
        }
        for text in ["application/vnd.kubernetes.protobuf", "application/yaml", "application/jsonx"] {
            assert_eq!(accept(Some(text)), Err(StatusCode::NOT_ACCEPTABLE), "{text}");
        }
    }
}
