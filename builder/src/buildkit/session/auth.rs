//! Registry credentials for the daemon.
//!
//! Owns: moby.filesync.v1.Auth. Where the caller fetches tokens itself, the password never leaves this
//! process: the daemon gets short-lived tokens, and checks with a signature that a session may use a
//! token another session of the same user fetched (BuildKit `session/auth`). Never: stores a credential.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use bollard_buildkit_proto::moby::filesync::v1 as proto;
use futures::future::BoxFuture;
use proto::auth_server::Auth;
use ring::signature::{Ed25519KeyPair, KeyPair};
use tonic::{Request, Response, Status};

use crate::secret::Secret;

/// What the daemon may log in with.
#[derive(Debug, Clone)]
pub struct Credentials {
    /// User name; empty with an identity token.
    pub username: String,
    /// Password or identity token.
    pub secret: Secret,
}

/// A bearer token the daemon wants fetched for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRequest {
    /// Registry host.
    pub host: String,
    /// `client_id`.
    pub client_id: String,
    /// Token server, from the registry's challenge: untrusted.
    pub realm: String,
    /// `service`.
    pub service: String,
    /// Scopes.
    pub scopes: Vec<String>,
}

/// A bearer token.
#[derive(Debug, Clone)]
pub struct Token {
    /// The token.
    pub token: Secret,
    /// Lifetime in seconds.
    pub expires_in: u64,
}

/// Gives credentials for registries.
pub trait RegistryAuth: Send + Sync {
    /// Returns the credentials for a host, or `None` to go anonymously.
    fn credentials<'a>(&'a self, host: &'a str) -> BoxFuture<'a, Option<Credentials>>;

    /// Whether [`RegistryAuth::fetch_token`] works for this host. If not, the daemon asks for the credentials.
    fn fetches_tokens<'a>(&'a self, host: &'a str) -> BoxFuture<'a, bool> {
        let _ = host;
        Box::pin(async { false })
    }

    /// Fetches a bearer token. The error's text is shown to the user by the daemon: it must hold no secret.
    fn fetch_token<'a>(&'a self, request: &'a TokenRequest) -> BoxFuture<'a, Result<Token, String>> {
        let _ = request;
        Box::pin(async { Err("tokens are not fetched here".to_owned()) })
    }
}

/// Anonymous everywhere.
#[derive(Debug, Clone, Copy)]
pub struct NoAuth;

impl RegistryAuth for NoAuth {
    fn credentials<'a>(&'a self, _host: &'a str) -> BoxFuture<'a, Option<Credentials>> {
        Box::pin(async { None })
    }
}

/// The Auth service of a session.
pub(super) struct AuthService {
    auth: Arc<dyn RegistryAuth>,
    /// Key seeds by host, random for each session.
    seeds: Mutex<HashMap<String, [u8; 32]>>,
}

impl AuthService {
    pub(super) fn new(auth: Arc<dyn RegistryAuth>) -> Self {
        Self { auth, seeds: Mutex::default() }
    }

    /// Returns the key that proves, for one salt of the daemon, that two sessions know the same seed.
    async fn authority(&self, host: &str, salt: &[u8]) -> Result<Ed25519KeyPair, Status> {
        if !self.auth.fetches_tokens(host).await {
            // BuildKit then asks for the credentials.
            return Err(Status::unavailable("tokens are not fetched by this client"));
        }
        let mut seeds = self.seeds.lock().unwrap_or_else(PoisonError::into_inner);
        let seed = *seeds.entry(host.to_owned()).or_insert_with(rand::random);
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, salt);
        let derived = ring::hmac::sign(&key, &seed);
        Ed25519KeyPair::from_seed_unchecked(derived.as_ref()).map_err(|_| Status::internal("key derivation failed"))
    }
}

#[tonic::async_trait]
impl Auth for AuthService {
    async fn credentials(
        &self,
        request: Request<proto::CredentialsRequest>,
    ) -> Result<Response<proto::CredentialsResponse>, Status> {
        let answer = match self.auth.credentials(&request.into_inner().host).await {
            Some(found) => proto::CredentialsResponse {
                username: found.username,
                secret: String::from_utf8_lossy(found.secret.expose()).into_owned(),
            },
            None => proto::CredentialsResponse::default(),
        };
        Ok(Response::new(answer))
    }

    async fn fetch_token(
        &self,
        request: Request<proto::FetchTokenRequest>,
    ) -> Result<Response<proto::FetchTokenResponse>, Status> {
        let wire = request.into_inner();
        let request = TokenRequest {
            host: wire.host,
            client_id: wire.client_id,
            realm: wire.realm,
            service: wire.service,
            scopes: wire.scopes,
        };
        let token = self.auth.fetch_token(&request).await.map_err(Status::unknown)?;
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Ok(Response::new(proto::FetchTokenResponse {
            token: String::from_utf8_lossy(token.token.expose()).into_owned(),
            expires_in: i64::try_from(token.expires_in).unwrap_or(i64::MAX),
            // Counted from 1970 the daemon would take it for a token without an end.
            issued_at: i64::try_from(since_1970.as_secs()).unwrap_or(i64::MAX),
        }))
    }

    async fn get_token_authority(
        &self,
        request: Request<proto::GetTokenAuthorityRequest>,
    ) -> Result<Response<proto::GetTokenAuthorityResponse>, Status> {
        let request = request.into_inner();
        let key = self.authority(&request.host, &request.salt).await?;
        Ok(Response::new(proto::GetTokenAuthorityResponse { public_key: key.public_key().as_ref().to_vec() }))
    }

    async fn verify_token_authority(
        &self,
        request: Request<proto::VerifyTokenAuthorityRequest>,
    ) -> Result<Response<proto::VerifyTokenAuthorityResponse>, Status> {
        let request = request.into_inner();
        let key = self.authority(&request.host, &request.salt).await?;
        // NaCl's `sign` format: the signature, then the message.
        let mut signed = key.sign(&request.payload).as_ref().to_vec();
        signed.extend_from_slice(&request.payload);
        Ok(Response::new(proto::VerifyTokenAuthorityResponse { signed }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ring::signature::{ED25519, UnparsedPublicKey};
    use tonic::Code;

    /// Fetches tokens for one host.
    struct Tokens;

    impl RegistryAuth for Tokens {
        fn credentials<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Option<Credentials>> {
            Box::pin(async { Some(Credentials { username: "me".into(), secret: Secret::new("pass") }) })
        }

        fn fetches_tokens<'a>(&'a self, host: &'a str) -> BoxFuture<'a, bool> {
            Box::pin(async move { host == "registry.example" })
        }

        fn fetch_token<'a>(&'a self, request: &'a TokenRequest) -> BoxFuture<'a, Result<Token, String>> {
            let token = Secret::new(format!("{}:{}", request.service, request.scopes.join(" ")));
            Box::pin(async { Ok(Token { token, expires_in: 300 }) })
        }
    }

    fn salted(host: &str) -> proto::GetTokenAuthorityRequest {
        proto::GetTokenAuthorityRequest { host: host.into(), salt: b"salt".to_vec() }
    }

    #[tokio::test]
    async fn the_authority_s_signature_can_be_checked_with_its_key() {
        let service = AuthService::new(Arc::new(Tokens));
        let host = "registry.example";
        let key = service.get_token_authority(Request::new(salted(host))).await.unwrap().into_inner().public_key;
        let verify = proto::VerifyTokenAuthorityRequest {
            host: host.into(),
            payload: b"payload".to_vec(),
            salt: b"salt".to_vec(),
        };
        let signed = service.verify_token_authority(Request::new(verify)).await.unwrap().into_inner().signed;
        let (signature, payload) = signed.split_at(64);
        assert_eq!(payload, b"payload");
        UnparsedPublicKey::new(&ED25519, key).verify(payload, signature).unwrap();
    }

    #[tokio::test]
    async fn hosts_without_tokens_send_the_daemon_to_the_credentials() {
        let service = AuthService::new(Arc::new(Tokens));
        let status = service.get_token_authority(Request::new(salted("other.example"))).await.unwrap_err();
        assert_eq!(status.code(), Code::Unavailable);
        let request = proto::CredentialsRequest { host: "other.example".into() };
        let found = service.credentials(Request::new(request)).await.unwrap().into_inner();
        assert_eq!((found.username.as_str(), found.secret.as_str()), ("me", "pass"));
    }

    #[tokio::test]
    async fn tokens_are_fetched_and_nobody_is_anonymous() {
        let request = proto::FetchTokenRequest {
            service: "s".into(),
            scopes: vec!["repository:a:pull".into(), "repository:b:pull".into()],
            ..proto::FetchTokenRequest::default()
        };
        let service = AuthService::new(Arc::new(Tokens));
        let token = service.fetch_token(Request::new(request.clone())).await.unwrap().into_inner();
        assert_eq!((token.token.as_str(), token.expires_in), ("s:repository:a:pull repository:b:pull", 300));
        assert!(token.issued_at > 0);
        let none = AuthService::new(Arc::new(NoAuth));
        let found = none.credentials(Request::new(proto::CredentialsRequest::default())).await.unwrap().into_inner();
        assert_eq!(found, proto::CredentialsResponse::default());
        assert_eq!(none.fetch_token(Request::new(request)).await.unwrap_err().code(), Code::Unknown);
    }
}
