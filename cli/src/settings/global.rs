//! Settings of every command: the store's place, colour, the log filter.

use std::path::PathBuf;

use super::{Env, SettingsError, Surroundings, env_vars};
use crate::args::{GlobalArgs, values};

/// When to use colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColorChoice {
    /// Never.
    Plain,
    /// On both streams.
    Colored,
    /// On the streams that are terminals.
    PerStream,
}

impl ColorChoice {
    /// Returns whether a stream that is (or is not) a terminal gets colour.
    pub fn on(self, is_terminal: bool) -> bool {
        match self {
            Self::Plain => false,
            Self::Colored => true,
            Self::PerStream => is_terminal,
        }
    }
}

/// Settings of every command.
#[derive(Debug, Clone)]
pub struct GlobalSettings {
    /// Directory of the content store.
    pub store: PathBuf,
    /// Colour.
    pub color: ColorChoice,
}

/// Resolves the options of every command.
///
/// # Errors
/// [`SettingsError::NoHome`] if nothing says where the store is.
pub fn resolve(args: &GlobalArgs, around: &Surroundings) -> Result<GlobalSettings, SettingsError> {
    let named = args.store.clone().or_else(|| around.env.get(&env_vars::POLYARCH_STORE).map(PathBuf::from));
    let store = match named {
        Some(path) => around.resolve(path),
        None => data_dir(&around.env, "the store", "--store")?.join("store"),
    };
    Ok(GlobalSettings { store, color: color(args.color, &around.env) })
}

/// Resolves `--color`; it cannot fail, because errors need it.
pub fn color(arg: values::Color, env: &Env) -> ColorChoice {
    match arg {
        values::Color::Always => ColorChoice::Colored,
        values::Color::Never => ColorChoice::Plain,
        // no-color.org: any non-empty value.
        values::Color::Auto if env.get(&env_vars::NO_COLOR).is_some() => ColorChoice::Plain,
        values::Color::Auto => ColorChoice::PerStream,
    }
}

/// Returns the filter of the log on stderr, in tracing's syntax.
pub fn log_filter(verbose: u8, env: &Env) -> String {
    match (env.get(&env_vars::POLYARCH_LOG), verbose) {
        (Some(filter), _) => filter.to_owned(),
        // Whatever a user must know is a diagnostic, not a log line.
        (None, 0) => "off".to_owned(),
        (None, 1) => "warn,polyarch_cli=debug,polyarch_builder=debug,polyarch_registry=debug".to_owned(),
        (None, _) => "trace".to_owned(),
    }
}

/// Returns polyarch's data directory (XDG base directory specification).
///
/// # Errors
/// [`SettingsError::NoHome`] naming what has no place and the option that gives one.
pub fn data_dir(env: &Env, what: &'static str, option: &'static str) -> Result<PathBuf, SettingsError> {
    // The specification says to ignore relative paths.
    let xdg = env.get(&env_vars::XDG_DATA_HOME).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = xdg.or_else(|| env.get(&env_vars::HOME).map(|home| PathBuf::from(home).join(".local/share")));
    base.map(|base| base.join("polyarch")).ok_or(SettingsError::NoHome { what, option })
}
