//! Clients that read less than current ones, as data.
//!
//! Owns: what each of them takes and how it chooses from an index, with where that is known from. Pure. Never: an opinion on an
//! image. A new client is a row.

use crate::oci::media_type::{self, Format, LayerCompression};

/// A client an image may have to get along with.
#[derive(Debug, Clone, Copy)]
pub struct Profile {
    /// As policies name it.
    pub name: &'static str,
    /// As people call it.
    pub client: &'static str,
    /// How it chooses a child of an index.
    pub choice: Choice,
    /// Whether it goes on from an index to an index in it.
    pub nested: bool,
    /// Whether it takes a child for which the index names no platform, if nothing else fits.
    pub unnamed: bool,
    /// Compressions it reads under OCI's media types.
    pub oci: &'static [LayerCompression],
    /// Compressions it reads under Docker's.
    pub docker: &'static [LayerCompression],
    /// Most layers it takes.
    pub max_layers: Option<usize>,
    /// Most bytes of layers it takes.
    pub max_bytes: Option<u64>,
    /// The platforms there are of it; empty: any.
    pub platforms: &'static [&'static str],
}

/// How a client chooses a child of an index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// It keeps all children: a registry.
    All,
    /// It takes no index.
    NoIndex,
    /// The best of what its machine runs, as containerd/platforms `Only` sorts it today.
    Best,
    /// The same as of containerd 1.6: no older variant of 64-bit ARM.
    Containerd16,
    /// Its own platform; on 32-bit ARM an older variant too, and if there is none, any.
    Docker20,
}

use LayerCompression::{Gzip, None as Plain, Zstd};

/// What current clients take: Docker 28.5 and containerd 2, both seen.
pub const CURRENT: Profile = Profile {
    name: "current",
    client: "a current client",
    choice: Choice::Best,
    nested: true,
    unnamed: true,
    oci: &[Plain, Gzip, Zstd],
    docker: &[Plain, Gzip, Zstd],
    max_layers: None,
    max_bytes: None,
    platforms: &[],
};

/// AWS Lambda: one manifest of one platform, at most 10 GB uncompressed ("Create a Lambda function using a container image" in its
/// developer guide; aws/aws-lambda-roadmap#82, docker/buildx#1533). Nothing is documented about zstd, so that it counts as taken.
pub const LAMBDA: Profile = Profile {
    name: "lambda",
    client: "AWS Lambda",
    choice: Choice::NoIndex,
    nested: false,
    unnamed: false,
    docker: &[Plain, Gzip],
    // Compressed layers over this are surely over it when they are not.
    max_bytes: Some(10 << 30),
    platforms: &["linux/amd64", "linux/arm64"],
    ..CURRENT
};

/// Quay, when it stores an image: the layer types of its schemas (quay/quay, image/oci/__init__.py and
/// image/docker/schema2/manifest.py). Mixed families, which it refused until quay/quay#6070, have a rule of their own.
pub const QUAY: Profile = Profile { name: "quay", client: "Quay", choice: Choice::All, docker: &[Gzip], ..CURRENT };

/// Docker 20.10 with its classic image store, as in Debian 12 and on Synology's devices. Each field was seen on 20.10.24; the choice is
/// `filterManifests` of moby 20.10's distribution/pull_v2_unix.go, with the containerd/platforms of its day. It reads layers by
/// content, whatever their media type says, and has no zstd (before Docker 23.0: moby/moby#28394, aws/amazon-ecs-agent#4179); of
/// more than 125 layers it says "max depth exceeded" (docker/for-linux#414).
pub const DOCKER_20_10: Profile = Profile {
    name: "docker-20.10",
    client: "Docker 20.10",
    choice: Choice::Docker20,
    nested: false,
    unnamed: false,
    oci: &[Plain, Gzip],
    docker: &[Plain, Gzip],
    max_layers: Some(125),
    ..CURRENT
};

/// containerd 1.6, through Kubernetes' CRI. Reading was seen on 1.6.20: zstd since 1.5 (containerd/containerd#4809), but not under
/// Docker's media type (containerd/containerd#9859); the choice is `platformVector` of its platforms/compare.go.
pub const CONTAINERD_1_6: Profile = Profile {
    name: "containerd-1.6",
    client: "containerd 1.6",
    choice: Choice::Containerd16,
    docker: &[Plain, Gzip],
    ..CURRENT
};

/// What every one of them takes.
pub const STRICT: Profile = Profile {
    name: "strict",
    client: "the strictest client",
    choice: Choice::Docker20,
    nested: false,
    unnamed: false,
    oci: &[Plain, Gzip],
    docker: &[Gzip],
    max_layers: Some(125),
    ..CURRENT
};

/// Every profile a policy can name.
pub const ALL: [&Profile; 5] = [&LAMBDA, &QUAY, &DOCKER_20_10, &CONTAINERD_1_6, &STRICT];

impl Profile {
    /// Returns the profile of a name.
    pub fn named(name: &str) -> Option<&'static Self> {
        ALL.into_iter().find(|profile| profile.name == name)
    }

    /// Returns whether it reads layers of a media type; of types that are no layer's it is not asked.
    pub fn reads(&self, media_type: &str) -> bool {
        let Some(compression) = media_type::layer_compression(media_type) else { return true };
        match format(media_type) {
            Format::Oci => self.oci.contains(&compression),
            Format::Docker => self.docker.contains(&compression),
        }
    }
}

fn format(media_type: &str) -> Format {
    if media_type.starts_with("application/vnd.docker.") { Format::Docker } else { Format::Oci }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_name_the_profiles_there_are() {
        assert_eq!(ALL.map(|profile| profile.name), crate::audit::policy::PROFILES);
        assert!(ALL.iter().all(|profile| Profile::named(profile.name).is_some_and(|one| one.client == profile.client)));
        assert!(Profile::named("current").is_none());
    }

    #[test]
    fn what_a_client_reads_depends_on_family_and_compression() {
        let foreign = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip";
        for (media_type, want) in [
            (media_type::OCI_LAYER, [true, true, true, true, true]),
            (media_type::OCI_LAYER_GZIP, [true, true, true, true, true]),
            (media_type::OCI_LAYER_ZSTD, [true, true, false, true, false]),
            (media_type::DOCKER_LAYER, [true, false, true, true, false]),
            (media_type::DOCKER_LAYER_GZIP, [true, true, true, true, true]),
            (media_type::DOCKER_LAYER_ZSTD, [false, false, false, false, false]),
            (foreign, [true, true, true, true, true]),
            ("text/plain", [true, true, true, true, true]),
        ] {
            assert_eq!(ALL.map(|profile| profile.reads(media_type)), want, "{media_type}");
        }
    }
}
