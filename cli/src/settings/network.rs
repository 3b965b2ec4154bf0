//! `--network` and `--allow`. Pure.

use polyarch_builder::request::Network;

use super::{SettingsError, ValueError};
use crate::args::build::SandboxArgs;

const MODES: [&str; 3] = ["default", "none", "host"];
const HOST: &str = "network.host";
const ENTITLEMENTS: [&str; 3] = [HOST, "security.insecure", "device"];

/// Resolves the network mode and the entitlements: buildx grants `network.host` to whoever asks for the mode.
///
/// # Errors
/// An unknown mode or entitlement.
pub fn resolve(args: &SandboxArgs) -> Result<(Network, Vec<String>), SettingsError> {
    let mode = mode(&args.network).map_err(|error| error.of("--network"))?;
    let allow: Result<Vec<String>, ValueError> = args.allow.iter().map(|value| entitlement(value)).collect();
    let mut allow = allow.map_err(|error| error.of("--allow"))?;
    if mode == Network::Host && !allow.iter().any(|name| name == HOST) {
        allow.push(HOST.to_owned());
    }
    Ok((mode, allow))
}

fn mode(text: &str) -> Result<Network, ValueError> {
    Ok(match text {
        "" | "default" | "sandbox" => Network::Default,
        "none" => Network::None,
        "host" => Network::Host,
        other => {
            return Err(
                ValueError::new(other, format!("`{other}` is not a network mode of a build")).near(other, &MODES)
            );
        }
    })
}

fn entitlement(value: &str) -> Result<String, ValueError> {
    // `device=…` names one.
    let name = value.split('=').next().unwrap_or_default();
    match ENTITLEMENTS.contains(&name) {
        true => Ok(value.to_owned()),
        false => Err(ValueError::new(value, format!("`{name}` is not an entitlement")).near(name, &ENTITLEMENTS)),
    }
}
