//! The client underneath, until a shutdown lets go of it.

use std::{fmt, sync::Arc, time::Duration};

use http::{Request, Response};
use kube_client::{Client, client::Body};
use nah_cache::{CacheError, Connections};
use nah_core::BoxError;
use parking_lot::Mutex;
use tokio::time::timeout;

/// How long connections have to close.
const LAST_WORD: Duration = Duration::from_secs(5);

/// The client underneath, until a shutdown lets go of it.
pub(crate) struct Wire {
    client: Mutex<Option<Client>>,
    /// Those of a client that is the backend's own. Whoever else holds that client holds this as well.
    connections: Mutex<Option<Arc<Connections>>>,
}

impl Wire {
    pub(crate) fn new(client: Client, connections: Option<Arc<Connections>>) -> Self {
        Self { client: Mutex::new(Some(client)), connections: Mutex::new(connections) }
    }

    /// A handle for somebody else, whose connections are his own affair. After the end, one that answers `Stopped`.
    pub(crate) fn lend(&self) -> Client {
        self.connections.lock().take();
        let client = self.client.lock().clone();
        client.unwrap_or_else(|| {
            let stopped =
                |_: Request<Body>| async { Err::<Response<Body>, _>(BoxError::from(CacheError::Stopped)) };
            Client::new(tower::service_fn(stopped), "default")
        })
    }

    /// Lets go of the client and waits until its connections are closed, where nobody else may use them.
    pub(crate) async fn cut(&self) {
        let client = self.client.lock().take();
        drop(client);
        let connections =
            self.connections.lock().as_ref().filter(|shared| Arc::strong_count(shared) == 1).cloned();
        if let Some(connections) = connections
            && timeout(LAST_WORD, connections.closed()).await.is_err()
        {
            tracing::warn!("a request of somebody else keeps a connection open");
        }
    }
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wire").finish_non_exhaustive()
    }
}
