//! `WWW-Authenticate` (RFC 9110, section 11.6.1; RFC 6750 for Bearer).
//!
//! Owns: parsing what a hostile server may send. Never: follows a realm or widens a scope.

/// Longest header value that is read, in bytes.
const MAX_HEADER: usize = 8 << 10;
/// Challenges that are read from one value.
const MAX_CHALLENGES: usize = 16;

/// One challenge that polyarch can answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Challenge {
    /// User name and password in every request.
    Basic,
    /// A token from `realm`.
    Bearer {
        /// Where to get the token, as the registry wrote it.
        realm: String,
        /// Name of the service the token is for.
        service: Option<String>,
    },
}

/// Returns the strongest challenge polyarch can answer among all header values: Bearer before Basic.
///
/// A malformed value, or a Bearer challenge without a realm or with two, is ignored. The `scope` a
/// registry suggests is not read: polyarch asks for what it needs and nothing else.
pub fn select<'a>(values: impl IntoIterator<Item = &'a str>) -> Option<Challenge> {
    let mut basic = None;
    for value in values {
        for raw in parse(value) {
            match raw.interpret() {
                Some(bearer @ Challenge::Bearer { .. }) => return Some(bearer),
                Some(Challenge::Basic) => basic = Some(Challenge::Basic),
                None => {}
            }
        }
    }
    basic
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Raw {
    scheme: String,
    params: Vec<(String, String)>,
}

impl Raw {
    fn interpret(self) -> Option<Challenge> {
        match self.scheme.as_str() {
            "basic" => Some(Challenge::Basic),
            "bearer" => {
                Some(Challenge::Bearer { realm: self.only("realm")?.to_owned(), service: self.first("service") })
            }
            _ => None,
        }
    }

    fn first(&self, name: &str) -> Option<String> {
        self.params.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone())
    }

    fn only(&self, name: &str) -> Option<&str> {
        let mut found = self.params.iter().filter(|(key, _)| key == name);
        let first = found.next()?;
        found.next().is_none().then_some(first.1.as_str()).filter(|value| !value.is_empty())
    }
}

/// Returns the challenges up to the first malformed byte.
fn parse(value: &str) -> Vec<Raw> {
    let mut found = Vec::new();
    if value.len() > MAX_HEADER {
        return found;
    }
    let mut cursor = Cursor(value);
    while found.len() < MAX_CHALLENGES {
        cursor.skip(|c| c == ' ' || c == '\t' || c == ',');
        let Some(scheme) = cursor.token() else { break };
        let mut raw = Raw { scheme: scheme.to_ascii_lowercase(), params: Vec::new() };
        let complete = cursor.params(&mut raw.params);
        found.push(raw);
        if complete.is_none() {
            // Half a challenge is no challenge: the lost half may have held the second realm.
            found.pop();
            break;
        }
    }
    found
}

struct Cursor<'a>(&'a str);

impl<'a> Cursor<'a> {
    fn skip(&mut self, what: impl Fn(char) -> bool) {
        self.0 = self.0.trim_start_matches(what);
    }

    fn eat(&mut self, c: char) -> bool {
        let rest = self.0.strip_prefix(c);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    fn token(&mut self) -> Option<&'a str> {
        let end = self.0.find(|c: char| !is_token_char(c)).unwrap_or(self.0.len());
        let (token, rest) = self.0.split_at(end);
        self.0 = rest;
        (!token.is_empty()).then_some(token)
    }

    /// Reads `name=value, name=value` until the next scheme or the end; `None` when malformed.
    fn params(&mut self, into: &mut Vec<(String, String)>) -> Option<()> {
        loop {
            self.skip(|c| c == ' ' || c == '\t' || c == ',');
            let before = self.0;
            let Some(name) = self.token() else { return self.0.is_empty().then_some(()) };
            self.skip(|c| c == ' ' || c == '\t');
            if !self.eat('=') {
                // A token without `=` is the next challenge's scheme.
                self.0 = before;
                return Some(());
            }
            self.skip(|c| c == ' ' || c == '\t');
            let value = if self.eat('"') { self.quoted()? } else { self.token()?.to_owned() };
            into.push((name.to_ascii_lowercase(), value));
        }
    }

    fn quoted(&mut self) -> Option<String> {
        let mut out = String::new();
        let mut chars = self.0.char_indices();
        while let Some((at, c)) = chars.next() {
            match c {
                '"' => {
                    self.0 = &self.0[at + 1..];
                    return Some(out);
                }
                '\\' => match chars.next()?.1 {
                    c if c.is_control() => return None,
                    c => out.push(c),
                },
                c if c.is_control() => return None,
                c => out.push(c),
            }
        }
        None
    }
}

fn is_token_char(c: char) -> bool {
    // `/` and `:` are not token characters, but unquoted realms are seen in the wild.
    c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~/:".contains(c)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bearer(realm: &str, service: Option<&str>) -> Option<Challenge> {
        Some(Challenge::Bearer { realm: realm.into(), service: service.map(Into::into) })
    }

    #[test]
    fn reads_what_registries_send() {
        let hub =
            r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a:pull""#;
        assert_eq!(select([hub]), bearer("https://auth.docker.io/token", Some("registry.docker.io")));
        assert_eq!(select([r#"Basic realm="Registry Realm""#]), Some(Challenge::Basic));
        assert_eq!(select(["bearer REALM = \"https://a/t\" , error=\"x\""]), bearer("https://a/t", None));
        assert_eq!(select([r#"Basic realm="x", Bearer realm="https://a/t""#]), bearer("https://a/t", None));
        assert_eq!(select([r#"Basic realm="x""#, r#"Bearer realm="https://a/t""#]), bearer("https://a/t", None));
        assert_eq!(select([r#"Negotiate, Basic realm="x""#]), Some(Challenge::Basic));
        assert_eq!(select([r#"Bearer realm="https://a/\"t""#]), bearer("https://a/\"t", None));
        assert_eq!(select(["Bearer realm=https://a/t,service=s"]), bearer("https://a/t", Some("s")));
    }

    #[test]
    fn refuses_what_is_broken_or_ambiguous() {
        for bad in [
            "",
            "Bearer",
            "Bearer realm=\"",
            "Bearer realm=\"\"",
            "Bearer service=\"s\"",
            r#"Bearer realm="https://a/t",realm="https://evil/t""#,
            r#"Bearer realm="https://a/t",realm="#,
            r#"Bearer realm="https://a/t", service="unclosed"#,
            "Digest realm=\"x\"",
            "Bearer realm=\"a\nb\"",
            "Bearer realm=\"a\\\u{1}b\"",
        ] {
            assert_eq!(select([bad]), None, "{bad:?}");
        }
        assert_eq!(select([format!("Basic x=\"{}\"", "a".repeat(MAX_HEADER)).as_str()]), None);
    }

    proptest! {
        #[test]
        fn never_panics(text in "\\PC{0,200}") {
            let _ = select([text.as_str()]);
        }

        #[test]
        fn near_misses_never_panic(text in "(Bearer|Basic|,| |=|\"|\\\\|realm|x){0,30}") {
            let _ = select([text.as_str()]);
        }

        #[test]
        fn any_quoted_realm_survives(realm in "[ -~]{1,60}", service in "[ -~]{0,20}") {
            let quote = |s: &str| s.replace('\\', "\\\\").replace('"', "\\\"");
            let header = format!(r#"Bearer realm="{}",service="{}""#, quote(&realm), quote(&service));
            prop_assert_eq!(select([header.as_str()]), bearer(&realm, Some(&service)));
        }
    }
}
