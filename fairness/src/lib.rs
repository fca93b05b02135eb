//! Who goes first, and how often: fairness between tenants, however many users, accounts or connections each has.
//!
//! Comes in: tenants and their classes, requests with what they will cost, the time. Goes out: objects that configure
//! the API server, which request to serve next, and whether one may pass. It does no I/O, and but for [`seats`] reads no
//! clock.
//!
//! ```
//! use std::num::NonZeroU32;
//! use fairness::queue::{Ask, Entry, Next, Queue, Settings};
//! use fairness::rates::{Class, Limit, Limits, Rates, Start};
//!
//! let rates = Rates::new();
//! let ten_a_second = Limits { tenant: Limit::per_second(10, 20), user: None };
//! rates.set(0, "shop", Class::Write, ten_a_second, Start::Full);
//! assert!(rates.check(0, "shop", Class::Write, Some("eve"), 1).is_ok());
//!
//! let one = NonZeroU32::MIN;
//! let mut queue = Queue::new(Settings { seats: one, per_flow: 50, total: 1_000 });
//! let ask = Ask { flow: "shop", weight: one, width: one, estimate: 300, deadline: 10_000_000 };
//! let Entry::Queued { id, .. } = queue.enqueue(0, &ask) else { panic!("refused") };
//! assert_eq!(queue.next(0), Some(Next::Run(id)));
//! assert!(queue.finish(id, 280));
//! ```
//!
//! - [`apf`]: what API Priority and Fairness does with a configuration, and the configuration that Bailey writes.
//! - [`queue`]: which request is served next.
//! - [`rates`]: how often each tenant may do what.
//! - [`seats`]: the queue with a clock, for whoever waits.

#![forbid(unsafe_code)]

pub mod apf;
pub mod queue;
pub mod rates;
pub mod seats;
