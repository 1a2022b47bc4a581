//! A lease that one process at a time holds, on the Lease object of the cluster.
//!
//! On a real cluster the crate kube-lease-manager does this and more. It writes with server-side apply and strategic
//! merge patches, which the API server in this process does not know, so the example has the least of its own.

use std::time::Duration;

use anyhow::{Result, bail};
use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta},
    jiff::Timestamp,
};
use kube::{Api, Client, api::PostParams};
use tokio::time::{Instant, sleep};

/// What one process knows of a lease.
pub(crate) struct Election {
    leases: Api<Lease>,
    name: &'static str,
    identity: String,
    duration: Duration,
    /// The lease of another, as it was first seen. A clock of one's own measures how long it has not been renewed:
    /// those of other machines may be wrong.
    seen: Option<(Lease, Instant)>,
}

impl Election {
    pub(crate) fn new(client: Client, namespace: &str, identity: &str, duration: Duration) -> Self {
        let leases = Api::namespaced(client, namespace);
        Self { leases, name: "example", identity: identity.into(), duration, seen: None }
    }

    /// Waits until the lease is ours.
    pub(crate) async fn won(&mut self) -> Result<()> {
        while !self.take().await? {
            sleep(self.duration / 5).await;
        }
        Ok(())
    }

    /// Renews the lease until it cannot be renewed in time, or is another's.
    pub(crate) async fn lost(&mut self) {
        let mut renewed = Instant::now();
        // Two thirds: whoever waits for the whole of it comes after we have stopped.
        while renewed.elapsed() < self.duration * 2 / 3 {
            sleep(self.duration / 5).await;
            match self.take().await {
                Ok(true) => renewed = Instant::now(),
                Ok(false) => return,
                Err(error) => eprintln!("cannot renew the lease: {error}"),
            }
        }
    }

    /// Gives the lease back, for the next one not to have to wait.
    pub(crate) async fn release(mut self) -> Result<()> {
        let Some(mut lease) = self.leases.get_opt(self.name).await? else { return Ok(()) };
        if holder(&lease) == Some(&*self.identity) {
            self.identity.clear();
            lease.spec = Some(self.spec());
            self.leases.replace(self.name, &PostParams::default(), &lease).await?;
        }
        Ok(())
    }

    /// Takes or renews the lease, if it is free, ours, or was not renewed for as long as it lasts.
    async fn take(&mut self) -> Result<bool> {
        let Some(mut lease) = self.leases.get_opt(self.name).await? else {
            let metadata = ObjectMeta { name: Some(self.name.into()), ..ObjectMeta::default() };
            let lease = Lease { metadata, spec: Some(self.spec()) };
            return is_first(self.leases.create(&PostParams::default(), &lease).await);
        };
        let free = holder(&lease).is_none_or(|holder| holder.is_empty() || holder == self.identity);
        if !free && !self.is_overdue(&lease) {
            return Ok(false);
        }
        // With the version that was read: of several that try, one succeeds.
        lease.spec = Some(self.spec());
        is_first(self.leases.replace(self.name, &PostParams::default(), &lease).await)
    }

    fn is_overdue(&mut self, lease: &Lease) -> bool {
        let version = &lease.metadata.resource_version;
        match &self.seen {
            Some((seen, since)) if seen.metadata.resource_version == *version => {
                since.elapsed() >= self.duration
            }
            _ => {
                self.seen = Some((lease.clone(), Instant::now()));
                false
            }
        }
    }

    fn spec(&self) -> LeaseSpec {
        LeaseSpec {
            holder_identity: Some(self.identity.clone()),
            lease_duration_seconds: i32::try_from(self.duration.as_secs().max(1)).ok(),
            renew_time: Some(MicroTime(Timestamp::now())),
            ..LeaseSpec::default()
        }
    }
}

fn holder(lease: &Lease) -> Option<&str> {
    lease.spec.as_ref()?.holder_identity.as_deref()
}

/// Whether a write succeeded; another's that came first is no error.
fn is_first(written: kube::Result<Lease>) -> Result<bool> {
    match written {
        Ok(_) => Ok(true),
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(false),
        Err(error) => bail!(error),
    }
}
