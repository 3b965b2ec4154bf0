//! What a policy can say about images: a row for each key.
//!
//! Owns: names, forms and meanings, from which reading, applying and the schema are made. Pure.

use std::time::Duration;

use super::Expectations;
use crate::oci::Platform;

/// Clients a policy may ask an image to get along with.
pub const PROFILES: [&str; 5] = ["lambda", "quay", "docker-20.10", "containerd-1.6", "strict"];

/// A key of a policy.
#[derive(Debug)]
pub(super) struct Key {
    pub(super) name: &'static str,
    pub(super) form: Form,
    /// What it asks for, for the schema.
    pub(super) about: &'static str,
}

type At<T> = fn(&mut Expectations) -> &mut T;

/// What a key takes, and where it goes.
#[derive(Debug)]
pub(super) enum Form {
    Platforms(At<Vec<Platform>>),
    Texts(At<Vec<String>>),
    Globs(At<Vec<String>>),
    Profiles(At<Vec<String>>),
    Size(At<Option<u64>>),
    Count(At<Option<usize>>),
    Flag(At<bool>),
    Time(At<Duration>),
    Ratio(At<f64>),
}

/// A value that was read for a key.
#[derive(Debug, Clone)]
pub(super) enum Value {
    Platforms(Vec<Platform>),
    Texts(Vec<String>),
    Size(u64),
    Count(usize),
    Flag(bool),
    Time(Duration),
    Ratio(f64),
}

const fn key(name: &'static str, form: Form, about: &'static str) -> Key {
    Key { name, form, about }
}

pub(super) static KEYS: [Key; 17] = [
    key(
        "required-platforms",
        Form::Platforms(|wanted| &mut wanted.required_platforms),
        "Platforms every image must have.",
    ),
    key(
        "allowed-platforms",
        Form::Platforms(|wanted| &mut wanted.allowed_platforms),
        "Platforms an image may have; empty: any.",
    ),
    key(
        "required-labels",
        Form::Texts(|wanted| &mut wanted.required_labels),
        "Labels that every configuration must have.",
    ),
    key(
        "required-annotations",
        Form::Texts(|wanted| &mut wanted.required_annotations),
        "Annotations that the index, or a lone manifest, must have.",
    ),
    key("max-image-size", Form::Size(|wanted| &mut wanted.max_image_bytes), "Most bytes of one platform's layers."),
    key("max-layer-size", Form::Size(|wanted| &mut wanted.max_layer_bytes), "Most bytes of one layer."),
    key("max-layers", Form::Count(|wanted| &mut wanted.max_layers), "Most layers of one platform."),
    key(
        "allowed-bases",
        Form::Globs(|wanted| &mut wanted.allowed_bases),
        "Registries or repositories base images may come from, as globs; a name stands for all below it; empty: any.",
    ),
    key("forbid-root", Form::Flag(|wanted| &mut wanted.forbid_root), "Whether running as root is a finding."),
    key(
        "require-healthcheck",
        Form::Flag(|wanted| &mut wanted.require_healthcheck),
        "Whether a missing health check is a finding.",
    ),
    key("require-signature", Form::Flag(|wanted| &mut wanted.require_signature), "Whether it must be signed."),
    key("require-sbom", Form::Flag(|wanted| &mut wanted.require_sbom), "Whether it must have an SBOM."),
    key(
        "require-provenance",
        Form::Flag(|wanted| &mut wanted.require_provenance),
        "Whether it must have a provenance attestation.",
    ),
    key("require-index", Form::Flag(|wanted| &mut wanted.require_index), "Whether it must be an index."),
    key("profiles", Form::Profiles(|wanted| &mut wanted.profiles), "Clients that must get along with it."),
    key(
        "created-spread",
        Form::Time(|wanted| &mut wanted.created_spread),
        "How far apart its platforms may have been created; 24h if it is not said.",
    ),
    key(
        "size-ratio",
        Form::Ratio(|wanted| &mut wanted.size_ratio),
        "How many times as large as the smallest platform the largest may be; 3 if it is not said.",
    ),
];

impl Key {
    pub(super) fn put(&self, value: &Value, wanted: &mut Expectations) {
        match (&self.form, value) {
            (Form::Platforms(at), Value::Platforms(list)) => at(wanted).clone_from(list),
            (Form::Texts(at) | Form::Globs(at) | Form::Profiles(at), Value::Texts(list)) => {
                at(wanted).clone_from(list);
            }
            (Form::Size(at), Value::Size(bytes)) => *at(wanted) = Some(*bytes),
            (Form::Count(at), Value::Count(count)) => *at(wanted) = Some(*count),
            (Form::Flag(at), Value::Flag(flag)) => *at(wanted) = *flag,
            (Form::Time(at), Value::Time(time)) => *at(wanted) = *time,
            (Form::Ratio(at), Value::Ratio(ratio)) => *at(wanted) = *ratio,
            // The reader makes a key's value from its form.
            _ => debug_assert!(false, "{self:?} was given {value:?}"),
        }
    }
}
