//! `--cache-from` and `--cache-to` (buildx `buildflags/cache.go`). Pure.

use indexmap::IndexMap;
use polyarch_builder::request::CacheSpec;
use polyarch_registry::oci::Reference;

use super::{ValueError, csv};

/// Which option is read; some types go one way only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// `--cache-from`.
    From,
    /// `--cache-to`.
    To,
}

const TYPES: [&str; 6] = ["registry", "local", "inline", "gha", "s3", "azblob"];

/// Reads one cache: `type=…,…`, or a bare reference for `type=registry`.
///
/// # Errors
/// Malformed CSV, an unknown type, or a missing attribute the type needs.
pub fn parse(value: &str, direction: Direction) -> Result<CacheSpec, ValueError> {
    let fields = csv::fields(value)?;
    if fields.iter().all(|field| !field.text.contains('=')) {
        return bare_reference(value, &fields);
    }
    let mut attrs = IndexMap::new();
    for pair in csv::pairs(value)? {
        attrs.insert(pair.key, pair.value);
    }
    let kind =
        attrs.shift_remove("type").ok_or_else(|| ValueError::new(value, "there is no type=").near("", &TYPES))?;
    if !TYPES.contains(&kind.as_str()) {
        return Err(ValueError::new(value, format!("`{kind}` is not a cache type")).near(&kind, &TYPES));
    }
    need(value, &kind, &attrs, direction)?;
    Ok(CacheSpec { kind, attrs })
}

fn bare_reference(value: &str, fields: &[csv::Field]) -> Result<CacheSpec, ValueError> {
    let [field] = fields else {
        return Err(ValueError::new(value, "several references in one value").hint("repeat the option instead"));
    };
    field.text.parse::<Reference>()?;
    let attrs = IndexMap::from([("ref".to_owned(), field.text.clone())]);
    Ok(CacheSpec { kind: "registry".to_owned(), attrs })
}

fn need(value: &str, kind: &str, attrs: &IndexMap<String, String>, direction: Direction) -> Result<(), ValueError> {
    let key = match (kind, direction) {
        ("registry", _) => "ref",
        ("local", Direction::From) => "src",
        ("local", Direction::To) => "dest",
        ("s3", _) => "bucket",
        ("inline", Direction::From) => {
            let error = ValueError::new(value, "an inline cache is inside an image");
            return Err(error.hint("name the image: --cache-from=type=registry,ref=IMAGE"));
        }
        _ => return Ok(()),
    };
    match attrs.get(key) {
        Some(reference) if key == "ref" => reference.parse::<Reference>().map(drop).map_err(ValueError::from),
        Some(_) => Ok(()),
        None => Err(ValueError::new(value, format!("type={kind} needs {key}="))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_both_forms() {
        let bare = parse("localhost:5000/cache", Direction::From).unwrap();
        assert_eq!((bare.kind.as_str(), bare.attrs["ref"].as_str()), ("registry", "localhost:5000/cache"));
        let full = parse("type=local,dest=/tmp/c,mode=max", Direction::To).unwrap();
        assert_eq!((full.kind.as_str(), full.attrs["mode"].as_str()), ("local", "max"));
        assert!(parse("type=inline", Direction::To).is_ok());
        assert!(parse("type=gha,scope=main", Direction::From).is_ok());
    }

    #[test]
    fn says_what_is_missing() {
        for (value, direction, reason) in [
            ("type=registry", Direction::From, "type=registry needs ref="),
            ("type=local,src=x", Direction::To, "type=local needs dest="),
            ("type=local,dest=x", Direction::From, "type=local needs src="),
            ("mode=max", Direction::To, "there is no type="),
            ("type=regsitry,ref=x", Direction::To, "`regsitry` is not a cache type"),
            ("type=inline", Direction::From, "an inline cache is inside an image"),
            ("a,b", Direction::From, "several references in one value"),
        ] {
            assert_eq!(parse(value, direction).unwrap_err().reason, reason, "{value}");
        }
    }
}
