//! `--call METHOD[,format=text|json][,ignorestatus]` (buildx `build/opt.go`, `parseCallFunc`). Pure.

use super::{ValueError, csv};

/// What the Dockerfile frontend is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// A build.
    Build,
    /// An answer, and nothing is built.
    Ask(Question),
}

/// A question to the frontend, and what becomes of its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Question {
    /// What is asked.
    pub topic: Topic,
    /// Which form of the answer is printed.
    pub form: AnswerForm,
    /// What a bad answer means.
    pub bad: BadAnswer,
}

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Topic {
    /// Lint warnings.
    Check,
    /// Target, build arguments, secrets and mounts.
    Outline,
    /// The stages that can be named as target.
    Targets,
}

/// Which form of the answer is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnswerForm {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// What a bad answer means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadAnswer {
    /// The command fails.
    Fails,
    /// It is only shown.
    Shows,
}

const METHODS: [&str; 4] = ["build", "check", "outline", "targets"];

impl Call {
    /// `--check`, and what `format=json` alone is about.
    pub const CHECK: Self = Self::Ask(Question::about(Topic::Check));

    /// Reads `--call`.
    ///
    /// # Errors
    /// An unknown method, option or format.
    pub fn parse(value: &str) -> Result<Self, ValueError> {
        let mut topic = None;
        let mut question = Question::about(Topic::Check);
        for field in csv::fields(value)? {
            match (field.text.split_once('='), field.text.as_str()) {
                (Some(("format", form)), _) => question.form = answer_form(value, form, field.at)?,
                (Some(("ignorestatus", on)), _) => question.bad = bad_answer(value, on, field.at)?,
                (None, "ignorestatus") => question.bad = BadAnswer::Shows,
                (None, "build") if field.at == 0 => topic = Some(None),
                (None, "check" | "lint") if field.at == 0 => topic = Some(Some(Topic::Check)),
                (None, "outline") if field.at == 0 => topic = Some(Some(Topic::Outline)),
                (None, "targets") if field.at == 0 => topic = Some(Some(Topic::Targets)),
                (Some((key, _)), _) => {
                    let unknown = ValueError::new(value, format!("`{key}` is not an option of --call")).at(field.at);
                    return Err(unknown.near(key, &["format", "ignorestatus"]));
                }
                (None, method) => {
                    let unknown = ValueError::new(value, format!("`{method}` is no question to a frontend"));
                    return Err(unknown.at(field.at).near(method, &METHODS));
                }
            }
        }
        Ok(match topic {
            Some(None) => Self::Build,
            Some(Some(topic)) => Self::Ask(Question { topic, ..question }),
            None => Self::Ask(question),
        })
    }
}

impl Question {
    const fn about(topic: Topic) -> Self {
        Self { topic, form: AnswerForm::Text, bad: BadAnswer::Fails }
    }
}

fn answer_form(whole: &str, text: &str, at: usize) -> Result<AnswerForm, ValueError> {
    match text {
        "text" => Ok(AnswerForm::Text),
        "json" => Ok(AnswerForm::Json),
        other => {
            let error = ValueError::new(whole, format!("`{other}` is not a form of an answer")).at(at);
            Err(error.near(other, &["text", "json"]))
        }
    }
}

fn bad_answer(whole: &str, text: &str, at: usize) -> Result<BadAnswer, ValueError> {
    match text {
        "true" | "1" => Ok(BadAnswer::Shows),
        "false" | "0" => Ok(BadAnswer::Fails),
        other => Err(ValueError::new(whole, format!("`{other}` is neither true nor false")).at(at)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_buildx_reads() {
        let ask = |topic, form, bad| Call::Ask(Question { topic, form, bad });
        for (text, want) in [
            ("build", Call::Build),
            ("check", ask(Topic::Check, AnswerForm::Text, BadAnswer::Fails)),
            ("lint,format=json", ask(Topic::Check, AnswerForm::Json, BadAnswer::Fails)),
            ("format=json", ask(Topic::Check, AnswerForm::Json, BadAnswer::Fails)),
            ("check,ignorestatus", ask(Topic::Check, AnswerForm::Text, BadAnswer::Shows)),
            ("check,ignorestatus=true,format=json", ask(Topic::Check, AnswerForm::Json, BadAnswer::Shows)),
            ("outline", ask(Topic::Outline, AnswerForm::Text, BadAnswer::Fails)),
            ("targets,format=text", ask(Topic::Targets, AnswerForm::Text, BadAnswer::Fails)),
        ] {
            assert_eq!(Call::parse(text), Ok(want), "{text}");
        }
    }

    #[test]
    fn points_at_faults() {
        for (text, at, hint) in [
            ("chekc", 0, "did you mean `check`?"),
            ("check,outline", 6, "did you mean `outline`?"),
            ("check,fromat=json", 6, "did you mean `format`?"),
            ("check,format=jsn", 6, "did you mean `json`?"),
        ] {
            let error = Call::parse(text).unwrap_err();
            assert_eq!((error.at, error.hint.as_deref()), (Some(at), Some(hint)), "{text}");
        }
    }
}
