//! The library's policy `pod-security`: in process against the fixtures of Kubernetes' own implementation
//! and against shapes that these do not have, and once behind a real API server.

mod cluster;
mod fixtures;
mod judge;
mod shapes;
