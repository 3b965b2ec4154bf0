//! From the name of a BuildKit step back to its instruction, for daemons that do not say where a step came from
//! (BuildKit before 0.9).
//!
//! Owns: reading `[linux/arm64 build 2/5] RUN …` (BuildKit `dockerfile2llb/convert.go`, `prefixCommand`). Never: guesses;
//! what fits two instructions is nowhere.

use polyarch_registry::oci::Reference as ImageName;

use super::instruction::Instruction;
use super::keyword::Keyword;
use super::span::Span;
use super::stage::{Dockerfile, Stage};

impl Dockerfile {
    /// Returns the lines of the instruction a step was made from, by the step's name.
    pub fn locate(&self, step: &str) -> Option<Span> {
        if let Some(image) = step.strip_prefix("[internal] load metadata for ") {
            return self.from(image);
        }
        let name = StepName::parse(step)?;
        let stage = self.stage_called(name.stage)?;
        stage.by_position(&name).or_else(|| stage.by_text(&name))
    }

    /// The first FROM that names this image, if it does so without variables.
    fn from(&self, image: &str) -> Option<Span> {
        let latest = |text: &str| {
            let name: ImageName = text.parse().ok()?;
            let tag = name.tag().or(name.digest().is_none().then_some("latest")).map(str::to_owned);
            Some((name.name(), tag, name.digest().cloned()))
        };
        let wanted = latest(image)?;
        self.stages.iter().find(|stage| latest(&stage.base).as_ref() == Some(&wanted)).map(|stage| stage.span)
    }

    /// A stage by the name BuildKit gives it: its own, `stage-N`, or none for the only stage.
    fn stage_called(&self, name: Option<&str>) -> Option<&Stage> {
        let Some(name) = name else { return self.stages.first().filter(|_| self.stages.len() == 1) };
        // Of equal names the last one counts, as for COPY --from.
        let own = self.stages.iter().rev().find(|stage| stage.name.as_deref() == Some(name));
        own.or_else(|| self.stages.get(name.strip_prefix("stage-")?.parse::<usize>().ok()?))
    }
}

struct StepName<'a> {
    stage: Option<&'a str>,
    number: usize,
    total: usize,
    keyword: &'a str,
    arguments: &'a str,
}

impl<'a> StepName<'a> {
    fn parse(step: &'a str) -> Option<Self> {
        let (place, instruction) = step.strip_prefix('[')?.split_once("] ")?;
        let mut words = place.split(' ').rev();
        let (number, total) = words.next()?.split_once('/')?;
        let (keyword, arguments) = instruction.trim().split_once(char::is_whitespace)?;
        Some(Self {
            // A platform has a slash, a stage's name has none.
            stage: words.next().filter(|word| !word.contains('/')),
            number: number.parse().ok()?,
            total: total.parse().ok()?,
            keyword,
            arguments,
        })
    }

    fn is_of(&self, instruction: &Instruction) -> bool {
        self.keyword == instruction.keyword.name()
    }
}

impl Stage {
    /// The instructions BuildKit counts.
    fn steps(&self) -> impl Iterator<Item = &Instruction> {
        let counts = |keyword| matches!(keyword, Keyword::Add | Keyword::Copy | Keyword::Run | Keyword::Workdir);
        self.instructions.iter().filter(move |instruction| counts(instruction.keyword))
    }

    /// FROM is step 1 where it names an image, and no step where it names a stage or nothing. A base image's ONBUILD
    /// instructions are counted too: then the numbers do not fit.
    fn by_position(&self, name: &StepName<'_>) -> Option<Span> {
        let before = name.total.checked_sub(self.steps().count()).filter(|before| *before <= 1)?;
        let at = name.number.checked_sub(before + 1)?;
        self.steps().nth(at).filter(|instruction| name.is_of(instruction)).map(|instruction| instruction.span)
    }

    fn by_text(&self, name: &StepName<'_>) -> Option<Span> {
        let mut fitting = self.steps().filter(|step| name.is_of(step) && fits(&step.arguments, name.arguments));
        let first = fitting.next()?;
        fitting.next().is_none().then_some(first.span)
    }
}

/// Whether `told`, where variables are expanded and flags come first, may be `written`. White space counts as one space.
fn fits(written: &str, told: &str) -> bool {
    let (written, told) = (squeeze(written), squeeze(told));
    let parts = literals(&written);
    let Some((last, parts)) = parts.split_last() else { return false };
    let mut rest = told.as_str();
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

fn squeeze(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The text between variables.
fn literals(text: &str) -> Vec<&str> {
    let mut pieces = text.split('$');
    let mut parts: Vec<&str> = pieces.next().into_iter().collect();
    parts.extend(pieces.map(|piece| match piece.strip_prefix('{') {
        Some(braced) => braced.split_once('}').map_or("", |(_, after)| after),
        None => piece.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || c == '_'),
    }));
    parts
}

#[cfg(test)]
mod tests {
    use super::super::parse;

    const FILE: &str = "\
ARG BASE=busybox
FROM $BASE AS tools
WORKDIR /src
ENV A=1
RUN echo one
RUN echo one
FROM scratch
COPY --from=tools /a /a
COPY --from=tools \\
    /b /b
FROM tools AS Last
RUN --mount=type=cache,target=/c echo $A && \\
    echo ${B:-two} three
";

    fn line(step: &str) -> Option<(u32, u32)> {
        parse(FILE.as_bytes()).unwrap().locate(step).map(|span| (span.line, span.end_line))
    }

    #[test]
    fn steps_are_found_by_their_number() {
        for (step, want) in [
            ("[tools 2/4] WORKDIR /src", Some((3, 3))),
            ("[tools 3/4] RUN echo one", Some((5, 5))),
            ("[linux/arm64 tools 4/4] RUN echo one", Some((6, 6))),
            ("[stage-1 1/2] COPY --from=tools /a /a", Some((8, 8))),
            ("[linux/amd64 stage-1 2/2] COPY --from=tools     /b /b", Some((9, 10))),
            ("[last 1/1] RUN --mount=type=cache,target=/c echo 1 &&     echo two three", Some((12, 13))),
        ] {
            assert_eq!(line(step), want, "{step}");
        }
    }

    #[test]
    fn where_the_numbers_do_not_fit_the_text_decides_if_it_can() {
        // Two triggers of the base come first.
        assert_eq!(line("[last 3/3] RUN --mount=type=cache,target=/c echo 1 && echo two three"), Some((12, 13)));
        assert_eq!(line("[last 2/3] RUN echo of the base"), None);
        assert_eq!(line("[tools 5/6] RUN echo one"), None, "two instructions have this text");
        assert_eq!(line("[tools 4/6] WORKDIR /src"), Some((3, 3)));
    }

    #[test]
    fn what_is_no_step_is_nowhere() {
        for step in [
            "",
            "[internal] load build definition from Dockerfile",
            "[tools 1/4] FROM docker.io/library/busybox",
            "[tools 4/4] COPY a b",
            "[tools 9/4] RUN echo one",
            "[tools 0/4] RUN echo one",
            "[tools 18446744073709551615/4] RUN echo",
            "[nobody 2/4] WORKDIR /src",
            "[2/4] WORKDIR /src",
            "[stage-9 1/1] RUN x",
            "exporting to image",
            "[auth] library/busybox:pull token for registry-1.docker.io",
        ] {
            assert_eq!(line(step), None, "{step}");
        }
        let metadata = "[internal] load metadata for docker.io/library/";
        assert_eq!(line(&format!("{metadata}busybox:latest")), None, "it may be what the variable says");
        let alone = parse(b"FROM busybox\nRUN false\n").unwrap();
        assert_eq!(alone.locate("[2/2] RUN false").map(|span| span.line), Some(2));
        assert_eq!(alone.locate(&format!("{metadata}busybox:latest")).map(|span| span.line), Some(1));
        assert_eq!(alone.locate(&format!("{metadata}busybox:1")), None);
    }
}
