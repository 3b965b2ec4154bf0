//! How registries are reached: credentials, certificates, plain HTTP, proxies.

use std::path::PathBuf;

use polyarch_registry::client::{ClientCert, Config, CredentialSources, HostSettings, ProxyMode, Security};

use super::{Env, SettingsError, Surroundings, ValueError, env_vars};
use crate::args::RegistryAccess;

/// Resolves the options and the environment into a client's configuration.
///
/// # Errors
/// An option that is not `HOST=…`, or names a file that is not there.
pub fn resolve(args: &RegistryAccess, around: &Surroundings) -> Result<Config, SettingsError> {
    let mut config = Config {
        credentials: credentials(&around.env),
        cert_dirs: cert_dirs(args, around),
        proxy: proxy(&around.env),
        ..Config::default()
    };
    for host in &args.skip_tls_verify {
        settings_of(&mut config, host).security = Security::SkipVerify;
    }
    for host in &args.plain_http {
        settings_of(&mut config, host).security = Security::PlainHttp;
    }
    for value in &args.registry_ca {
        let (host, file) = split(value).map_err(|error| error.of("--registry-ca"))?;
        let file = existing(value, file, around).map_err(|error| error.of("--registry-ca"))?;
        settings_of(&mut config, host).ca_files.push(file);
    }
    for value in &args.registry_cert {
        let (host, cert) = client_cert(value, around).map_err(|error| error.of("--registry-cert"))?;
        settings_of(&mut config, host).client_cert = Some(cert);
    }
    Ok(config)
}

fn settings_of<'a>(config: &'a mut Config, host: &str) -> &'a mut HostSettings {
    config.hosts.entry(host.to_owned()).or_default()
}

fn split(value: &str) -> Result<(&str, &str), ValueError> {
    let pair = value.split_once('=').filter(|(host, rest)| !host.is_empty() && !rest.is_empty());
    pair.ok_or_else(|| ValueError::new(value, "it is not HOST=FILE"))
}

fn existing(value: &str, file: &str, around: &Surroundings) -> Result<PathBuf, ValueError> {
    let path = around.resolve(file);
    match path.is_file() {
        true => Ok(path),
        false => Err(ValueError::new(value, format!("there is no file {}", path.display()))),
    }
}

fn client_cert<'a>(value: &'a str, around: &Surroundings) -> Result<(&'a str, ClientCert), ValueError> {
    let (host, files) = split(value)?;
    let (cert, key) = files.split_once(',').ok_or_else(|| ValueError::new(value, "it is not HOST=CERT,KEY"))?;
    Ok((host, ClientCert { cert: existing(value, cert, around)?, key: existing(value, key, around)? }))
}

/// Docker's configuration first, then podman's files in their order (`containers-auth.json(5)`).
fn credentials(env: &Env) -> CredentialSources {
    let home = env.get(&env_vars::HOME).map(PathBuf::from);
    let docker = env.get(&env_vars::DOCKER_CONFIG).map(PathBuf::from);
    let runtime = env.get(&env_vars::XDG_RUNTIME_DIR).map(PathBuf::from);
    let config = env.get(&env_vars::XDG_CONFIG_HOME).map(PathBuf::from);
    let config = config.or_else(|| home.as_ref().map(|home| home.join(".config")));
    let auth_files = match env.get(&env_vars::REGISTRY_AUTH_FILE) {
        Some(file) => vec![PathBuf::from(file)],
        None => [runtime, config].into_iter().flatten().map(|dir| dir.join("containers/auth.json")).collect(),
    };
    CredentialSources {
        docker_config_dir: docker.or_else(|| home.map(|home| home.join(".docker"))),
        auth_files,
        ..CredentialSources::default()
    }
}

fn cert_dirs(args: &RegistryAccess, around: &Surroundings) -> Vec<PathBuf> {
    let home = around.env.get(&env_vars::HOME).map(PathBuf::from);
    let usual =
        home.into_iter().flat_map(|home| [home.join(".config/containers/certs.d"), home.join(".docker/certs.d")]);
    let system = ["/etc/docker/certs.d", "/etc/containers/certs.d", "/etc/containerd/certs.d"].map(PathBuf::from);
    args.cert_dir.iter().map(|dir| around.resolve(dir)).chain(usual).chain(system).collect()
}

/// A proxy is used only if the environment names one: without, names are vetted here.
fn proxy(env: &Env) -> ProxyMode {
    let names = ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"];
    match names.iter().any(|name| env.raw(name).is_some_and(|value| !value.is_empty())) {
        true => ProxyMode::System,
        false => ProxyMode::Direct,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Terminals;

    fn config(args: &RegistryAccess, env: &Env) -> Result<Config, SettingsError> {
        let around = Surroundings {
            env: env.clone(),
            cwd: "/".into(),
            stdin: Box::new(std::io::empty()),
            terminals: Terminals::default(),
            spool: crate::settings::Spool::default(),
        };
        resolve(args, &around)
    }

    #[test]
    fn credentials_are_where_docker_and_podman_keep_them() {
        let env = Env::of([("HOME", "/h"), ("XDG_RUNTIME_DIR", "/run/1")]);
        let got = config(&RegistryAccess::default(), &env).unwrap();
        assert_eq!(got.credentials.docker_config_dir, Some("/h/.docker".into()));
        let want: [PathBuf; 2] = ["/run/1/containers/auth.json".into(), "/h/.config/containers/auth.json".into()];
        assert_eq!(got.credentials.auth_files, want);
        assert_eq!(got.proxy, ProxyMode::Direct);
        let named = Env::of([("REGISTRY_AUTH_FILE", "/a.json"), ("DOCKER_CONFIG", "/d"), ("https_proxy", "p:1")]);
        let got = config(&RegistryAccess::default(), &named).unwrap();
        assert_eq!(got.credentials.docker_config_dir, Some("/d".into()));
        assert_eq!(got.credentials.auth_files, [PathBuf::from("/a.json")]);
        assert_eq!(got.proxy, ProxyMode::System);
    }

    #[test]
    fn hosts_have_their_own_security() {
        let args =
            RegistryAccess { plain_http: vec!["r:80".into()], skip_tls_verify: vec!["s".into()], ..Default::default() };
        let got = config(&args, &Env::default()).unwrap();
        assert_eq!(got.hosts["r:80"].security, Security::PlainHttp);
        assert_eq!(got.hosts["s"].security, Security::SkipVerify);
        let bad = RegistryAccess { registry_ca: vec!["r=/absent".into()], ..Default::default() };
        assert!(config(&bad, &Env::default()).is_err());
        let bad = RegistryAccess { registry_cert: vec!["r=/etc/hosts".into()], ..Default::default() };
        assert!(config(&bad, &Env::default()).is_err());
    }
}
