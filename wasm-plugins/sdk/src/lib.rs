//! Write Bailey policies in Rust: implement [`Policy`], export it with [`export_policy!`], build it for
//! `wasm32-unknown-unknown` and make a component of it.
//!
//! A policy is plain functions of a request and settings, so its tests run on the machine you build on.
//!
//! ```
//! use bailey_plugin_sdk::{Finding, Policy, Request};
//! use serde::Deserialize;
//!
//! struct NoLatest;
//!
//! #[derive(Deserialize)]
//! struct Pod { spec: Spec }
//! #[derive(Deserialize)]
//! struct Spec { containers: Vec<Container> }
//! #[derive(Deserialize)]
//! struct Container { image: String }
//!
//! impl Policy for NoLatest {
//!     type Settings = ();
//!
//!     fn validate(request: &Request, _settings: &()) -> Result<Vec<Finding>, String> {
//!         let pod: Pod = request.object()?;
//!         let bad = pod.spec.containers.iter().enumerate().filter(|(_, one)| one.image.ends_with(":latest"));
//!         Ok(bad
//!             .map(|(at, one)| {
//!                 Finding::new(format!("image `{}` has no fixed version", one.image))
//!                     .at(format!("spec.containers[{at}].image"))
//!             })
//!             .collect())
//!     }
//! }
//!
//! bailey_plugin_sdk::export_policy!(NoLatest);
//! ```

mod adapter;
pub mod host;
mod policy;
mod request;

pub use adapter::Adapter;
pub use policy::{Finding, Mutation, Policy};
pub use request::{Kind, Request};

#[doc(hidden)]
#[allow(missing_docs)]
pub mod bindings {
    wit_bindgen::generate!({
        path: "../wit",
        world: "policy",
        pub_export_macro: true,
        export_macro_name: "export_world",
        default_bindings_module: "bailey_plugin_sdk::bindings",
    });
}

/// Makes a [`Policy`] the one that this module is.
#[macro_export]
macro_rules! export_policy {
    ($policy:ty) => {
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            type Exported = $crate::Adapter<$policy>;
    $crate::bindings::export_world!(Exported with_types_in $crate::bindings);
        };
    };
}
