//! Traces reach a collector over OTLP, as part of the trace that the caller began.

use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::trace::v1::Span;
use tests::{SOON, Standalone, https_client, required_label};
use tokio::sync::mpsc;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;

const CALLER: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// A collector that hands on the spans it is sent.
struct Collector(mpsc::UnboundedSender<Span>);

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: tonic::Request<ExportTraceServiceRequest>,
    ) -> Result<tonic::Response<ExportTraceServiceResponse>, tonic::Status> {
        let resources = request.into_inner().resource_spans;
        let scopes = resources.into_iter().flat_map(|resource| resource.scope_spans);
        for span in scopes.flat_map(|scope| scope.spans) {
            let _ = self.0.send(span);
        }
        Ok(tonic::Response::new(ExportTraceServiceResponse::default()))
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn has(span: &Span, key: &str, value: &str) -> bool {
    let found = span.attributes.iter().find(|attribute| attribute.key == key);
    found.is_some_and(|attribute| format!("{:?}", attribute.value).contains(value))
}

/// The spans of the next so many reviews.
async fn reviews(spans: &mut mpsc::UnboundedReceiver<Span>, count: usize) -> Vec<Span> {
    let mut found = Vec::new();
    while found.len() < count {
        let span = tokio::time::timeout(SOON, spans.recv()).await.expect("no span arrived").unwrap();
        if span.name == "admission_review" {
            found.push(span);
        }
    }
    found
}

#[tokio::test]
async fn a_review_is_a_span_of_its_callers_trace() {
    let incoming = TcpIncoming::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let endpoint = format!("http://{}", incoming.local_addr().unwrap());
    let (sender, mut spans) = mpsc::unbounded_channel();
    let collector = Server::builder().add_service(TraceServiceServer::new(Collector(sender)));
    let collector = tokio::spawn(collector.serve_with_incoming(incoming));

    let flags = ["--otlp-endpoint".to_owned(), endpoint];
    let bailey = Standalone::start_with(&flags, |folder| {
        let policy = required_label("owner", "team-a", "owner", "deny");
        std::fs::write(folder.join("owner.yaml"), policy).unwrap();
    });
    let client = https_client(&bailey.authority);
    let traced = bailey.review(&client, "refused-by-rego").header("traceparent", CALLER);
    traced.send().await.unwrap().error_for_status().unwrap();
    let wrong = bailey.review(&client, "allowed").header("traceparent", "00-nonsense");
    wrong.send().await.unwrap().error_for_status().unwrap();

    let found = reviews(&mut spans, 2).await;
    let (refused, allowed) = (&found[0], &found[1]);
    assert_eq!(hex(&refused.trace_id), "0af7651916cd43dd8448eb211c80319c");
    assert_eq!(hex(&refused.parent_span_id), "b7ad6b7169203331");
    assert!(has(refused, "code", "policy_denied") && has(refused, "allowed", "false"), "{refused:?}");
    assert!(allowed.parent_span_id.is_empty(), "headers that are no trace context start a trace");
    assert!(has(allowed, "allowed", "true"), "{allowed:?}");

    // Without the collector reviews are answered as before.
    collector.abort();
    assert!(tokio::time::timeout(Duration::from_secs(5), bailey.message("refused-by-rego")).await.is_ok());
}
