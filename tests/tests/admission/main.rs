//! What users of a real API server see when Bailey admits: one world, one module per kind of request.

mod collections;
mod connect;
mod create;
mod custom_objects;
mod delete;
mod dry_run;
mod mutation;
mod names;
mod server_side_apply;
mod size;
mod subresources;
mod update;
mod wasm;
mod wire;
