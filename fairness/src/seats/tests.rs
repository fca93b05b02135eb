use super::*;

fn after(millis: u64) -> Instant {
    Instant::now().checked_add(Duration::from_millis(millis)).unwrap()
}

fn wish(asker: Asker<'_>, until: Instant) -> Wish<'_> {
    Wish { asker, kind: "work", width: NonZeroU32::MIN, until: Until::Done(until) }
}

/// What a tenant of weight 1 wants, and waits for.
fn of(tenant: &str) -> Wish<'_> {
    wish(Some((tenant, NonZeroU32::MIN)), after(30_000))
}

fn nobodys() -> Wish<'static> {
    wish(None, after(30_000))
}

fn wide(width: u32, wish: Wish<'_>) -> Wish<'_> {
    Wish { width: NonZeroU32::new(width).unwrap(), ..wish }
}

#[tokio::test]
async fn a_tenant_has_as_many_turns_as_its_weight_says() {
    let seats = Seats::new(4, 400);
    let mut held = Vec::new();
    for _ in 0..4 {
        held.push(seats.take(&nobodys()).await.unwrap());
    }
    let heavy = NonZeroU32::new(3).unwrap();
    let places = |tenant, weight| -> Vec<_> {
        (0..8).map(|_| seats.enter(&wish(Some((tenant, weight)), after(30_000))).unwrap()).collect()
    };
    let (mut light, mut heavy) = (places("light", NonZeroU32::MIN), places("heavy", heavy));
    drop(held);
    let turns = |places: &mut Vec<(Seat, oneshot::Receiver<bool>)>| {
        places.iter_mut().filter_map(|(_, granted)| granted.try_recv().ok()).count()
    };
    assert_eq!((turns(&mut light), turns(&mut heavy)), (1, 3));
}

#[tokio::test]
async fn a_flood_waits_for_itself() {
    let seats = Seats::new(1, 400);
    let mut held = seats.take(&of("elephant")).await.unwrap();
    held.begin();
    let order = Arc::new(Mutex::new(Vec::new()));
    let mut running = Vec::new();
    for tenant in std::iter::repeat_n("elephant", 50).chain(["mouse"]) {
        let order = Arc::clone(&order);
        let place = seats.enter(&of(tenant)).unwrap();
        running.push(tokio::spawn(async move {
            let (mut seat, granted) = place;
            assert!(granted.await.unwrap());
            seat.begin();
            order.lock().unwrap().push(tenant);
        }));
    }
    assert_eq!(seats.size(), (51, 1));
    let mut standings = seats.standings();
    standings.sort_by(|one, other| one.0.cmp(&other.0));
    let told: Vec<_> =
        standings.iter().map(|(name, standing)| (&**name, standing.waiting, standing.seats)).collect();
    assert_eq!(told, [("elephant", 50, 1), ("mouse", 1, 0)]);
    drop(held);
    for one in running {
        one.await.unwrap();
    }
    let order = order.lock().unwrap();
    let place = order.iter().position(|tenant| *tenant == "mouse").unwrap();
    assert!(place <= 1, "the mouse came {place} after elephants that were there before");
    assert_eq!((seats.size(), seats.standings().len()), ((0, 0), 0));
}

#[tokio::test]
async fn a_tenant_fills_its_own_places_and_no_others() {
    let seats = Seats::new(1, 8);
    let _held = seats.take(&of("elephant")).await.unwrap();
    let places: Vec<_> = (0..2).map(|_| seats.enter(&of("elephant")).unwrap()).collect();
    let refused = seats.enter(&of("elephant")).map(drop).unwrap_err();
    assert_eq!((refused.cause, refused.own), (Cause::Full, true));
    assert!(seats.enter(&of("mouse")).is_ok() && seats.enter(&nobodys()).is_ok());
    drop(places);
    assert!(seats.enter(&of("elephant")).is_ok());
}

#[tokio::test]
async fn who_is_late_is_told_whose_flood_it_was() {
    let seats = Seats::new(2, 400);
    let held = [seats.take(&of("elephant")).await.unwrap(), seats.take(&of("elephant")).await.unwrap()];
    let late = |tenant| wish(Some((tenant, NonZeroU32::MIN)), after(20));
    let (elephant, mouse) = (late("elephant"), late("mouse"));
    let (elephant, mouse) = tokio::join!(seats.take(&elephant), seats.take(&mouse));
    let told = [elephant, mouse].map(|seat| seat.map(drop).unwrap_err());
    assert_eq!(told.map(|told| (told.cause, told.own)), [(Cause::Late, true), (Cause::Late, false)]);
    drop(held);
    assert_eq!(seats.size(), (0, 0));
}

#[tokio::test]
async fn who_goes_away_or_is_late_leaves_no_seat_taken() {
    let seats = Seats::new(1, 8);
    let held = seats.take(&nobodys()).await.unwrap();
    let late = seats.take(&wish(Some(("a", NonZeroU32::MIN)), after(5))).await;
    assert_eq!(late.map(drop).unwrap_err().cause, Cause::Late);
    let gone = seats.enter(&of("b")).unwrap();
    drop(gone);
    let (seat, granted) = seats.enter(&of("c")).unwrap();
    drop(held);
    assert_eq!(granted.await, Ok(true));
    // Granted, and never used.
    drop(seat);
    assert!(seats.take(&of("d")).await.is_ok());
    // What does not come back keeps its seat, and there is another.
    let stuck = seats.take(&of("d")).await.unwrap();
    seats.set_more(1);
    drop(seats.take(&of("e")).await.unwrap());
    drop(stuck);
    seats.set_more(0);
    assert_eq!(seats.size(), (0, 0));
}

#[tokio::test]
async fn a_wide_request_takes_its_seats_and_waits_until_they_are_free() {
    let seats = Seats::new(4, 400);
    let narrow = seats.take(&of("a")).await.unwrap();
    let (list, mut granted) = seats.enter(&wide(4, of("b"))).unwrap();
    assert!(granted.try_recv().is_err(), "only three are free");
    drop(narrow);
    assert_eq!(granted.await, Ok(true));
    assert_eq!(seats.size(), (0, 4));
    drop(list);
    // More than there are count as all.
    let all = seats.take(&wide(9, of("b"))).await.unwrap();
    assert_eq!(seats.size(), (0, 4));
    drop(all);
}

#[tokio::test]
async fn a_request_that_only_has_to_begin_in_time_may_take_longer_than_that() {
    let seats = Seats::new(1, 8);
    // Its kind takes a minute, as was measured.
    for _ in 0..64 {
        seats.lock().measure("slow", 60_000_000);
    }
    let soon = |until| Wish { kind: "slow", until, ..of("a") };
    assert!(seats.take(&soon(Until::Seated(after(5_000)))).await.is_ok());
    let refused = seats.take(&soon(Until::Done(after(5_000)))).await.map(drop).unwrap_err();
    assert_eq!(refused.cause, Cause::Full);
    assert!(seats.take(&of("a")).await.is_ok(), "of another kind");
}
