//! `KEY=VALUE` options: build arguments and labels. Pure.

use indexmap::IndexMap;

use super::{Env, ValueError};

/// Reads `--build-arg`: `KEY=VALUE`, or `KEY` with the environment's value. A `KEY` the environment
/// does not have is left out, so that the Dockerfile's default applies (as docker does).
///
/// # Errors
/// An empty key.
pub fn build_args(values: &[String], env: &Env) -> Result<IndexMap<String, String>, ValueError> {
    let mut args = IndexMap::new();
    for value in values {
        let (key, given) = split(value)?;
        if let Some(text) = given.or_else(|| env.raw(key)) {
            args.insert(key.to_owned(), text.to_owned());
        }
    }
    Ok(args)
}

/// Reads `--label`: `KEY=VALUE`, or `KEY` with an empty value.
///
/// # Errors
/// An empty key.
pub fn labels(values: &[String]) -> Result<IndexMap<String, String>, ValueError> {
    values
        .iter()
        .map(|value| split(value).map(|(key, text)| (key.to_owned(), text.unwrap_or_default().to_owned())))
        .collect()
}

/// Splits at the first `=`.
///
/// # Errors
/// An empty key.
pub fn split(value: &str) -> Result<(&str, Option<&str>), ValueError> {
    let (key, text) = match value.split_once('=') {
        Some((key, text)) => (key, Some(text)),
        None => (value, None),
    };
    if key.trim().is_empty() {
        return Err(ValueError::new(value, "there is no name before `=`").at(0));
    }
    Ok((key, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_come_from_the_value_or_the_environment() {
        let env = Env::of([("HTTP_PROXY", "http://p:1"), ("EMPTY", "")]);
        let values = ["A=1", "B=x=y", "HTTP_PROXY", "EMPTY", "ABSENT", "A=2", "C="].map(str::to_owned);
        let got: Vec<_> = build_args(&values, &env).unwrap().into_iter().collect();
        let want = [("A", "2"), ("B", "x=y"), ("HTTP_PROXY", "http://p:1"), ("EMPTY", ""), ("C", "")];
        assert_eq!(got, want.map(|(key, value)| (key.to_owned(), value.to_owned())));
    }

    #[test]
    fn names_are_required() {
        for bad in ["=x", "", " =x"] {
            assert_eq!(split(bad).unwrap_err().at, Some(0), "{bad:?}");
        }
        assert_eq!(labels(&["a".into()]).unwrap()["a"], "");
    }
}
