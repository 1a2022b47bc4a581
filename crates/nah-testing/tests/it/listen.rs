//! Over a socket.

use k8s_openapi::api::core::v1::ConfigMap;
use kube_client::{Api, Client, api::ListParams, config::Kubeconfig};
use nah_testing::{ApiServer, Fault};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::support::{MAPS, map};

async fn ask(stream: &mut TcpStream, path: &str) {
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
}

/// Reads until `wanted` was seen or the connection ends; whether it was seen.
async fn reads(stream: &mut TcpStream, wanted: &str) -> bool {
    let mut all = String::new();
    let mut buffer = [0; 4096];
    while let Ok(read) = stream.read(&mut buffer).await {
        if read == 0 {
            return false;
        }
        all.push_str(&String::from_utf8_lossy(&buffer[..read]));
        if all.contains(wanted) {
            return true;
        }
    }
    false
}

#[tokio::test]
async fn a_server_listens_on_loopback_and_stops_when_it_is_closed() {
    let listening = ApiServer::new().listen().await.unwrap();
    let addr = listening.addr();
    assert!(addr.ip().is_loopback());
    let mut stream = TcpStream::connect(addr).await.unwrap();
    ask(&mut stream, "/readyz").await;
    assert!(reads(&mut stream, "ok").await);
    listening.close().await;
    assert!(!reads(&mut stream, "never").await, "its connections end with it");
    assert!(TcpStream::connect(addr).await.is_err());
}

#[tokio::test]
async fn a_watch_streams_lines_as_things_happen() {
    let server = ApiServer::new();
    let listening = server.listen().await.unwrap();
    let mut stream = TcpStream::connect(listening.addr()).await.unwrap();
    ask(&mut stream, &format!("{MAPS}?watch=1")).await;
    assert!(reads(&mut stream, "200 OK").await);
    server.create(&map("now")).unwrap();
    assert!(reads(&mut stream, "\"ADDED\"").await);
}

#[tokio::test]
async fn a_restart_closes_connections_and_takes_new_ones() {
    let server = ApiServer::new();
    let listening = server.listen().await.unwrap();
    let mut stream = TcpStream::connect(listening.addr()).await.unwrap();
    ask(&mut stream, &format!("{MAPS}?watch=1")).await;
    assert!(reads(&mut stream, "200 OK").await);
    server.restart();
    assert!(!reads(&mut stream, "never").await);
    let mut stream = TcpStream::connect(listening.addr()).await.unwrap();
    ask(&mut stream, "/readyz").await;
    assert!(reads(&mut stream, "ok").await);
}

#[tokio::test]
async fn a_fault_breaks_the_connection() {
    let server = ApiServer::new();
    let listening = server.listen().await.unwrap();
    for fault in [Fault::refuse(), Fault::cut_after_bytes(5)] {
        server.inject(fault);
        let mut stream = TcpStream::connect(listening.addr()).await.unwrap();
        ask(&mut stream, MAPS).await;
        assert!(!reads(&mut stream, "ConfigMapList").await);
    }
}

#[tokio::test]
async fn refused_connections_are_closed() {
    let server = ApiServer::new();
    let listening = server.listen().await.unwrap();
    server.refuse_connections(true);
    let mut stream = TcpStream::connect(listening.addr()).await.unwrap();
    ask(&mut stream, "/readyz").await;
    assert!(!reads(&mut stream, "ok").await);
}

#[tokio::test]
async fn the_kubeconfig_leads_to_the_server() {
    let server = ApiServer::new();
    server.create(&map("a")).unwrap();
    let listening = server.listen().await.unwrap();
    let kubeconfig = Kubeconfig::from_yaml(&listening.kubeconfig()).unwrap();
    let config = kube_client::Config::from_custom_kubeconfig(kubeconfig, &Default::default()).await.unwrap();
    let maps: Api<ConfigMap> = Api::default_namespaced(Client::try_from(config).unwrap());
    assert_eq!(maps.list(&ListParams::default()).await.unwrap().items.len(), 1);
}

#[tokio::test]
async fn the_port_can_be_chosen_and_is_free_again_after_close() {
    let server = ApiServer::new();
    let first = server.listen().await.unwrap();
    let port = first.addr().port();
    assert!(server.listen_on(port).await.is_err());
    first.close().await;
    assert_eq!(server.listen_on(port).await.unwrap().addr().port(), port);
}
