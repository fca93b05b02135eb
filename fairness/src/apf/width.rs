//! How many seats a request takes.

use super::{Level, Seats};

/// A generation of API servers, as far as widths differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ServerVersion {
    /// Before 1.34: a list is as wide as its objects are many.
    Before134,
    /// 1.34 and later: a list is as wide as its objects are large.
    From134,
}

/// The most seats that one request of a level takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Width {
    /// Of lists.
    pub list: u32,
    /// Of creates, updates, patches and deletes, which many watchers make wide.
    pub mutating: u32,
}

/// Of how many seats a mutating request takes at most.
const MOST_MUTATING: u32 = 10;
/// How many objects before 1.34, or bytes since, one seat stands for.
const OBJECTS_A_SEAT: u64 = 100;
const BYTES_A_SEAT: u64 = 100_000;
/// How many bytes count of a list that is served from the watch cache.
const CACHED_BYTES: u64 = 1_000_000;

/// The most seats one request of a level takes: `max(1, min(ceil(0.15 nominal), floor(nominal / hand)))`, and at
/// most 100 for lists (10 before 1.34) and 10 for mutating requests. 1 where the level has no queues.
pub fn max_width(level: &Level, seats: Seats, server: ServerVersion) -> Width {
    let Some(queuing) = level.queuing() else { return Width { list: 1, mutating: 1 } };
    let nominal = u64::from(seats.nominal);
    let part = nominal.saturating_mul(15).div_ceil(100);
    let hand = nominal.checked_div(u64::from(queuing.hand)).unwrap_or_default();
    let most = u32::try_from(part.min(hand)).unwrap_or(u32::MAX).max(1);
    let list = match server {
        ServerVersion::Before134 => 10,
        ServerVersion::From134 => 100,
    };
    Width { list: most.min(list), mutating: most.min(MOST_MUTATING) }
}

/// What a server knows of a list before it serves it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListSize {
    /// The objects of that kind in the whole cluster: the namespace plays no part. 1 where one name is selected.
    pub objects: u64,
    /// Their mean size in bytes.
    pub mean_bytes: u64,
    /// The `limit` of the request; `None` without one.
    pub limit: Option<u64>,
    /// Whether it has a label or field selector.
    pub selector: bool,
    /// Whether the watch cache serves it, not etcd.
    pub cached: bool,
}

/// The seats of a list since 1.34, where `most` is what [`max_width`] says.
///
/// `ceil(bytes held / 100 kB)`: from the cache at most 1 MB counts; from etcd a selector reads half of the objects at
/// least, and without one a limit holds.
pub fn list_width(list: ListSize, most: u32) -> u32 {
    let limited = list.limit.filter(|limit| *limit > 0).unwrap_or(list.objects).min(list.objects);
    let bytes = if list.cached {
        limited.saturating_mul(list.mean_bytes).min(CACHED_BYTES)
    } else if list.selector {
        limited.max(list.objects / 2).saturating_mul(list.mean_bytes)
    } else {
        limited.saturating_mul(list.mean_bytes)
    };
    seats_for(bytes, BYTES_A_SEAT, most)
}

/// The seats of a list before 1.34, where `most` is what [`max_width`] says.
///
/// `ceil(objects / 100)`: from the cache all stored ones, from etcd with a selector those and the limit, else twice
/// the limit.
pub fn list_width_by_count(list: ListSize, most: u32) -> u32 {
    let limit = list.limit.filter(|limit| *limit > 0).unwrap_or(list.objects);
    let objects = if list.cached {
        list.objects
    } else if list.selector {
        list.objects.saturating_add(limit)
    } else {
        limit.saturating_mul(2)
    };
    seats_for(objects, OBJECTS_A_SEAT, most)
}

/// How many watchers one seat stands for, and from how many on they count.
const WATCHERS_A_SEAT: u32 = 10;

/// The seats a mutating request takes once it is done, where `most` is what [`max_width`] says: the watchers that
/// have to hear of it keep them for 5 ms each.
pub fn mutating_width(watchers: u32, most: u32) -> u32 {
    if watchers < WATCHERS_A_SEAT { 1 } else { watchers.div_ceil(WATCHERS_A_SEAT).clamp(1, most.max(1)) }
}

fn seats_for(amount: u64, a_seat: u64, most: u32) -> u32 {
    let seats = amount.checked_div(a_seat).map_or(0, |_| amount.div_ceil(a_seat));
    u32::try_from(seats).unwrap_or(u32::MAX).clamp(1, most.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::apf::{DEFAULT_SERVER_SEATS, default_levels, seats};

    #[test]
    fn default_levels_take_requests_as_wide_as_documented() {
        let levels = default_levels();
        let widths = |server| -> Vec<(&str, Width)> {
            let got = seats(DEFAULT_SERVER_SEATS, &levels);
            let width = |(level, seats)| max_width(level, seats, server);
            levels.iter().map(|level| level.name.as_str()).zip(levels.iter().zip(got).map(width)).collect()
        };
        let now = widths(ServerVersion::From134);
        assert!(now.contains(&("workload-low", Width { list: 37, mutating: 10 })), "{now:?}");
        assert!(now.contains(&("global-default", Width { list: 8, mutating: 8 })), "{now:?}");
        assert!(now.contains(&("catch-all", Width { list: 1, mutating: 1 })), "{now:?}");
        let before = widths(ServerVersion::Before134);
        assert!(before.contains(&("workload-low", Width { list: 10, mutating: 10 })), "{before:?}");
    }

    #[test]
    fn lists_are_as_wide_as_they_are_large() {
        let all =
            ListSize { objects: 10_000, mean_bytes: 2_000, limit: None, selector: false, cached: false };
        assert_eq!(list_width(all, 100), 100);
        assert_eq!(list_width(ListSize { cached: true, ..all }, 100), 10);
        assert_eq!(list_width(ListSize { limit: Some(500), ..all }, 100), 10);
        assert_eq!(list_width(ListSize { limit: Some(500), selector: true, ..all }, 200), 100);
        assert_eq!(list_width(ListSize { objects: 0, ..all }, 100), 1);
        assert_eq!(list_width(all, 37), 37);
    }

    #[test]
    fn a_change_is_as_wide_as_its_watchers_are_many() {
        let widths = [0, 9, 10, 11, 95, 1_000].map(|watchers| mutating_width(watchers, 10));
        assert_eq!(widths, [1, 1, 1, 2, 10, 10]);
    }

    #[test]
    fn lists_were_as_wide_as_they_were_long() {
        let all = ListSize { objects: 400, mean_bytes: 1, limit: Some(100), selector: false, cached: false };
        assert_eq!(list_width_by_count(all, 10), 2);
        assert_eq!(list_width_by_count(ListSize { cached: true, ..all }, 10), 4);
        assert_eq!(list_width_by_count(ListSize { selector: true, ..all }, 10), 5);
    }
}
