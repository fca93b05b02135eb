//! What limits are said to have taken and to have left, against adding everything up.

use super::*;
use crate::ledger::account::of;
use crate::ledger::sums::Claims;

fn tenants() -> Arc<TenantIndex> {
    let band = |name: &str, class: Option<&str>, most| Band {
        name: name.to_owned(),
        priority_classes: class.into_iter().map(str::to_owned).collect(),
        hard: hard(&[("things", most)]),
    };
    let budget = |most: i128, lent: Option<i128>, bands: Vec<Band>| Budget {
        hard: hard(&[("things", most), ("others", 50)]),
        lend: lent.map(|lent| hard(&[("things", lent)])).unwrap_or_default(),
        borrow: hard(&[("things", 9)]),
        cohort: Some("all".to_owned()),
        bands,
        ..Budget::default()
    };
    let below = Budget { hard: hard(&[("things", 6)]), ..Budget::default() };
    let all = vec![
        tenant("a", &[], budget(10, Some(4), vec![band("high", Some("high"), 3), band("rest", None, 8)])),
        tenant("a-1", &["a"], below.clone()),
        tenant("a-2", &["a"], Budget::default()),
        tenant("b", &[], budget(5, None, Vec::new())),
        tenant("b-1", &["b"], below),
        tenant("c", &[], budget(7, Some(0), Vec::new())),
    ];
    index(all, &[])
}

/// The most that could be added without taking more of a bound than there is, or than is taken already, by trying.
fn most(domain: &Domain, account: &Account, before: &Amounts) -> Option<i128> {
    let of_it: Vec<_> = domain.parts_of(account).map(|place| &domain.limits[place.limit]).collect();
    let fits = |more: i128| {
        let mut amounts = before.clone();
        add(&mut amounts, account, more);
        of_it.iter().all(|limit| limit.taken(&amounts) <= limit.bound.max(limit.taken(before)))
    };
    (!of_it.is_empty()).then(|| (0..200).take_while(|more| fits(*more)).last().unwrap_or(0))
}

proptest! {
    #[test]
    fn what_is_taken_and_left_is_as_if_added_up(steps in prop::collection::vec(any::<(u8, u8, u8, u8)>(), 1..60), cut in any::<u8>()) {
        let domains = Domains::of(&tenants());
        let domain = domains.by_name.values().next().unwrap();
        prop_assert_eq!(domains.by_name.len(), 1);
        let names = ["a", "a-1", "a-2", "b", "b-1", "c"];
        let (mut base, mut all) = (Sums::default(), Amounts::new());
        let steps: Vec<_> = steps
            .iter()
            .map(|(tenant, resource, class, amount)| {
                let resource = ["things", "things", "others"][usize::from(resource % 3)].into();
                let class: Option<Arc<str>> = [None, Some("high"), Some("")][usize::from(class % 3)].map(Arc::from);
                let tenant = names[usize::from(*tenant) % names.len()];
                (domain.account(tenant, &resource, class.as_ref()).unwrap(), i128::from(amount % 7) - 2)
            })
            .collect();
        let (first, rest) = steps.split_at(usize::from(cut) % (steps.len() + 1));
        for (account, amount) in first {
            let amount = (*amount).max(-of(&all, account));
            base.add(domain, account, amount);
            add(&mut all, account, amount);
        }
        let mut claims = Claims::new(domain, &base);
        for (account, amount) in rest {
            let amount = (*amount).max(-of(&all, account));
            claims.add(account, amount);
            add(&mut all, account, amount);
        }
        for limit in &domain.limits {
            prop_assert_eq!(claims.taken(limit), limit.taken(&all), "{:?} {}", limit.owner, limit.resource);
        }
        for (account, _) in &steps {
            let room = claims.room(account).map(|(room, _)| room.max(0));
            prop_assert_eq!(room, most(domain, account, &all), "{:?} of {:?}", account, all);
        }
    }
}
