//! `polyarch inspect`: what is behind a reference, without its layers.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use polyarch_registry::oci::index_builder::{ATTESTATION_MANIFEST, REFERENCE_DIGEST, REFERENCE_TYPE};
use polyarch_registry::oci::{Descriptor, Digest, ImageConfig, ImageManifest, Manifest, RawManifest};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::about::ReferrerView;
use super::listing::Listing;
use super::source::{self, Opened};
use super::{Context, table};
use crate::args::InspectArgs;
use crate::args::values::ReportFormat;
use crate::diagnostics::Diagnostic;
use crate::exit_code::ExitCode;
use crate::settings::{GlobalSettings, Surroundings, ValueError, platform, registries, target};
use crate::style::Style;
use crate::text::{bytes, escape};

/// Most images of which it is asked what refers to them.
const SUBJECTS: usize = 64;
/// BuildKit's annotation with the kind of statement of an attestation's layer.
const PREDICATE_TYPE: &str = "in-toto.io/predicate-type";

/// What is behind a reference.
#[derive(Debug, Serialize)]
pub struct Inspection {
    /// What was asked for.
    pub name: String,
    /// The root.
    pub descriptor: Descriptor,
    /// Images, in the order of the index.
    pub platforms: Vec<ImageView>,
    /// Attestations, in the order of the index.
    pub attestations: Vec<AttestationView>,
    /// Children that are neither.
    pub others: Vec<Descriptor>,
    /// Children that are listed and not there.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<Descriptor>,
    /// What refers to the root and to the images: signatures, SBOMs.
    pub referrers: Vec<ReferrerView>,
}

/// One image.
#[derive(Debug, Serialize)]
pub struct ImageView {
    /// Platform, as the configuration says.
    pub platform: String,
    /// Digest of its manifest.
    pub digest: String,
    /// Manifest, configuration and layers, in bytes.
    pub size: u64,
    /// Digest of its configuration.
    pub config: String,
    /// Number of layers.
    pub layers: usize,
    /// Digests of its layers, base first.
    pub layer_digests: Vec<String>,
    /// RFC 3339, as written.
    pub created: Option<String>,
    /// Entrypoint.
    pub entrypoint: Vec<String>,
    /// Command.
    pub cmd: Vec<String>,
}

/// One attestation manifest.
#[derive(Debug, Serialize)]
pub struct AttestationView {
    /// Digest of its manifest.
    pub digest: String,
    /// The image it is about.
    pub subject: Option<String>,
    /// Kinds of its statements.
    pub predicates: Vec<String>,
}

/// What [`ImageConfig`] leaves out because nothing decides by it.
#[derive(Deserialize, Default)]
#[serde(default)]
struct RunConfig {
    config: Option<Process>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "PascalCase")]
struct Process {
    entrypoint: Option<Vec<String>>,
    cmd: Option<Vec<String>>,
}

/// Runs `polyarch inspect`.
///
/// # Errors
/// The reference is none, or what is behind it cannot be read.
pub async fn run(
    args: &InspectArgs,
    global: &GlobalSettings,
    context: &Context,
    around: &Surroundings,
) -> Result<ExitCode, Diagnostic> {
    let target = target::parse(&args.reference, &around.cwd)?;
    let opened = source::open(&target, registries::resolve(&args.registries, around)?, global).await?;
    if args.raw {
        context.console.result(opened.root.bytes())?;
        return Ok(ExitCode::Done);
    }
    let mut found = inspect(&opened).await?;
    if let Some(wanted) = &args.resolve_for {
        resolve(&mut found, wanted)?;
    }
    if !args.listing.field.is_empty() {
        let listing = Listing { columns: COLUMNS, rows: found.platforms.iter().map(row).collect() };
        listing.show(&args.listing, context)?;
        return Ok(ExitCode::Done);
    }
    let root = (args.resolve_for.is_none()).then(|| found.descriptor.digest.to_string());
    let subjects: BTreeSet<String> =
        found.platforms.iter().map(|image| image.digest.clone()).chain(root).take(SUBJECTS).collect();
    let subjects: Vec<Digest> = subjects.iter().filter_map(|digest| digest.parse().ok()).collect();
    let (referrers, warnings) = opened.home.referrers(&subjects).await;
    found.referrers = referrers;
    let text = match args.listing.format {
        ReportFormat::Table => render(&found, context.console.out),
        ReportFormat::Json => {
            let json = serde_json::to_string_pretty(&found);
            json.map_err(|error| Diagnostic::new(ExitCode::Bug, &error))? + "\n"
        }
    };
    context.console.result(text)?;
    warnings.iter().for_each(|warning| context.console.say(&format!("warning: {}\n", escape(warning))));
    Ok(if found.missing.is_empty() { ExitCode::Done } else { ExitCode::Verification })
}

/// Leaves the one image that a client of a platform gets: the best its machine runs without an emulator, of equals the
/// first (containerd, `platforms.Only`).
fn resolve(found: &mut Inspection, wanted: &str) -> Result<(), Diagnostic> {
    let list = platform::parse_list(&[wanted.to_owned()]).map_err(|error| error.of("--resolve-for"))?;
    let [wanted] = list.as_slice() else {
        return Err(ValueError::new(wanted, "it is not one platform").of("--resolve-for").into());
    };
    let have: Vec<String> = found.platforms.iter().map(|image| image.platform.clone()).collect();
    let rank = |image: &ImageView| wanted.preference(&image.platform.parse().ok()?);
    let ranked = found.platforms.iter().enumerate().filter_map(|(at, image)| Some((rank(image)?, at)));
    let Some((_, at)) = ranked.min() else {
        let error =
            Diagnostic::message(ExitCode::Usage, format!("a client of {wanted} gets nothing of {}", found.name));
        return Err(error.hint(format!("there is {}", have.join(", "))));
    };
    let image = found.platforms.swap_remove(at);
    found.attestations.retain(|attestation| attestation.subject.as_ref() == Some(&image.digest));
    found.others.clear();
    found.missing.clear();
    found.platforms = vec![image];
    Ok(())
}

/// Reads manifests and configurations behind a root.
///
/// # Errors
/// One of them cannot be read or is not what its digest says.
pub async fn inspect(opened: &Opened) -> Result<Inspection, Diagnostic> {
    let mut found = Inspection {
        name: opened.name.clone(),
        descriptor: opened.root.descriptor(),
        platforms: Vec::new(),
        attestations: Vec::new(),
        others: Vec::new(),
        missing: Vec::new(),
        referrers: Vec::new(),
    };
    match view(&opened.root)? {
        Manifest::Image(image) => found.platforms.push(image_view(opened, &opened.root, &image).await?),
        Manifest::Index(index) => {
            for child in &index.manifests {
                add_child(opened, child, &mut found).await?;
            }
        }
    }
    Ok(found)
}

async fn add_child(opened: &Opened, child: &Descriptor, found: &mut Inspection) -> Result<(), Diagnostic> {
    // The rest of a broken index is what one wants to see.
    let Some(raw) = source::manifest_if_there(&*opened.source, child).await? else {
        found.missing.push(child.clone());
        return Ok(());
    };
    let Manifest::Image(image) = view(&raw)? else {
        found.others.push(child.clone());
        return Ok(());
    };
    if child.annotations.get(REFERENCE_TYPE).is_some_and(|kind| kind == ATTESTATION_MANIFEST) {
        found.attestations.push(attestation_view(child, &image));
    } else if child.artifact_type.is_some() || image.artifact_type.is_some() {
        found.others.push(child.clone());
    } else {
        found.platforms.push(image_view(opened, &raw, &image).await?);
    }
    Ok(())
}

fn view(raw: &RawManifest) -> Result<Manifest, Diagnostic> {
    raw.view().map_err(|error| Diagnostic::new(ExitCode::Verification, &error))
}

async fn image_view(opened: &Opened, raw: &RawManifest, image: &ImageManifest) -> Result<ImageView, Diagnostic> {
    let bytes = source::small_blob(&*opened.source, &image.config).await?;
    let config = ImageConfig::parse(&bytes).map_err(|error| Diagnostic::new(ExitCode::Verification, &error))?;
    // A configuration that says nothing readable about its process has none to show.
    let process = serde_json::from_slice::<RunConfig>(&bytes).unwrap_or_default().config.unwrap_or_default();
    let own = raw.bytes().len() as u64;
    let size =
        image.layers.iter().fold(own.saturating_add(image.config.size), |sum, layer| sum.saturating_add(layer.size));
    Ok(ImageView {
        platform: config.platform().to_string(),
        digest: raw.digest().to_string(),
        size,
        config: image.config.digest.to_string(),
        layers: image.layers.len(),
        layer_digests: image.layers.iter().map(|layer| layer.digest.to_string()).collect(),
        created: config.created,
        entrypoint: process.entrypoint.unwrap_or_default(),
        cmd: process.cmd.unwrap_or_default(),
    })
}

fn attestation_view(child: &Descriptor, image: &ImageManifest) -> AttestationView {
    let predicates = image.layers.iter().filter_map(|layer| layer.annotations.get(PREDICATE_TYPE).cloned());
    AttestationView {
        digest: child.digest.to_string(),
        subject: child.annotations.get(REFERENCE_DIGEST).cloned(),
        predicates: predicates.collect(),
    }
}

fn render(found: &Inspection, style: Style) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = writeln!(out, "{}  {}", style.bold("name  "), escape(&found.name));
    let _ = writeln!(out, "{}  {}", style.bold("digest"), found.descriptor.digest);
    let _ = writeln!(out, "{}  {}\n", style.bold("type  "), escape(&found.descriptor.media_type));
    let rows: Vec<[String; 6]> = found.platforms.iter().map(cells).collect();
    out.push_str(&table::render(["PLATFORM", "DIGEST", "SIZE", "LAYERS", "CREATED", "RUNS"], &rows, style));
    if !found.attestations.is_empty() {
        let rows: Vec<[String; 3]> = found.attestations.iter().map(|view| attestation_cells(view, found)).collect();
        out.push('\n');
        out.push_str(&table::render(["ATTESTATION", "OF", "STATEMENTS"], &rows, style));
    }
    if !found.referrers.is_empty() {
        let rows: Vec<[String; 4]> = found.referrers.iter().map(|view| referrer_cells(view, found)).collect();
        out.push('\n');
        out.push_str(&table::render(["REFERRER", "OF", "TYPE", "SIZE"], &rows, style));
    }
    for other in &found.others {
        let kind = other.artifact_type.as_deref().unwrap_or(&other.media_type);
        let _ = writeln!(out, "\nother  {}  {}", other.digest, escape(kind));
    }
    for child in &found.missing {
        let platform = child.platform.as_ref().map(ToString::to_string).unwrap_or_default();
        let _ = writeln!(out, "\n{}  {}  {}", style.error("missing"), child.digest, escape(&platform));
    }
    out
}

/// What `--field` may name.
const COLUMNS: &[&str] = &["platform", "digest", "size", "config", "layers", "created", "entrypoint", "cmd"];

fn row(image: &ImageView) -> Vec<Value> {
    vec![
        json!(image.platform),
        json!(image.digest),
        json!(image.size),
        json!(image.config),
        json!(image.layers),
        json!(image.created),
        json!(image.entrypoint),
        json!(image.cmd),
    ]
}

fn referrer_cells(view: &ReferrerView, found: &Inspection) -> [String; 4] {
    let of = match found.platforms.iter().find(|image| image.digest == view.subject) {
        Some(image) if found.descriptor.digest.to_string() != view.subject => image.platform.clone(),
        _ => "the root".to_owned(),
    };
    [short(&view.digest), of, view.artifact_type.clone().unwrap_or_else(|| "-".to_owned()), bytes(view.size)]
}

fn cells(image: &ImageView) -> [String; 6] {
    let created = image.created.as_deref().unwrap_or("-");
    let runs: Vec<&str> = image.entrypoint.iter().chain(&image.cmd).map(String::as_str).collect();
    [
        image.platform.clone(),
        short(&image.digest),
        bytes(image.size),
        image.layers.to_string(),
        created.get(..16).unwrap_or(created).replace('T', " "),
        runs.join(" "),
    ]
}

fn attestation_cells(view: &AttestationView, found: &Inspection) -> [String; 3] {
    let subject = view.subject.as_deref().unwrap_or("-");
    let image = found.platforms.iter().find(|image| image.digest == subject);
    [
        short(&view.digest),
        image.map_or_else(|| short(subject), |image| image.platform.clone()),
        view.predicates.join(", "),
    ]
}

/// `sha256:` and twelve digits.
fn short(digest: &str) -> String {
    digest.get(..19).unwrap_or(digest).to_owned()
}
