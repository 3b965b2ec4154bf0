//! `-t`: where the result is published, or what it is called. Pure.

use polyarch_registry::oci::Reference;

use super::ValueError;

/// Reads tags in the order written, `latest` added where none is named, without duplicates.
///
/// # Errors
/// A text that is not a reference (with the character at fault), or one with a digest.
pub fn parse_list(values: &[String]) -> Result<Vec<Reference>, ValueError> {
    let mut tags = Vec::new();
    for value in values {
        let tag = parse(value)?;
        if !tags.contains(&tag) {
            tags.push(tag);
        }
    }
    Ok(tags)
}

fn parse(value: &str) -> Result<Reference, ValueError> {
    let reference: Reference = value.parse().map_err(ValueError::from)?;
    if reference.digest().is_some() {
        let error = ValueError::new(value, "a tag cannot have a digest: the digest is known only after the build");
        return Err(ValueError { at: value.find('@'), ..error }.hint("leave out everything from `@`"));
    }
    Ok(reference.or_latest())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_qualified_and_unique() {
        let values = ["hello", "localhost:5000/hello:1", "docker.io/library/hello:latest"].map(str::to_owned);
        let got: Vec<String> = parse_list(&values).unwrap().iter().map(ToString::to_string).collect();
        assert_eq!(got, ["docker.io/library/hello:latest", "localhost:5000/hello:1"]);
    }

    #[test]
    fn a_digest_is_refused() {
        let value = format!("a/b:1@sha256:{}", "0".repeat(64));
        assert_eq!(parse(&value).unwrap_err().at, Some(5));
    }
}
