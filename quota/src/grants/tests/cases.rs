use super::*;

/// The steps for one namespace with a quota that is known, and its record.
fn steps(record: &Record, quota: Quota, need: i128) -> Vec<Step> {
    let members = BTreeMap::from([(name(0), false)]);
    let (quotas, needs) = (BTreeMap::from([(name(0), quota)]), BTreeMap::from([(name(0), hard(need))]));
    let budget = hard(100);
    plan(&Situation {
        budget: Some(&budget),
        counted: &Counted::All,
        first: 7,
        members: &members,
        record: Some(record),
        quotas: &quotas,
        gone: &BTreeSet::new(),
        needs: &needs,
        tidy: false,
    })
}

fn quota(turn: u64, spec: i128, status: i128, used: i128) -> Quota {
    let (uid, counted) = ("u".into(), Counted::All);
    Quota { uid, version: 3, turn, counted, spec: hard(spec), status: hard(status), used: hard(used) }
}

fn record(turn: u64, amount: i128) -> Record {
    Record { turn, grants: BTreeMap::from([(name(0), Grant { uid: "u".into(), hard: hard(amount) })]) }
}

#[test]
fn a_grant_is_raised_in_the_record_then_in_the_spec_then_in_the_status() {
    let [Step::Record(next)] = &steps(&record(1, 10), quota(0, 10, 10, 10), 5)[..] else { panic!() };
    assert_eq!(
        (next.turn, next.hard("ns-0", PODS) / ONE),
        (2, 57),
        "what it needs, and half of what is free"
    );
    let steps_of = |found| steps(&record(2, 57), found, 5);
    assert_eq!(steps_of(quota(1, 10, 10, 10)), [Step::Spec(name(0), 3, hard(57), 1)]);
    assert_eq!(steps_of(quota(1, 57, 10, 10)), [Step::Status(name(0), 3, hard(57))]);
    assert_eq!(steps_of(quota(1, 57, 57, 10)), []);
}

#[test]
fn a_quota_that_was_lowered_at_this_turn_is_raised_at_the_next() {
    let [Step::Record(next)] = &steps(&record(4, 57), quota(4, 10, 10, 10), 5)[..] else { panic!() };
    assert_eq!((next.turn, next.hard("ns-0", PODS) / ONE), (5, 57));
}

#[test]
fn what_was_raised_by_hand_is_lowered_and_a_strange_annotation_is_gone_past() {
    assert_eq!(steps(&record(4, 57), quota(1, 90, 57, 10), 0), [Step::Spec(name(0), 3, hard(57), 1)]);
    assert_eq!(steps(&record(4, 57), quota(1, 57, 90, 10), 0), [Step::Status(name(0), 3, hard(57))]);
    let [Step::Record(next)] = &steps(&record(4, 57), quota(900, 57, 57, 10), 0)[..] else { panic!() };
    assert_eq!(next.turn, 901);
    let found = quota(u64::MAX, 57, 57, 10);
    assert_eq!(steps(&record(4, 57), found, 0), [Step::Delete(name(0), "u".into())]);
}
