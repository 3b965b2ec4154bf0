//! `polyarch diff`: what is not the same in two images, or in two platforms of one.
//!
//! Owns: comparing configurations value by value and layers in their order. Layers are read only where files are asked
//! for (`files`).

mod files;

use std::collections::{BTreeMap, BTreeSet};

use polyarch_registry::oci::index_editor::attested;
use polyarch_registry::oci::{Descriptor, ImageConfig, ImageManifest, Manifest, Platform};
use serde::Serialize;
use serde_json::{Value, json};

use super::listing::Listing;
use super::source::{self, Opened};
use super::{Context, table};
use crate::args::diff::DiffArgs;
use crate::args::values::ReportFormat;
use crate::diagnostics::Diagnostic;
use crate::exit_code::ExitCode;
use crate::settings::{GlobalSettings, SettingsError, Surroundings, platform, registries, target};
use crate::style::Style;
use crate::text::{bytes, escape, fit};

/// Columns of the table: what differs, and its two values.
const WHAT: usize = 30;
const VALUE: usize = 22;

/// Something that differs; `None` is not there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Difference {
    platform: String,
    what: String,
    left: Option<String>,
    right: Option<String>,
}

/// One platform's image.
struct Image {
    manifest: ImageManifest,
    config: Value,
}

/// Runs `polyarch diff`.
///
/// # Errors
/// An image is not there or cannot be read, or has not the platform that is asked for.
pub async fn run(
    args: &DiffArgs,
    global: &GlobalSettings,
    context: &Context,
    around: &Surroundings,
) -> Result<ExitCode, Diagnostic> {
    let wanted = platform::parse_list(&args.platform).map_err(|error| error.of("--platform"))?;
    let config = registries::resolve(&args.registries, around)?;
    let left = source::open(&target::parse(&args.left, &around.cwd)?, config.clone(), global).await?;
    let found = match (&args.right, wanted.as_slice()) {
        (Some(right), wanted) => {
            let right = source::open(&target::parse(right, &around.cwd)?, config, global).await?;
            of_two(&left, &right, wanted, args.files).await?
        }
        (None, [a, b]) => {
            let (a, b) = (pick(&left, a).await?, pick(&left, b).await?);
            let both = format!("{} {}", wanted[0], wanted[1]);
            compare_read(&both, (&left, &a), (&left, &b), args.files).await?
        }
        (None, _) => {
            let what = "there is nothing to compare with".into();
            return Err(SettingsError::Conflict { what, hint: Some("name a second image, or two platforms") }.into());
        }
    };
    if !args.listing.field.is_empty() {
        let row = |one: &Difference| vec![json!(one.platform), json!(one.what), json!(one.left), json!(one.right)];
        let rows = found.iter().map(row).collect();
        Listing { columns: &["platform", "what", "left", "right"], rows }.show(&args.listing, context)?;
        return Ok(code(args, &found));
    }
    let text = match args.listing.format {
        ReportFormat::Json => {
            let json = serde_json::to_string_pretty(&found);
            json.map_err(|error| Diagnostic::new(ExitCode::Bug, &error))? + "\n"
        }
        ReportFormat::Table if found.is_empty() => "no difference\n".to_owned(),
        ReportFormat::Table => tables(&found, context.console.out),
    };
    context.console.result(text)?;
    Ok(code(args, &found))
}

fn code(args: &DiffArgs, found: &[Difference]) -> ExitCode {
    if args.exit_code && !found.is_empty() { ExitCode::Audit } else { ExitCode::Done }
}

/// Returns a table per platform.
fn tables(found: &[Difference], style: Style) -> String {
    let cell = |value: &Option<String>| fit(&escape(value.as_deref().unwrap_or("-")), VALUE);
    let table = |group: &[Difference]| {
        let row = |one: &Difference| [fit(&escape(&one.what), WHAT), cell(&one.left), cell(&one.right)];
        let rows: Vec<[String; 3]> = group.iter().map(row).collect();
        format!("{}\n{}", escape(&group[0].platform), table::render(["WHAT", "A", "B"], &rows, style))
    };
    found.chunk_by(|a, b| a.platform == b.platform).map(table).collect::<Vec<_>>().join("\n")
}

/// Compares the platforms both have, and says which only one has.
async fn of_two(
    left: &Opened,
    right: &Opened,
    wanted: &[Platform],
    with_files: bool,
) -> Result<Vec<Difference>, Diagnostic> {
    if left.root == right.root {
        return Ok(Vec::new());
    }
    let (a, b) = (images(left).await?, images(right).await?);
    let names: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
    let is_wanted = |name: &&&String| wanted.is_empty() || wanted.iter().any(|one| one.to_string() == ***name);
    let mut found = Vec::new();
    for name in names.iter().filter(is_wanted) {
        match (a.get(*name), b.get(*name)) {
            (Some(a), Some(b)) if a.digest == b.digest => {}
            (Some(a), Some(b)) => found.extend(compare_read(name, (left, a), (right, b), with_files).await?),
            (a, b) => {
                let digest = |one: Option<&Descriptor>| one.map(|one| one.digest.to_string());
                let (platform, what) = ((*name).clone(), "image".to_owned());
                found.push(Difference { platform, what, left: digest(a), right: digest(b) });
            }
        }
    }
    Ok(found)
}

/// Returns the images by platform.
async fn images(opened: &Opened) -> Result<BTreeMap<String, Descriptor>, Diagnostic> {
    match opened.root.view().map_err(unreadable)? {
        Manifest::Index(index) => {
            let images = index.manifests.into_iter().filter(|entry| attested(entry).is_none());
            Ok(images.filter_map(|entry| Some((entry.platform.as_ref()?.to_string(), entry))).collect())
        }
        Manifest::Image(image) => {
            let config = source::small_blob(&*opened.source, &image.config).await?;
            let platform = ImageConfig::parse(&config).map_err(unreadable)?.platform();
            Ok([(platform.to_string(), opened.root.descriptor())].into())
        }
    }
}

fn unreadable(error: impl std::error::Error + 'static) -> Diagnostic {
    Diagnostic::new(ExitCode::Verification, &error)
}

async fn pick(opened: &Opened, wanted: &Platform) -> Result<Descriptor, Diagnostic> {
    let images = images(opened).await?;
    images.get(&wanted.to_string()).cloned().ok_or_else(|| {
        let error = Diagnostic::message(ExitCode::Usage, format!("{} has no {wanted}", opened.name));
        error.hint(format!("there is {}", images.keys().cloned().collect::<Vec<_>>().join(", ")))
    })
}

async fn read(opened: &Opened, entry: &Descriptor) -> Result<Image, Diagnostic> {
    let raw = match entry.digest == *opened.root.digest() {
        true => opened.root.clone(),
        false => source::manifest(&*opened.source, entry).await?,
    };
    let Manifest::Image(manifest) = raw.view().map_err(unreadable)? else {
        return Err(Diagnostic::message(ExitCode::Verification, format!("{} is an index in an index", entry.digest)));
    };
    let config = source::small_blob(&*opened.source, &manifest.config).await?;
    let config = serde_json::from_slice(&config).map_err(unreadable)?;
    Ok(Image { manifest, config })
}

async fn compare_read(
    platform: &str,
    (left, a): (&Opened, &Descriptor),
    (right, b): (&Opened, &Descriptor),
    with_files: bool,
) -> Result<Vec<Difference>, Diagnostic> {
    let (a, b) = (read(left, a).await?, read(right, b).await?);
    let mut found = compare(platform, &a, &b);
    if with_files {
        found.extend(files::compare(platform, (left, &a), (right, &b)).await?);
    }
    Ok(found)
}

/// Compares configurations by the path of each value, but for `diff_ids`, which are the layers', and layers by place.
fn compare(platform: &str, left: &Image, right: &Image) -> Vec<Difference> {
    let flat = |image: &Image| {
        let mut values = BTreeMap::new();
        flatten(&mut values, String::new(), &image.config);
        values.retain(|path, _| !path.starts_with("rootfs.diff_ids"));
        values
            .extend(image.manifest.annotations.iter().map(|(key, value)| (format!("annotation {key}"), value.clone())));
        values
    };
    let mut found = between(platform, &flat(left), &flat(right));
    let layers = |image: &Image| -> BTreeMap<String, String> {
        let layers = image.manifest.layers.iter().enumerate();
        layers
            .map(|(at, layer)| (format!("layer {at:03}"), format!("{} {}", layer.digest, bytes(layer.size))))
            .collect()
    };
    found.extend(between(platform, &layers(left), &layers(right)));
    found
}

fn between(platform: &str, left: &BTreeMap<String, String>, right: &BTreeMap<String, String>) -> Vec<Difference> {
    let names: BTreeSet<&String> = left.keys().chain(right.keys()).collect();
    let differ = names.into_iter().filter(|name| left.get(*name) != right.get(*name));
    let one = |name: &String| Difference {
        platform: platform.to_owned(),
        what: name.clone(),
        left: left.get(name).cloned(),
        right: right.get(name).cloned(),
    };
    differ.map(one).collect()
}

/// What nests is bounded: serde_json reads 128 levels.
fn flatten(values: &mut BTreeMap<String, String>, path: String, value: &Value) {
    let join = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    match value {
        Value::Object(fields) => fields.iter().for_each(|(name, value)| flatten(values, join(name), value)),
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(at, value)| flatten(values, join(&at.to_string()), value));
        }
        Value::String(text) => drop(values.insert(path, text.clone())),
        other => drop(values.insert(path, other.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_and_layers_are_compared_by_place() {
        let image = |config: Value, layers: &[&str]| {
            let layers: Vec<Value> = layers.iter().map(|seed| layer(seed)).collect();
            let manifest = json!({"config": layer("config"), "layers": layers});
            Image { manifest: serde_json::from_value(manifest).unwrap(), config }
        };
        let left =
            image(json!({"os": "linux", "config": {"Env": ["A=1"]}, "rootfs": {"diff_ids": ["x"]}}), &["a", "b"]);
        let right = image(json!({"os": "linux", "config": {"Env": ["A=2"]}, "rootfs": {"diff_ids": ["y"]}}), &["a"]);
        let found = compare("linux/amd64", &left, &right);
        let got: Vec<_> =
            found.iter().map(|one| (one.what.as_str(), one.left.is_some(), one.right.is_some())).collect();
        assert_eq!(got, [("config.Env.0", true, true), ("layer 001", true, false)]);
    }

    fn layer(seed: &str) -> Value {
        json!({"mediaType": "m", "digest": polyarch_registry::oci::Digest::sha256(seed), "size": 1})
    }
}
