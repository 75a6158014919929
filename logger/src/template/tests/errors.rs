// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! What is refused, and in which words.

use super::*;

#[test]
fn errors_of_the_vectors() {
    assert_eq!(
        render("{{.NoSuch}}").unwrap_err().to_string(),
        "template: log-tag:1:2: executing \"log-tag\" at <.NoSuch>: \
         can't evaluate field NoSuch in type *logger.Info"
    );
    assert_eq!(render("{{.Name").unwrap_err().to_string(), "template: log-tag:1: unclosed action");
}

#[test]
fn syntax() {
    for (source, expected) in [
        ("{{}}", "log-tag:1: missing value for command"),
        ("\n{{.ID}}\n{{if}}", "log-tag:3: missing value for if"),
        ("{{if .ID}}", "log-tag:1: unexpected EOF"),
        ("{{if .ID}}{{else}}", "log-tag:1: unexpected EOF"),
        ("{{if .ID}}{{else}}{{else}}{{end}}", "expected end; found {{else}}"),
        ("{{end}}", "log-tag:1: unexpected {{end}}"),
        ("a{{else}}", "log-tag:1: unexpected {{else}}"),
        ("{{nosuch 1}}", "log-tag:1: function \"nosuch\" not defined"),
        ("{{$x}}", "undefined variable \"$x\""),
        ("{{if true}}{{$x := 1}}{{end}}{{$x}}", "undefined variable \"$x\""),
        ("{{(.ID}}", "unclosed left paren"),
        ("{{.ID)}}", "unexpected right paren U+0029 ')'"),
        ("{{\"abc}}", "unterminated quoted string"),
        ("{{`abc}}", "unterminated raw quoted string"),
        ("{{'a}}", "unterminated character constant"),
        ("{{'ab'}}", "malformed character constant: 'ab'"),
        ("{{\"\\q\"}}", "invalid escape in string \"\\q\""),
        ("{{/* x}}", "unclosed comment"),
        ("{{/* x */ .ID}}", "comment ends before closing delimiter"),
        ("{{1a}}", "bad number syntax: \"1a\""),
        ("{{99999999999999999999}}", "integer overflow: \"99999999999999999999\""),
        ("{{1+2i}}", "complex number \"1\" is not supported"),
        ("{{.ID+1}}", "bad character U+002B '+'"),
        ("{{$x+1}}", "bad character U+002B '+'"),
        ("{{.ID\u{1}}}", "bad character U+0001 '\\u{1}'"),
        ("{{é}}", "function \"é\" not defined"),
        ("{{\u{2603}}}", "unrecognized character in action: U+2603 '☃'"),
        ("{{: 1}}", "expected :="),
        ("{{nil.x}}", "unexpected . after term \"nil\""),
        ("{{1.x}}", "bad number syntax: \"1.x\""),
        ("{{\"a\".x}}", "unexpected . after term \"\\\"a\\\"\""),
        ("{{.ID | 1}}", "non executable command in pipeline stage 2"),
        ("{{.ID | .}}", "non executable command in pipeline stage 2"),
        ("{{| .ID}}", "unexpected \"|\" in command"),
        ("{{.ID , .Name}}", "unexpected \",\" in operand"),
        ("{{$a, $b := .ID}}", "too many declarations in command"),
        ("{{range $a, 1}}{{end}}", "range can only initialize variables"),
        ("{{range $a, $b, $c := .ContainerEnv}}{{end}}", "too many declarations in range"),
        ("{{break}}", "{{break}} outside {{range}}"),
        ("{{if .ID}}{{continue}}{{end}}", "{{continue}} outside {{range}}"),
        ("{{define \"x\"}}{{end}}", "{{define}} is not supported"),
        ("{{template \"x\"}}", "{{template}} is not supported"),
        ("{{end .ID}}", "unexpected \".ID\" in end"),
        ("{{if .ID}}{{else with .ID}}{{end}}{{end}}", "unexpected <with> in input"),
        ("{{.ID \"0123456789abc\" := 1}}", "unexpected \":=\" in operand"),
    ] {
        check_error(source, expected);
        assert!(Template::parse(source).is_err(), "{source}: not only when rendered");
    }
}

#[test]
fn evaluation() {
    for (source, expected) in [
        (
            "{{.id}}",
            "log-tag:1:2: executing \"log-tag\" at <.id>: can't evaluate field id in type *logger.Info",
        ),
        (
            "a\nb {{.Name.X}}",
            "log-tag:2:9: executing \"log-tag\" at <.Name.X>: can't evaluate field X in type string",
        ),
        ("{{$x := .}}{{$x.Nope}}", "at <$x.Nope>: can't evaluate field Nope in type *logger.Info"),
        ("{{(.Name).X}}", "at <.Name>: can't evaluate field X in type string"),
        ("{{with .ContainerEnv}}{{.x}}{{end}}", "at <.x>: can't evaluate field x in type []string"),
        ("{{.ContainerCreated.Unix}}", "can't evaluate field Unix in type time.Time"),
        ("{{nil}}", "at <nil>: nil is not a command"),
        ("{{$x := nil}}", "nil is not a command"),
        ("{{3 2}}", "at <3>: can't give argument to non-function 3"),
        ("{{$x := 1}}{{3 | $x}}", "at <$x>: can't give argument to non-function $x"),
        ("{{.ID 1}}", "at <.ID>: wrong number of args for ID: want 0 got 1"),
        ("{{1 | .ID}}", "wrong number of args for ID: want 0 got 1"),
        ("{{.ContainerID 1}}", "ContainerID has arguments but cannot be invoked as function"),
        ("{{.Config.env 1}}", "env is not a method but has arguments"),
        ("{{.ExtraAttributes}}", "wrong number of args for ExtraAttributes: want 1 got 0"),
        (
            "{{.ExtraAttributes .Name}}",
            "wrong type for value; expected func(string) string; got string",
        ),
        ("{{.ExtraAttributes 1}}", "can't handle 1 for arg of type func(string) string"),
        ("{{lower}}", "at <lower>: wrong number of args for lower: want 1 got 0"),
        ("{{lower 1}}", "at <1>: expected string; found 1"),
        ("{{lower nil}}", "at <nil>: cannot assign nil to string"),
        ("{{lower .ContainerEnv}}", "wrong type for value; expected string; got []string"),
        ("{{lower .}}", "wrong type for value; expected string; got *logger.Info"),
        ("{{lower .ContainerLabels.nope}}", "invalid value; expected string"),
        ("{{.ContainerLabels.nope | lower}}", "invalid value; expected string"),
        ("{{1 | lower}}", "wrong type for value; expected string; got int"),
        ("{{pad `x` `1` 2}}", "expected integer; found `1`"),
        ("{{pad `x` 1.5 2}}", "expected integer; found 1.5"),
        ("{{join `a` `b`}}", "can't handle `a` for arg of type []string"),
        ("{{join .Name `b`}}", "wrong type for value; expected []string; got string"),
        ("{{printf 1}}", "expected string; found 1"),
        ("{{printf}}", "wrong number of args for printf: want at least 1 got 0"),
        ("{{eq}}", "wrong number of args for eq: want at least 1 got 0"),
        ("{{and}}", "wrong number of args for and: want at least 1 got 0"),
        (
            "{{index .Name 9 | print}}",
            "log-tag:1:2: executing \"log-tag\" at <index .Name 9>: error calling index: index out of range: 9",
        ),
        (
            "{{print (index .Name 9)}}",
            "log-tag:1:9: executing \"log-tag\" at <index .Name 9>: error calling index: index out of range: 9",
        ),
        ("{{range .Name}}{{end}}", "at <.Name>: range can't iterate over web-1"),
        ("{{range true}}{{end}}", "range can't iterate over true"),
        ("{{range ``}}{{end}}", "range can't iterate over "),
        ("{{range $a, $b := 3}}{{end}}", "can't use 3 to iterate over more than one variable"),
        ("{{$x = 1}}", "undefined variable: $x"),
    ] {
        check_error(source, expected);
        assert!(Template::parse(source).is_ok(), "{source}: a template all the same");
    }
}

#[test]
fn a_bad_pattern_comes_through() {
    let mut container = container();
    container.config.insert("labels-regex".into(), "(".into());
    let template = Template::parse("{{(.ExtraAttributes nil).x}}").unwrap();
    let message = template.render(&container).unwrap_err().to_string();
    assert!(
        message.contains("at <.ExtraAttributes>: error calling ExtraAttributes: log option \"labels-regex\": \"(\""),
        "{message}"
    );
}
