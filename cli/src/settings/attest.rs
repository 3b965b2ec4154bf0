//! `--attest`, `--provenance`, `--sbom` (buildx `buildflags/attests.go`). Pure.

use indexmap::IndexMap;
use polyarch_builder::request::AttestationKind;

use super::{ValueError, csv};

/// Attestations by kind, with BuildKit's attributes as CSV (empty: BuildKit's defaults).
pub type Attestations = IndexMap<AttestationKind, String>;

/// Reads `--attest type=provenance|sbom,…` into `into`; later values replace earlier ones.
///
/// # Errors
/// A value that is not CSV pairs, or has no known type.
pub fn attest(value: &str, into: &mut Attestations) -> Result<(), ValueError> {
    let pairs = csv::pairs(value)?;
    let Some(kind) = pairs.iter().find(|pair| pair.key == "type") else {
        return Err(ValueError::new(value, "there is no type=").hint("write type=provenance or type=sbom"));
    };
    let kind = match kind.value.as_str() {
        "provenance" => AttestationKind::Provenance,
        "sbom" => AttestationKind::Sbom,
        other => {
            let error = ValueError::new(value, format!("`{other}` is not an attestation type")).at(kind.at);
            return Err(error.near(other, &["provenance", "sbom"]));
        }
    };
    apply(kind, value, pairs, into)
}

/// Reads the short forms: `true`, `false`, or attributes such as `mode=max`.
///
/// # Errors
/// A value that is neither.
pub fn short(kind: AttestationKind, value: &str, into: &mut Attestations) -> Result<(), ValueError> {
    match value.to_ascii_lowercase().as_str() {
        "true" | "1" | "t" => drop(into.insert(kind, String::new())),
        "false" | "0" | "f" => drop(into.shift_remove(&kind)),
        "min" | "max" if kind == AttestationKind::Provenance => {
            return Err(ValueError::new(value, "it is neither true, false nor KEY=VALUE")
                .hint(format!("write --provenance=mode={value}")));
        }
        _ => return apply(kind, value, csv::pairs(value)?, into),
    }
    Ok(())
}

fn apply(kind: AttestationKind, whole: &str, pairs: Vec<csv::Pair>, into: &mut Attestations) -> Result<(), ValueError> {
    let mut attrs = Vec::new();
    for pair in pairs.into_iter().filter(|pair| pair.key != "type") {
        match (pair.key.as_str(), pair.value.as_str()) {
            ("disabled", "true" | "1") => {
                into.shift_remove(&kind);
                return Ok(());
            }
            ("disabled", _) => {}
            ("mode", mode) if !["min", "max"].contains(&mode) => {
                return Err(ValueError::new(whole, format!("`{mode}` is neither min nor max")).at(pair.at));
            }
            (key, value) => attrs.push(quote(&format!("{key}={value}"))),
        }
    }
    into.insert(kind, attrs.join(","));
    Ok(())
}

fn quote(field: &str) -> String {
    if field.contains([',', '"']) { format!("\"{}\"", field.replace('"', "\"\"")) } else { field.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use AttestationKind::{Provenance, Sbom};

    fn read(provenance: &str) -> Result<Attestations, ValueError> {
        let mut into = Attestations::new();
        short(Provenance, provenance, &mut into).map(|()| into)
    }

    #[test]
    fn short_forms() {
        for (value, want) in [
            ("true", Some("")),
            ("false", None),
            ("mode=max", Some("mode=max")),
            ("mode=min,inline-only=true", Some("mode=min,inline-only=true")),
            ("disabled=true", None),
            ("\"builder-id=a,b\"", Some("\"builder-id=a,b\"")),
        ] {
            assert_eq!(read(value).unwrap().get(&Provenance).map(String::as_str), want, "{value}");
        }
        assert_eq!(read("max").unwrap_err().hint.as_deref(), Some("write --provenance=mode=max"));
        assert!(read("mode=full").is_err());
        assert!(read("yes").is_err());
    }

    #[test]
    fn long_form_names_its_type() {
        let mut into = Attestations::new();
        attest("type=sbom,generator=a/b:1", &mut into).unwrap();
        assert_eq!(into[&Sbom], "generator=a/b:1");
        attest("type=sbom,disabled=true", &mut into).unwrap();
        assert!(into.is_empty());
        assert_eq!(
            attest("type=provenence", &mut into).unwrap_err().hint.as_deref(),
            Some("did you mean `provenance`?")
        );
        assert!(attest("mode=max", &mut into).is_err());
    }
}
