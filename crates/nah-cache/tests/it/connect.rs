//! The client that the cache makes for itself.

use k8s_openapi::api::core::v1::ConfigMap;
use nah_cache::{CacheFactoryExt, CacheOptions, connect, informers};
use nah_testing::{ApiServer, Fault};

#[tokio::test]
async fn repeats_nothing_and_serves_the_cache() {
    let server = ApiServer::new();
    let listening = server.listen().await.unwrap();
    let client = connect(listening.config()).unwrap();
    server.inject(Fault::answer(503).on("get"));
    let api: kube::Api<ConfigMap> = kube::Api::default_namespaced(client.clone());
    assert!(api.get("a").await.unwrap_err().to_string().contains("503"));
    let (factory, driver) = informers(client, CacheOptions::default());
    tokio::spawn(driver.run());
    factory.informer::<ConfigMap>().unwrap().wait_for_sync().await.unwrap();
    factory.stop();
}

/// Of each connection of this machine that is open to `port`, the timer that runs: 02 is that of the probes.
#[cfg(all(target_os = "linux", feature = "rustls-tls"))]
fn timers(port: u16) -> Vec<String> {
    let table = std::fs::read_to_string("/proc/self/net/tcp").unwrap();
    let remote = format!(":{port:04X}");
    let rows = table.lines().map(|row| row.split_whitespace().collect::<Vec<_>>());
    let open = rows.filter(|row| row[2].ends_with(&remote) && row[3] == "01");
    open.map(|row| row[5].split(':').next().unwrap_or_default().to_owned()).collect()
}

#[cfg(all(target_os = "linux", feature = "rustls-tls"))]
#[tokio::test]
async fn connections_are_probed() // C10
{
    let server = ApiServer::new();
    let listening = server.listen().await.unwrap();
    let port = listening.config().cluster_url.port_u16().unwrap();
    let stock = kube::Client::try_from(listening.config()).unwrap();
    stock.apiserver_version().await.unwrap();
    assert_eq!(timers(port), ["00"]);
    let client = connect(listening.config()).unwrap();
    client.apiserver_version().await.unwrap();
    let mut timers = timers(port);
    timers.sort();
    assert_eq!(timers, ["00", "02"]);
}
