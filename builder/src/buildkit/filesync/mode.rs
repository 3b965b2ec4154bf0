//! File modes: POSIX on this side, Go's `fs.FileMode` on the wire.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;

pub(super) const DIR: u32 = 1 << 31;
pub(super) const SYMLINK: u32 = 1 << 27;
const DEVICE: u32 = 1 << 26;
const NAMED_PIPE: u32 = 1 << 25;
const SOCKET: u32 = 1 << 24;
const SETUID: u32 = 1 << 23;
const SETGID: u32 = 1 << 22;
const CHAR_DEVICE: u32 = 1 << 21;
const STICKY: u32 = 1 << 20;
const IRREGULAR: u32 = 1 << 19;
const TYPE: u32 = DIR | SYMLINK | DEVICE | NAMED_PIPE | SOCKET | CHAR_DEVICE | IRREGULAR;

/// Special permission bits, POSIX and Go.
const SPECIAL: [(u32, u32); 3] = [(0o4000, SETUID), (0o2000, SETGID), (0o1000, STICKY)];

/// Returns the Go mode of a file. A socket counts as an empty regular file, as in fsutil.
pub(super) fn from_metadata(meta: &Metadata) -> u32 {
    from_posix(meta.mode())
}

fn from_posix(mode: u32) -> u32 {
    let kind = match mode & 0o170_000 {
        0o040_000 => DIR,
        0o120_000 => SYMLINK,
        0o010_000 => NAMED_PIPE,
        0o060_000 => DEVICE,
        0o020_000 => DEVICE | CHAR_DEVICE,
        _ => 0,
    };
    let special: u32 = SPECIAL.iter().filter(|(posix, _)| mode & posix != 0).map(|(_, go)| go).sum();
    kind | special | (mode & 0o777)
}

/// Returns the POSIX permission bits of a Go mode.
pub(super) fn permissions(go: u32) -> u32 {
    let special: u32 = SPECIAL.iter().filter(|(_, bit)| go & bit != 0).map(|(posix, _)| posix).sum();
    special | (go & 0o777)
}

/// Returns whether a Go mode is a directory's.
pub(super) fn is_dir(go: u32) -> bool {
    go & DIR != 0
}

/// Returns whether a Go mode is a symbolic link's.
pub(super) fn is_symlink(go: u32) -> bool {
    go & SYMLINK != 0
}

/// Returns whether a receiver may ask for data: both ends must agree (fsutil `fileCanRequestData`).
pub(super) fn has_data(go: u32) -> bool {
    go & TYPE == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn converts_both_ways() {
        for (posix, go, has_data) in [
            (0o100_644, 0o644, true),
            (0o104_755, SETUID | 0o755, true),
            (0o041_777, DIR | STICKY | 0o777, false),
            (0o120_777, SYMLINK | 0o777, false),
            (0o020_600, DEVICE | CHAR_DEVICE | 0o600, false),
            (0o140_755, 0o755, true),
        ] {
            assert_eq!(from_posix(posix), go, "{posix:o}");
            assert_eq!(permissions(go), posix & 0o7777, "{posix:o}");
            assert_eq!(super::has_data(go), has_data, "{posix:o}");
        }
    }
}
