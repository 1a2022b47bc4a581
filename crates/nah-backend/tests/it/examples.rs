//! Every example runs, on a paused clock.

#![allow(clippy::duplicate_mod)] // Each example brings the ground it shares with the others.

use nah_testing::ApiServer;

#[path = "../../examples/basic_operations.rs"]
mod basic_operations;
#[path = "../../examples/callback_styles.rs"]
mod callback_styles;
#[path = "../../examples/dynamic.rs"]
mod dynamic;
#[path = "../../examples/generic.rs"]
mod generic;
#[path = "../../examples/holding.rs"]
mod holding;
#[path = "../../examples/indexing.rs"]
mod indexing;
#[path = "../../examples/informers.rs"]
mod informers;
#[path = "../../examples/layers.rs"]
mod layers;
#[path = "../../examples/operator.rs"]
mod operator;
#[path = "../../examples/rights.rs"]
mod rights;
#[path = "../../examples/triggering.rs"]
mod triggering;
#[path = "../../examples/unit_test.rs"]
mod unit_test;
#[path = "../../examples/watching.rs"]
mod watching;

fn client() -> kube::Client {
    ApiServer::new().client()
}

#[tokio::test(start_paused = true)]
async fn basic_operations_runs() {
    basic_operations::run(client()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn callback_styles_runs() {
    callback_styles::run(client()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn dynamic_runs() {
    dynamic::run(client()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn generic_runs() {
    generic::run(client()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn holding_runs() {
    holding::run(client()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn indexing_runs() {
    indexing::run(client()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn informers_runs() {
    informers::run(client()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn layers_runs() {
    layers::run(client()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn operator_runs() {
    operator::run(client()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn rights_runs() {
    let yaml = rights::run(client()).await.unwrap();
    let kinds: Vec<_> = yaml.lines().filter_map(|line| line.strip_prefix("kind: ")).collect();
    assert_eq!(kinds, ["ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"], "{yaml}");
}

#[tokio::test(start_paused = true)]
async fn triggering_runs() {
    triggering::run(client()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn unit_test_runs() {
    unit_test::run().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn watching_runs() {
    watching::run(client()).await.unwrap();
}
