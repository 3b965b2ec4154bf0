//! The JSON schema of a policy, for editors and other tools.
//!
//! Owns: the document docs/audit-policy.schema.json. It knows the form of a rule's id, not the ids: those are a version's.

use serde_json::{Map, Value, json};

use super::keys::{Form, KEYS, PROFILES};
use super::read::SEVERITIES;

/// Returns the schema (JSON Schema 2020-12). TOML's dates are strings in it.
pub fn schema() -> Value {
    let mut own = settings();
    own.insert(
        "repository".to_owned(),
        json!({"type": "array", "items": {"$ref": "#/$defs/repository"},
        "description": "What holds instead in some repositories, later ones over earlier ones."}),
    );
    own.insert(
        "waiver".to_owned(),
        json!({"type": "array", "items": {"$ref": "#/$defs/waiver"},
        "description": "Findings that are accepted until a day."}),
    );
    let mut repository = settings();
    repository.insert("match".to_owned(), glob("Repositories, host included."));
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "polyarch audit policy",
        "type": "object",
        "properties": own,
        "additionalProperties": false,
        "$defs": {
            "rule": {"type": "string", "pattern": "^[a-z0-9]+(-[a-z0-9]+)*$"},
            "repository": {
                "type": "object", "properties": repository, "required": ["match"], "additionalProperties": false,
            },
            "waiver": {
                "type": "object",
                "properties": {
                    "rule": {"$ref": "#/$defs/rule"},
                    "reason": {"type": "string", "pattern": "\\S", "description": "Why it is accepted."},
                    "expires": {"type": "string", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}$",
                        "description": "The last day on which it counts, in UTC."},
                    "repository": glob("Repositories, host included; all if it is not said."),
                    "tag": glob("Tags; all if it is not said."),
                    "platform": platform(),
                },
                "required": ["rule", "reason", "expires"],
                "additionalProperties": false,
            },
        },
    })
}

fn settings() -> Map<String, Value> {
    let mut all: Map<String, Value> = KEYS
        .iter()
        .map(|key| {
            let mut form = form(&key.form);
            form["description"] = json!(key.about);
            (key.name.to_owned(), form)
        })
        .collect();
    let severity = json!({
        "type": "object", "propertyNames": {"$ref": "#/$defs/rule"},
        "additionalProperties": {"enum": SEVERITIES},
        "description": "Severities instead of the rules' own; `off` turns a rule off.",
    });
    all.insert("severity".to_owned(), severity);
    all
}

fn form(form: &Form) -> Value {
    match form {
        Form::Platforms(_) => list(platform()),
        Form::Texts(_) | Form::Globs(_) => list(json!({"type": "string", "minLength": 1})),
        Form::Profiles(_) => list(json!({"enum": PROFILES})),
        Form::Size(_) => {
            json!({"type": "string", "pattern": "^[0-9.]+ *(?:[kKmMgGtT][iI]?)?[bB]$", "examples": ["500MB", "2GiB"]})
        }
        Form::Time(_) => json!({"type": "string", "pattern": "^([0-9]+[smhd])+$", "examples": ["24h"]}),
        Form::Count(_) => json!({"type": "integer", "minimum": 1}),
        Form::Flag(_) => json!({"type": "boolean"}),
        Form::Ratio(_) => json!({"type": "number", "minimum": 1}),
    }
}

fn list(items: Value) -> Value {
    json!({"type": "array", "items": items})
}

fn platform() -> Value {
    json!({"type": "string", "pattern": "^[^/]+/[^/]+(/[^/]+)?$", "examples": ["linux/arm64"]})
}

fn glob(about: &str) -> Value {
    json!({"type": "string", "minLength": 1, "description": about})
}
