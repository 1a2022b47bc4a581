//! The work of a factory, as tasks for somebody to run.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use futures_core::{Stream, future::BoxFuture};

use crate::CacheError;

/// Yields one future per informer and handler. Spawn each, or `run` them all on one task.
pub struct Driver;
impl Driver {
    pub fn run(self) -> BoxFuture<'static, ()> {
        todo!()
    }
}
impl Stream for Driver {
    type Item = BoxFuture<'static, ()>;
    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        todo!()
    }
}

/// Hands tasks to the [`Driver`].
#[derive(Clone)]
pub(crate) struct Tasks;
impl Tasks {
    /// Queues a task; `Stopped` once the factory is.
    pub(crate) fn submit(&self, task: BoxFuture<'static, ()>) -> Result<(), CacheError> {
        todo!()
    }
}
