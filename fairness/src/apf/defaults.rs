//! What every cluster has from the start (`apis/flowcontrol/bootstrap/default.go`).

use super::{Kind, Level, Queuing};

/// By what the requests of one FlowSchema are told apart into flows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Distinguisher {
    /// The user.
    User,
    /// The namespace the request is about.
    Namespace,
}

/// A FlowSchema of the server's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DefaultSchema {
    /// Its name.
    pub name: &'static str,
    /// Its place: the lowest number that matches wins.
    pub precedence: u32,
    /// The level it leads to.
    pub level: &'static str,
    /// What its flows are; `None` where all its requests are one flow.
    pub distinguisher: Option<Distinguisher>,
}

/// The mandatory and suggested priority levels.
pub fn default_levels() -> Vec<Level> {
    let limited = |name: &str, shares, lendable_percent, queuing: Option<(u32, u32, u32)>| Level {
        name: name.to_owned(),
        shares,
        lendable_percent,
        kind: Kind::Limited {
            borrowing_limit_percent: None,
            queuing: queuing.map(|(queues, hand, length)| Queuing { queues, hand, length }),
        },
    };
    vec![
        Level { name: "exempt".to_owned(), shares: 0, lendable_percent: 0, kind: Kind::Exempt },
        limited("system", 30, 33, Some((64, 6, 50))),
        limited("node-high", 40, 25, Some((64, 6, 50))),
        limited("leader-election", 10, 0, Some((16, 4, 50))),
        limited("workload-high", 40, 50, Some((128, 6, 50))),
        limited("workload-low", 100, 90, Some((128, 6, 50))),
        limited("global-default", 20, 50, Some((128, 6, 50))),
        limited("catch-all", 5, 0, None),
    ]
}

/// The mandatory and suggested FlowSchemas, in the order in which a server tries them.
pub const fn default_schemas() -> &'static [DefaultSchema] {
    const USER: Option<Distinguisher> = Some(Distinguisher::User);
    const NAMESPACE: Option<Distinguisher> = Some(Distinguisher::Namespace);
    const fn schema(
        name: &'static str,
        precedence: u32,
        level: &'static str,
        distinguisher: Option<Distinguisher>,
    ) -> DefaultSchema {
        DefaultSchema { name, precedence, level, distinguisher }
    }
    const SCHEMAS: [DefaultSchema; 11] = [
        schema("exempt", 1, "exempt", None),
        schema("probes", 2, "exempt", None),
        schema("system-leader-election", 100, "leader-election", USER),
        schema("system-node-high", 400, "node-high", USER),
        schema("system-nodes", 500, "system", USER),
        schema("kube-controller-manager", 800, "workload-high", NAMESPACE),
        schema("kube-scheduler", 800, "workload-high", NAMESPACE),
        schema("kube-system-service-accounts", 900, "workload-high", NAMESPACE),
        schema("service-accounts", 9_000, "workload-low", USER),
        schema("global-default", 9_900, "global-default", USER),
        schema("catch-all", 10_000, "catch-all", USER),
    ];
    &SCHEMAS
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::apf::{MAX_ENTROPY_BITS, entropy_bits};

    #[test]
    fn every_default_schema_leads_to_a_default_level() {
        let levels = default_levels();
        for schema in default_schemas() {
            assert!(levels.iter().any(|level| level.name == schema.level), "{}", schema.name);
        }
        assert!(default_schemas().is_sorted_by_key(|schema| schema.precedence));
    }

    #[test]
    fn every_default_level_can_deal_its_hands() {
        for queuing in default_levels().iter().filter_map(Level::queuing) {
            assert!(entropy_bits(queuing.queues, queuing.hand) <= MAX_ENTROPY_BITS);
        }
    }
}
