//! `--output`: buildx's grammar (`buildflags/export.go`) and its exporters' attributes. Pure.

use std::path::PathBuf;

use polyarch_builder::request::{CompressionKind, Format};

use super::{ValueError, csv};

/// Where a single file goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dest {
    /// Standard output.
    Stdout,
    /// A file.
    File(PathBuf),
}

/// One output as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Export {
    /// Push to the registries of the tags and of `names`.
    Registry {
        /// `name=`, comma-separated references.
        names: Vec<String>,
        /// `push-by-digest=true`: no tag moves.
        by_digest: bool,
    },
    /// An OCI layout; `tar` as written (`oci:DIR` is `Some(false)`).
    Oci {
        /// Where.
        dest: Dest,
        /// `tar=`.
        tar: Option<bool>,
    },
    /// Load into a Docker daemon, or a `docker save` archive.
    Docker(Option<Dest>),
    /// The files, a folder per platform when there are several.
    Local {
        /// Folder.
        dest: PathBuf,
        /// `platform-split=`.
        split: Option<bool>,
    },
    /// The files in one tar.
    Tar(Dest),
    /// Nothing leaves the store.
    CacheOnly,
}

/// Attributes of an exporter that hold for the whole image.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImageAttrs {
    /// `compression=`.
    pub compression: Option<CompressionKind>,
    /// `compression-level=`.
    pub level: Option<i32>,
    /// `force-compression=`.
    pub force: Option<bool>,
    /// `oci-mediatypes=`.
    pub format: Option<Format>,
}

const TYPES: [&str; 7] = ["registry", "image", "oci", "docker", "local", "tar", "cacheonly"];
const IMAGE_KEYS: [&str; 4] = ["compression", "compression-level", "force-compression", "oci-mediatypes"];

/// Reads one `--output`.
///
/// # Errors
/// Malformed CSV, an unknown type or attribute, or a missing destination.
pub fn parse(value: &str) -> Result<(Export, ImageAttrs), ValueError> {
    if let Some(dir) = value.strip_prefix("oci:") {
        let error = || ValueError::new(value, "there is no directory after `oci:`").at(4);
        let dest = Dest::File(Some(dir).filter(|dir| !dir.is_empty()).ok_or_else(error)?.into());
        return Ok((Export::Oci { dest, tar: Some(false) }, ImageAttrs::default()));
    }
    let fields = csv::fields(value)?;
    match fields.as_slice() {
        [only] if only.text == "-" => return Ok((Export::Tar(Dest::Stdout), ImageAttrs::default())),
        [only] if only.text.is_empty() => return Err(ValueError::new(value, "it is empty")),
        [only] if only.text == value && !value.starts_with("type=") => {
            return Ok((Export::Local { dest: value.into(), split: None }, ImageAttrs::default()));
        }
        _ => {}
    }
    Attrs::new(value)?.finish()
}

/// The pairs of one value, taken out one by one; what is left is unknown.
struct Attrs<'a> {
    whole: &'a str,
    kind: String,
    pairs: Vec<csv::Pair>,
    known: Vec<&'static str>,
}

impl<'a> Attrs<'a> {
    fn new(whole: &'a str) -> Result<Self, ValueError> {
        let mut attrs = Self { whole, kind: String::new(), pairs: csv::pairs(whole)?, known: Vec::new() };
        let kind = attrs.take("type").ok_or_else(|| ValueError::new(whole, "there is no type=").near("", &TYPES))?;
        attrs.kind = kind.value;
        Ok(attrs)
    }

    fn finish(mut self) -> Result<(Export, ImageAttrs), ValueError> {
        let export = self.export()?;
        let image = match export {
            Export::Local { .. } | Export::Tar(_) | Export::CacheOnly => ImageAttrs::default(),
            _ => self.image()?,
        };
        match self.pairs.first() {
            None => Ok((export, image)),
            Some(pair) => {
                let reason = format!("type={} has no attribute `{}`", self.kind, pair.key);
                Err(ValueError::new(self.whole, reason).at(pair.at).near(&pair.key, &self.known))
            }
        }
    }

    fn export(&mut self) -> Result<Export, ValueError> {
        Ok(match self.kind.as_str() {
            "registry" => self.registry(true)?,
            "image" => self.registry(false)?,
            "oci" => Export::Oci { dest: self.dest()?, tar: self.flag("tar")? },
            "docker" => {
                let dest = self.take("dest").map(|pair| dest(&pair.value));
                self.names();
                Export::Docker(dest)
            }
            "local" => match self.dest()? {
                Dest::File(dest) => Export::Local { dest, split: self.flag("platform-split")? },
                Dest::Stdout => return Err(ValueError::new(self.whole, "type=local writes a folder, not a stream")),
            },
            "tar" => Export::Tar(self.dest()?),
            "cacheonly" => Export::CacheOnly,
            other => {
                return Err(ValueError::new(self.whole, format!("`{other}` is not an output type")).near(other, &TYPES));
            }
        })
    }

    fn registry(&mut self, default_push: bool) -> Result<Export, ValueError> {
        let names = self.names();
        let by_digest = self.flag("push-by-digest")?.unwrap_or(false);
        // Ours always are canonical when pushed by digest.
        self.flag("name-canonical")?;
        if !self.flag("push")?.unwrap_or(default_push) {
            return Err(ValueError::new(self.whole, format!("type={} without push=true has nowhere to go", self.kind))
                .hint("use type=docker to load it, or leave --output out to keep it in polyarch's store"));
        }
        Ok(Export::Registry { names, by_digest })
    }

    fn names(&mut self) -> Vec<String> {
        let value = self.take("name").map(|pair| pair.value).unwrap_or_default();
        value.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect()
    }

    fn image(&mut self) -> Result<ImageAttrs, ValueError> {
        let [kind_key, level_key, force_key, types_key] = IMAGE_KEYS;
        let compression = self.take(kind_key).map(|pair| self.compression(&pair)).transpose()?;
        let level = self.take(level_key).map(|pair| {
            pair.value.parse().map_err(|_| ValueError::new(self.whole, "the level is not a number").at(pair.at))
        });
        let force = self.flag(force_key)?;
        let format = self.flag(types_key)?.map(|oci| if oci { Format::Oci } else { Format::Docker });
        Ok(ImageAttrs { compression, level: level.transpose()?, force, format })
    }

    fn compression(&self, pair: &csv::Pair) -> Result<CompressionKind, ValueError> {
        Ok(match pair.value.as_str() {
            "gzip" => CompressionKind::Gzip,
            "zstd" => CompressionKind::Zstd,
            "uncompressed" => CompressionKind::Uncompressed,
            "estargz" => CompressionKind::Estargz,
            other => {
                let error = ValueError::new(self.whole, format!("`{other}` is not a compression")).at(pair.at);
                return Err(error.near(other, &["gzip", "zstd", "uncompressed", "estargz"]));
            }
        })
    }

    fn take(&mut self, key: &'static str) -> Option<csv::Pair> {
        self.known.push(key);
        let index = self.pairs.iter().rposition(|pair| pair.key == key)?;
        let pair = self.pairs.remove(index);
        // The last one counts, as in buildx.
        self.pairs.retain(|other| other.key != key);
        Some(pair)
    }

    fn flag(&mut self, key: &'static str) -> Result<Option<bool>, ValueError> {
        let Some(pair) = self.take(key) else { return Ok(None) };
        match pair.value.to_ascii_lowercase().as_str() {
            "true" | "1" | "t" => Ok(Some(true)),
            "false" | "0" | "f" => Ok(Some(false)),
            _ => Err(ValueError::new(self.whole, format!("{key}= is neither true nor false")).at(pair.at)),
        }
    }

    fn dest(&mut self) -> Result<Dest, ValueError> {
        let pair = self.take("dest").filter(|pair| !pair.value.is_empty());
        let pair = pair.ok_or_else(|| ValueError::new(self.whole, format!("type={} needs dest=", self.kind)))?;
        Ok(dest(&pair.value))
    }
}

fn dest(text: &str) -> Dest {
    if text == "-" { Dest::Stdout } else { Dest::File(text.into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str) -> Dest {
        Dest::File(path.into())
    }

    #[test]
    fn reads_every_form() {
        for (value, want) in [
            ("out", Export::Local { dest: "out".into(), split: None }),
            ("-", Export::Tar(Dest::Stdout)),
            ("oci:dir", Export::Oci { dest: file("dir"), tar: Some(false) }),
            ("type=oci,dest=a.tar", Export::Oci { dest: file("a.tar"), tar: None }),
            ("type=oci,dest=-", Export::Oci { dest: Dest::Stdout, tar: None }),
            ("type=oci,dest=d,tar=false", Export::Oci { dest: file("d"), tar: Some(false) }),
            ("type=docker", Export::Docker(None)),
            ("type=docker,dest=x.tar", Export::Docker(Some(file("x.tar")))),
            ("type=local,dest=o,platform-split=false", Export::Local { dest: "o".into(), split: Some(false) }),
            ("type=tar,dest=-", Export::Tar(Dest::Stdout)),
            ("type=cacheonly", Export::CacheOnly),
            ("type=registry", Export::Registry { names: vec![], by_digest: false }),
            (
                "type=image,\"name=a:1,b:2\",push=true,push-by-digest=true,name-canonical=true",
                Export::Registry { names: vec!["a:1".into(), "b:2".into()], by_digest: true },
            ),
        ] {
            assert_eq!(parse(value).map(|(export, _)| export), Ok(want), "{value}");
        }
    }

    #[test]
    fn image_attributes_are_read() {
        let (_, attrs) = parse("type=registry,compression=zstd,compression-level=3,oci-mediatypes=false").unwrap();
        let want = ImageAttrs {
            compression: Some(CompressionKind::Zstd),
            level: Some(3),
            force: None,
            format: Some(Format::Docker),
        };
        assert_eq!(attrs, want);
    }

    #[test]
    fn says_what_is_wrong() {
        for (value, reason) in [
            ("type=ocl,dest=x", "`ocl` is not an output type"),
            ("type=oci", "type=oci needs dest="),
            ("type=local,dest=-", "type=local writes a folder, not a stream"),
            ("type=image", "type=image without push=true has nowhere to go"),
            ("type=oci,dest=x,tra=false", "type=oci has no attribute `tra`"),
            ("type=oci,dest=x,tar=maybe", "tar= is neither true nor false"),
            ("dest=x", "it is not a type"),
            ("oci:", "there is no directory after `oci:`"),
            ("", "it is empty"),
        ] {
            let got = parse(value).map(|(export, _)| export);
            if value == "dest=x" {
                // buildx reads a single field as a directory's name, `=` or not.
                assert_eq!(got, Ok(Export::Local { dest: "dest=x".into(), split: None }));
            } else {
                assert_eq!(got.unwrap_err().reason, reason, "{value}");
            }
        }
    }
}
