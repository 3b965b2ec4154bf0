//! Every rule, one a file. A rule has a page in docs/lints.

mod emulated_run;
mod final_stage_build_platform;
mod foreign_tool_image;
mod hard_coded_architecture;
mod identical_platforms;
mod ignored_platform;
mod missing_base_platform;
mod platform_digest_pin;
mod shared_cache_mount;
mod target_arg_default;
mod target_arg_undeclared;

use super::Rule;

/// By name.
pub(super) const ALL: [Rule; 11] = [
    emulated_run::RULE,
    final_stage_build_platform::RULE,
    foreign_tool_image::RULE,
    hard_coded_architecture::RULE,
    identical_platforms::RULE,
    ignored_platform::RULE,
    missing_base_platform::RULE,
    platform_digest_pin::RULE,
    shared_cache_mount::RULE,
    target_arg_default::RULE,
    target_arg_undeclared::RULE,
];
