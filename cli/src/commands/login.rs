//! `polyarch login` and `polyarch logout`.

use polyarch_registry::client::credentials::Kept;
use polyarch_registry::client::{Config, Credential, Registry, Secret};

use super::{Context, until_cancelled};
use crate::args::{LoginArgs, LogoutArgs, RegistryAccess};
use crate::diagnostics::Diagnostic;
use crate::exit_code::ExitCode;
use crate::prompt;
use crate::settings::{SettingsError, Surroundings, login as settings, registries};

/// Runs `polyarch login`.
///
/// # Errors
/// The registry does not accept the credentials, or they cannot be kept.
pub async fn login(args: &LoginArgs, context: &Context, around: &mut Surroundings) -> Result<ExitCode, Diagnostic> {
    let host = settings::host(&args.host)?;
    let config = registries::resolve(&args.registries, around)?;
    let keeper = settings::keeper(&config)?;
    let (username, password) = until_cancelled(context, credentials(args, around)).await?;
    let tried = Credential::Password { username: username.clone(), password: password.clone() };
    let asked = until_cancelled(context, check(&config, &host, tried)).await?;
    let kept =
        keeper.save(&host, &username, &password).await.map_err(|error| Diagnostic::new(ExitCode::Publish, &error))?;
    if !asked {
        context.console.say(&format!("warning: {host} asks nobody who they are, so nothing was checked\n"));
    }
    let place = match kept {
        Kept::Helper(name) => format!("by docker-credential-{name}"),
        Kept::File(path) => {
            context.console.say("warning: the password is kept unencrypted; a credential helper prevents it\n");
            format!("in {}", path.display())
        }
    };
    context.console.say(&format!("logged in to {host} as {}; kept {place}\n", crate::text::escape(&username)));
    Ok(ExitCode::Done)
}

/// Tries the credentials and nothing else: what is kept already must not answer for them.
async fn check(config: &Config, host: &str, credential: Credential) -> Result<bool, Diagnostic> {
    let mut config = config.clone();
    config.credentials.fixed.insert(host.to_owned(), credential);
    Ok(Registry::new(config).check_login(host).await?)
}

async fn credentials(args: &LoginArgs, around: &mut Surroundings) -> Result<(String, Secret), Diagnostic> {
    let unreadable = |error: std::io::Error| {
        Diagnostic::message(ExitCode::Usage, "the password cannot be read from standard input").because(&error)
    };
    if args.password_stdin {
        let password = settings::password(&mut around.stdin).map_err(unreadable)?;
        return Ok((args.username.clone().unwrap_or_default(), password));
    }
    if !around.terminals.stdin {
        let what = "there is no terminal to ask for the password";
        let hint = Some("give -u NAME --password-stdin and write the password to standard input");
        return Err(SettingsError::Conflict { what: what.to_owned(), hint }.into());
    }
    let username = match &args.username {
        Some(name) => name.clone(),
        None => prompt::line("user name: ").await.map_err(unreadable)?,
    };
    let password = prompt::hidden("password: ").await.map_err(unreadable)?;
    if username.is_empty() || password.is_empty() {
        return Err(SettingsError::conflict("user name and password must not be empty").into());
    }
    Ok((username, password))
}

/// Runs `polyarch logout`.
///
/// # Errors
/// The credentials cannot be changed.
pub async fn logout(args: &LogoutArgs, context: &Context, around: &Surroundings) -> Result<ExitCode, Diagnostic> {
    let host = settings::host(&args.host)?;
    let keeper = settings::keeper(&registries::resolve(&RegistryAccess::default(), around)?)?;
    let erased = keeper.erase(&host).await.map_err(|error| Diagnostic::new(ExitCode::Publish, &error))?;
    let done = if erased { "logged out of" } else { "was not logged in to" };
    context.console.say(&format!("{done} {host}\n"));
    Ok(ExitCode::Done)
}
