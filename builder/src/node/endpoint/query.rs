//! The part of an address after `?`.
//!
//! Owns: `key=value&key=value` with percent-decoding. A `+` stays a plus: values are paths and options, not forms.

use percent_encoding::percent_decode_str;

/// Why the options of an address are not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// A key no builder of this kind has.
    #[error("unknown option {key:?}; known are {known}")]
    UnknownKey {
        /// The key.
        key: String,
        /// The keys there are.
        known: &'static str,
    },
    /// A part without `=`.
    #[error("option {0:?} has no value")]
    NoValue(String),
    /// Percent-encoding that is not UTF-8.
    #[error("option {0:?} is not UTF-8")]
    NotUtf8(String),
    /// A value that means nothing.
    #[error("option {key:?} cannot be {value:?}: {want}")]
    BadValue {
        /// The key.
        key: String,
        /// The value.
        value: String,
        /// What was expected.
        want: &'static str,
    },
    /// An option that needs another.
    #[error("option {key:?} also needs {needs:?}")]
    Incomplete {
        /// The option given.
        key: &'static str,
        /// The option missing.
        needs: &'static str,
    },
}

/// Options in the order written.
#[derive(Debug)]
pub(super) struct Query {
    pairs: Vec<(String, String)>,
}

impl Query {
    /// Splits `address?query`.
    pub(super) fn split(text: &str) -> Result<(&str, Self), QueryError> {
        let (address, query) = text.split_once('?').unwrap_or((text, ""));
        let pairs = query.split('&').filter(|part| !part.is_empty()).map(pair).collect::<Result<_, _>>()?;
        Ok((address, Self { pairs }))
    }

    /// Removes and returns the last value of `key`.
    pub(super) fn take(&mut self, key: &str) -> Option<String> {
        let mut last = None;
        self.pairs.retain_mut(|(name, value)| {
            let hit = name == key;
            if hit {
                last = Some(std::mem::take(value));
            }
            !hit
        });
        last
    }

    /// Fails if anything is left; `known` goes into the error.
    pub(super) fn finish(self, known: &'static str) -> Result<(), QueryError> {
        match self.pairs.into_iter().next() {
            Some((key, _)) => Err(QueryError::UnknownKey { key, known }),
            None => Ok(()),
        }
    }

    /// Returns what is left.
    pub(super) fn into_pairs(self) -> Vec<(String, String)> {
        self.pairs
    }
}

fn pair(part: &str) -> Result<(String, String), QueryError> {
    let (key, value) = part.split_once('=').ok_or_else(|| QueryError::NoValue(part.to_owned()))?;
    let decode = |text: &str| {
        let decoded = percent_decode_str(text).decode_utf8();
        decoded.map(|text| text.into_owned()).map_err(|_| QueryError::NotUtf8(part.to_owned()))
    };
    Ok((decode(key)?, decode(value)?))
}
