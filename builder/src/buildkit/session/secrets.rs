//! moby.buildkit.secrets.v1: `--secret` values, read when a step asks for them.
//!
//! Never: logs or keeps a value.

use std::path::Path;

use bollard_buildkit_proto::moby::buildkit::secrets::v1::secrets_server::Secrets;
use bollard_buildkit_proto::moby::buildkit::secrets::v1::{GetSecretRequest, GetSecretResponse};
use indexmap::IndexMap;
use tokio::io::AsyncReadExt;
use tonic::{Request, Response, Status};

use crate::request::SecretSource;

/// BuildKit refuses larger ones (`session/secrets/secretsprovider`, MaxSecretSize).
const MAX_SECRET: u64 = 500 << 10;

/// The secrets of a session.
pub(super) struct SecretsService(pub(super) IndexMap<String, SecretSource>);

#[tonic::async_trait]
impl Secrets for SecretsService {
    async fn get_secret(&self, request: Request<GetSecretRequest>) -> Result<Response<GetSecretResponse>, Status> {
        let id = request.into_inner().id;
        // NotFound lets a mount without `required=true` go on.
        let source = self.0.get(&id).ok_or_else(|| Status::not_found(format!("secret {id:?} was not given")))?;
        let data = match source {
            SecretSource::Value(secret) => secret.expose().to_vec(),
            SecretSource::File(path) => read(&id, path).await?,
        };
        Ok(Response::new(GetSecretResponse { data }))
    }
}

async fn read(id: &str, path: &Path) -> Result<Vec<u8>, Status> {
    let failed = |error: std::io::Error| Status::unknown(format!("secret {id:?} could not be read: {error}"));
    let file = tokio::fs::File::open(path).await.map_err(failed)?;
    let mut data = Vec::new();
    file.take(MAX_SECRET + 1).read_to_end(&mut data).await.map_err(failed)?;
    if data.len() as u64 > MAX_SECRET {
        return Err(Status::invalid_argument(format!("secret {id:?} is larger than {MAX_SECRET} bytes")));
    }
    Ok(data)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;
    use tonic::Code;

    async fn get(service: &SecretsService, id: &str) -> Result<Vec<u8>, Status> {
        let request = GetSecretRequest { id: id.into(), ..GetSecretRequest::default() };
        service.get_secret(Request::new(request)).await.map(|answer| answer.into_inner().data)
    }

    #[tokio::test]
    async fn values_files_absent_and_oversized_secrets() {
        let dir = tempfile::tempdir().unwrap();
        let (small, large) = (dir.path().join("small"), dir.path().join("large"));
        std::fs::write(&small, b"from a file\n").unwrap();
        std::fs::write(&large, vec![0; MAX_SECRET as usize + 1]).unwrap();
        let service = SecretsService(IndexMap::from([
            ("value".into(), SecretSource::Value(Secret::new(*b"v\0"))),
            ("small".into(), SecretSource::File(small)),
            ("large".into(), SecretSource::File(large)),
            ("gone".into(), SecretSource::File(dir.path().join("gone"))),
        ]));
        assert_eq!(get(&service, "value").await.unwrap(), b"v\0");
        assert_eq!(get(&service, "small").await.unwrap(), b"from a file\n");
        assert_eq!(get(&service, "large").await.unwrap_err().code(), Code::InvalidArgument);
        assert_eq!(get(&service, "gone").await.unwrap_err().code(), Code::Unknown);
        assert_eq!(get(&service, "other").await.unwrap_err().code(), Code::NotFound);
    }
}
