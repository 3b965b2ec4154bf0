//! How a layout's index names an image, in a directory or a tar.
//!
//! Owns: the annotations of an entry. Never: the image's own bytes.

use crate::oci::{Descriptor, Reference};
use crate::store::layout::REF_NAME;

/// The annotation by which containerd and Docker name what they import (containerd `images/annotations.go`).
pub const IMAGE_NAME: &str = "io.containerd.image.name";

/// Returns an entry per name: the whole reference for Docker and containerd, its tag as the name of image-spec, which
/// skopeo and others read. Without names, one entry without either.
pub fn layout_entries(root: &Descriptor, names: &[Reference]) -> Vec<Descriptor> {
    let named = |reference: &Reference| {
        let reference = reference.or_latest();
        let tag = reference.tag().unwrap_or("latest").to_owned();
        let mut entry = root.clone();
        entry.annotations.extend([(IMAGE_NAME.to_owned(), reference.to_string()), (REF_NAME.to_owned(), tag)]);
        entry
    };
    match names.is_empty() {
        true => vec![root.clone()],
        false => names.iter().map(named).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::{Digest, media_type};

    #[test]
    fn names_are_whole_for_docker_and_tags_for_others() {
        let mut root = Descriptor::new(media_type::OCI_INDEX, Digest::sha256("x"), 1);
        root.annotations.insert("k".into(), "v".into());
        assert_eq!(layout_entries(&root, &[]), [root.clone()]);
        let names = ["hello:1", "localhost:5000/a/b"].map(|text| text.parse().unwrap());
        let entries = layout_entries(&root, &names);
        let got = entries.iter().map(|entry| [IMAGE_NAME, "k", REF_NAME].map(|key| entry.annotations[key].as_str()));
        let want = [["docker.io/library/hello:1", "v", "1"], ["localhost:5000/a/b:latest", "v", "latest"]];
        assert_eq!(got.collect::<Vec<_>>(), want);
    }
}
