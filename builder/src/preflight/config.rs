//! What a build takes from a base image's configuration (image-spec, config.md; `OnBuild` is Docker's). Pure.

use serde::Deserialize;

use crate::plan::ImageConfig;

#[derive(Deserialize)]
struct Document {
    #[serde(default)]
    config: Option<Inner>,
}

#[derive(Default, Deserialize)]
struct Inner {
    #[serde(rename = "Env", default)]
    env: Option<Vec<String>>,
    #[serde(rename = "OnBuild", default)]
    on_build: Option<Vec<String>>,
}

/// Reads a configuration; what cannot be read says nothing.
pub(super) fn read(bytes: &[u8]) -> ImageConfig {
    let Ok(document) = serde_json::from_slice::<Document>(bytes) else { return ImageConfig::default() };
    let inner = document.config.unwrap_or_default();
    let pair = |entry: String| match entry.split_once('=') {
        Some((name, value)) => (name.to_owned(), value.to_owned()),
        None => (entry, String::new()),
    };
    ImageConfig {
        env: Some(inner.env.unwrap_or_default().into_iter().map(pair).collect()),
        on_build: inner.on_build.unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_environment_and_triggers() {
        let config = read(br#"{"config":{"Env":["PATH=/bin","A=b=c","EMPTY"],"OnBuild":["RUN x"],"User":"1"}}"#);
        let env: Vec<_> = config.env.iter().flatten().map(|(name, value)| format!("{name}:{value}")).collect();
        assert_eq!(env, ["PATH:/bin", "A:b=c", "EMPTY:"]);
        assert_eq!(config.on_build, ["RUN x"]);
        for (text, env) in [
            ("{}", Some(vec![])),
            (r#"{"config":null}"#, Some(vec![])),
            (r#"{"config":{"Env":null,"OnBuild":null}}"#, Some(vec![])),
            ("[1]", None),
            ("x", None),
        ] {
            assert_eq!(read(text.as_bytes()), ImageConfig { env, on_build: Vec::new() }, "{text}");
        }
    }
}
