//! What each level gets of a server once a plan holds.

use std::collections::BTreeSet;

use super::{Plan, Warning};
use crate::apf::{Level, Seats, ServerVersion, Width, max_width, seats};

/// What a level gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LevelSeats {
    /// The level.
    pub level: Level,
    /// Whether the plan has it.
    pub planned: bool,
    /// Its seats.
    pub seats: Seats,
    /// The most seats one of its requests takes.
    pub width: Width,
}

/// What all levels get of one server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeatsReport {
    /// The levels, those of the plan behind the others.
    pub levels: Vec<LevelSeats>,
    /// Levels that cannot serve what they may be asked for.
    pub warnings: Vec<Warning>,
}

impl Plan {
    /// What each level gets of a server with so many seats, beside the levels that are there without the plan
    /// ([`default_levels`](crate::apf::default_levels), where nobody changed them).
    pub fn seats(&self, server: u32, others: &[Level], version: ServerVersion) -> SeatsReport {
        let planned: Vec<Level> = self.levels.iter().map(Level::from).collect();
        let names: BTreeSet<&str> = planned.iter().map(|level| level.name.as_str()).collect();
        // What was read from a cluster can hold the plan's levels already.
        let others: Vec<&Level> =
            others.iter().filter(|level| !names.contains(level.name.as_str())).collect();
        let first = others.len();
        let before: Vec<Level> = others.into_iter().cloned().collect();
        let all: Vec<Level> = before.iter().cloned().chain(planned).collect();
        let rows = all.iter().zip(seats(server, &all)).enumerate().map(|(at, (level, seats))| LevelSeats {
            level: level.clone(),
            planned: at >= first,
            seats,
            width: max_width(level, seats, version),
        });
        let levels: Vec<LevelSeats> = rows.collect();
        let alone = before.iter().zip(seats(server, &before)).map(|(level, seats)| (level, seats.nominal));
        let starved = alone.zip(&levels).filter_map(|((level, before), row)| {
            let after = row.seats.nominal;
            let starved = u64::from(after).saturating_mul(2) < u64::from(before);
            starved.then(|| Warning::Starved { level: level.name.clone(), before, after })
        });
        let narrow = levels.iter().filter(|row| row.planned).filter_map(LevelSeats::narrow);
        let warnings = narrow.chain(starved).collect();
        SeatsReport { levels, warnings }
    }
}

impl LevelSeats {
    /// Whether one flow of widest lists can hold all seats: nominal <= hand x width.
    fn narrow(&self) -> Option<Warning> {
        let hand = self.level.queuing()?.hand;
        let (nominal, held) = (self.seats.nominal, hand.saturating_mul(self.width.list));
        (nominal <= held).then(|| Warning::Narrow { level: self.level.name.clone(), nominal, held })
    }
}
