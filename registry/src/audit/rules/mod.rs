//! The rules: a file each, and the table.

mod altered_layer;
mod ambiguous_manifest;
mod ambiguous_tar_entries;
mod artifact_type;
mod attestation_entries;
mod base_drift;
mod base_gone;
mod base_not_allowed;
mod base_updated;
mod broken_layer;
mod client_cannot_read;
mod client_picks_another;
mod client_picks_nothing;
mod compression_mismatch;
mod config_drift;
mod created_apart;
mod dangling_child;
pub(super) mod dangling_tag;
mod decompression_bomb;
mod descriptor_urls;
mod digest_mismatch;
mod docker_zstd_layer;
mod duplicate_layer;
mod duplicate_platform;
mod embedded_data;
mod empty_layer;
mod escaping_link;
mod expired_waiver;
mod fallback_to_32_bit;
mod file_set_drift;
mod foreign_layer;
mod hidden_signature;
mod history_mismatch;
mod image_too_large;
mod invalid_whiteout;
mod layer_count_drift;
mod layer_count_mismatch;
mod layer_too_large;
mod layers;
mod manifest_too_large;
mod media_type_mismatch;
mod mirror_differs;
mod missing_baseline;
mod missing_blob;
mod missing_healthcheck;
mod missing_platform;
mod missing_provenance;
mod missing_sbom;
mod missing_signature;
mod mixed_media_types;
mod moved_tag;
mod named;
mod nested_index;
mod newer_files;
mod orphan_attestation;
mod orphan_tags;
mod overwritten_tag;
mod platform_mismatch;
mod platform_spelling;
mod privileged_files;
mod required_annotation;
mod required_label;
mod rewrapped;
mod root_user;
mod schema1_manifest;
mod secret_files;
mod shared_base;
mod single_platform;
mod size_disparity;
mod size_mismatch;
mod special_files;
mod stale_layer_contents;
mod stale_platform;
mod stale_referrers;
mod steps;
mod times;
mod too_many_layers;
mod too_many_manifests;
mod trailing_layer_data;
mod unknown_layer_type;
mod unknown_manifest_type;
mod unknown_platform;
mod unreadable_config;
mod unreadable_manifest;
mod unsafe_tar_path;
mod untyped_referrer;
mod unwanted_platform;
mod vouched;
mod windows_os_version;
mod words;
mod wrong_architecture_binary;

use super::facts::{ImageFacts, RepositoryFacts};
use super::finding::{Finding, Findings};
use super::policy::Expectations;
use super::rule::{Check, Rule};

/// Every rule, by id.
#[rustfmt::skip]
static ALL: &[Rule] = &[
    altered_layer::RULE,
    ambiguous_manifest::RULE,
    ambiguous_tar_entries::RULE,
    artifact_type::RULE,
    attestation_entries::RULE,
    base_drift::RULE,
    base_gone::RULE,
    base_not_allowed::RULE,
    base_updated::RULE,
    broken_layer::RULE,
    client_cannot_read::RULE,
    client_picks_another::RULE,
    client_picks_nothing::RULE,
    compression_mismatch::RULE,
    config_drift::RULE,
    created_apart::RULE,
    dangling_child::RULE,
    dangling_tag::RULE,
    decompression_bomb::RULE,
    descriptor_urls::RULE,
    digest_mismatch::RULE,
    docker_zstd_layer::RULE,
    duplicate_layer::RULE,
    duplicate_platform::RULE,
    embedded_data::RULE,
    empty_layer::RULE,
    escaping_link::RULE,
    expired_waiver::RULE,
    fallback_to_32_bit::RULE,
    file_set_drift::RULE,
    foreign_layer::RULE,
    hidden_signature::RULE,
    history_mismatch::RULE,
    image_too_large::RULE,
    invalid_whiteout::RULE,
    layer_count_drift::RULE,
    layer_count_mismatch::RULE,
    layer_too_large::RULE,
    manifest_too_large::RULE,
    media_type_mismatch::RULE,
    mirror_differs::RULE,
    missing_baseline::RULE,
    missing_blob::RULE,
    missing_healthcheck::RULE,
    missing_platform::RULE,
    missing_provenance::RULE,
    missing_sbom::RULE,
    missing_signature::RULE,
    mixed_media_types::RULE,
    moved_tag::RULE,
    nested_index::RULE,
    newer_files::RULE,
    orphan_attestation::RULE,
    orphan_tags::RULE,
    overwritten_tag::RULE,
    platform_mismatch::RULE,
    platform_spelling::RULE,
    privileged_files::RULE,
    required_annotation::RULE,
    required_label::RULE,
    rewrapped::RULE,
    root_user::RULE,
    schema1_manifest::RULE,
    secret_files::RULE,
    shared_base::RULE,
    single_platform::RULE,
    size_disparity::RULE,
    size_mismatch::RULE,
    special_files::RULE,
    stale_layer_contents::RULE,
    stale_platform::RULE,
    stale_referrers::RULE,
    too_many_layers::RULE,
    too_many_manifests::RULE,
    trailing_layer_data::RULE,
    unknown_layer_type::RULE,
    unknown_manifest_type::RULE,
    unknown_platform::RULE,
    unreadable_config::RULE,
    unreadable_manifest::RULE,
    unsafe_tar_path::RULE,
    untyped_referrer::RULE,
    unwanted_platform::RULE,
    windows_os_version::RULE,
    wrong_architecture_binary::RULE,
];

/// Returns every rule, by id.
pub fn rules() -> &'static [Rule] {
    ALL
}

/// Returns the rule of an id.
pub fn rule(id: &str) -> Option<&'static Rule> {
    ALL.iter().find(|rule| rule.id == id)
}

/// Judges one image.
pub fn judge(facts: &ImageFacts, wanted: &Expectations) -> Vec<Finding> {
    let mut all = Vec::new();
    for rule in ALL {
        let mut findings = Findings::new(rule);
        if let Check::Image(check) = rule.check {
            check(facts, wanted, &mut findings);
        }
        all.extend(findings.bounded());
    }
    wanted.apply(&mut all);
    all
}

/// Judges a repository as a whole, after its images.
pub fn judge_repository(facts: &RepositoryFacts, wanted: &Expectations) -> Vec<Finding> {
    let mut all = Vec::new();
    for rule in ALL {
        let mut findings = Findings::new(rule);
        if let Check::Repository(check) = rule.check {
            check(facts, wanted, &mut findings);
        }
        all.append(&mut findings.list);
    }
    wanted.apply(&mut all);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_order_and_every_rule_explains_itself() {
        let ids: Vec<&str> = ALL.iter().map(|rule| rule.id).collect();
        let mut sorted = ids.clone();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(ids, sorted);
        for rule in ALL {
            let is_id = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            assert!(rule.id.chars().all(is_id), "{}", rule.id);
            for (what, text) in [("title", rule.title), ("explanation", rule.explanation), ("fix", rule.fix)] {
                assert!(text.len() > 20, "{}: its {what} says too little: {text:?}", rule.id);
            }
            assert!(rule.title.len() <= 100, "{}: its title is too long", rule.id);
        }
    }
}
