//! Where the demo runs: an API server in this process, over real HTTP; or a cluster, in a namespace of its own.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use anyhow::Context as _;
use k8s_openapi::{
    api::core::v1::Namespace, apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{
    Api, Client, Config, CustomResourceExt as _, ResourceExt as _,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
    client::ClientBuilder,
    config::{KubeConfigOptions, Kubeconfig},
    runtime::wait::{await_condition, conditions},
};
use nah_testing::{ApiServer, Listening};
use tokio::time::timeout;
use tower::{Layer, Service};

use super::operator::Website;

/// What the command line asks for.
pub(crate) enum Choice {
    Embedded,
    Kubeconfig(PathBuf),
    Current,
}

/// A server with the definition of Website and a namespace for them.
pub(crate) struct Ground {
    config: Config,
    pub(crate) namespace: String,
    pub(crate) name: String,
    /// The crowd's own way to the server, which shares nothing with the operator's.
    pub(crate) client: Client,
    /// Requests of the operator.
    pub(crate) sent: Arc<AtomicU64>,
    defined: bool,
    _server: Option<Listening>,
}

impl Ground {
    pub(crate) async fn prepare(choice: &Choice) -> anyhow::Result<Self> {
        let (config, name, server) = match choice {
            Choice::Embedded => {
                let server = ApiServer::new().listen().await?;
                (server.config(), format!("embedded API server at {}", server.url()), Some(server))
            }
            Choice::Kubeconfig(path) => {
                let kubeconfig = Kubeconfig::read_from(path)
                    .with_context(|| format!("cannot read the kubeconfig {}", path.display()))?;
                let config =
                    Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
                let name = format!("cluster at {}", config.cluster_url);
                (config, name, None)
            }
            Choice::Current => {
                let config = Config::infer().await?;
                let name = format!("cluster at {}", config.cluster_url);
                (config, name, None)
            }
        };
        let client = Client::try_from(config.clone())?;
        let namespace = format!("nah-demo-{:08x}", fastrand::u32(..));
        let mut ground =
            Self { config, namespace, name, client, sent: Arc::default(), defined: false, _server: server };
        ground.define().await.with_context(|| format!("cannot set up {}", ground.name))?;
        Ok(ground)
    }

    async fn define(&mut self) -> anyhow::Result<()> {
        let definitions = Api::<CustomResourceDefinition>::all(self.client.clone());
        let definition = Website::crd();
        if definitions.get_opt(&definition.name_any()).await?.is_none() {
            definitions.create(&PostParams::default(), &definition).await?;
            self.defined = true;
        }
        let name = definition.name_any();
        let established = await_condition(definitions, &name, conditions::is_crd_established());
        timeout(Duration::from_secs(30), established)
            .await
            .context("the definition is not established")??;
        let namespaces = Api::<Namespace>::all(self.client.clone());
        let namespace: Namespace =
            serde_json::from_value(serde_json::json!({ "metadata": { "name": self.namespace } }))?;
        namespaces.create(&PostParams::default(), &namespace).await?;
        Ok(())
    }

    /// Removes what `prepare` made, also after an operator that ended before its Websites did.
    pub(crate) async fn clean_up(&self) -> anyhow::Result<()> {
        let sites = Api::<Website>::namespaced(self.client.clone(), &self.namespace);
        for site in sites.list(&ListParams::default()).await?.items {
            let release = Patch::Merge(serde_json::json!({ "metadata": { "finalizers": null } }));
            sites.patch(&site.name_any(), &PatchParams::default(), &release).await?;
        }
        let namespaces = Api::<Namespace>::all(self.client.clone());
        namespaces.delete(&self.namespace, &DeleteParams::default()).await?;
        if self.defined {
            let definitions = Api::<CustomResourceDefinition>::all(self.client.clone());
            definitions.delete(&Website::crd().name_any(), &DeleteParams::default()).await?;
        }
        Ok(())
    }

    /// The operator's client, whose requests are counted.
    pub(crate) fn counted(&self) -> anyhow::Result<Client> {
        let mut config = self.config.clone();
        config.default_retry = false;
        Ok(ClientBuilder::try_from(config)?.with_layer(&Count(self.sent.clone())).build())
    }
}

/// Counts requests.
#[derive(Clone)]
struct Count(Arc<AtomicU64>);

#[derive(Clone)]
struct Counting<S> {
    sent: Arc<AtomicU64>,
    inner: S,
}

impl<S> Layer<S> for Count {
    type Service = Counting<S>;

    fn layer(&self, inner: S) -> Counting<S> {
        Counting { sent: self.0.clone(), inner }
    }
}

impl<R, S: Service<R>> Service<R> for Counting<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: R) -> S::Future {
        self.sent.fetch_add(1, Ordering::Relaxed);
        self.inner.call(request)
    }
}
