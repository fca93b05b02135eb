//! The `bailey` binary: where cargo put it.
