// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Bounds, and any text at all.

use super::*;

#[test]
fn bounds_are_said() {
    let nested = |open: &str, close: &str, levels: usize| {
        format!("{}{}", open.repeat(levels), close.repeat(levels))
    };
    let limits = [
        (" ".repeat(65_537), Limit::Source),
        (format!("{{{{{}1{}}}}}", "(".repeat(65), ")".repeat(65)), Limit::Nesting),
        (nested("{{if 1}}", "{{end}}", 65), Limit::Nesting),
        (nested("{{if 0}}{{else}}", "{{end}}", 65), Limit::Nesting),
        (format!("{{{{if 0}}}}{}{{{{end}}}}", "{{else if 0}}".repeat(64)), Limit::Nesting),
        ("{{pad `x` 1000000 1}}".into(), Limit::Output),
        ("{{pad `x` 9223372036854775807 9223372036854775807}}".into(), Limit::Output),
        ("{{printf `%70000d` 1}}".into(), Limit::Output),
        ("{{printf `%.70000d` 1}}".into(), Limit::Output),
        ("{{printf `%.70000f` 1.0}}".into(), Limit::Output),
        ("{{printf `%.70000e` 1.0}}".into(), Limit::Output),
        ("{{range 70000}}a{{end}}".into(), Limit::Steps),
        ("{{range 40000}}aa{{end}}".into(), Limit::Output),
        ("{{range 9223372036854775807}}{{end}}".into(), Limit::Steps),
        ("{{$x := `a`}}{{range 99}}{{$x = print $x $x}}{{end}}".into(), Limit::Output),
        ("{{$x := pad `a` 65000 0}}{{range 99}}{{$x = upper $x}}{{end}}".into(), Limit::Steps),
        ("{{range 300}}{{range 300}}{{range 300}}{{end}}{{end}}{{end}}".into(), Limit::Steps),
    ];
    for (source, limit) in limits {
        assert_eq!(render(&source), Err(TemplateError::Limit(limit)), "{source:.60}");
    }
    check(&nested("{{if 1}}", "{{end}}", 64), "");
    check(&format!("{{{{{}1{}}}}}", "(".repeat(64), ")".repeat(64)), "1");
    assert_eq!(render(&"a".repeat(65_536)).unwrap().len(), 65_536);
    for (limit, message) in [
        (Limit::Source, "source is longer than 65536 bytes"),
        (Limit::Nesting, "nested deeper than 64 levels"),
        (Limit::Output, "output or an intermediate value is longer than 65536 bytes"),
        (Limit::Steps, "evaluation takes more than 100000 steps"),
    ] {
        let message = format!("template: log-tag: {message}");
        assert_eq!(TemplateError::Limit(limit).to_string(), message);
    }
}

#[test]
fn a_template_can_be_shared() {
    fn shared<T: Send + Sync>(_: &T) {}
    shared(&Template::parse("{{`a`}}").unwrap());
}

/// Numbers that look random and are the same every time (xorshift).
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(end).unwrap()).unwrap()
    }

    fn text(&mut self, pieces: &[&str], max: usize) -> String {
        (0..self.below(max)).map(|_| pieces[self.below(pieces.len())]).collect()
    }
}

const SEED: u64 = 0x9e37_79b9_7f4a_7c15;

#[test]
fn plain_text_renders_to_itself() {
    let pieces =
        ["a", " ", "\n", "{", "}}", "é", "\u{0}", "-", "%s", "\\", "\"", "{ {", "$x", "./*"];
    let mut dice = Dice(SEED);
    for _ in 0..5_000 {
        let text = dice.text(&pieces, 20);
        if !text.contains("{{") {
            check(&text, &text);
        }
    }
}

#[test]
fn what_is_quoted_prints_itself() {
    let pieces = ["a", "\\n", "\\\\", "\\\"", "\\u00e9", "\\x00", "é", "}}", "{{", "`", "'"];
    let mut dice = Dice(SEED);
    for _ in 0..2_000 {
        let quoted = format!("\"{}\"", dice.text(&pieces, 12));
        let text = render(&format!("{{{{{quoted}}}}}")).unwrap();
        let Ok(text) = String::from_utf8(text) else { continue };
        let again =
            String::from_utf8(render(&format!("{{{{printf `%q` {quoted}}}}}")).unwrap()).unwrap();
        check(&format!("{{{{{again}}}}}"), &text);
    }
}

#[test]
fn any_text_is_rendered_or_refused() {
    let pieces = [
        "{{",
        "}}",
        "{{- ",
        " -}}",
        "/*",
        "*/",
        " ",
        "\n",
        ".",
        ".ID",
        ".Name",
        ".ContainerLabels",
        ".x",
        "$",
        "$x",
        ":=",
        "=",
        ",",
        "|",
        "(",
        ")",
        "\"a\"",
        "`b`",
        "'c'",
        "\"",
        "'",
        "`",
        "\\",
        "1",
        "-2",
        "1.5",
        "0x",
        "1e9",
        "nil",
        "true",
        "if ",
        "else",
        "end",
        "range ",
        "with ",
        "break",
        "continue",
        "define ",
        "print ",
        "printf ",
        "`%[1]*.*d %v %-05q`",
        "index ",
        "slice ",
        "len ",
        "eq ",
        "lt ",
        "and ",
        "json ",
        "split ",
        "join ",
        "pad ",
        "truncate ",
        "title ",
        "html ",
        "js ",
        "call ",
        "é",
        "\u{0}",
        "☃",
    ];
    let mut dice = Dice(SEED);
    let mut rendered = 0;
    for _ in 0..15_000 {
        let source = dice.text(&pieces, 24);
        rendered += usize::from(render(&source).is_ok());
    }
    assert!(rendered > 100, "only {rendered} of them are templates");
}

/// Templates that parse, with arguments that need not fit.
#[test]
fn any_call_has_a_value_or_an_error() {
    let functions = [
        "and",
        "call",
        "eq",
        "ge",
        "gt",
        "html",
        "index",
        "join",
        "js",
        "json",
        "le",
        "len",
        "lower",
        "lt",
        "ne",
        "not",
        "or",
        "pad",
        "print",
        "printf",
        "println",
        "slice",
        "split",
        "title",
        "truncate",
        "upper",
        "urlquery",
        ".ID",
        ".ExtraAttributes",
        ".Config.env",
    ];
    let words = [
        ".",
        ".ID",
        ".ContainerArgs",
        ".ContainerLabels",
        ".ContainerCreated",
        ".ContainerLabels.nope",
        "nil",
        "true",
        "0",
        "1",
        "-1",
        "9223372036854775807",
        "-9223372036854775808",
        "1.5",
        "1e300",
        "'a'",
        "``",
        "`,`",
        "\"\\xff\"",
        "`%v %d %q %x %5.3s %+v %#v %U %c %e %t %T %*d`",
        "(index `a` 0)",
        "(split `a,b` `,`)",
    ];
    let mut dice = Dice(SEED);
    let mut rendered = 0;
    for _ in 0..15_000 {
        let mut source = format!("{{{{{}", functions[dice.below(functions.len())]);
        for _ in 0..dice.below(5) {
            source.push(' ');
            source.push_str(words[dice.below(words.len())]);
        }
        if dice.below(3) == 0 {
            source.push_str(" | ");
            source.push_str(functions[dice.below(functions.len())]);
        }
        source.push_str("}}");
        let template = Template::parse(&source).unwrap_or_else(|error| panic!("{source}: {error}"));
        rendered += usize::from(template.render(&container()).is_ok());
    }
    assert!(rendered > 1_000, "only {rendered} of them have a value");
}
