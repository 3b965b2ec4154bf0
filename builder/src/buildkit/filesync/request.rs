//! The metadata of a FileSync request.

use percent_encoding::percent_decode;
use tonic::metadata::MetadataMap;

use super::filter::FilterSpec;

/// What the daemon asked for: a directory's name and patterns (BuildKit `session/filesync`, `decodeOpts`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SyncRequest {
    pub(super) dir: String,
    pub(super) filter: FilterSpec,
}

impl SyncRequest {
    /// Reads the metadata; absent keys are empty.
    pub(super) fn parse(metadata: &MetadataMap) -> Self {
        let follow = values(metadata, "followpaths");
        Self {
            dir: values(metadata, "dir-name").into_iter().next().unwrap_or_default(),
            filter: FilterSpec {
                include: values(metadata, "include-patterns"),
                exclude: values(metadata, "exclude-patterns"),
                follow: (!follow.is_empty()).then_some(follow),
            },
        }
    }
}

fn values(metadata: &MetadataMap, key: &str) -> Vec<String> {
    let flag = metadata.get(format!("{key}-encoded"));
    let encoded =
        flag.is_some_and(|value| matches!(value.as_bytes(), b"1" | b"t" | b"T" | b"true" | b"TRUE" | b"True"));
    let decode = |raw: &[u8]| match encoded {
        true => {
            let spaced: Vec<u8> = raw.iter().map(|&b| if b == b'+' { b' ' } else { b }).collect();
            percent_decode(&spaced).decode_utf8_lossy().into_owned()
        }
        false => String::from_utf8_lossy(raw).into_owned(),
    };
    metadata.get_all(key).iter().map(|value| decode(value.as_bytes())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_lists_and_encodings() {
        let mut metadata = MetadataMap::new();
        metadata.insert("dir-name", "context".parse().unwrap());
        metadata.append("exclude-patterns", "a+b".parse().unwrap());
        metadata.append("exclude-patterns", "!c".parse().unwrap());
        metadata.append("followpaths", "%C3%BC+x%2B".parse().unwrap());
        metadata.insert("followpaths-encoded", "1".parse().unwrap());
        let request = SyncRequest::parse(&metadata);
        assert_eq!(request.dir, "context");
        assert_eq!(request.filter.exclude, ["a+b", "!c"]);
        assert_eq!(request.filter.follow, Some(vec!["ü x+".to_owned()]));
        assert!(request.filter.include.is_empty());
    }
}
