//! How many lists are put together at once, which are held in memory meanwhile.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use model::Code;

use crate::refusal::Refusal;

/// The most of one tenant, and of all.
const OF_ONE: usize = 4;
const OF_ALL: usize = 32;

/// The lists that are put together now, by tenant.
#[derive(Debug, Clone, Default)]
pub(super) struct Turns(Arc<Mutex<HashMap<String, usize>>>);

/// A turn, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Turn {
    turns: Turns,
    tenant: String,
}

impl Turns {
    /// Takes a turn for a tenant.
    ///
    /// # Errors
    /// [`Code::GatewayBusy`] while the tenant has four, or all have 32.
    pub(super) fn take(&self, tenant: &str) -> Result<Turn, Refusal> {
        let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (own, all) = (turns.get(tenant).copied().unwrap_or_default(), turns.values().sum::<usize>());
        if own >= OF_ONE || all >= OF_ALL {
            let message = format!(
                "lists of all namespaces are put together here for at most {OF_ONE} requests of tenant {tenant} at once, and \
                 {OF_ALL} of all tenants; wait for the others, or ask for one namespace"
            );
            return Err(Refusal::new(Code::GatewayBusy, message).after(Duration::from_secs(1)));
        }
        turns.insert(tenant.to_owned(), own.saturating_add(1));
        Ok(Turn { turns: self.clone(), tenant: tenant.to_owned() })
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut turns = self.turns.0.lock().unwrap_or_else(PoisonError::into_inner);
        let left = turns.get(&self.tenant).map_or(0, |own| own.saturating_sub(1));
        if left == 0 {
            turns.remove(&self.tenant);
        } else {
            turns.insert(self.tenant.clone(), left);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenant_takes_no_turns_of_others_and_gives_its_own_back() {
        let turns = Turns::default();
        let taken: Vec<_> = (0..OF_ONE).map(|_| turns.take("a").unwrap()).collect();
        assert_eq!(turns.take("a").unwrap_err().code, Code::GatewayBusy);
        let _other = turns.take("b").unwrap();
        drop(taken);
        let _again = turns.take("a").unwrap();
        assert_eq!(turns.0.lock().unwrap().values().sum::<usize>(), 2);
    }

    #[test]
    fn all_together_have_so_many() {
        let turns = Turns::default();
        let taken: Vec<_> = (0..OF_ALL).map(|number| turns.take(&number.to_string()).unwrap()).collect();
        assert!(turns.take("late").is_err());
        drop(taken);
        assert!(turns.take("late").is_ok() && turns.0.lock().unwrap().is_empty());
    }
}
