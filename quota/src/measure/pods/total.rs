//! The requests and limits of a whole Pod.

use std::collections::BTreeMap;

use super::object::{Container, ContainerStatus, Pod, Resources};
use crate::measure::json::List;

/// Amounts by the names that containers use.
type Totals<'p> = BTreeMap<&'p str, i128>;

/// What the Pod may take at most at any time, with its overhead.
pub(super) fn requests<'p>(pod: &'p Pod<'_>) -> Totals<'p> {
    let mut total = containers(pod, Half::Requests);
    replace(&mut total, pod, Half::Requests);
    add(&mut total, pod.spec.overhead.iter());
    total
}

/// Its limits. Overhead is added to those that there are: no limit is no limit.
pub(super) fn limits<'p>(pod: &'p Pod<'_>) -> Totals<'p> {
    let mut total = containers(pod, Half::Limits);
    replace(&mut total, pod, Half::Limits);
    for (name, amount) in pod.spec.overhead.iter() {
        if let Some(limit) = total.get_mut(name).filter(|limit| **limit != 0) {
            *limit = limit.saturating_add(amount);
        }
    }
    total
}

/// Which half of the resources is added up.
#[derive(Clone, Copy, PartialEq)]
enum Half {
    Requests,
    Limits,
}

impl Half {
    fn of<'p, 'a>(self, resources: &'p Resources<'a>) -> &'p List<'a> {
        match self {
            Self::Requests => &resources.requests,
            Self::Limits => &resources.limits,
        }
    }
}

/// All containers and sidecars together, or what a container takes while the Pod starts, whichever is more.
///
/// While one starts, those sidecars run that are before it. They are in the total anyway, so that only the
/// names that it has itself can be more than the total.
fn containers<'p>(pod: &'p Pod<'_>, half: Half) -> Totals<'p> {
    let resizes = Resizes::of(pod);
    let mut total = Totals::new();
    for container in &pod.spec.containers {
        add(&mut total, resizes.effective(container, half));
    }
    let (mut sidecars, mut starting) = (Totals::new(), Totals::new());
    for container in &pod.spec.init_containers {
        if &*container.restart_policy == "Always" {
            let amounts = resizes.effective(container, half);
            add(&mut total, amounts.clone());
            add(&mut sidecars, amounts);
        } else {
            let with_sidecars = |(name, amount): (&'p str, i128)| {
                (name, amount.saturating_add(sidecars.get(name).copied().unwrap_or(0)))
            };
            raise(&mut starting, half.of(&container.resources).iter().map(with_sidecars));
        }
    }
    raise(&mut total, starting);
    total
}

/// Resources of the Pod itself stand for those of its containers; only some can be given so.
fn replace<'p>(total: &mut Totals<'p>, pod: &'p Pod<'_>, half: Half) {
    let Some(resources) = &pod.spec.resources else { return };
    let known = |name: &str| matches!(name, "cpu" | "memory") || name.starts_with("hugepages-");
    total.extend(half.of(resources).iter().filter(|(name, _)| known(name)));
}

/// What containers have while they are resized: the node may still give more than is asked, or not yet as much.
struct Resizes<'p, 'a> {
    statuses: BTreeMap<&'p str, (&'p ContainerStatus<'a>, &'p Resources<'a>)>,
    infeasible: bool,
}

impl<'p, 'a> Resizes<'p, 'a> {
    fn of(pod: &'p Pod<'a>) -> Self {
        let status = &pod.status;
        let statuses = status.container_statuses.iter().chain(&status.init_container_statuses);
        let pending = status.conditions.iter().find(|condition| &*condition.kind == "PodResizePending");
        Self {
            statuses: statuses
                .filter_map(|status| Some((&*status.name, (status, status.resources.as_ref()?))))
                .collect(),
            infeasible: pending.is_some_and(|condition| &*condition.reason == "Infeasible"),
        }
    }

    /// The most of what is asked, what the node has promised and what it gives. What is asked does not count
    /// when the node says that it never can.
    fn effective(&self, container: &'p Container<'a>, half: Half) -> Totals<'p> {
        let asked = half.of(&container.resources).iter();
        let Some((status, given)) = self.statuses.get(&*container.name) else { return asked.collect() };
        let mut most: Totals<'p> = if self.infeasible { Totals::new() } else { asked.collect() };
        raise(&mut most, half.of(given).iter());
        if half == Half::Requests {
            raise(&mut most, status.allocated_resources.iter());
        }
        most
    }
}

fn add<'p>(total: &mut Totals<'p>, more: impl IntoIterator<Item = (&'p str, i128)>) {
    for (name, amount) in more {
        let sum = total.entry(name).or_default();
        *sum = sum.saturating_add(amount);
    }
}

fn raise<'p>(total: &mut Totals<'p>, other: impl IntoIterator<Item = (&'p str, i128)>) {
    for (name, amount) in other {
        let most = total.entry(name).or_default();
        *most = amount.max(*most);
    }
}
