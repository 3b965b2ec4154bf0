//! One line of CSV with `key=value` fields, as buildx reads option values (Go's `encoding/csv`, one record).
//!
//! Pure. A field with a comma is quoted as a whole: `type=registry,"name=a:1,b:1"`.

use super::ValueError;

/// One field and where it starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// Text without its quotes.
    pub text: String,
    /// Byte offset in the value.
    pub at: usize,
}

/// One `key=value` field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// Key in lower case.
    pub key: String,
    /// Value, as written.
    pub value: String,
    /// Byte offset of the key in the whole value.
    pub at: usize,
}

/// Splits a value into fields.
///
/// # Errors
/// A quote that is not closed, or that is not at the border of a field.
pub fn fields(text: &str) -> Result<Vec<Field>, ValueError> {
    let mut fields = Vec::new();
    let mut at = 0;
    loop {
        let (field, end) = match text[at..].strip_prefix('"') {
            Some(_) => quoted(text, at)?,
            None => bare(text, at)?,
        };
        fields.push(Field { text: field, at });
        if end == text.len() {
            return Ok(fields);
        }
        at = end + 1;
    }
}

/// Splits a value into pairs.
///
/// # Errors
/// As [`fields`], and a field without `=` or with an empty key.
pub fn pairs(text: &str) -> Result<Vec<Pair>, ValueError> {
    fields(text)?.into_iter().map(|field| pair(text, field)).collect()
}

fn pair(whole: &str, field: Field) -> Result<Pair, ValueError> {
    let Some((key, value)) = field.text.split_once('=') else {
        return Err(ValueError::new(whole, format!("`{}` is not KEY=VALUE", field.text)).at(field.at));
    };
    let key = key.trim().to_ascii_lowercase();
    if key.is_empty() {
        return Err(ValueError::new(whole, format!("`{}` has no key", field.text)).at(field.at));
    }
    Ok(Pair { key, value: value.to_owned(), at: field.at })
}

/// Returns the field that starts at `at` and the offset of what ends it.
fn bare(text: &str, at: usize) -> Result<(String, usize), ValueError> {
    let end = text[at..].find(',').map_or(text.len(), |len| at + len);
    match text[at..end].find('"') {
        Some(quote) => Err(ValueError::new(text, "a quote inside a field; quote the whole field").at(at + quote)),
        None => Ok((text[at..end].to_owned(), end)),
    }
}

fn quoted(text: &str, at: usize) -> Result<(String, usize), ValueError> {
    let mut field = String::new();
    let mut from = at + 1;
    loop {
        let Some(len) = text[from..].find('"') else {
            return Err(ValueError::new(text, "a quote is not closed").at(at));
        };
        field.push_str(&text[from..from + len]);
        let after = from + len + 1;
        match text[after..].chars().next() {
            // A doubled quote stands for one.
            Some('"') => {
                field.push('"');
                from = after + 1;
            }
            None | Some(',') => return Ok((field, after)),
            Some(_) => return Err(ValueError::new(text, "text after a closing quote").at(after)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(value: &str) -> Result<Vec<String>, (String, Option<usize>)> {
        fields(value)
            .map(|fields| fields.into_iter().map(|field| field.text).collect())
            .map_err(|error| (error.reason, error.at))
    }

    #[test]
    fn splits_fields() {
        for (value, want) in [
            ("a", vec!["a"]),
            ("a,b", vec!["a", "b"]),
            ("a,", vec!["a", ""]),
            ("\"a,b\",c", vec!["a,b", "c"]),
            ("\"say \"\"hi\"\"\"", vec!["say \"hi\""]),
            ("", vec![""]),
            ("é,\"ü,\"", vec!["é", "ü,"]),
        ] {
            assert_eq!(texts(value).unwrap(), want, "{value}");
        }
    }

    #[test]
    fn points_at_faults() {
        for (value, at) in [("a,b\"c", 3), ("x,\"abc", 2), ("\"a\"b", 3)] {
            assert_eq!(texts(value).unwrap_err().1, Some(at), "{value}");
        }
        let error = pairs("type=oci,dest").unwrap_err();
        assert_eq!((error.reason.as_str(), error.at), ("`dest` is not KEY=VALUE", Some(9)));
        assert_eq!(pairs("=x").unwrap_err().reason, "`=x` has no key");
    }

    #[test]
    fn pairs_keep_values_and_lower_keys() {
        let got = pairs("Type=registry,ref=a=b").unwrap();
        assert_eq!(got[0], Pair { key: "type".into(), value: "registry".into(), at: 0 });
        assert_eq!(got[1], Pair { key: "ref".into(), value: "a=b".into(), at: 14 });
    }
}
