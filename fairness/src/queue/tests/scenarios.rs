//! The subjects of the API server's queue set tests, held to the same margins or better, where guesses are true.

use super::simulation::{Client, SECOND, Scenario, client};
use super::*;

/// The server's own first guess.
const GUESS: Micros = 3_000;

/// Holds every period to its margin, with true guesses and with one guess for all.
fn expect(scenario: &Scenario, margins: &[f64]) {
    let sent: u64 = scenario
        .clients
        .iter()
        .map(|client| {
            let late = if client.split { client.threads - client.threads / 2 } else { 0 };
            (client.threads - late) * client.calls + late * (client.calls / 2)
        })
        .sum();
    for guess in [None, Some(GUESS)] {
        let scenario = Scenario { guess, ..scenario.clone() };
        let outcome = scenario.run();
        let ran: usize = outcome.latencies.iter().map(Vec::len).sum();
        assert_eq!(ran as u64, sent, "a request is lost");
        let unfair = scenario.unfairness(&outcome);
        for (unfair, margin) in unfair.iter().zip(margins) {
            // A guess of a 300th lets who came first have one request more, in all.
            let margin = if guess.is_some() { margin.max(0.0125 + 1e-9) } else { *margin };
            assert!(*unfair <= margin, "{unfair} of {margin} with guess {guess:?}: {:?}", outcome.seats);
        }
    }
}

#[test]
fn no_restraint() {
    let clients = vec![client(1, 5, 15, SECOND, SECOND), client(2, 2, 15, SECOND, SECOND / 2)];
    expect(&Scenario::new(10, clients, &[18 * SECOND]), &[0.0667]);
}

#[test]
fn uniform_flows() {
    let clients = vec![client(1, 8, 20, SECOND, SECOND - 1), client(2, 8, 20, SECOND, SECOND - 1)];
    expect(&Scenario::new(4, clients, &[50 * SECOND]), &[0.01]);
}

#[test]
fn uniform_flows_for_longer() {
    let clients = vec![client(1, 8, 30, SECOND, SECOND - 1), client(2, 8, 30, SECOND, SECOND - 1)];
    expect(&Scenario::new(4, clients, &[60 * SECOND]), &[0.03]);
}

#[test]
fn different_flows_expect_equal() {
    let clients = vec![client(1, 8, 20, SECOND, SECOND), client(2, 7, 30, SECOND, SECOND / 2)];
    expect(&Scenario::new(4, clients, &[40 * SECOND]), &[0.01]);
}

#[test]
fn different_flows_expect_unequal() {
    let clients = vec![client(1, 4, 20, SECOND, SECOND - 1), client(2, 2, 20, SECOND, SECOND - 1)];
    expect(&Scenario::new(3, clients, &[20 * SECOND]), &[0.01]);
}

#[test]
fn different_widths() {
    let wide = Client { width: 2, ..client(2, 7, 10, SECOND, SECOND - 1) };
    let clients = vec![client(1, 13, 10, SECOND, SECOND - 1), wide];
    expect(&Scenario::new(6, clients, &[20 * SECOND]), &[0.155]);
}

#[test]
fn too_wide() {
    let two = |flow| Client { width: 2, ..client(flow, 15, 21, SECOND, SECOND - 1) };
    let all = Client { width: 7, ..client(5, 15, 21, SECOND, SECOND - 1) };
    let mut scenario = Scenario::new(6, vec![two(1), two(2), two(3), two(4), all], &[225 * SECOND]);
    // More than there is counts as all of it.
    scenario.clients[4].width = 6;
    expect(&scenario, &[0.33]);
}

#[test]
fn windup() {
    let late = Client { split: true, ..client(2, 2, 40, SECOND, 0) };
    let clients = vec![client(1, 2, 40, SECOND, 0), late];
    // The server's own margin in the second half is 0.26.
    expect(&Scenario::new(3, clients, &[20 * SECOND, 40 * SECOND]), &[0.01, 0.05]);
}

#[test]
fn seat_seconds_of_ten_years() {
    const QUARTER: Micros = 91 * 24 * 3_600 * SECOND;
    let wide = |client: Client| Client { width: 500, ..client };
    let clients =
        vec![wide(client(1, 8, 20, QUARTER, QUARTER)), wide(client(2, 7, 30, QUARTER, QUARTER / 2))];
    expect(&Scenario::new(2_000, clients, &[40 * QUARTER]), &[0.01]);
}

#[test]
fn different_flows_without_queuing() {
    let clients = vec![client(1, 6, 10, SECOND, 57_000), client(2, 4, 15, SECOND, 750_000)];
    let scenario = Scenario { per_flow: 0, ..Scenario::new(4, clients, &[13 * SECOND]) };
    let outcome = scenario.run();
    assert!(outcome.refused.iter().sum::<u64>() > 0);
    let taken: f64 = outcome.seats[0].iter().sum();
    assert!(taken > 2.9, "{taken}");
}

#[test]
fn weights_are_shares() {
    let heavy = Client { weight: 3, ..client(1, 20, 40, SECOND, 0) };
    let clients = vec![heavy, client(2, 20, 40, SECOND, 0)];
    expect(&Scenario::new(8, clients, &[60 * SECOND]), &[0.02]);
}

#[test]
fn more_users_are_no_more_share() {
    // A hundred users of one tenant, who send from 800 threads, are one flow.
    let mut clients = vec![client(1, 8, 200, SECOND / 10, 0)];
    clients.push(client(2, 800, 30, SECOND / 10, 0));
    let scenario = Scenario::new(4, clients, &[30 * SECOND]);
    expect(&scenario, &[0.01]);
}

#[test]
fn a_quiet_tenant_does_not_notice_a_flood() {
    let quiet = client(1, 2, 400, 5_000, 45_000);
    let flood = client(2, 200, 900, 5_000, 0);
    let p99 = |outcome: &super::simulation::Outcome| {
        let mut latencies = outcome.latencies[0].clone();
        latencies.sort_unstable();
        latencies[latencies.len() * 99 / 100]
    };
    for guess in [None, Some(GUESS)] {
        let with =
            |clients| Scenario { guess, per_flow: 50, ..Scenario::new(4, clients, &[20 * SECOND]) }.run();
        let (alone, flooded) = (with(vec![quiet]), with(vec![quiet, flood]));
        assert!(p99(&flooded) <= 2 * p99(&alone), "{} and {}", p99(&alone), p99(&flooded));
        assert_eq!(flooded.refused[0], 0);
        assert!(flooded.refused[1] > 0);
    }
}
