//! The environment as a plain map, read once.

use std::collections::BTreeMap;

use super::env_vars::EnvVar;

/// Environment variables of the process, or of a test.
#[derive(Clone, Default)]
pub struct Env {
    vars: BTreeMap<String, String>,
}

impl Env {
    /// Reads the process environment. Only `main` calls this. Variables that are not UTF-8 are left out.
    pub fn from_process() -> Self {
        let pairs =
            std::env::vars_os().filter_map(|(key, value)| Some((key.into_string().ok()?, value.into_string().ok()?)));
        Self { vars: pairs.collect() }
    }

    /// Returns an environment with exactly these variables.
    pub fn of<const N: usize>(vars: [(&str, &str); N]) -> Self {
        Self { vars: vars.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect() }
    }

    /// Returns a declared variable if it is set and not empty.
    pub fn get(&self, var: &EnvVar) -> Option<&str> {
        self.raw(var.name).filter(|value| !value.is_empty())
    }

    /// Returns any variable, possibly empty: for names the user wrote (`--build-arg KEY`, `--secret env=KEY`).
    pub fn raw(&self, name: &str) -> Option<&str> {
        self.vars.get(name).map(String::as_str)
    }

    /// Returns whether a declared switch is on: set to anything but ``, `0` or `false`.
    pub fn is_on(&self, var: &EnvVar) -> bool {
        self.get(var).is_some_and(|value| !matches!(value.to_ascii_lowercase().as_str(), "0" | "false"))
    }
}

// Values may be secrets.
impl std::fmt::Debug for Env {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.vars.keys()).finish()
    }
}
