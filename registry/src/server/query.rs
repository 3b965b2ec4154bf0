//! Query strings and paging.
//!
//! Owns: decoded parameters, the `n`/`last` protocol and the `Link` header (distribution-spec,
//! "Listing Tags"). Never: knows what is being listed.

use url::form_urlencoded;

use super::error::ApiError;

/// Most entries in one answer, whatever `n` says; the rest is behind the `Link` header.
const PAGE_LIMIT: usize = 10_000;

/// Decoded query parameters in the order they came.
#[derive(Debug, Default)]
pub struct Query(Vec<(String, String)>);

impl Query {
    /// Decodes the part of a URL after `?`.
    pub fn parse(raw: Option<&str>) -> Self {
        Self(form_urlencoded::parse(raw.unwrap_or_default().as_bytes()).into_owned().collect())
    }

    /// Returns the first value of a parameter; an empty value counts as absent.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, value)| key == name && !value.is_empty()).map(|(_, value)| value.as_str())
    }

    /// Returns every value of a parameter that is not empty.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(key, value)| key == name && !value.is_empty()).map(|(_, value)| value.as_str())
    }

    /// Reads `n` and `last`.
    ///
    /// # Errors
    /// 400 if `n` is not a number.
    pub fn page(&self) -> Result<Page, ApiError> {
        let n = match self.get("n") {
            Some(text) => Some(text.parse().map_err(|_| ApiError::bad_page(text))?),
            None => None,
        };
        Ok(Page { n, last: self.get("last").map(str::to_owned) })
    }
}

/// Which part of a sorted list is asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    /// Most entries wanted.
    pub n: Option<usize>,
    /// The last entry already seen, exclusive.
    pub last: Option<String>,
}

/// One page of a list.
#[derive(Debug, PartialEq, Eq)]
pub struct Slice {
    /// The entries.
    pub items: Vec<String>,
    /// `Link` target path for the next page, if there is one.
    pub next: Option<String>,
}

impl Page {
    /// Cuts the page out of a sorted list served at `path`.
    pub fn cut(&self, path: &str, mut sorted: Vec<String>) -> Slice {
        if let Some(last) = &self.last {
            let seen = sorted.partition_point(|item| item <= last);
            sorted.drain(..seen);
        }
        let limit = self.n.unwrap_or(PAGE_LIMIT).min(PAGE_LIMIT);
        let more = sorted.len() > limit;
        sorted.truncate(limit);
        let next = sorted.last().filter(|_| more).map(|last| next_link(path, limit, last));
        Slice { items: sorted, next }
    }
}

fn next_link(path: &str, n: usize, last: &str) -> String {
    let query = form_urlencoded::Serializer::new(String::new())
        .append_pair("n", &n.to_string())
        .append_pair("last", last)
        .finish();
    format!("{path}?{query}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(n: Option<usize>, last: Option<&str>) -> (String, Option<String>) {
        let list = ["A", "a", "b", "c"].map(str::to_owned).to_vec();
        let slice = Page { n, last: last.map(str::to_owned) }.cut("/v2/x/tags/list", list);
        (slice.items.concat(), slice.next)
    }

    #[test]
    fn cuts_pages() {
        assert_eq!(cut(None, None), ("Aabc".into(), None));
        assert_eq!(cut(Some(2), None), ("Aa".into(), Some("/v2/x/tags/list?n=2&last=a".into())));
        assert_eq!(cut(Some(2), Some("a")), ("bc".into(), None));
        assert_eq!(cut(Some(9), Some("aa")), ("bc".into(), None), "`last` need not exist");
        assert_eq!(cut(Some(1), Some("z")), (String::new(), None));
        assert_eq!(cut(Some(0), None), (String::new(), None));
        assert_eq!(cut(Some(usize::MAX), None), ("Aabc".into(), None));
    }

    #[test]
    fn decodes_parameters() {
        let query = Query::parse(Some("mount=sha256%3Aab&from=a%2Fb&tag=x&tag=y&empty="));
        assert_eq!(query.get("mount"), Some("sha256:ab"));
        assert_eq!(query.get("from"), Some("a/b"));
        assert_eq!(query.get("empty"), None);
        assert_eq!(query.all("tag").collect::<Vec<_>>(), ["x", "y"]);
        assert!(Query::parse(Some("n=-1")).page().is_err());
        assert_eq!(Query::parse(None).page().unwrap(), Page::default());
    }
}
