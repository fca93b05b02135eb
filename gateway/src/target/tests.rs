use super::*;

fn read(method: &str, target: &str) -> Result<Target, Refusal> {
    Target::read(&method.parse().unwrap(), &target.parse().unwrap())
}

fn read_as(method: &str, target: &str) -> (Verb, Class, Option<String>) {
    let target = read(method, target).unwrap();
    (target.verb, target.class, target.namespace)
}

fn within(namespace: &str) -> Option<String> {
    Some(namespace.to_owned())
}

#[test]
fn requests_are_read_as_the_api_server_reads_them() {
    let cases = [
        ("GET", "/version", Verb::Get, Class::Read, None),
        ("GET", "/", Verb::Get, Class::Read, None),
        ("GET", "/api", Verb::Get, Class::Read, None),
        ("GET", "/apis/apps/v1", Verb::Get, Class::Read, None),
        ("GET", "/api/v1/pods", Verb::List, Class::List, None),
        ("GET", "/api/v1/pods/", Verb::List, Class::List, None),
        ("GET", "/api/v1/namespaces/a/pods?watch=true", Verb::Watch, Class::Watch, within("a")),
        ("GET", "/api/v1/namespaces/a/pods?watch", Verb::Watch, Class::Watch, within("a")),
        ("GET", "/api/v1/namespaces/a/pods?%77atch=1", Verb::Watch, Class::Watch, within("a")),
        ("GET", "/api/v1/namespaces/a/pods?watch=False", Verb::List, Class::List, within("a")),
        ("GET", "/api/v1/watch/namespaces/a/pods", Verb::Watch, Class::Watch, within("a")),
        ("GET", "/api/v1/namespaces/a/pods/p?watch=1", Verb::Get, Class::Read, within("a")),
        ("GET", "/api/v1/namespaces/a", Verb::Get, Class::Read, within("a")),
        ("PUT", "/api/v1/namespaces/a/finalize", Verb::Write, Class::Write, within("a")),
        ("GET", "/api/v1/namespaces", Verb::List, Class::List, None),
        ("POST", "/api/v1/namespaces/a/events", Verb::Write, Class::Event, within("a")),
        ("PATCH", "/apis/events.k8s.io/v1/namespaces/a/events/e", Verb::Write, Class::Event, within("a")),
        ("POST", "/api/v1/namespaces/a/serviceaccounts/s/token", Verb::Write, Class::Token, within("a")),
        ("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", Verb::Write, Class::Token, None),
        ("POST", "/api/v1/namespaces/a/pods/p/exec?command=ls", Verb::Write, Class::Exec, within("a")),
        ("GET", "/api/v1/namespaces/a/pods/p/log?follow=true", Verb::Get, Class::Exec, within("a")),
        ("GET", "/api/v1/namespaces/a/services/s:80/proxy/x/y", Verb::Get, Class::Exec, within("a")),
        ("GET", "/api/v1/proxy/namespaces/a/services/s", Verb::Get, Class::Exec, within("a")),
        ("DELETE", "/api/v1/namespaces/a/pods", Verb::Write, Class::Write, within("a")),
        ("GET", "/apis/rbac.authorization.k8s.io/v1/clusterroles/system:a%20b", Verb::Get, Class::Read, None),
    ];
    for (method, target, verb, class, namespace) in cases {
        assert_eq!(read_as(method, target), (verb, class, namespace), "{method} {target}");
    }
}

#[test]
fn what_is_read_as_a_whole_is_no_single_object_and_no_old_form() {
    let scope = |method, target| read(method, target).unwrap().scope;
    assert_eq!(scope("GET", "/api/v1/namespaces?watch=1"), Some(Scope::Namespaces));
    for all in ["/api/v1/pods", "/apis/apps/v1/deployments/", "/apis/x.example.com/v1/namespaces"] {
        assert_eq!(scope("GET", all), Some(Scope::Everywhere), "{all}");
    }
    for class in ["/apis/node.k8s.io/v1/runtimeclasses", "/apis/node.k8s.io/v1/runtimeclasses/a?watch=1"] {
        assert_eq!(scope("GET", class), Some(Scope::Granted(Granted::Class(ClassKind::Runtime))), "{class}");
    }
    for (path, granted) in [
        ("/api/v1/nodes", Granted::Node),
        ("/api/v1/nodes/a", Granted::Node),
        ("/api/v1/persistentvolumes?watch=1", Granted::Volume),
        ("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/a", Granted::Definition),
    ] {
        assert_eq!(scope("GET", path), Some(Scope::Granted(granted)), "{path}");
    }
    for other in [
        "/apis/node.k8s.io/v1/runtimeclasses/a/status",
        "/api/v1/nodes/a/proxy/",
        "/apis/example.com/v1/nodes/a",
        "/api/v1/namespaces/a",
        "/api/v1/namespaces/a/pods",
        "/api/v1/watch/namespaces",
        "/api/v1/watch/pods",
        "/api/v1",
        "/version",
    ] {
        assert_eq!(scope("GET", other), None, "{other}");
    }
    let changes = |method, target| read(method, target).unwrap().changes_namespace;
    assert!(changes("POST", "/api/v1/namespaces") && changes("DELETE", "/api/v1/namespaces/a"));
    assert!(!changes("POST", "/api/v1/namespaces/a/pods") && !changes("GET", "/api/v1/namespaces/a"));
    for method in ["HEAD", "DELETE", "POST", "OPTIONS"] {
        assert_eq!(scope(method, "/api/v1/namespaces"), None, "{method}");
    }
}

#[test]
fn what_has_two_readings_is_refused() {
    let paths = [
        "//api/v1/pods",
        "/api//v1/pods",
        "/api/v1/pods//",
        "/api/v1/../v1/pods",
        "/api/v1/%2e%2e/pods",
        "/api/v1/%2E/pods",
        "/api/v1/namespaces/a%2fpods",
        "/api/v1/namespaces/a%2Fpods",
        "/api/v1;x=y/pods",
        "/api/v1/pods%3bx",
        "/api/v1/pods%00",
        "/api/v1/pods%0d%0aX-Remote-User:%20a",
        "/api/v1/%252e%252e/pods",
        "/api/v1/a%5cb",
        "/api/v1/pods%3fwatch=1",
        "/api/v1/pods%23",
        "/api/v1/%ff",
        "/api/v1/%zz",
    ];
    for path in paths {
        let refusal = read("GET", path).unwrap_err();
        assert_eq!((refusal.code, refusal.status.as_u16()), (Code::GatewayRequest, 400), "{path}");
    }
    for query in [
        "watch=0&watch=1",
        "watch=false&%77atch=1",
        "limit=1&limit=9",
        "a=b;watch=1",
        "limit=-1",
        "limit=x",
        "watch=%zz",
        "watch=%4",
        "watch=1%",
        "resourceVersion=1&resourceVersion=0",
    ] {
        let refusal = read("GET", &format!("/api/v1/pods?{query}")).unwrap_err();
        assert_eq!(refusal.code, Code::GatewayRequest, "{query}");
    }
    for method in ["TRACE", "CONNECT", "PROPFIND", "get"] {
        assert_eq!(read(method, "/api").unwrap_err().status, 405, "{method}");
    }
    let long = format!("/api/v1/pods?fieldSelector={}", "x".repeat(MAX_TARGET));
    assert_eq!(read("GET", &long).unwrap_err().status, 414);
}

#[test]
fn pages_are_read_as_the_api_server_reads_them() {
    let page = |query: &str| read("GET", &format!("/api/v1/pods?{query}")).unwrap().page;
    assert_eq!([page("limit=500"), page("limit=0"), page("limit="), page("")], [Some(500), None, None, None]);
    assert_eq!([page("limit=5&resourceVersion=0"), page("limit=5&resourceVersion=7")], [None, Some(5)]);
}
