//! What a Docker client reads from the environment.

use std::path::PathBuf;

use polyarch_builder::node::endpoint::HostEnv;

use super::{Env, env_vars};

/// Returns the environment as the builder crate takes it.
pub fn host_env(env: &Env) -> HostEnv {
    let text = |var| env.get(var).map(str::to_owned);
    let path = |var| env.get(var).map(PathBuf::from);
    HostEnv {
        docker_host: text(&env_vars::DOCKER_HOST),
        docker_context: text(&env_vars::DOCKER_CONTEXT),
        docker_tls_verify: text(&env_vars::DOCKER_TLS_VERIFY),
        docker_cert_path: path(&env_vars::DOCKER_CERT_PATH),
        home: path(&env_vars::HOME),
        xdg_runtime_dir: path(&env_vars::XDG_RUNTIME_DIR),
        docker_config: path(&env_vars::DOCKER_CONFIG),
    }
}
