//! Pods, and what comes into a namespace before its walls.

use super::*;

#[tokio::test]
async fn a_pod_waits_for_the_walls_and_is_refused_without() {
    let pods = |namespace: &str| {
        let mut pod =
            in_namespace("job-controller", Operation::Create, ["", "pods"], json!({"metadata": {}}));
        pod.namespace = namespace.to_owned();
        pod
    };
    let index = |stands: bool| {
        let namespaces =
            [("alpha-one".to_owned(), state(Some("alpha"), stands)), ("free".to_owned(), state(None, false))];
        Arc::new(TenantIndex::new(
            [Arc::new(tenant("alpha", &["alice"]))],
            namespaces.into_iter().map(|(name, state)| (name, Arc::new(state))),
        ))
    };
    let (sender, receiver) = watch::channel(index(false));
    let guard = Guard::new(receiver, holdings(), []);
    let rows = [("alpha-one", "do not stand yet"), ("newer", "not known whose it is")];
    for (namespace, part) in rows {
        assert_refused(&guard, Phase::Validate, &pods(namespace), Code::TenantNotReady, part);
    }
    assert_eq!(wall(&guard, Phase::Validate, &pods("free")), None);
    // Before it is known whose a namespace is, no rule can tell what a user may write into it.
    let map = |who: &str, namespace: &str| {
        let mut map = in_namespace(who, Operation::Create, ["", "configmaps"], json!({"metadata": {}}));
        map.namespace = namespace.to_owned();
        map
    };
    assert_refused(&guard, Phase::Validate, &map("carol", "newer"), Code::TenantNotReady, "not known whose");
    for (who, namespace) in [("carol", "alpha-one"), ("carol", "free"), ("job-controller", "newer")] {
        assert_eq!(wall(&guard, Phase::Validate, &map(who, namespace)), None, "{who} {namespace}");
    }

    let (pod, far) = (pods("alpha-one"), Instant::now() + Duration::from_secs(60));
    let (_, ()) = tokio::join!(guard.settle(&pod, far), async { drop(sender.send(index(true))) });
    assert_eq!(wall(&guard, Phase::Validate, &pod), None);
}

#[test]
fn a_pod_that_cannot_be_read_passes_no_rule() {
    let guard = guard();
    let pod = json!({"spec": {"nodeSelector": {"a": 1}}});
    let refused = in_namespace("carol", Operation::Create, ["", "pods"], pod);
    assert_refused(&guard, Phase::Validate, &refused, Code::TenantDenied, "wall `readable-pods`");
}
