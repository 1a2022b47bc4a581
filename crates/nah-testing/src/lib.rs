//! An embedded Kubernetes API server for tests, with faults on demand.

#[cfg(feature = "control-plane")]
mod control_plane;
mod fault;
mod journal;
mod server;

#[cfg(feature = "control-plane")]
pub use self::control_plane::{ControlPlane, ControlPlaneError, ControlPlaneOptions};
pub use self::{
    fault::{Action, Corruption, Fault, FaultId, Script},
    journal::{Journal, Request},
    server::{ApiServer, ApiServerBuilder, Listening, Status},
};
