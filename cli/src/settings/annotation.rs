//! `--annotation [LEVEL[PLATFORM],…:]KEY=VALUE` (buildx `buildflags/export.go`, `ParseAnnotations`). Pure.

use indexmap::IndexMap;
use polyarch_builder::request::ManifestAnnotation;
use polyarch_registry::oci::Platform;

use super::ValueError;

/// Annotations by the level they are written at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Annotations {
    /// `index:` — in the index itself.
    pub index: IndexMap<String, String>,
    /// `index-descriptor:` — in what refers to the index (an OCI layout's `index.json`).
    pub index_descriptor: IndexMap<String, String>,
    /// `manifest:` — in each platform's manifest.
    pub manifest: Vec<ManifestAnnotation>,
    /// `manifest-descriptor:` — in the index's descriptors of the platforms.
    pub manifest_descriptor: Vec<ManifestAnnotation>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Level {
    Index,
    IndexDescriptor,
    Manifest,
    ManifestDescriptor,
}

const LEVELS: [&str; 4] = ["index", "manifest", "index-descriptor", "manifest-descriptor"];

/// Reads all values.
///
/// # Errors
/// No `=`, an empty key, an unknown level, or a platform at a level of the index.
pub fn parse_list(values: &[String]) -> Result<Annotations, ValueError> {
    let mut annotations = Annotations::default();
    for value in values {
        parse(value, &mut annotations)?;
    }
    Ok(annotations)
}

fn parse(whole: &str, into: &mut Annotations) -> Result<(), ValueError> {
    let Some((left, value)) = whole.split_once('=') else {
        return Err(ValueError::new(whole, "it is not KEY=VALUE"));
    };
    let (levels, key) = match left.split_once(':') {
        Some((levels, key)) => (split_levels(whole, levels)?, key),
        // buildx's default level.
        None => (vec![(Level::Manifest, None)], left),
    };
    if key.trim().is_empty() {
        return Err(ValueError::new(whole, "there is no key before `=`").at(left.len() - key.len()));
    }
    for (level, platform) in levels {
        let (key, value) = (key.to_owned(), value.to_owned());
        match level {
            Level::Index => drop(into.index.insert(key, value)),
            Level::IndexDescriptor => drop(into.index_descriptor.insert(key, value)),
            Level::Manifest => into.manifest.push(ManifestAnnotation { platform, key, value }),
            Level::ManifestDescriptor => into.manifest_descriptor.push(ManifestAnnotation { platform, key, value }),
        }
    }
    Ok(())
}

fn split_levels(whole: &str, text: &str) -> Result<Vec<(Level, Option<Platform>)>, ValueError> {
    let mut levels = Vec::new();
    let mut at = 0;
    for item in text.split(',') {
        levels.push(level(whole, item, at)?);
        at += item.len() + 1;
    }
    Ok(levels)
}

fn level(whole: &str, item: &str, at: usize) -> Result<(Level, Option<Platform>), ValueError> {
    let (name, platform) = match item.split_once('[') {
        Some((name, rest)) => {
            let inner = rest.strip_suffix(']');
            let inner = inner.ok_or_else(|| ValueError::new(whole, "`[` is not closed").at(at + name.len()))?;
            let error = |error: polyarch_registry::oci::PlatformError| {
                ValueError::new(whole, error.to_string()).at(at + name.len() + 1)
            };
            (name, Some(inner.parse::<Platform>().map_err(error)?))
        }
        None => (item, None),
    };
    let level = match name {
        "index" => Level::Index,
        "index-descriptor" => Level::IndexDescriptor,
        "manifest" => Level::Manifest,
        "manifest-descriptor" => Level::ManifestDescriptor,
        _ => {
            return Err(ValueError::new(whole, format!("`{name}` is not an annotation level"))
                .at(at)
                .near(name, &LEVELS));
        }
    };
    if platform.is_some() && matches!(level, Level::Index | Level::IndexDescriptor) {
        return Err(ValueError::new(whole, format!("`{name}` has no platform")).at(at + name.len()));
    }
    Ok((level, platform))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(value: &str) -> Result<Annotations, ValueError> {
        parse_list(&[value.to_owned()])
    }

    #[test]
    fn levels_and_platforms() {
        assert_eq!(read("a=b").unwrap().manifest.len(), 1);
        let url = read("org.opencontainers.image.url=https://x").unwrap();
        assert_eq!(url.manifest[0].value, "https://x");
        let both = read("index,manifest[linux/arm64]:k=v=w").unwrap();
        assert_eq!(both.index["k"], "v=w");
        assert_eq!(both.manifest[0].platform.as_ref().unwrap().to_string(), "linux/arm64");
        assert_eq!(read("index-descriptor:k=").unwrap().index_descriptor["k"], "");
        assert_eq!(read("manifest-descriptor:k=v").unwrap().manifest_descriptor[0].platform, None);
    }

    #[test]
    fn points_at_faults() {
        for (value, at) in [
            ("k", None),
            ("=v", Some(0)),
            ("index:=v", Some(6)),
            ("index,manfest:k=v", Some(6)),
            ("index[linux/amd64]:k=v", Some(5)),
            ("manifest[linux:k=v", Some(8)),
            ("manifest[beos]:k=v", Some(9)),
        ] {
            assert_eq!(read(value).unwrap_err().at, at, "{value}");
        }
        assert_eq!(read("manfest:k=v").unwrap_err().hint.as_deref(), Some("did you mean `manifest`?"));
    }
}
