//! Connections that notice when there is nobody at the other end.

use kube_client::{Client, Config};

use crate::Connections;

/// A client whose idle connections are probed by TCP: after half a minute of silence, every ten seconds. Three probes
/// without an answer break the connection, so that a watch over a dead network is opened anew within a minute, and what
/// lies between keeps the connection in its tables. Nothing is repeated and nothing compressed.
///
/// kube's own client sends no such probes, nor does this one where the config names a proxy, or without the feature
/// `rustls-tls`: there the [`Timeouts`](crate::Timeouts) alone tell that a connection is dead. Must be called inside a
/// tokio runtime.
///
/// # Errors
/// Those of building a client: a certificate or a credential that cannot be read.
pub fn connect(config: Config) -> Result<Client, kube_client::Error> {
    Ok(connect_counted(config)?.0)
}

/// The client of [`connect`], with its connections: who drops its last handle can wait until they are closed. Of a
/// client through a proxy, or without the feature `rustls-tls`, none are counted, and nothing is waited for.
///
/// # Errors
/// Those of [`connect`].
pub fn connect_counted(mut config: Config) -> Result<(Client, Connections), kube_client::Error> {
    config.default_retry = false;
    let connections = Connections::new();
    #[cfg(feature = "rustls-tls")]
    if config.proxy_url.is_none() {
        return Ok((probing(config, &connections)?, connections));
    }
    Ok((Client::try_from(config)?, connections))
}

#[cfg(feature = "rustls-tls")]
fn probing(config: Config, connections: &Connections) -> Result<Client, kube_client::Error> {
    use std::time::Duration;

    use hyper_timeout::TimeoutConnector;
    use hyper_util::client::legacy::{Builder, connect::HttpConnector};
    use kube_client::client::{Body, ClientBuilder, ConfigExt};

    let mut connector = HttpConnector::new();
    connector.enforce_http(false);
    connector.set_keepalive(Some(Duration::from_secs(30)));
    connector.set_keepalive_interval(Some(Duration::from_secs(10)));
    connector.set_keepalive_retries(Some(3));
    let mut connector = TimeoutConnector::new(config.rustls_https_connector_with_connector(connector)?);
    connector.set_connect_timeout(config.connect_timeout);
    connector.set_read_timeout(config.read_timeout);
    connector.set_write_timeout(config.write_timeout);
    connector.set_reset_reader_on_write(config.reset_reader_on_write);
    let service = Builder::new(connections.executor()).build::<_, Body>(connector);
    let service = tower::ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer()?)
        .layer(config.extra_headers_layer()?)
        .map_err(tower::BoxError::from)
        .service(service);
    Ok(ClientBuilder::new(service, config.default_namespace).build())
}
