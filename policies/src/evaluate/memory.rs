//! What every evaluation thread knows, kept for a thread that starts later.

use std::collections::BTreeMap;
use std::sync::Arc;

use crossbeam_channel::Sender;
use model::{LookupKind, ObjectEvent, ObjectKey, StoredObject};

use crate::PolicySet;

/// The set in force and the cached objects; texts are shared with the threads, not copied.
#[derive(Default)]
pub(super) struct Memory {
    set: Option<Arc<PolicySet>>,
    objects: BTreeMap<LookupKind, BTreeMap<ObjectKey, StoredObject>>,
}

impl Memory {
    pub(super) fn publish(&mut self, set: &Arc<PolicySet>) {
        self.set = Some(Arc::clone(set));
    }

    pub(super) fn observe(&mut self, event: &ObjectEvent) {
        match event {
            ObjectEvent::Upsert(object) => {
                let objects = self.objects.entry(object.key.kind.clone()).or_default();
                objects.insert(object.key.clone(), object.clone());
            }
            ObjectEvent::Delete(key) => {
                if let Some(objects) = self.objects.get_mut(&key.kind) {
                    objects.remove(key);
                }
            }
            ObjectEvent::Replace(kind, objects) => {
                let objects = objects.iter().map(|object| (object.key.clone(), object.clone())).collect();
                self.objects.insert(kind.clone(), objects);
            }
            ObjectEvent::Drop(kind) => {
                self.objects.remove(kind);
            }
        }
    }

    /// Tells a new thread everything.
    pub(super) fn replay(&self, events: &Sender<ObjectEvent>, sets: &Sender<Arc<PolicySet>>) {
        for (kind, objects) in &self.objects {
            // The thread that receives is not started yet: it cannot have ended.
            let _ = events.send(ObjectEvent::Replace(kind.clone(), objects.values().cloned().collect()));
        }
        if let Some(set) = &self.set {
            let _ = sets.send(Arc::clone(set));
        }
    }
}
