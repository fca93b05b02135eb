//! The engine as a whole, with guests written as text.

mod caching;
mod guests;
mod hostile;
mod limits;
mod lookups;
mod random;
