//! A client, as the daemon has one, of services in this process.

use std::io;

use hyper_util::rt::TokioIo;
use tokio::task::JoinSet;
use tonic::service::Routes;
use tonic::transport::{Channel, Endpoint};

use super::server::serve;

/// Returns a channel to the services, which run as long as the set is kept.
pub(super) async fn connect(routes: Routes) -> (Channel, JoinSet<()>) {
    let (ours, theirs) = tokio::io::duplex(64 << 10);
    let mut server = JoinSet::new();
    server.spawn(serve(theirs, routes));
    let mut ours = Some(TokioIo::new(ours));
    let connector = tower::service_fn(move |_| {
        let stream = ours.take().ok_or_else(|| io::Error::from(io::ErrorKind::NotConnected));
        std::future::ready(stream)
    });
    let channel = Endpoint::from_static("http://test").connect_with_connector(connector).await.unwrap();
    (channel, server)
}
