//! The life of policies on a real cluster: bad ones refused, new versions swapped in.

mod hot_swap;
mod refused;
mod removed;
