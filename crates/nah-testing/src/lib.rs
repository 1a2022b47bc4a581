//! An embedded Kubernetes API server for tests, with faults on demand.
//!
//! [`ApiServer`] is a server inside the process. It speaks the protocol: discovery, CRUD, lists in pages,
//! watches with bookmarks, patches, subresources, tables, CustomResourceDefinitions with their schemas. A
//! `kube_client::Client` of it needs no socket ([`ApiServer::client`]); `kubectl` and clients in other
//! languages come over loopback ([`ApiServer::listen`]).
//!
//! It answers as a real kube-apiserver was seen to answer, word for word where a client could care. What it
//! cannot do right it refuses in clear words: strategic merge of lists is 415, CEL
//! rules and admission webhooks are ignored, and there is neither authentication nor authorization. It is for
//! tests and demos.
//!
//! [`Fault`]s make it misbehave on demand, and the [`Journal`] says what it was asked:
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use k8s_openapi::api::core::v1::Pod;
//! use kube_client::{Api, api::ListParams};
//! use nah_testing::{ApiServer, Fault};
//!
//! let server = ApiServer::new();
//! server.inject(Fault::answer(500).on("list").of("pods"));
//!
//! let pods: Api<Pod> = Api::all(server.client());
//! assert!(pods.list(&ListParams::default()).await.is_err());
//! assert!(pods.list(&ListParams::default()).await.is_ok());
//! assert_eq!(server.journal().count("list", "pods"), 2);
//! # Ok(())
//! # }
//! ```
//!
//! All time is Tokio's: with `#[tokio::test(start_paused = true)]` bookmarks, time limits, delays and
//! timestamps pass as fast as the test can, and nothing sleeps for real.

#[cfg(feature = "control-plane")]
mod control_plane;
#[cfg(feature = "fake")]
mod fake;
mod fault;
mod journal;
mod server;

#[cfg(feature = "control-plane")]
pub use self::control_plane::{ControlPlane, ControlPlaneError, ControlPlaneOptions};
#[cfg(feature = "fake")]
pub use self::fake::Fake;
pub use self::{
    fault::{Action, Corruption, Fault, FaultId, Script},
    journal::{Journal, Request},
    server::{ApiServer, ApiServerBuilder, Listening, Status},
};
