//! Every environment variable polyarch reads, declared once; `polyarch --help` prints this list.

use std::fmt::Write as _;

/// One variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EnvVar {
    /// Its name.
    pub name: &'static str,
    /// What it does, for the help text.
    pub help: &'static str,
}

macro_rules! env_vars {
    ($($name:ident: $help:literal,)*) => {
        $(#[doc = $help]
        pub const $name: EnvVar = EnvVar { name: stringify!($name), help: $help };)*
        /// Every variable, in the order of the help text.
        pub const ALL: &[EnvVar] = &[$($name,)*];
    };
}

env_vars! {
    POLYARCH_STORE: "local content store, like --store",
    POLYARCH_BUILDER: "builders, comma-separated, like --builder",
    POLYARCH_PROGRESS: "progress mode, like --progress",
    POLYARCH_LOG: "filter of the log on stderr, such as polyarch_registry=debug",
    BUILDKIT_PROGRESS: "progress mode, if POLYARCH_PROGRESS is not set",
    DOCKER_HOST: "daemon of the docker builder",
    DOCKER_CONTEXT: "Docker context of the docker builder",
    DOCKER_CONFIG: "directory of Docker's config.json [default: ~/.docker]",
    DOCKER_TLS_VERIFY: "use TLS with tcp:// daemons",
    DOCKER_CERT_PATH: "directory with ca.pem, cert.pem and key.pem for them",
    DOCKER_DEFAULT_PLATFORM: "platforms, if --platform is not given",
    REGISTRY_AUTH_FILE: "credentials in podman's auth.json form",
    SSH_AUTH_SOCK: "agent that --ssh default forwards",
    SOURCE_DATE_EPOCH: "time stamp of the image, passed to the build",
    HTTP_PROXY: "proxy for plain HTTP registries",
    HTTPS_PROXY: "proxy for registries",
    NO_PROXY: "hosts that need no proxy",
    NO_COLOR: "no colour",
    CI: "no redrawing; GITHUB_ACTIONS also neutralises workflow commands in logs",
    GITHUB_ACTIONS: "the log is a GitHub workflow's",
    XDG_DATA_HOME: "parent of the default store [default: ~/.local/share]",
    XDG_RUNTIME_DIR: "where rootless daemons have their sockets and podman its credentials",
    XDG_CONFIG_HOME: "where podman keeps credentials [default: ~/.config]",
    HOME: "home directory",
    TMPDIR: "where standard input is spooled",
}

/// Returns the section of the long help.
pub fn help() -> String {
    let mut text = String::from("Environment:\n");
    for var in ALL {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "  {:<24} {}", var.name, var.help);
    }
    text.push_str("\nExit codes:\n");
    for (code, meaning) in crate::exit_code::ExitCode::ALL {
        let _ = writeln!(text, "  {:>3}  {meaning}", code.code());
    }
    text
}
