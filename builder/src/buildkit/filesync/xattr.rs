//! Extended attributes, file capabilities among them: a daemon keeps them in the image, and counts them as content.

use std::collections::HashMap;
use std::io;
use std::path::Path;

use rustix::fs::{lgetxattr, llistxattr, llistxattr_query};
use rustix::io::Errno;

/// Room for names, and for a value: Linux's own limit (`XATTR_LIST_MAX`, `XATTR_SIZE_MAX`).
const LIMIT: usize = 64 << 10;

/// Attributes that macOS puts on files, which mean nothing in an image (fsutil `skipXattr`).
const SKIPPED_PREFIX: &str = "com.apple.";

/// Reads the attributes of a file or link; none where the file system has none. Unreadable single values are left out.
pub(super) fn read(path: &Path) -> io::Result<HashMap<String, Vec<u8>>> {
    // Nearly all files have none: one call without a buffer says so.
    match llistxattr_query(path) {
        Ok(0) | Err(Errno::NOTSUP | Errno::NOENT) => return Ok(HashMap::new()),
        Ok(_) => {}
        Err(e) => return Err(e.into()),
    }
    let mut names = Vec::with_capacity(LIMIT);
    llistxattr(path, rustix::buffer::spare_capacity(&mut names))?;
    let mut attributes = HashMap::new();
    for name in names.split(|byte| *byte == 0).filter_map(|name| std::str::from_utf8(name).ok()) {
        if name.is_empty() || name.starts_with(SKIPPED_PREFIX) {
            continue;
        }
        let mut value = Vec::with_capacity(LIMIT);
        if lgetxattr(path, name, rustix::buffer::spare_capacity(&mut value)).is_ok() {
            value.shrink_to_fit();
            attributes.insert(name.to_owned(), value);
        }
    }
    Ok(attributes)
}
