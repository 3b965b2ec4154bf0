//! Syntax, positions, errors and expansion.

use proptest::prelude::*;

use super::*;

fn ok(text: &str) -> Dockerfile {
    parse(text.as_bytes()).unwrap_or_else(|errors| panic!("{text:?}: {errors:?}"))
}

fn kinds(text: &str) -> Vec<(u32, ParseErrorKind)> {
    let errors = parse(text.as_bytes()).expect_err(text);
    errors.into_iter().map(|e| (e.span.line, e.kind)).collect()
}

#[test]
fn reads_stages_flags_and_positions() {
    let file = ok(
        "\u{feff}# syntax=docker/dockerfile:1 args\n# check=skip=all\n\nARG V=1 W\nFROM --platform=$BUILDPLATFORM go:$V AS Build\n  \
         RUN --mount=type=cache,target=/x --mount=type=bind,from=src \\\n# comment\n\n   go build && \\ \n   true\n\
         FROM scratch\nCOPY --from=build --link /a /b\n",
    );
    assert_eq!(file.directives.syntax.as_deref(), Some("docker/dockerfile:1"));
    assert_eq!(file.directives.check.as_deref(), Some("skip=all"));
    let args: Vec<_> = file.global_args.iter().map(|arg| (arg.name.as_str(), arg.value.as_deref())).collect();
    assert_eq!(args, [("V", Some("1")), ("W", None)]);
    let build = &file.stages[0];
    assert_eq!((build.name.as_deref(), build.base.as_str()), (Some("build"), "go:$V"));
    assert_eq!(build.platform.as_deref(), Some("$BUILDPLATFORM"));
    let run = &build.instructions[0];
    assert_eq!(run.span, Span { line: 6, column: 3, end_line: 10 });
    assert_eq!(run.arguments, "go build &&    true");
    assert_eq!(run.references(), [Reference { name: "src".into(), by_index: false }]);
    let copy = &file.stages[1].instructions[0];
    assert_eq!(copy.references(), [Reference { name: "build".into(), by_index: true }]);
    assert_eq!((copy.arguments.as_str(), copy.flag("link")), ("/a /b", Some("true")));
}

#[test]
fn reads_heredocs() {
    let file =
        ok("FROM a\nRUN <<EOF\nline $X\n# not a comment\nEOF\nCOPY <<-'A' <<B /d/\n\tx\n\tA\ny\nB\nRUN [\"<<X\"]\n\
                   RUN echo '<<N' <<<here $((1<<2))\nONBUILD RUN <<O\nz\nO\nUSER a\n");
    let of = |at: usize| &file.stages[0].instructions[at];
    assert_eq!(of(0).heredocs[0].content, "line $X\n# not a comment\n");
    assert_eq!(of(0).span.end_line, 5);
    let pair: Vec<_> =
        of(1).heredocs.iter().map(|h| (h.name.as_str(), h.expand, h.chomp, h.content.as_str())).collect();
    assert_eq!(pair, [("A", false, true, "\tx\n"), ("B", true, false, "y\n")]);
    assert!(of(2).heredocs.is_empty() && of(3).heredocs.is_empty());
    assert_eq!(of(4).trigger.as_ref().map(|inner| inner.heredocs[0].content.as_str()), Some("z\n"));
    assert_eq!(of(5).keyword, Keyword::User);
}

#[test]
fn a_backtick_can_be_the_escape() {
    let file = ok("# escape=`\nFROM a\nRUN x `\n  y\\\nUSER b\n");
    assert_eq!(file.stages[0].instructions[0].arguments, "x   y\\");
    assert_eq!(file.stages[0].instructions.len(), 2);
}

#[test]
fn directives_end_at_the_first_other_line() {
    assert_eq!(ok("# a comment\n# escape=`\nFROM a\n").directives, Directives::default());
    assert_eq!(ok("\n# escape=`\nFROM a\n").directives, Directives::default());
    // `#!` is skipped only where the frontend is looked for.
    assert!(!ok("#!/usr/bin/env x\n# escape=`\nFROM a\n").directives.backtick);
}

#[test]
fn finds_the_frontend_in_any_form() {
    for (text, want) in [
        ("#syntax = a/b:1 x\nFROM a", Some("a/b:1")),
        ("#!/bin/x\n// syntax=c\n{}", Some("c")),
        ("{\"syntax\": \"d\"}", Some("d")),
        ("# escape=`\n# syntax=e\n", Some("e")),
        ("FROM a\n# syntax=f\n", None),
        ("[broken", None),
        ("", None),
    ] {
        assert_eq!(detect_syntax(text.as_bytes()).as_deref(), want, "{text:?}");
    }
}

#[test]
fn reports_every_error_with_its_line() {
    use ParseErrorKind::*;
    for (text, want) in [
        ("", vec![(1, Empty)]),
        ("# only a comment\n", vec![(1, Empty)]),
        ("ARG a\n", vec![(1, NoFrom)]),
        ("RUN x\nFROM a\n", vec![(1, NoStage("RUN"))]),
        ("FORM a\nRUN x\n", vec![(1, UnknownInstruction { name: "FORM".into(), near: vec!["FROM"] })]),
        (
            "FROM a\nCPY a b\nRUNN x\n",
            vec![
                (2, UnknownInstruction { name: "CPY".into(), near: vec!["COPY"] }),
                (3, UnknownInstruction { name: "RUNN".into(), near: vec!["RUN"] }),
            ],
        ),
        ("FROM a b\n", vec![(1, FromArguments)]),
        ("FROM\n", vec![(1, MissingArguments { keyword: "FROM", least: 1 })]),
        ("FROM a AS 1x\n", vec![(1, BadStageName("1x".into()))]),
        (
            "FROM a\nCOPY --form=x a b\n",
            vec![(2, UnknownFlag { keyword: "COPY", flag: "--form".into(), near: vec!["from"] })],
        ),
        ("FROM a\nCOPY a\n", vec![(2, MissingArguments { keyword: "COPY", least: 2 })]),
        ("FROM a\nENV a=b c\n", vec![(2, NotNameValue("c".into()))]),
        ("FROM a\nENV a\n", vec![(2, NotNameValue("a".into()))]),
        ("FROM a\nARG =x\n", vec![(2, NotNameValue("=x".into()))]),
        ("FROM a\nRUN <<E\nx\n", vec![(2, UnterminatedHeredoc("E".into()))]),
        ("FROM a\nONBUILD FROM b\n", vec![(2, BadTrigger("FROM"))]),
        ("FROM a\nCOPY --from=$x a b\n", vec![(2, NoExpansion("from=$x".into()))]),
        ("# escape=x\nFROM a\n", vec![(1, BadEscape("x".into()))]),
        ("# escape=`\n# escape=`\nFROM a\n", vec![(2, RepeatedDirective("escape".into()))]),
    ] {
        assert_eq!(kinds(text), want, "{text:?}");
    }
    let error = &parse(b"FROM a\n  RNU x").expect_err("misspelled")[0];
    assert_eq!((error.span, error.line_text.as_str()), (Span { line: 2, column: 3, end_line: 2 }, "  RNU x"));
    assert_eq!(error.to_string(), "line 2: unknown instruction \"RNU\"");
    assert_eq!(parse(b"FROM a\nRUN \xff").expect_err("not UTF-8")[0].kind, NotUtf8);
    assert_eq!(kinds(&format!("FROM a\nRUN {}\n", "x".repeat(65_532))), [(2, LineTooLong)]);
    ok(&format!("FROM a\nRUN {}\n", "x".repeat(65_531)));
}

#[test]
fn points_at_the_word_at_fault() {
    for (text, column, want) in [
        ("FROM a\nCOPY --chown=1 --chown=2 a b\n", 6, "--chown of COPY is given twice"),
        ("FROM a\nCOPY --link=maybe a b\n", 6, "--link of COPY is true or false, not \"maybe\""),
        ("FROM a\nCOPY --chown a b\n", 6, "--chown of COPY needs a value"),
        ("FROM a\nCMD [\"x\", 1]\n", 5, "a JSON array of arguments must hold strings only"),
        ("FROM a\nSHELL /bin/sh\n", 1, "SHELL takes a JSON array of strings"),
        ("FROM a\nVOLUME [\"\"]\n", 1, "VOLUME cannot take an empty path"),
        ("FROM a\nHEALTHCHECK NONE x\n", 1, "HEALTHCHECK NONE takes no arguments"),
        ("FROM a\nHEALTHCHECK CMD\n", 1, "HEALTHCHECK CMD needs a command"),
        ("FROM a\nHEALTHCHECK --retries=-1 CMD x\n", 1, "HEALTHCHECK --retries takes a number that is not negative"),
        (
            "FROM a\nHEALTHCHECK --interval=abc CMD x\n",
            13,
            "--interval of HEALTHCHECK is a time such as 30s or 1m30s, at least 1ms",
        ),
        (
            "FROM a\nHEALTHCHECK --timeout=1us CMD x\n",
            13,
            "--timeout of HEALTHCHECK is a time such as 30s or 1m30s, at least 1ms",
        ),
        ("FROM a\nHEALTHCHECK x\n", 1, "HEALTHCHECK takes NONE, or CMD and a command"),
        ("FROM a\nCOPY a <<E\nE\n", 1, "COPY cannot have a heredoc as its destination"),
        ("FROM a\nRUN --network=x y\n", 1, "RUN --network is default, none or host"),
        ("FROM a\nENV abc=1 c\n", 11, "\"c\" is not of the form name=value"),
        ("FROM a\nONBUILD ONBUILD RUN x\n", 1, "ONBUILD cannot be an ONBUILD trigger"),
    ] {
        let error = parse(text.as_bytes()).expect_err(text).remove(0);
        assert_eq!(
            (error.span.line, error.span.column, error.kind.to_string().as_str()),
            (2, column, want),
            "{text:?}"
        );
    }
}

#[test]
fn reads_assignments() {
    let file = ok("FROM a\nENV A=1 B=\"x y\" C='z' D=q\\ r\nENV old  the rest=1\nARG E F=\"g h\"\n");
    let [env, old, arg] = file.stages[0].instructions.as_slice() else { panic!("three instructions") };
    let pairs = |list: Vec<Assignment>| list.into_iter().map(|a| (a.name, a.value)).collect::<Vec<_>>();
    let some = |name: &str, value: &str| (name.to_owned(), Some(value.to_owned()));
    assert_eq!(
        pairs(Assignment::of_env(env, '\\').unwrap()),
        [some("A", "1"), some("B", "\"x y\""), some("C", "'z'"), some("D", "q\\ r")]
    );
    assert_eq!(pairs(Assignment::of_env(old, '\\').unwrap()), [some("old", "the rest=1")]);
    assert_eq!(pairs(Assignment::of_arg(arg, '\\').unwrap()), [("E".to_owned(), None), some("F", "\"g h\"")]);
}

fn lookup(name: &str) -> Option<String> {
    match name {
        "v" => Some("value".to_owned()),
        "e" => Some(String::new()),
        "path" => Some("a/b/c.tar.gz".to_owned()),
        "_x1" => Some("under".to_owned()),
        _ => None,
    }
}

#[test]
fn expands_as_a_shell_does() {
    for (word, want) in [
        ("plain", "plain"),
        ("$v-${v}", "value-value"),
        ("$none|${none}", "|"),
        ("$_x1$", "under$"),
        ("'$v'\"$v\"", "$vvalue"),
        ("\\$v \\\\", "$v \\"),
        ("\"\\$v \\x \\\"\"", "$v \\x \""),
        ("${none:-d}${none-d}${e:-d}${e-d}", "ddd"),
        ("${none:+d}${v:+d}${e:+d}${e+d}", "dd"),
        ("${v:?no}${e?no}", "value"),
        ("${none:-${v}${none:-x}}", "valuex"),
        ("${none:-'}'}", "}"),
        ("${path#*/}|${path##*/}|${path%.*}|${path%%.*}", "b/c.tar.gz|c.tar.gz|a/b/c.tar|a/b/c"),
        ("${path/\\//_}|${path//\\//_}", "a_b/c.tar.gz|a_b_c.tar.gz"),
        ("${v/a/$$}|${v//a/\\$0}", "vlue|v\\alue"),
        ("${v//l*e/x}|${v/%/x}|${path//[a]/x}", "vax|value|a/b/c.tar.gz"),
        ("$1${1:-one}$@", "one"),
        ("$(cmd)", "$(cmd)"),
        ("a\\", "a"),
    ] {
        assert_eq!(expand(word, '\\', &lookup).as_deref(), Ok(want), "{word}");
    }
}

#[test]
fn a_heredoc_keeps_its_quotes() {
    for (text, want) in [("'$v' \"$v\" \\$v", "'value' \"value\" $v"), ("it's", "it's")] {
        assert_eq!(expand_heredoc(text, '\\', &lookup).as_deref(), Ok(want), "{text}");
    }
    assert_eq!(expand("`$v\\", '`', &lookup).as_deref(), Ok("$v\\"));
}

#[test]
fn mounts_are_read() {
    let read = |text: &str| Mount::parse(text, &|value: &str| Ok::<_, MountError>(value.replace("$v", "value")));
    let mount = read("type=cache,\"target=/a,b\",id=$v,sharing=locked,uid=1,mode=0755,ro").expect("a mount");
    assert_eq!(
        (mount.kind, mount.target.as_deref(), mount.id.as_deref()),
        (MountKind::Cache, Some("/a,b"), Some("value"))
    );
    assert_eq!(read("from=$v,src=/x,dst=/y").expect("a mount").from.as_deref(), Some("$v"), "never expanded");
    for (text, near) in [
        ("type=chache", "cache"),
        ("type=cache,taget=/x", "target"),
        ("target", "target"),
        ("type=bind,target=/x,sharing=locked", ""),
        ("type=cache", ""),
        ("target=/", ""),
        ("type=cache,sharing=lock", ""),
        ("type=secret,from=x", ""),
        ("type=cache,mode=9", ""),
        ("type=cache,uid=x", ""),
        ("required", ""),
        ("ro=maybe", ""),
    ] {
        let error = read(text).expect_err(text);
        assert_eq!(error.near.first().map_or("", String::as_str), near, "{text}: {error}");
    }
}

#[test]
fn a_place_is_known_across_continuations() {
    let file = ok("FROM a\n  COPY --from=x \\\n# c\n    /one \\\n /two /dest\n");
    let copy = &file.stages[0].instructions[0];
    let at = |part: &str| (copy.point_at(part).line, copy.point_at(part).column);
    assert_eq!(
        [at("COPY"), at("--from=x"), at("/one"), at("/dest"), at("nowhere")],
        [(2, 3), (2, 8), (4, 5), (5, 7), (2, 3)]
    );
    assert_eq!((copy.words(), copy.is_json()), (vec!["/one", "/two", "/dest"], false));
}

#[test]
fn refuses_what_a_shell_refuses() {
    for (word, want) in [
        ("'x", ExpandError::Unclosed('\'')),
        ("\"x", ExpandError::Unclosed('"')),
        ("${v", ExpandError::Unclosed('{')),
        ("${v:-x", ExpandError::Unclosed('}')),
        ("${}", ExpandError::BadSubstitution),
        ("${:x}", ExpandError::BadSubstitution),
        ("${v^^}", ExpandError::Modifier("^".into())),
        ("${v:=x}", ExpandError::Modifier(":=".into())),
        ("${e:?}", ExpandError::Required { name: "e".into(), message: "is not allowed to be empty".into() }),
        ("${none?}", ExpandError::Required { name: "none".into(), message: "is not allowed to be unset".into() }),
        ("${none:?gone}", ExpandError::Required { name: "none".into(), message: "gone".into() }),
        ("${v#\\a}", ExpandError::Pattern("\\a".into())),
    ] {
        assert_eq!(expand(word, '\\', &lookup), Err(want), "{word}");
    }
    assert_eq!(expand(&"${a:-".repeat(10_000), '\\', &lookup), Err(ExpandError::TooLarge));
    let long = |_: &str| Some("x".repeat(60_000));
    assert_eq!(expand("$a$a", '\\', &long), Err(ExpandError::TooLarge));
    assert_eq!(expand("${a//x/yyyyyyyyyyyyyyyyyyyyyyyyyy}", '\\', &long), Err(ExpandError::TooLarge));
}

#[test]
fn long_files_take_linear_time() {
    let text = format!("FROM a\nRUN x {}\n{}", "\\\n y".repeat(50_000), "COPY a b\n".repeat(50_000));
    assert_eq!(ok(&text).stages[0].instructions.len(), 50_001);
    let open = format!("FROM a\nRUN {}\n{}", "<<E ".repeat(500), "x\n".repeat(20_000));
    assert!(parse(open.as_bytes()).is_err());
}

proptest! {
    #[test]
    fn never_panics_on_bytes(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = parse(&bytes);
        detect_syntax(&bytes);
    }

    #[test]
    fn never_panics_on_lines(lines in prop::collection::vec(
        "(FROM|RUN|COPY|ENV|ARG|ONBUILD|ADD|from|X)? ?(--[a-z]{0,5}=?)?[ a-z\\\\'\"<$\\{\\}\\[=#-]{0,16}", 0..12)
    ) {
        let text = lines.join("\n");
        match parse(text.as_bytes()) {
            Ok(file) => prop_assert!(!file.stages.is_empty()),
            Err(errors) => prop_assert!(!errors.is_empty()),
        }
    }

    #[test]
    fn words_without_specials_expand_to_themselves(word in "[a-zA-Z0-9/_.:@ é-]{0,40}") {
        prop_assert_eq!(expand(&word, '\\', &lookup), Ok(word));
    }

    #[test]
    fn quoting_protects(word in "[a-z$\\{\\}#%/*? -]{0,20}") {
        prop_assert_eq!(expand(&format!("'{word}'"), '\\', &lookup), Ok(word.clone()));
        let escaped: String = word.chars().flat_map(|c| ['\\', c]).collect();
        prop_assert_eq!(expand(&escaped, '\\', &lookup), Ok(word));
    }

    /// Against the definition: the shortest or longest piece that the pattern covers is cut.
    #[test]
    fn prefixes_and_suffixes_are_cut_as_defined(value in "[ab]{0,8}", pattern in "[ab*?]{0,5}") {
        let all: Vec<String> = (0..=value.len()).map(|at| value[..at].to_owned()).collect();
        let fits: Vec<&String> = all.iter().filter(|piece| covers(&pattern, piece)).collect();
        let cut = |piece: Option<&&String>| piece.map_or(value.clone(), |piece| value[piece.len()..].to_owned());
        let var = |_: &str| Some(value.clone());
        prop_assert_eq!(expand(&format!("${{x#{pattern}}}"), '\\', &var), Ok(cut(fits.first())));
        prop_assert_eq!(expand(&format!("${{x##{pattern}}}"), '\\', &var), Ok(cut(fits.last())));
        let all: Vec<String> = (0..=value.len()).rev().map(|at| value[at..].to_owned()).collect();
        let fits: Vec<&String> = all.iter().filter(|piece| covers(&pattern, piece)).collect();
        let cut = |piece: Option<&&String>| piece.map_or(value.clone(), |piece| value[..value.len() - piece.len()].to_owned());
        prop_assert_eq!(expand(&format!("${{x%{pattern}}}"), '\\', &var), Ok(cut(fits.first())));
        prop_assert_eq!(expand(&format!("${{x%%{pattern}}}"), '\\', &var), Ok(cut(fits.last())));
    }

    /// A file written from parts is read back as these parts.
    #[test]
    fn what_is_written_is_read(stages in prop::collection::vec(("[a-z][a-z0-9]{0,5}", "[a-z]{1,4}( [a-z]{1,4}){0,3}", any::<bool>()), 1..6)) {
        let mut text = String::new();
        for (name, command, split) in &stages {
            let joined = if *split { command.replace(' ', " \\\n # note\n") } else { command.clone() };
            text.push_str(&format!("FROM img AS {name}\nRUN {joined}\n"));
        }
        let file = ok(&text);
        prop_assert_eq!(file.stages.len(), stages.len());
        for (stage, (name, command, _)) in file.stages.iter().zip(&stages) {
            prop_assert_eq!(stage.name.as_deref(), Some(name.as_str()));
            let words: Vec<&str> = stage.instructions[0].arguments.split_whitespace().collect();
            prop_assert_eq!(words.join(" "), command.as_str());
        }
    }

    #[test]
    fn expansion_never_panics(word in "[$\\{\\}:a-c#%/*?'\"\\\\+-]{0,24}") {
        let _ = expand(&word, '\\', &lookup);
    }
}

/// What a pattern of `*` and `?` covers, by its definition.
fn covers(pattern: &str, text: &str) -> bool {
    match (pattern.chars().next(), text.chars().next()) {
        (None, None) => true,
        (Some('*'), _) => covers(&pattern[1..], text) || (!text.is_empty() && covers(pattern, &text[1..])),
        (Some('?'), Some(_)) => covers(&pattern[1..], &text[1..]),
        (Some(p), Some(t)) if p == t => covers(&pattern[1..], &text[1..]),
        _ => false,
    }
}
