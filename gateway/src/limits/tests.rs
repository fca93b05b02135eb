use fairness::rates::{Limit, Rates};
use http::{Method, Uri};
use model::{Member, NamespaceState, Subject, TENANT_LABEL, Tenant, TenantIndex, TenantRole};

use super::*;

fn tenant(name: &str, parents: &[&str], members: &[Subject]) -> Arc<Tenant> {
    let member =
        |subject: &Subject| Member { subject: subject.clone(), role: TenantRole::Editor, cluster_role: None };
    Arc::new(Tenant {
        parents: parents.iter().map(|parent| (*parent).to_owned()).collect(),
        members: members.iter().map(member).collect(),
        ..Tenant::new(name)
    })
}

fn index() -> TenantIndex {
    let robot = Subject::ServiceAccount { namespace: "shop-web".into(), name: "robot".into() };
    let alice = || Subject::User("alice".into());
    let tenants = [
        tenant("bank", &[], &[Subject::User("bob".into()), robot]),
        tenant("mall", &[], &[alice()]),
        tenant("shop", &["mall"], &[alice(), Subject::Group("staff".into())]),
    ];
    let namespace = |name: &str, tenant: &str| {
        let labels = [(TENANT_LABEL.to_owned(), tenant.to_owned())];
        (name.to_owned(), Arc::new(NamespaceState::of(labels.into())))
    };
    TenantIndex::new(
        tenants,
        [namespace("shop-web", "shop"), namespace("bank-web", "bank"), namespace("lost", "gone")],
    )
}

fn user(name: &str, groups: &[&str]) -> UserInfo {
    let groups = groups.iter().map(|group| (*group).to_owned()).collect();
    UserInfo { username: name.to_owned(), groups, ..UserInfo::default() }
}

#[test]
fn a_request_is_charged_to_a_tenant_of_its_user() {
    let index = index();
    let of = |name: &str, groups: &[&str], namespace| {
        index.payer(&user(name, groups), namespace).map(str::to_owned)
    };
    let some = |name: &str| Some(name.to_owned());
    assert_eq!(of("alice", &[], Some("shop-web")), some("shop"));
    assert_eq!(of("alice", &[], None), some("mall"));
    // What is another tenant's costs the sender.
    assert_eq!(of("alice", &[], Some("bank-web")), some("mall"));
    assert_eq!(of("eve", &["staff"], Some("bank-web")), some("shop"));
    assert_eq!(of("bob", &[], Some("unknown")), some("bank"));
    let robot = "system:serviceaccount:shop-web:robot";
    assert_eq!(of(robot, &[], Some("shop-web")), some("shop"));
    assert_eq!(of(robot, &[], Some("bank-web")), some("bank"));
    assert_eq!(of("system:serviceaccount:shop-web:other", &[], Some("bank-web")), some("shop"));
    assert_eq!(of("eve", &[], Some("shop-web")), None);
    assert_eq!(of("system:serviceaccount:default:other", &[], Some("shop-web")), None);
    // A namespace whose label names no tenant is nobody's home.
    assert_eq!(of("system:serviceaccount:lost:other", &[], Some("lost")), None);
}

fn limits(write: Limit, requests: u32) -> Arc<TenantLimits> {
    let mut rates = [None; Class::ALL.len()];
    rates[Class::Write as usize] = Some(Limits { tenant: write, user: None });
    Arc::new(TenantLimits { rates, requests, streams: 1, bytes_per_second: None, page: None })
}

fn accounts(limits_of: LimitsOf) -> Accounts {
    let start = Instant::now();
    let rates = Timed::new(Rates::new(), move || u64::try_from(start.elapsed().as_nanos()).unwrap());
    Accounts::new(limits_of, rates)
}

fn target(method: &str, path: &str) -> Target {
    Target::read(&method.parse::<Method>().unwrap(), &path.parse::<Uri>().unwrap()).unwrap()
}

#[test]
fn users_of_a_tenant_share_what_it_may_do() {
    let shared = limits(Limit::per_second(1, 2), 100);
    let accounts = accounts(Arc::new(move |_| Arc::clone(&shared)));
    let write = target("POST", "/api/v1/namespaces/a/pods");
    let codes = ["alice", "robot", "eve", "alice", "bob"]
        .map(|name| accounts.admit("shop", &user(name, &[]), &write).err().map(|refusal| refusal.code));
    assert_eq!(codes.iter().filter(|code| code.is_none()).count(), 2, "{codes:?}");
    assert_eq!(codes[4], Some(Code::GatewayRate));
    assert!(accounts.admit("bank", &user("bob", &[]), &write).is_ok());
    // Reads have no limit here.
    assert!((0..50).all(|_| accounts.admit("shop", &user("eve", &[]), &target("GET", "/version")).is_ok()));
}

#[test]
fn a_place_is_given_back_and_survives_new_limits() {
    let current = Arc::new(Mutex::new(limits(Limit::per_second(1_000, 1_000), 2)));
    let of = Arc::clone(&current);
    let accounts = accounts(Arc::new(move |_| Arc::clone(&of.lock().unwrap())));
    let read = target("GET", "/version");
    let alice = user("alice", &[]);
    let first = accounts.admit("shop", &alice, &read).ok().unwrap();
    let second = accounts.admit("shop", &alice, &read).ok().unwrap();
    assert_eq!(accounts.admit("shop", &alice, &read).err().unwrap().code, Code::GatewayBusy);
    // A watch has places of its own.
    let watch = target("GET", "/api/v1/pods?watch=1");
    let open = accounts.admit("shop", &alice, &watch).ok().unwrap();
    assert_eq!(accounts.admit("shop", &alice, &watch).err().unwrap().code, Code::GatewayWatches);
    assert_eq!(accounts.under_way(), (2, 1));
    *current.lock().unwrap() = limits(Limit::per_second(1_000, 1_000), 3);
    let third = accounts.admit("shop", &alice, &read).ok().unwrap();
    assert_eq!(accounts.admit("shop", &alice, &read).err().unwrap().code, Code::GatewayBusy);
    drop((first, second, third, open));
    assert_eq!(accounts.under_way(), (0, 0));
}

#[test]
fn tenants_that_are_no_more_are_forgotten() {
    let shared = limits(Limit::per_second(1, 1), 1);
    let accounts = accounts(Arc::new(move |_| Arc::clone(&shared)));
    drop(accounts.admit("shop", &user("alice", &[]), &target("GET", "/version")));
    assert_eq!(accounts.retain(|tenant| tenant == "bank"), ["shop"]);
    assert!(accounts.accounts.lock().unwrap().is_empty());
}

#[tokio::test]
async fn what_one_request_asks_several_times_waits_for_its_rate_or_is_told() {
    let limits = TenantLimits {
        rates: Class::ALL.map(|_| Some(Limits { tenant: Limit::per_second(1, 2), user: None })),
        requests: 1,
        streams: 1,
        bytes_per_second: None,
        page: None,
    };
    let limits = Arc::new(limits);
    let accounts = accounts(Arc::new(move |_: &str| Arc::clone(&limits)));
    let alice = user("alice", &[]);
    let list = Target::read(&Method::GET, &Uri::from_static("/api/v1/pods")).unwrap();
    let _place = accounts.admit("shop", &alice, &list).unwrap();
    let now = Instant::now();
    accounts.take("shop", &alice, Class::List, now).await.unwrap();
    let refusal = accounts.take("shop", &alice, Class::List, now).await.unwrap_err();
    assert_eq!(refusal.code, Code::GatewayRate);
    accounts.take("shop", &alice, Class::List, now + Duration::from_secs(60)).await.unwrap();
    accounts.take("bank", &alice, Class::List, now).await.unwrap();
}

#[test]
fn who_would_wait_for_long_is_told_at_once() {
    let slow = Limit { rate: fairness::rates::Rate::thousandths(1), burst: 1 };
    for (limit, after) in [(slow, false), (Limit::per_second(1, 1), true)] {
        let shared = limits(limit, 100);
        let accounts = accounts(Arc::new(move |_| Arc::clone(&shared)));
        let write = target("POST", "/api/v1/namespaces/a/pods");
        drop(accounts.admit("shop", &user("alice", &[]), &write));
        let refusal = accounts.admit("shop", &user("alice", &[]), &write).err().unwrap();
        assert_eq!(
            (refusal.status, refusal.retry_after.is_some()),
            (http::StatusCode::TOO_MANY_REQUESTS, after)
        );
        assert!(refusal.message.contains("; the next one passes in "), "{}", refusal.message);
    }
}
