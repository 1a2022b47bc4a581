//! The server on a socket.

use std::{io, net::SocketAddr, sync::Arc};

use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::{
    net::{TcpListener, TcpStream},
    task::{JoinHandle, JoinSet},
};

use super::{http::serve, shared::Shared};

/// A server that listens on a port of the loopback interface, until this is dropped.
///
/// With it end all connections; the objects stay with the [`ApiServer`](crate::ApiServer).
#[derive(Debug)]
pub struct Listening {
    addr: SocketAddr,
    task: JoinHandle<()>,
}

// === impl Listening ===

impl Listening {
    pub(crate) async fn start(shared: Arc<Shared>, port: u16) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", port)).await?;
        let addr = listener.local_addr()?;
        let task = tokio::spawn(accept(listener, shared));
        Ok(Self { addr, task })
    }

    /// The address.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The address as a URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// A kubeconfig in YAML, for `kubectl --kubeconfig` and other clients.
    pub fn kubeconfig(&self) -> String {
        let url = self.url();
        [
            "apiVersion: v1",
            "kind: Config",
            "clusters:",
            &format!("- {{name: nah-testing, cluster: {{server: '{url}'}}}}"),
            "users:",
            "- {name: nah-testing, user: {}}",
            "contexts:",
            "- name: nah-testing",
            "  context: {cluster: nah-testing, user: nah-testing, namespace: default}",
            "current-context: nah-testing",
            "",
        ]
        .join("\n")
    }

    /// A configuration for `kube_client::Client::try_from`.
    pub fn config(&self) -> kube_client::Config {
        let url =
            http::Uri::builder().scheme("http").authority(self.addr.to_string()).path_and_query("/").build();
        kube_client::Config::new(url.unwrap_or_default())
    }

    /// Stops listening; when this returns, no connection is left.
    pub async fn close(mut self) {
        self.task.abort();
        // The error says that the task was aborted, which is what was wanted.
        let _ = (&mut self.task).await;
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    // Dropped with this task, and all connections with it.
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) if !shared.control.borrow().refuses => {
                    connections.spawn(connection(stream, shared.clone()));
                }
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(std::time::Duration::from_millis(10)).await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connection(stream: TcpStream, shared: Arc<Shared>) {
    let mut lease = shared.lease(None);
    // Watch lines are small and wanted at once.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| serve(shared.clone(), request));
    let serving = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        () = lease.ended() => {}
        served = serving => {
            if let Err(error) = served {
                tracing::debug!(%error, "a connection ended early");
            }
        }
    }
}
