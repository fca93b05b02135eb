use futures::future::join_all;
use serde_json::json;
use tests::{ADMIN, ALICE, BOB, Objects, World, documents, refusal, until};

use crate::{Attack, run};
use crate::{Tenant, create};

macro_rules! service {
    ($name:literal, $spec:literal) => {
        concat!(
            "{apiVersion: v1, kind: Service, metadata: {name: ",
            $name,
            ", namespace: NS}, spec: {ports: [{port: 80}], ",
            $spec,
            "}}"
        )
    };
}

macro_rules! ingress {
    ($name:literal, $spec:literal) => {
        concat!(
            "{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: ",
            $name,
            ", namespace: NS}, spec: {",
            $spec,
            "}}"
        )
    };
}

#[tokio::test]
async fn services_and_endpoints() {
    run(&[
        Attack {
            wall: "service-type",
            says: "the type `NodePort` is not allowed, use `ClusterIP`, `ExternalName`, `LoadBalancer`",
            attack: service!("v1", "type: NodePort"),
            twin: service!("v1", "type: ClusterIP"),
        },
        Attack {
            wall: "service-address",
            says: "the address `198.51.100.7` is not yours: allowed are `203.0.113.0/24`",
            attack: service!("v2", "externalIPs: [203.0.113.5, 198.51.100.7]"),
            twin: service!("v2", "externalIPs: [203.0.113.5]"),
        },
        Attack {
            wall: "service-address",
            says: "`10.0.0.1`",
            attack: service!("v3", "type: LoadBalancer, allocateLoadBalancerNodePorts: false, loadBalancerIP: 10.0.0.1"),
            twin: service!("v3", "type: LoadBalancer, allocateLoadBalancerNodePorts: false, loadBalancerIP: 203.0.113.9"),
        },
        Attack {
            wall: "external-name",
            says: "spec.externalName is `kubernetes.default.svc`",
            attack: service!("v4", "type: ExternalName, externalName: kubernetes.default.svc"),
            twin: service!("v4", "type: ExternalName, externalName: db.siege.example.com"),
        },
        Attack {
            wall: "endpoints",
            says: "give the Service a selector",
            attack: "{apiVersion: v1, kind: Endpoints, metadata: {name: e1, namespace: NS}, subsets: [{addresses: [{ip: 10.1.2.3}], ports: [{port: 80}]}]}",
            twin: "",
        },
        Attack {
            wall: "endpoints",
            says: "give the Service a selector",
            attack: "{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: e2, namespace: NS, labels: {kubernetes.io/service-name: v1}}, addressType: IPv4, endpoints: [{addresses: [10.1.2.3]}]}",
            twin: "",
        },
    ])
    .await;
}

#[tokio::test]
async fn host_names() {
    run(&[
        Attack {
            wall: "ingress-class",
            says: "the IngressClass `outside` is not allowed",
            attack: ingress!("h1", "ingressClassName: outside, rules: [{host: h1.siege.example.com}]"),
            twin: ingress!("h1", "ingressClassName: inside, rules: [{host: h1.siege.example.com}]"),
        },
        Attack {
            wall: "ingress-class",
            says: "`outside`",
            attack: "{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: h2, namespace: NS, annotations: {kubernetes.io/ingress.class: outside}}, spec: {rules: [{host: h2.siege.example.com}]}}",
            twin: "",
        },
        Attack {
            wall: "gateway-class",
            says: "the GatewayClass `outside` is not allowed, use `inside`",
            attack: "{apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, metadata: {name: g1, namespace: NS}, spec: {gatewayClassName: outside, listeners: [{hostname: g1.siege.example.com}]}}",
            twin: "{apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, metadata: {name: g1, namespace: NS}, spec: {gatewayClassName: inside, listeners: [{hostname: g1.siege.example.com}]}}",
        },
        Attack {
            wall: "hostnames",
            says: "a rule without a host name",
            attack: "{apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, metadata: {name: g2, namespace: NS}, spec: {gatewayClassName: inside, listeners: [{port: 80}]}}",
            twin: "",
        },
        Attack {
            wall: "hostnames",
            says: "the host name `bank.example.com` is not allowed, use `*.siege.example.com`",
            attack: ingress!("h3", "rules: [{host: bank.example.com}]"),
            twin: ingress!("h3", "rules: [{host: h3.siege.example.com}]"),
        },
        Attack {
            wall: "hostnames",
            says: "`bank.example.com`",
            attack: ingress!("h4", "tls: [{hosts: [bank.example.com]}], rules: [{host: h4.siege.example.com}]"),
            twin: ingress!("h4", "tls: [{hosts: [h4.siege.example.com]}], rules: [{host: h4.siege.example.com}]"),
        },
        Attack {
            wall: "hostnames",
            says: "`*.siege.example.com` means names of others too",
            attack: ingress!("h5", "rules: [{host: '*.siege.example.com'}]"),
            twin: "",
        },
        Attack {
            wall: "hostnames",
            says: "a rule without a host name",
            attack: ingress!("h6", "defaultBackend: {service: {name: x, port: {number: 80}}}"),
            twin: "",
        },
        Attack {
            // A name that passes first and is changed later.
            wall: "hostnames",
            says: "`bank.example.com`",
            attack: concat!(
                ingress!("h7", "rules: [{host: h7.siege.example.com}]"),
                "\n---\n",
                ingress!("h7", "rules: [{host: bank.example.com}]")
            ),
            twin: "",
        },
    ])
    .await;
}

#[tokio::test]
async fn one_host_name_has_one_tenant_also_in_a_race() {
    for (name, owner) in [("hosted-a", "alice"), ("hosted-b", "bob")] {
        Tenant::create(name, &format!("{{members: [{{kind: User, name: {owner}, role: owner}}]}}")).await;
        create(ADMIN, &format!("{name}-web"), json!({"bailey.dev/tenant": name})).await.unwrap();
    }
    let ingress = |tenant: &str, host: &str| {
        let yaml = format!(
            "{{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {{name: i, namespace: {tenant}-web}}, spec: {{rules: [{{host: {host}}}]}}}}"
        );
        documents(&yaml).swap_remove(0)
    };
    let world = World::shared();
    let (alice, bob) = (Objects::new(world.client(ALICE).await), Objects::new(world.client(BOB).await));
    until("both may write", async || {
        let each = [("hosted-a", &alice, "first.example.com"), ("hosted-b", &bob, "second.example.com")];
        let results = join_all(
            each.map(|(tenant, user, host)| async move { user.apply(&ingress(tenant, host)).await }),
        );
        results.await.iter().all(Result::is_ok)
    })
    .await;
    // What the other one has, in another case too.
    let refused = refusal(bob.apply(&ingress("hosted-b", "first.example.com")).await);
    assert!(refused.message.contains("in use outside of the tenant"), "{}", refused.message);
    for round in 0..5 {
        let host = format!("race-{round}.example.com");
        let (one, other) = (ingress("hosted-a", &host), ingress("hosted-b", &host));
        let (one, other) = tokio::join!(alice.apply(&one), bob.apply(&other));
        assert!(one.is_ok() != other.is_ok(), "{host}: {one:?} {other:?}");
    }
}
