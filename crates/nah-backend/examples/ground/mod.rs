//! Where an example runs: on an API server inside this process, or with `--cluster` on that of the current context.

use kube::Client;
use nah_testing::ApiServer;

/// A client of the ground that the command line names.
pub(crate) async fn client() -> anyhow::Result<Client> {
    if std::env::args().any(|argument| argument == "--cluster") {
        return Ok(Client::try_default().await?);
    }
    Ok(ApiServer::new().client())
}
