//! What a plan is made from.

use std::collections::BTreeSet;

use super::names;
use crate::apf::objects::Subject;
use crate::apf::{Kind, Level, MAX_ENTROPY_BITS, Queuing, entropy_bits};

/// A tenant, as far as fairness is concerned.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tenant {
    /// Its name.
    pub name: String,
    /// The name of its class.
    pub class: String,
    /// Users who act for it in its namespaces.
    pub users: Vec<String>,
    /// Groups that act for it in its namespaces.
    pub groups: Vec<String>,
    /// Its namespaces, whose service accounts act for it everywhere. None is another tenant's.
    pub namespaces: Vec<String>,
    /// Service accounts that act for it in its namespaces. One of another tenant's namespace never does.
    pub accounts: Vec<Account>,
}

/// A service account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// What tenants of one class get together, of each API server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Class {
    /// Its name: a DNS label of at most 40 characters.
    pub name: String,
    /// The weight of its level, at least 1; the server's own have 245 together.
    pub shares: u32,
    /// The weight of its level for lists and watches, at least 1.
    pub lists_shares: u32,
    /// The queues of either, at least `hand`.
    pub queues: u32,
    /// Among how many queues a tenant is spread, at least 1; dealing takes at most [`MAX_ENTROPY_BITS`].
    pub hand: u32,
    /// How many requests wait in a queue, at least 1.
    pub length: u32,
    /// How much of its seats others may use, in percent, at most 100.
    pub lendable_percent: u32,
    /// How much it may borrow, in percent of its nominal seats. Lists borrow nothing.
    pub borrowing_limit_percent: u32,
}

/// How many objects there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// The most tenants with FlowSchemas of their own.
    pub dedicated: usize,
    /// The shards of each class, at least 1. Another number moves every shared tenant.
    pub shards: u32,
    /// The most subjects in all FlowSchemas, which a request of no tenant is compared with: 20,000 cost an API server
    /// about half a millisecond a request, 200,000 seven.
    pub subjects: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { dedicated: 1_000, shards: 16, subjects: 20_000 }
    }
}

/// What a plan is made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inputs {
    /// The tenants.
    pub tenants: Vec<Tenant>,
    /// The classes, at least one.
    pub classes: Vec<Class>,
    /// The class of tenants whose own is not there.
    pub default_class: String,
    /// Who Bailey is.
    pub own: Vec<Subject>,
    /// The level of its requests: never an exempt one, which has no bound.
    pub own_level: String,
    /// How many objects there may be.
    pub bounds: Bounds,
}

impl Inputs {
    /// Nobody yet, in classes of which the first is the default one.
    pub fn new(classes: Vec<Class>) -> Self {
        Self {
            tenants: Vec::new(),
            default_class: classes.first().map(|class| class.name.clone()).unwrap_or_default(),
            classes,
            own: Vec::new(),
            own_level: "workload-high".to_owned(),
            bounds: Bounds::default(),
        }
    }

    /// Whether a plan can be made.
    pub(super) fn check(&self) -> Result<(), PlanFault> {
        let mut classes = BTreeSet::new();
        for class in &self.classes {
            class.check()?;
            if !classes.insert(class.name.as_str()) {
                return Err(PlanFault::Duplicate(class.name.clone()));
            }
        }
        if !classes.contains(self.default_class.as_str()) {
            return Err(PlanFault::NoDefaultClass(self.default_class.clone()));
        }
        let mut tenants = BTreeSet::new();
        match self.tenants.iter().find(|tenant| !tenants.insert(tenant.name.as_str())) {
            Some(twice) => Err(PlanFault::Duplicate(twice.name.clone())),
            None if self.bounds.shards == 0 => Err(PlanFault::NoShards),
            None => Ok(()),
        }
    }
}

/// Why no plan can be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PlanFault {
    /// A class's name is no DNS label of at most 40 characters.
    ClassName(String),
    /// A number of a class is out of its bounds.
    ClassNumber {
        /// The class.
        class: String,
        /// The field.
        field: &'static str,
        /// What would pass.
        needs: &'static str,
    },
    /// Two tenants or classes have one name.
    Duplicate(String),
    /// The default class is not there.
    NoDefaultClass(String),
    /// There are no shards.
    NoShards,
}

impl std::fmt::Display for PlanFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::ClassName(name) => {
                write!(f, "class `{name}`: a name is 1 to 40 of a-z, 0-9 and `-`, with no `-` at its ends")
            }
            Self::ClassNumber { class, field, needs } => {
                write!(f, "class `{class}`: `{field}` must be {needs}")
            }
            Self::Duplicate(name) => write!(f, "`{name}` is there twice"),
            Self::NoDefaultClass(name) => write!(f, "the default class `{name}` is not there"),
            Self::NoShards => f.write_str("there must be at least 1 shard"),
        }
    }
}

impl std::error::Error for PlanFault {}

impl Class {
    /// A class with the queues that keep 64 flooding tenants apart from a quiet one, but for 2 in 100.
    pub fn new(name: &str, shares: u32) -> Self {
        Self {
            name: name.to_owned(),
            shares,
            lists_shares: (shares / 4).max(1),
            queues: 512,
            hand: 6,
            length: 50,
            lendable_percent: 50,
            borrowing_limit_percent: 100,
        }
    }

    fn check(&self) -> Result<(), PlanFault> {
        let named = self.name.len() <= 40 && names::is_label(&self.name);
        if !named {
            return Err(PlanFault::ClassName(self.name.clone()));
        }
        let rules = [
            (self.shares >= 1, "shares", "at least 1"),
            (self.lists_shares >= 1, "lists shares", "at least 1"),
            (self.hand >= 1, "hand", "at least 1"),
            (self.queues >= self.hand, "queues", "at least the hand"),
            (self.length >= 1, "length", "at least 1"),
            (self.lendable_percent <= 100, "lendable percent", "at most 100"),
            (
                self.queues <= 10_000_000 && entropy_bits(self.queues, self.hand) <= MAX_ENTROPY_BITS,
                "queues",
                "at most 10,000,000, and ceil(log2(queues) x hand) at most 60",
            ),
        ];
        match rules.into_iter().find(|(sound, ..)| !sound) {
            Some((_, field, needs)) => Err(PlanFault::ClassNumber { class: self.name.clone(), field, needs }),
            None => Ok(()),
        }
    }

    /// The level of its tenants' requests.
    pub fn level(&self) -> Level {
        self.with(format!("tenants-{}", self.name), self.shares, self.borrowing_limit_percent)
    }

    /// The level of their lists and watches. It borrows nothing, so that wide requests hold no seats of others.
    pub fn lists_level(&self) -> Level {
        self.with(format!("tenant-lists-{}", self.name), self.lists_shares, 0)
    }

    fn with(&self, name: String, shares: u32, borrowing_limit_percent: u32) -> Level {
        let queuing = Queuing { queues: self.queues, hand: self.hand, length: self.length };
        let kind =
            Kind::Limited { borrowing_limit_percent: Some(borrowing_limit_percent), queuing: Some(queuing) };
        Level { name, shares, lendable_percent: self.lendable_percent, kind }
    }
}
