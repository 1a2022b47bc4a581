//! The connections of one client, counted.

use tokio_util::task::TaskTracker;

/// The connections of one client of [`connect_counted`](crate::connect_counted). Keeps none of them open.
#[derive(Clone, Debug)]
pub struct Connections(TaskTracker);

impl Connections {
    pub(crate) fn new() -> Self {
        let tasks = TaskTracker::new();
        // Its wait is for what is there.
        tasks.close();
        Self(tasks)
    }

    /// Waits until the client has no connection any more, nor can have one: its last handle is dropped, and what was
    /// asked through it is answered.
    pub async fn closed(&self) {
        self.0.wait().await;
    }
}

/// Runs what the HTTP client has to run, on the runtime that it is asked on.
#[cfg(feature = "rustls-tls")]
#[derive(Clone, Debug)]
pub(crate) struct Counted {
    inner: hyper_util::rt::TokioExecutor,
    tasks: TaskTracker,
    /// Lives as long as the HTTP client, which may make another connection until then.
    _client: std::sync::Arc<tokio_util::task::task_tracker::TaskTrackerToken>,
}

#[cfg(feature = "rustls-tls")]
impl Connections {
    pub(crate) fn executor(&self) -> Counted {
        Counted {
            inner: hyper_util::rt::TokioExecutor::new(),
            tasks: self.0.clone(),
            _client: std::sync::Arc::new(self.0.token()),
        }
    }
}

#[cfg(feature = "rustls-tls")]
impl<F> hyper::rt::Executor<F> for Counted
where
    F: std::future::Future<Output = ()> + Send + 'static,
{
    fn execute(&self, task: F) {
        self.inner.execute(self.tasks.track_future(task));
    }
}
