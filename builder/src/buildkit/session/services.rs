//! What a session offers, and how it is mounted.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use bollard_buildkit_proto::health::health_server::HealthServer;
use bollard_buildkit_proto::moby::buildkit::secrets::v1::secrets_server::SecretsServer;
use bollard_buildkit_proto::moby::filesync::packet::file_send_server::FileSendServer as PacketServer;
use bollard_buildkit_proto::moby::filesync::v1::auth_server::AuthServer;
use bollard_buildkit_proto::moby::filesync::v1::file_send_server::FileSendServer;
use bollard_buildkit_proto::moby::filesync::v1::file_sync_server::FileSyncServer;
use bollard_buildkit_proto::moby::sshforward::v1::ssh_server::SshServer;
use bollard_buildkit_proto::moby::upload::v1::upload_server::UploadServer;
use indexmap::IndexMap;
use tonic::service::{Routes, RoutesBuilder};

use super::auth::{AuthService, NoAuth, RegistryAuth};
use super::content::{ContentService, ContentStores, StoreFault};
use super::filesend::{BytesService, FileSend, PacketService};
use super::health::HealthService;
use super::secrets::SecretsService;
use super::ssh::SshService;
use super::upload::UploadService;
use crate::buildkit::filesync::{FileSyncService, LocalDirs};
use crate::buildkit::generated::content::content_server::ContentServer;
use crate::event_sink::EventSink;
use crate::request::{SecretSource, SshSource};

/// What a session serves. Everything a daemon may ask for must be named here; the rest is refused.
pub struct SessionServices {
    /// Registry credentials.
    pub auth: Arc<dyn RegistryAuth>,
    /// `--secret`.
    pub secrets: IndexMap<String, SecretSource>,
    /// `--ssh`.
    pub ssh: IndexMap<String, SshSource>,
    /// Local directories: `context`, `dockerfile` and named contexts ([`crate::buildkit::attrs::local_name`]).
    pub dirs: LocalDirs,
    /// Spooled tar contexts.
    pub uploads: Uploads,
    /// Where exported streams go.
    pub files: FileSend,
    /// Content stores by name: `export`, `local:<path>`, `oci:<key>`.
    pub content: ContentStores,
    /// Where transfers are told.
    pub events: EventSink,
}

/// Spooled tar contexts by upload id: the frontend attribute is `context=http://buildkit-session/<id>`.
pub type Uploads = BTreeMap<String, PathBuf>;

impl SessionServices {
    /// Returns services that offer nothing.
    pub fn new(events: EventSink) -> Self {
        Self {
            auth: Arc::new(NoAuth),
            secrets: IndexMap::new(),
            ssh: IndexMap::new(),
            dirs: LocalDirs::new(),
            uploads: Uploads::new(),
            files: FileSend::None,
            content: ContentStores::default(),
            events,
        }
    }

    /// Mounts the services and lists their methods; a daemon believes the list, so nothing that is empty is on it.
    pub(super) fn into_routes(self, fault: &StoreFault, message_limit: usize) -> (Routes, Vec<String>) {
        let mut mount = Mount::default();
        mount.list("grpc.health.v1.Health", &["Check", "Watch"]);
        mount.routes.add_service(HealthServer::new(HealthService));
        let auth = ["Credentials", "FetchToken", "GetTokenAuthority", "VerifyTokenAuthority"];
        mount.list("moby.filesync.v1.Auth", &auth);
        mount.routes.add_service(AuthServer::new(AuthService::new(self.auth)));
        mount.list("moby.buildkit.secrets.v1.Secrets", &["GetSecret"]);
        mount.routes.add_service(SecretsServer::new(SecretsService(self.secrets)));
        if !self.ssh.is_empty() {
            mount.list("moby.sshforward.v1.SSH", &["CheckAgent", "ForwardAgent"]);
            mount.routes.add_service(SshServer::new(SshService::new(self.ssh)));
        }
        if !self.uploads.is_empty() {
            mount.list("moby.upload.v1.Upload", &["Pull"]);
            mount.routes.add_service(UploadServer::new(UploadService(self.uploads)));
        }
        if !self.dirs.is_empty() {
            mount.list("moby.filesync.v1.FileSync", &["DiffCopy"]);
            mount.routes.add_service(FileSyncServer::new(FileSyncService::new(self.dirs)));
        }
        mount.file_send(self.files, fault, message_limit);
        if !self.content.is_empty() {
            mount.list("containerd.services.content.v1.Content", &CONTENT_METHODS);
            let service = ContentService::new(self.content, fault.clone(), self.events);
            mount.routes.add_service(ContentServer::new(service).max_decoding_message_size(message_limit));
        }
        (mount.routes.routes(), mount.methods)
    }
}

const CONTENT_METHODS: [&str; 9] =
    ["Info", "Update", "List", "Delete", "Read", "Status", "ListStatuses", "Write", "Abort"];

#[derive(Default)]
struct Mount {
    routes: RoutesBuilder,
    methods: Vec<String>,
}

impl Mount {
    fn list(&mut self, service: &str, methods: &[&str]) {
        self.methods.extend(methods.iter().map(|method| format!("/{service}/{method}")));
    }

    fn file_send(&mut self, files: FileSend, fault: &StoreFault, limit: usize) {
        match files {
            FileSend::None => return,
            FileSend::Bytes(sinks) => {
                let server = FileSendServer::new(BytesService(sinks, fault.clone()));
                self.routes.add_service(server.max_decoding_message_size(limit));
            }
            FileSend::Directory(dest) => {
                let server = PacketServer::new(PacketService(dest));
                self.routes.add_service(server.max_decoding_message_size(limit));
            }
        }
        self.list("moby.filesync.v1.FileSend", &["DiffCopy"]);
    }
}
