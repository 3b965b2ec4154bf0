//! grpc.health.v1: BuildKit asks every 5 s and gives the session up after two failures.

use bollard_buildkit_proto::health::health_check_response::ServingStatus;
use bollard_buildkit_proto::health::health_server::Health;
use bollard_buildkit_proto::health::{HealthCheckRequest, HealthCheckResponse, HealthListRequest, HealthListResponse};
use futures::StreamExt;
use tonic::{Request, Response, Status};

use super::reply::Reply;

/// Always serving: the process that could not serve would not answer.
pub(super) struct HealthService;

#[tonic::async_trait]
impl Health for HealthService {
    type WatchStream = Reply<HealthCheckResponse>;

    async fn check(&self, _: Request<HealthCheckRequest>) -> Result<Response<HealthCheckResponse>, Status> {
        Ok(Response::new(serving()))
    }

    async fn list(&self, _: Request<HealthListRequest>) -> Result<Response<HealthListResponse>, Status> {
        let statuses = [(String::new(), serving())].into_iter().collect();
        Ok(Response::new(HealthListResponse { statuses }))
    }

    async fn watch(&self, _: Request<HealthCheckRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let forever = futures::stream::iter([Ok(serving())]).chain(futures::stream::pending());
        Ok(Response::new(Box::pin(forever)))
    }
}

fn serving() -> HealthCheckResponse {
    HealthCheckResponse { status: ServingStatus::Serving as i32 }
}
