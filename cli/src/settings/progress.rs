//! How progress is shown: the option, else the environment, else what stderr is. Pure.

use clap::ValueEnum as _;

use super::{Env, SettingsError, Surroundings, ValueError, env_vars};
use crate::args::values;
use crate::report::Mode;

/// Resolves `--progress` and `--quiet`: the option, else the environment, else what stderr is.
///
/// # Errors
/// An unknown mode in the environment.
pub fn resolve(named: Option<values::Progress>, quiet: bool, around: &Surroundings) -> Result<Mode, SettingsError> {
    let asked = match named {
        _ if quiet => values::Progress::Quiet,
        Some(mode) => mode,
        None => progress_from_env(&around.env)?.unwrap_or(values::Progress::Auto),
    };
    let redraws = around.terminals.stderr && !around.env.is_on(&env_vars::CI);
    Ok(match asked {
        values::Progress::Auto if redraws => Mode::Tty,
        // Asked for, but there is nothing to redraw on otherwise.
        values::Progress::Tty if around.terminals.stderr => Mode::Tty,
        values::Progress::Auto | values::Progress::Tty | values::Progress::Plain => Mode::Plain,
        values::Progress::Json => Mode::Json,
        values::Progress::Quiet => Mode::Quiet,
    })
}

fn progress_from_env(env: &Env) -> Result<Option<values::Progress>, SettingsError> {
    let vars = [env_vars::POLYARCH_PROGRESS, env_vars::BUILDKIT_PROGRESS];
    let Some((var, text)) = vars.iter().find_map(|var| Some((var, env.get(var)?))) else { return Ok(None) };
    let parsed = values::Progress::from_str(text, true);
    parsed.map(Some).map_err(|_| {
        let known = ["auto", "tty", "plain", "json", "quiet"];
        ValueError::new(text, format!("`{text}` is not a progress mode")).near(text, &known).of(var.name)
    })
}
