//! A policy's file (TOML) becomes a policy.
//!
//! Owns: that everything wrong with a file is told at once, each with its place, and that nothing unknown is passed over. Pure.

use std::ops::Range;

use time::{Date, Month};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::keys::{Form, KEYS, Key, PROFILES, Value};
use super::{Expectations, Override, Policy, Settings, Waiver, values};
use crate::audit::finding::Severity;
use crate::audit::glob::Glob;
use crate::audit::rules::rules;

/// What a severity may be; `off` turns a rule off.
pub(super) const SEVERITIES: [&str; 4] = ["error", "warning", "info", "off"];
/// Keys of a waiver; the first three must be there.
const WAIVER: [&str; 6] = ["rule", "reason", "expires", "repository", "tag", "platform"];

/// Why a text is no policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {}, column {}: {}", .0[0].line, .0[0].column, .0[0].message)]
pub struct PolicyError(Vec<PolicyFault>);

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyFault {
    /// Bytes at fault.
    pub span: Range<usize>,
    /// Line, from 1.
    pub line: usize,
    /// Character in the line, from 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// A name that is not known, and those that are.
    pub unknown: Option<(String, Vec<&'static str>)>,
}

impl PolicyError {
    /// Returns what is wrong, in the order of the file; at least one thing.
    pub fn faults(&self) -> &[PolicyFault] {
        &self.0
    }
}

type Text<'i> = std::borrow::Cow<'i, str>;
type Entry<'a, 'i> = (&'a Spanned<Text<'i>>, &'a Spanned<DeValue<'i>>);

struct Reader<'t> {
    text: &'t str,
    faults: Vec<PolicyFault>,
}

pub(super) fn policy(text: &str, today: Date) -> Result<Policy, PolicyError> {
    let mut reader = Reader { text, faults: Vec::new() };
    let (document, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        reader.fault(error.span().unwrap_or(0..0), error.message().trim_end().replace('\n', ", "));
    }
    // After a broken line what follows is a guess.
    let policy = match errors.is_empty() {
        true => reader.document(document.get_ref(), today),
        false => Policy::default(),
    };
    reader.faults.sort_by_key(|fault| fault.span.start);
    if reader.faults.is_empty() { Ok(policy) } else { Err(PolicyError(reader.faults)) }
}

impl Reader<'_> {
    fn document(&mut self, document: &DeTable<'_>, today: Date) -> Policy {
        let mut policy = Policy { today: Some(today), ..Policy::default() };
        let mut own = Settings::default();
        for entry in document.iter() {
            match entry.0.get_ref().as_ref() {
                "repository" => {
                    for (span, table) in self.tables(entry) {
                        policy.overrides.extend(self.repository(span, table));
                    }
                }
                "waiver" => {
                    for (span, table) in self.tables(entry) {
                        policy.waivers.extend(self.waiver(span, table));
                    }
                }
                _ => self.setting(entry, &mut own, &["repository", "waiver"]),
            }
        }
        let mut defaults = Expectations::default();
        own.put(&mut defaults);
        Policy { defaults, ..policy }
    }

    fn repository(&mut self, span: Range<usize>, table: &DeTable<'_>) -> Option<Override> {
        let mut settings = Settings::default();
        let mut repositories = None;
        for entry in table.iter() {
            match entry.0.get_ref().as_ref() {
                "match" => repositories = Some(self.glob(entry)),
                _ => self.setting(entry, &mut settings, &["match"]),
            }
        }
        if repositories.is_none() {
            self.fault(span, "a [[repository]] needs a `match`: a glob of its repositories, host included");
        }
        Some(Override { repositories: repositories??, settings })
    }

    fn waiver(&mut self, span: Range<usize>, table: &DeTable<'_>) -> Option<Waiver> {
        let (mut rule, mut reason, mut expires) = (None, None, None);
        let (mut repository, mut tag, mut platform) = (None, None, None);
        for entry in table.iter() {
            match entry.0.get_ref().as_ref() {
                "rule" => rule = self.rule(entry.1),
                "reason" => reason = self.reason(entry),
                "expires" => expires = self.date(entry),
                "repository" => repository = self.glob(entry),
                "tag" => tag = self.glob(entry),
                "platform" => platform = self.parsed(entry.1, values::platform),
                _ => self.unknown(entry.0.span(), "key", entry.0.get_ref(), WAIVER.to_vec()),
            }
        }
        for key in &WAIVER[..3] {
            if !table.iter().any(|(name, _)| name.get_ref() == key) {
                self.fault(span.clone(), format!("a [[waiver]] needs `{key}`"));
            }
        }
        let line = self.place(span.start).0;
        Some(Waiver { rule: rule?, repository, tag, platform, reason: reason?, expires: expires?, line })
    }

    fn setting(&mut self, entry: Entry<'_, '_>, settings: &mut Settings, others: &[&'static str]) {
        let name = entry.0.get_ref().as_ref();
        if name == "severity" {
            return self.severities(entry.1, settings);
        }
        match KEYS.iter().find(|key| key.name == name) {
            Some(key) => settings.values.extend(self.value(key, entry.1).map(|value| (key, value))),
            None => {
                let known = KEYS.iter().map(|key| key.name).chain(["severity"]).chain(others.iter().copied());
                self.unknown(entry.0.span(), "key", name, known.collect());
            }
        }
    }

    fn severities(&mut self, value: &Spanned<DeValue<'_>>, settings: &mut Settings) {
        let Some(table) = value.get_ref().as_table() else {
            return self.wrong(value, "a table of rules: [severity]");
        };
        for (name, value) in table.iter() {
            let rule = self.known_rule(name.get_ref(), name.span());
            let Some(text) = self.string(value) else { continue };
            let severity = match Severity::ALL.into_iter().find(|severity| severity.name() == text) {
                Some(severity) => Some(severity),
                None if text == "off" => None,
                None => {
                    self.unknown(value.span(), "severity", text, SEVERITIES.to_vec());
                    continue;
                }
            };
            settings.severities.extend(rule.map(|rule| (rule, severity)));
        }
    }

    fn value(&mut self, key: &Key, value: &Spanned<DeValue<'_>>) -> Option<Value> {
        match key.form {
            Form::Platforms(_) => self.list(value, values::platform).map(Value::Platforms),
            Form::Texts(_) => self.list(value, filled).map(Value::Texts),
            Form::Globs(_) => {
                self.list(value, |text| Glob::new(text).map(|glob| glob.as_str().to_owned())).map(Value::Texts)
            }
            Form::Profiles(_) => self.profiles(value).map(Value::Texts),
            Form::Size(_) => self.parsed(value, values::size).map(Value::Size),
            Form::Time(_) => self.parsed(value, values::time).map(Value::Time),
            Form::Flag(_) => {
                let flag = value.get_ref().as_bool().map(Value::Flag);
                flag.or_else(|| self.none(value, "true or false"))
            }
            Form::Count(_) => {
                let number = value.get_ref().as_integer();
                let number = number.and_then(|number| usize::from_str_radix(number.as_str(), number.radix()).ok());
                let count = number.filter(|number| *number > 0).map(Value::Count);
                count.or_else(|| self.none(value, "a whole number, at least 1"))
            }
            Form::Ratio(_) => {
                let text = match value.get_ref() {
                    DeValue::Float(float) => Some(float.as_str()),
                    DeValue::Integer(number) if number.radix() == 10 => Some(number.as_str()),
                    _ => None,
                };
                let ratio = text.and_then(|text| text.parse::<f64>().ok()).filter(|ratio| ratio.is_finite());
                let ratio = ratio.filter(|ratio| *ratio >= 1.0).map(Value::Ratio);
                ratio.or_else(|| self.none(value, "a number, at least 1"))
            }
        }
    }

    fn list<T>(&mut self, value: &Spanned<DeValue<'_>>, read: fn(&str) -> Result<T, String>) -> Option<Vec<T>> {
        let Some(list) = value.get_ref().as_array() else { return self.none(value, "a list of strings") };
        // Every element is looked at, also after a wrong one.
        let read: Vec<Option<T>> = list.iter().map(|value| self.parsed(value, read)).collect();
        read.into_iter().collect()
    }

    fn profiles(&mut self, value: &Spanned<DeValue<'_>>) -> Option<Vec<String>> {
        let Some(list) = value.get_ref().as_array() else { return self.none(value, "a list of strings") };
        let mut names = Vec::new();
        for value in list.iter() {
            let Some(name) = self.string(value) else { continue };
            match PROFILES.contains(&name) {
                true => names.push(name.to_owned()),
                false => self.unknown(value.span(), "profile", name, PROFILES.to_vec()),
            }
        }
        Some(names)
    }

    fn tables<'a, 'i>(&mut self, (name, value): Entry<'a, 'i>) -> Vec<(Range<usize>, &'a DeTable<'i>)> {
        let tables = value.get_ref().as_array().and_then(|list| {
            let tables = list.iter().map(|one| Some((one.span(), one.get_ref().as_table()?)));
            tables.collect::<Option<Vec<_>>>()
        });
        tables.unwrap_or_else(|| {
            self.fault(name.span(), format!("`{name}` is written as [[{name}]], once for each", name = name.get_ref()));
            Vec::new()
        })
    }

    fn glob(&mut self, (_, value): Entry<'_, '_>) -> Option<Glob> {
        self.parsed(value, |text| Glob::new(text).map_err(|reason| format!("{text:?} is no glob: {reason}")))
    }

    fn rule(&mut self, value: &Spanned<DeValue<'_>>) -> Option<String> {
        let name = self.string(value)?;
        self.known_rule(name, value.span())
    }

    fn known_rule(&mut self, name: &str, span: Range<usize>) -> Option<String> {
        let known = rules().iter().map(|rule| rule.id);
        if known.clone().any(|id| id == name) {
            return Some(name.to_owned());
        }
        self.unknown(span, "rule", name, known.collect());
        None
    }

    fn reason(&mut self, (_, value): Entry<'_, '_>) -> Option<String> {
        self.parsed(value, |text| match text.trim() {
            "" => Err("a waiver says why".to_owned()),
            text => Ok(text.to_owned()),
        })
    }

    fn date(&mut self, (_, value): Entry<'_, '_>) -> Option<Date> {
        let date = match value.get_ref() {
            DeValue::Datetime(all) if all.time.is_none() && all.offset.is_none() => all.date,
            DeValue::String(text) => text.parse::<toml::value::Datetime>().ok().and_then(|all| match all {
                toml::value::Datetime { date, time: None, offset: None } => date,
                _ => None,
            }),
            _ => None,
        };
        let date = date.and_then(|date| {
            let month = Month::try_from(date.month).ok()?;
            Date::from_calendar_date(i32::from(date.year), month, date.day).ok()
        });
        date.or_else(|| self.none(value, "a date, such as 2027-03-31"))
    }

    fn parsed<T>(&mut self, value: &Spanned<DeValue<'_>>, read: impl Fn(&str) -> Result<T, String>) -> Option<T> {
        let text = self.string(value)?;
        read(text).map_err(|reason| self.fault(value.span(), reason)).ok()
    }

    fn string<'v>(&mut self, value: &'v Spanned<DeValue<'_>>) -> Option<&'v str> {
        let text = value.get_ref().as_str();
        text.or_else(|| self.none(value, "a string"))
    }

    fn none<T>(&mut self, value: &Spanned<DeValue<'_>>, want: &str) -> Option<T> {
        self.wrong(value, want);
        None
    }

    fn wrong(&mut self, value: &Spanned<DeValue<'_>>, want: &str) {
        self.fault(value.span(), format!("it must be {want}"));
    }

    fn unknown(&mut self, span: Range<usize>, what: &str, name: &str, known: Vec<&'static str>) {
        self.fault(span, format!("unknown {what} `{name}`"));
        if let Some(fault) = self.faults.last_mut() {
            fault.unknown = Some((name.to_owned(), known));
        }
    }

    fn fault(&mut self, span: Range<usize>, message: impl Into<String>) {
        let (line, column) = self.place(span.start);
        self.faults.push(PolicyFault { span, line, column, message: message.into(), unknown: None });
    }

    fn place(&self, at: usize) -> (usize, usize) {
        let before = self.text.get(..at).unwrap_or(self.text);
        let line = before.rsplit('\n').next().unwrap_or_default();
        (before.matches('\n').count() + 1, line.chars().count() + 1)
    }
}

fn filled(text: &str) -> Result<String, String> {
    if text.is_empty() { Err("it is empty".to_owned()) } else { Ok(text.to_owned()) }
}
