//! An embedded Kubernetes API server for tests, with faults on demand.

#[cfg(feature = "control-plane")]
mod control_plane;

#[cfg(feature = "control-plane")]
pub use control_plane::{ControlPlane, ControlPlaneError, ControlPlaneOptions};
