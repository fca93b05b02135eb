//! Trees of tenants that change, against an oracle that adds everything up anew: with one replica and nothing late,
//! exactly what fits is let in.

use super::*;

#[derive(Debug, Clone)]
struct Node {
    parent: Option<usize>,
    hard: Option<i128>,
}

/// Tenants by number; the namespace of each has its name.
struct Forest {
    nodes: BTreeMap<usize, Node>,
    next: usize,
    objects: BTreeMap<Arc<str>, (usize, i128)>,
    ledger: Ledger,
    version: u64,
    serial: u64,
}

impl Forest {
    fn new() -> Self {
        let mut ledger = Ledger::new("only");
        ledger.set_kinds(BTreeMap::from([(Arc::from("things"), BTreeSet::from([things()]))]));
        ledger.replace(&things(), 1, Vec::new());
        ledger.set_fence(Millis::MAX);
        let nodes = BTreeMap::from([(0, Node { parent: None, hard: Some(6) })]);
        let mut forest = Self { nodes, next: 1, objects: BTreeMap::new(), ledger, version: 1, serial: 0 };
        forest.publish();
        forest
    }

    fn line(&self, node: usize) -> Vec<usize> {
        let mut line = vec![node];
        while let Some(parent) = line.last().and_then(|node| self.nodes[node].parent) {
            line.push(parent);
        }
        line
    }

    fn publish(&mut self) {
        let name = |node: usize| format!("t{node}");
        let tenants = self.nodes.iter().map(|(node, state)| {
            let parents: Vec<String> = self.line(*node).into_iter().skip(1).map(name).collect();
            let budget = Budget {
                hard: state.hard.map(|most| hard(&[("things", most)])).unwrap_or_default(),
                ..Budget::default()
            };
            let parents: Vec<&str> = parents.iter().map(String::as_str).collect();
            tenant(&name(*node), &parents, budget)
        });
        let names: Vec<String> = self.nodes.keys().map(|node| name(*node)).collect();
        let namespaces: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), name.as_str())).collect();
        let index = index(tenants.collect(), &namespaces);
        self.ledger.set_tenants(index);
    }

    /// What a tenant and all below it use.
    fn used(&self, top: usize) -> i128 {
        let below = self.objects.values().filter(|(node, _)| self.line(*node).contains(&top));
        below.map(|(_, amount)| amount).sum()
    }

    fn fits(&self, node: usize, amount: i128) -> bool {
        let most = |node: &usize| self.nodes[node].hard.map(|most| (*node, most));
        self.line(node).iter().filter_map(most).all(|(node, most)| self.used(node) + amount <= most)
    }

    /// As a replica whose writes are always the first, and whose watch is never late.
    fn asks(&mut self, node: usize, amount: i128) -> bool {
        self.serial += 1;
        let name: Arc<str> = format!("o{}", self.serial).into();
        let place = Place { kind: things(), namespace: format!("t{node}").into(), name: Arc::clone(&name) };
        let ask = Ask {
            place: place.clone(),
            tenant: format!("t{node}").into(),
            class: None,
            uid: Arc::clone(&name),
            from: None,
            before: charges(0),
            after: charges(amount),
            until: LEASE,
        };
        let mut answer = self.ledger.reserve(&ask, false, 0);
        if let Answer::Short(domain, amounts) = answer {
            self.ledger.observe(&domain, None, true);
            let draft =
                self.ledger.draft(&domain, &[Demand { id: 1, amounts }], &BTreeSet::new(), 0).unwrap();
            self.version += 1;
            self.ledger.writing(&draft);
            self.ledger.wrote(&draft, self.version);
            answer = self.ledger.reserve(&ask, false, 0);
        }
        match answer {
            Answer::Taken(_) | Answer::Free => {
                self.version += 1;
                let stored = Stored {
                    uid: name.clone(),
                    version: self.version,
                    tenant: None,
                    class: None,
                    charges: charges(amount),
                };
                self.ledger.upsert(place, stored);
                self.objects.insert(name, (node, amount));
                true
            }
            Answer::Short(..) => false,
            Answer::Fenced => unreachable!(),
        }
    }

    fn deletes(&mut self, which: usize) {
        let Some(name) = self.objects.keys().nth(which % self.objects.len().max(1)).cloned() else { return };
        let (node, _) = self.objects.remove(&name).unwrap();
        self.version += 1;
        let place = Place { kind: things(), namespace: format!("t{node}").into(), name: Arc::clone(&name) };
        self.ledger.delete(&place, &name, self.version);
    }

    fn step(&mut self, (what, one, other): (u8, u8, u8)) {
        let nodes: Vec<usize> = self.nodes.keys().copied().collect();
        let node = nodes[usize::from(one) % nodes.len()];
        let second = nodes[usize::from(other) % nodes.len()];
        match what % 12 {
            0..=5 => {
                let amount = i128::from(other % 3) + 1;
                let (expected, line) = (self.fits(node, amount), self.line(node));
                assert_eq!(
                    self.asks(node, amount),
                    expected,
                    "{amount} for t{node} below {line:?}: {:?}",
                    self.nodes
                );
            }
            6 | 7 => self.deletes(usize::from(one)),
            // A limit is lowered, raised or taken away.
            8 => self.nodes.get_mut(&node).unwrap().hard = (other % 4 > 0).then(|| i128::from(other % 9)),
            // A child comes.
            9 if nodes.len() < 8 => {
                self.nodes.insert(
                    self.next,
                    Node { parent: Some(node), hard: (other % 2 > 0).then(|| i128::from(other % 7)) },
                );
                self.next += 1;
            }
            // One without children goes, with what it has.
            10 if nodes.len() > 1 && !self.nodes.values().any(|other| other.parent == Some(node)) => {
                while let Some(at) = self.objects.values().position(|(owner, _)| *owner == node) {
                    self.deletes(at);
                }
                self.nodes.remove(&node);
            }
            // One moves below another, or stands alone.
            11 if !self.line(second).contains(&node) => {
                self.nodes.get_mut(&node).unwrap().parent = (other % 3 > 0).then_some(second);
            }
            _ => {}
        }
        if what % 12 > 7 {
            self.publish();
        }
    }
}

proptest! {
    #[test]
    fn of_a_changing_forest_exactly_what_fits_is_let_in(steps in prop::collection::vec(any::<(u8, u8, u8)>(), 1..200)) {
        let mut forest = Forest::new();
        for step in steps {
            forest.step(step);
        }
    }
}
