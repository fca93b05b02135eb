//! The history against all states that there ever were.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;

use super::entry::Entry;
use super::history::{After, History, MAX_CHANGES};

type State = BTreeMap<String, u64>;

/// What happens at the API server, or how this end hears of it.
#[derive(Debug, Clone)]
enum Step {
    /// An object is written.
    Write(u8),
    /// It is deleted, if it is there.
    Delete(u8),
    /// Something else is written, of which nothing comes but a bookmark.
    Other,
    /// The watch brings one event.
    Hear,
    /// It says how far it is, if there is nothing else to bring.
    Bookmark,
    /// All is listed, whatever the watch has brought.
    List,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..5_u8).prop_map(Step::Write),
        3 => (0..5_u8).prop_map(Step::Delete),
        1 => Just(Step::Other),
        8 => Just(Step::Hear),
        2 => Just(Step::Bookmark),
        1 => Just(Step::List),
    ]
}

fn entry(name: &str, version: u64) -> Arc<Entry> {
    let owner = version.is_multiple_of(2).then(|| format!("owner-{}", version % 3));
    Arc::new(Entry::of_test(name, version, owner))
}

fn entries(state: &State) -> Vec<Arc<Entry>> {
    state.iter().map(|(name, version)| entry(name, *version)).collect()
}

/// The API server, and what was not heard of it yet.
struct Server {
    version: u64,
    state: State,
    unheard: std::collections::VecDeque<(u64, After)>,
}

impl Server {
    fn step(&mut self, step: &Step, history: &mut History) {
        match step {
            Step::Write(name) => {
                self.version = self.version.saturating_add(1);
                let name = name.to_string();
                self.unheard.push_back((self.version, After::Is(entry(&name, self.version))));
                self.state.insert(name, self.version);
            }
            Step::Delete(name) => {
                let name = name.to_string();
                if self.state.remove(&name).is_some() {
                    self.version = self.version.saturating_add(1);
                    self.unheard.push_back((self.version, After::Gone(entry(&name, self.version))));
                }
            }
            Step::Other => self.version = self.version.saturating_add(1),
            Step::Hear => {
                if let Some((version, after)) = self.unheard.pop_front() {
                    let new = version > history.version();
                    assert_eq!(history.change(version, after), new);
                }
            }
            Step::Bookmark if self.unheard.is_empty() => _ = history.reach(self.version),
            Step::Bookmark => {}
            Step::List => history.list(entries(&self.state), self.version),
        }
    }
}

fn state(entries: impl Iterator<Item = Arc<Entry>>) -> State {
    entries.map(|entry| (entry.name.clone(), entry.version)).collect()
}

proptest! {
    #[test]
    fn every_version_that_is_kept_is_as_it_was_and_leads_to_now(steps in prop::collection::vec(step(), 0..120)) {
        let mut server = Server { version: 3, state: State::new(), unheard: <_>::default() };
        let mut history = History::default();
        history.list(Vec::new(), 3);
        // What a client could have been given: the versions that were the newest here once.
        let mut given: BTreeMap<u64, State> = BTreeMap::from([(3, State::new())]);
        for step in &steps {
            server.step(step, &mut history);
            let now = state(history.objects().cloned());
            // INVARIANT: a version stands for one state, however often it is given.
            prop_assert_eq!(given.entry(history.version()).or_insert_with(|| now.clone()), &now);
            for (version, then) in &given {
                let at = history.at(*version).expect("all are kept");
                prop_assert_eq!(&state(at.into_values()), then);
                let mut client = then.clone();
                for change in history.since(*version).expect("all are kept") {
                    prop_assert!(change.version > *version && change.version <= history.version());
                    prop_assert_eq!(client.get(change.name()), change.before.as_ref().map(|entry| &entry.version));
                    match &change.after {
                        After::Is(entry) => client.insert(entry.name.clone(), entry.version),
                        After::Gone(entry) => client.remove(&entry.name),
                    };
                }
                prop_assert_eq!(&client, &now);
            }
            for owner in ["owner-0", "owner-1", "owner-2"] {
                let owned = state(history.owned_by(owner).cloned());
                let all = history.objects().filter(|entry| entry.owner.as_deref() == Some(owner)).cloned();
                prop_assert_eq!(owned, state(all));
            }
        }
        history.list(entries(&server.state), server.version);
        prop_assert_eq!(&state(history.objects().cloned()), &server.state);
    }
}

#[test]
fn what_is_not_kept_any_more_is_not_known() {
    let mut history = History::default();
    history.list(Vec::new(), 1);
    let changes = MAX_CHANGES as u64 + 10;
    for version in 2..=changes + 1 {
        assert!(history.change(version, After::Is(entry("a", version))));
    }
    assert!(history.since(1).is_none() && history.at(10).is_none() && history.oldest() == 11);
    assert_eq!(history.since(11).unwrap().count(), MAX_CHANGES);
    assert_eq!(history.at(11).unwrap().len(), 1);
    assert!(history.at(changes + 2).is_none(), "it is not there yet");
}
