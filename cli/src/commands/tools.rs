//! `polyarch tags`, `repos`, `tag`, `rm`, `referrers`: one repository's names.

use polyarch_registry::client::{ClientError, ErrorKind, Registry};
use polyarch_registry::oci::reference::is_tag;
use polyarch_registry::oci::{RawManifest, Reference};
use serde_json::json;

use super::Context;
use super::listing::Listing;
use crate::args::RegistryAccess;
use crate::args::tools::{ReferrersArgs, ReposArgs, RmRefArgs, TagArgs, TagsArgs};
use crate::diagnostics::Diagnostic;
use crate::exit_code::ExitCode;
use crate::settings::{Surroundings, ValueError, registries};

/// Returns a client for the options of a command.
///
/// # Errors
/// An option that cannot be used.
pub fn client(access: &RegistryAccess, around: &Surroundings) -> Result<Registry, Diagnostic> {
    Ok(Registry::new(registries::resolve(access, around)?))
}

/// Parses a reference; a missing tag stays missing.
///
/// # Errors
/// It is none; says where.
pub fn reference(text: &str, what: &'static str) -> Result<Reference, Diagnostic> {
    text.parse::<Reference>().map_err(|error| ValueError::from(error).of(what).into())
}

/// Returns the diagnostic of a write that a registry refused.
pub fn refused(error: ClientError) -> Diagnostic {
    let kind = error.kind();
    let diagnostic = Diagnostic::from(error);
    match kind {
        ErrorKind::Mismatch => diagnostic,
        _ => Diagnostic { code: ExitCode::Publish, ..diagnostic },
    }
}

/// Runs `polyarch tags`.
///
/// # Errors
/// The registry does not tell them.
pub async fn tags(args: &TagsArgs, context: &Context, around: &Surroundings) -> Result<ExitCode, Diagnostic> {
    let at = reference(&args.repository, "REPO")?;
    let list = client(&args.registries, around)?.tags(&at).await?;
    let rows = list.tags.into_iter().map(|tag| vec![json!(tag)]).collect();
    Listing { columns: &["tag"], rows }.show(&args.listing, context)?;
    Ok(cut(list.truncated, "tags", context))
}

/// Runs `polyarch repos`.
///
/// # Errors
/// The host is none, or the registry does not tell them.
pub async fn repos(args: &ReposArgs, context: &Context, around: &Surroundings) -> Result<ExitCode, Diagnostic> {
    // A host is what stands before the first slash of a reference.
    let probe = reference(&format!("{}/x", args.host), "HOST")?;
    if probe.host() != args.host || probe.repository() != "x" {
        return Err(ValueError::new(&args.host, "it is not HOST or HOST:PORT").of("HOST").into());
    }
    let list = client(&args.registries, around)?.repositories(&args.host).await.map_err(|error| {
        let untold = matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Rejected | ErrorKind::Denied);
        let diagnostic = Diagnostic::from(error);
        if untold { diagnostic.hint("not every registry tells its repositories") } else { diagnostic }
    })?;
    let rows = list.repositories.into_iter().map(|name| vec![json!(name)]).collect();
    Listing { columns: &["repository"], rows }.show(&args.listing, context)?;
    Ok(cut(list.truncated, "repositories", context))
}

fn cut(is_cut: bool, what: &str, context: &Context) -> ExitCode {
    if !is_cut {
        return ExitCode::Done;
    }
    context.console.say(&format!("warning: there are more {what} than are listed\n"));
    ExitCode::CouldNotCheck
}

/// Points a tag at a manifest and looks whether it does.
///
/// # Errors
/// The registry refuses, or the tag points elsewhere afterwards.
pub async fn put_tag(registry: &Registry, at: &Reference, manifest: &RawManifest) -> Result<(), Diagnostic> {
    let registry = registry.without_mirrors();
    registry.put_manifest(at, manifest).await.map_err(refused)?;
    let found = registry.get_manifest(at).await.map_err(refused)?;
    if found == *manifest {
        return Ok(());
    }
    let (want, got) = (manifest.digest(), found.digest());
    let text = format!("tag {at} points at {got} after it was moved to {want}");
    Err(Diagnostic::message(ExitCode::Verification, text).hint("somebody else moved it at the same time"))
}

/// Runs `polyarch tag`.
///
/// # Errors
/// A name is none or in another repository; the image is not there; the registry refuses.
pub async fn tag(args: &TagArgs, context: &Context, around: &Surroundings) -> Result<ExitCode, Diagnostic> {
    let from = reference(&args.source, "SRC")?.or_latest();
    let names = args.names.iter().map(|name| new_name(&from, name)).collect::<Result<Vec<_>, _>>()?;
    let registry = client(&args.registries, around)?.without_mirrors();
    let manifest = registry.get_manifest(&from).await?;
    for name in names {
        put_tag(&registry, &name, &manifest).await?;
        context.console.result(format!("{name} {}\n", manifest.digest()))?;
    }
    Ok(ExitCode::Done)
}

fn new_name(from: &Reference, text: &str) -> Result<Reference, Diagnostic> {
    if is_tag(text) {
        return Ok(from.with_tag(text));
    }
    let name = reference(text, "NEW")?;
    if name.name() != from.name() || name.tag().is_none() || name.digest().is_some() {
        let error = ValueError::new(text, format!("it is not a tag in {}", from.name()));
        return Err(error.hint(format!("polyarch copy {from} {text}")).of("NEW").into());
    }
    Ok(name)
}

/// Runs `polyarch rm`.
///
/// # Errors
/// It is not there, or the registry does not delete.
pub async fn rm(args: &RmRefArgs, context: &Context, around: &Surroundings) -> Result<ExitCode, Diagnostic> {
    let at = reference(&args.reference, "REF")?;
    let unnamed = |reason: &str, hint: &str| -> Diagnostic {
        ValueError::new(&args.reference, reason).hint(hint).of("REF").into()
    };
    match (args.digest, at.tag(), at.digest()) {
        (_, None, None) => return Err(unnamed("it has neither tag nor digest", "name what is to be removed")),
        (false, _, Some(_)) => {
            return Err(unnamed("it names a manifest, not a tag", "--digest removes the manifest with all its tags"));
        }
        _ => {}
    }
    let registry = client(&args.registries, around)?.without_mirrors();
    let Some(head) = registry.head_manifest(&at).await? else {
        return Err(Diagnostic::message(ExitCode::CouldNotCheck, format!("{at} is not there")));
    };
    let (gone, manifest) = match (args.digest, at.digest()) {
        (false, _) => (at, None),
        (true, Some(digest)) => {
            let gone = at.with_digest(digest.clone());
            // What cannot be read as a manifest can be removed, too.
            let manifest = registry.get_manifest(&gone).await.ok();
            (gone, manifest)
        }
        (true, None) => {
            // A head is a claim; what is removed is what was read.
            let manifest = registry.get_unmoved_manifest(&at, &head).await?;
            (at.with_digest(manifest.digest().clone()), Some(manifest))
        }
    };
    let removed = match manifest {
        Some(manifest) => registry.delete_referrer(&gone, &manifest).await,
        None => registry.delete_manifest(&gone).await,
    };
    removed.map_err(|error| {
        let kind = error.kind();
        let diagnostic = refused(error);
        match (kind, args.digest) {
            (ErrorKind::Rejected, false) => diagnostic.hint("some registries remove manifests only: --digest"),
            (ErrorKind::Rejected, true) => diagnostic.hint("the registry has deletion switched off"),
            _ => diagnostic,
        }
    })?;
    context.console.result(format!("removed {gone}\n"))?;
    if args.digest {
        context.console.say("every tag that led to it is gone, too\n");
    }
    Ok(ExitCode::Done)
}

/// Runs `polyarch referrers`.
///
/// # Errors
/// The image is not there, or the list cannot be read.
pub async fn referrers(args: &ReferrersArgs, context: &Context, around: &Surroundings) -> Result<ExitCode, Diagnostic> {
    let at = reference(&args.reference, "REF")?.or_latest();
    let registry = client(&args.registries, around)?;
    let subject = match at.digest() {
        Some(digest) => digest.clone(),
        None => registry.get_manifest(&at).await?.digest().clone(),
    };
    let (found, _) = registry.verified_referrers(&at, &subject, args.artifact_type.as_deref()).await?;
    let row = |entry: &polyarch_registry::oci::Descriptor| {
        vec![json!(entry.digest), json!(entry.artifact_type), json!(entry.size), json!(entry.annotations)]
    };
    let rows = found.entries.iter().map(row).collect();
    Listing { columns: &["digest", "type", "size", "annotations"], rows }.show(&args.listing, context)?;
    for digest in &found.dropped {
        context.console.say(&format!("warning: {digest} is listed, but is not about this image\n"));
    }
    Ok(cut(found.truncated, "referrers", context))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_names_are_tags_of_the_same_repository() {
        let from: Reference = "localhost:5000/a:1".parse().unwrap();
        assert_eq!(new_name(&from, "2").unwrap().to_string(), "localhost:5000/a:2");
        assert_eq!(new_name(&from, "localhost:5000/a:3").unwrap().to_string(), "localhost:5000/a:3");
        let other = new_name(&from, "localhost:5000/b:3").unwrap_err();
        assert_eq!(other.hints, ["polyarch copy localhost:5000/a:1 localhost:5000/b:3"]);
        assert!(new_name(&from, "localhost:5000/a").is_err());
    }
}
