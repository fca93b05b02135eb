//! Rights and rules that are taken away from somebody who is at work.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::future::join_all;
use tests::give_namespace;

use crate::*;

const WRITERS: usize = 8;

/// Works until it is aborted, and counts what passed.
fn at_work<F>(
    work: impl Fn(usize) -> F + Send + Sync + 'static,
) -> (Vec<tokio::task::JoinHandle<()>>, Arc<AtomicUsize>)
where
    F: Future<Output = bool> + Send,
{
    let (passed, work, next) = (Arc::new(AtomicUsize::new(0)), Arc::new(work), Arc::new(AtomicUsize::new(0)));
    let writer = |_| {
        let (passed, work, next) = (Arc::clone(&passed), Arc::clone(&work), Arc::clone(&next));
        tokio::spawn(async move {
            loop {
                if work(next.fetch_add(1, Ordering::Relaxed)).await {
                    passed.fetch_add(1, Ordering::Relaxed);
                }
            }
        })
    };
    ((0..WRITERS).map(writer).collect(), passed)
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_no_member_any_more_writes_nothing() {
    let world = World::shared();
    let owner = "{kind: User, name: alice, role: owner}";
    let with = format!("{{members: [{owner}, {{kind: User, name: bob, role: editor}}]}}");
    let tenant = Tenant::create("leavers", &with).await;
    give_namespace(world, "leavers", "leavers-one").await;
    let bob = world.client(BOB).await;
    for round in 0..6 {
        until("bob may write", async || write(&bob, "leavers-one", &format!("in-{round}")).await.is_ok())
            .await;
        let client = bob.clone();
        let (writers, passed) = at_work(move |number| {
            let client = client.clone();
            async move { write(&client, "leavers-one", &format!("w-{round}-{number}")).await.is_ok() }
        });
        until("bob is at work", async || passed.load(Ordering::Relaxed) > WRITERS).await;
        tenant.set(&format!("{{members: [{owner}]}}")).await;
        // In sync: what is sent from now on is refused.
        let late = (0..40).map(|number| {
            let bob = bob.clone();
            async move { write(&bob, "leavers-one", &format!("late-{round}-{number}")).await }
        });
        for result in join_all(late).await {
            assert!(tests::is_forbidden(result), "round {round}");
        }
        writers.iter().for_each(tokio::task::JoinHandle::abort);
        tenant.set(&with).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_that_got_narrower_holds_as_soon_as_the_tenant_says_so() {
    let world = World::shared();
    let admin = Objects::new(world.client(ADMIN).await);
    for (name, spec) in [
        ("broad", "{podSecurity: {enforce: privileged}}"),
        (
            "tight",
            "{podSecurity: {enforce: privileged}, allow: {images: {allowed: ['registry.example.com/*']}}}",
        ),
    ] {
        admin
            .apply_all(&format!(
                "{{apiVersion: bailey.dev/v1alpha1, kind: IsolationProfile, metadata: {{name: {name}}}, spec: {spec}}}"
            ))
            .await;
    }
    let spec = |profile: &str| {
        format!("{{members: [{{kind: User, name: alice, role: owner}}], isolationProfile: {profile}}}")
    };
    let tenant = Tenant::create("busy", &spec("broad")).await;
    give_namespace(world, "busy", "busy-one").await;
    let pods: Api<Pod> = Api::namespaced(world.client(ALICE).await, "busy-one");
    let params = PostParams { dry_run: true, ..PostParams::default() };
    for round in 0..6 {
        let (api, options) = (pods.clone(), params.clone());
        let (writers, passed) = at_work(move |number| {
            let (api, options) = (api.clone(), options.clone());
            async move { api.create(&options, &pod(&format!("p-{number}"), "evil.example.com/c")).await.is_ok() }
        });
        until("alice is at work", async || passed.load(Ordering::Relaxed) > WRITERS).await;
        tenant.set(&spec("tight")).await;
        let evil = pod(&format!("late-{round}"), "evil.example.com/c");
        let late = (0..40).map(|_| pods.create(&params, &evil));
        for result in join_all(late).await {
            let refused = refusal(result);
            assert!(refused.message.contains("wall `images`"), "round {round}: {}", refused.message);
        }
        let good = pod("good", "registry.example.com/c");
        pods.create(&params, &good).await.unwrap();
        writers.iter().for_each(tokio::task::JoinHandle::abort);
        tenant.set(&spec("broad")).await;
    }
}
