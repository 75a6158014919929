// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Functions, Go's and Docker's.

use super::*;

#[test]
fn logic() {
    check_all(&[
        ("{{and false 0}} {{and 1 0}} {{and 0 true}} {{and 1 1}}", "false 0 0 1"),
        ("{{or 0 0}} {{or 1 0}} {{or 0 true}} {{or 1 1}}", "0 1 true 1"),
        ("{{not true}} {{not false}} {{not .LogPath}}", "false true true"),
        ("{{or .LogPath \"none\"}} {{or .Name \"none\"}}", "none web-1"),
        ("{{or true (index .Name 99)}} {{and false (index .Name 99)}}", "true false"),
        ("{{and nil}} {{or nil nil | print}}", "<no value> <nil>"),
    ]);
}

#[test]
fn comparisons() {
    for (expression, expected) in [
        ("eq true true", true),
        ("eq true false", false),
        ("eq 1.5 1.5", true),
        ("eq 1 1", true),
        ("eq `xy` `xyz`", false),
        ("eq 3 4 5 6 3", true),
        ("eq 3 4 5 6 7", false),
        ("ne true false", true),
        ("ne 1.5 1.5", false),
        ("ne `xy` `xyz`", true),
        ("lt 1.5 2.5", true),
        ("lt 1 1", false),
        ("lt `xy` `xyz`", true),
        ("le 1 1", true),
        ("le 2.5 1.5", false),
        ("gt 2 1", true),
        ("gt `xy` `xyz`", false),
        ("ge 1 2", false),
        ("ge `xyz` `xy`", true),
        ("eq (index `x` 0) 'x'", true),
        ("eq 'y' (index `x` 0)", false),
        ("lt (index `x` 0) 200", true),
        ("eq .ContainerLabels.nope `a`", false),
        ("eq .ContainerLabels.nope nil", true),
        ("ne .ContainerLabels.nope `a`", true),
        ("eq .ContainerLabels nil", false),
        ("eq .ContainerCreated .ContainerCreated", true),
        ("eq . .", true),
    ] {
        check(&format!("{{{{{expression}}}}}"), &expected.to_string());
    }
    for expression in [
        "eq `xy` 1",
        "eq 2 2.0",
        "lt true true",
        "lt nil 1",
        "eq .ContainerEnv .ContainerEnv",
        "eq 1",
    ] {
        check_error(
            &format!("{{{{{expression}}}}}"),
            match expression {
                "eq 1" => "error calling eq: missing argument for comparison",
                "eq `xy` 1" => {
                    "error calling eq: incompatible types for comparison: string and int"
                }
                "eq 2 2.0" => {
                    "error calling eq: incompatible types for comparison: int and float64"
                }
                "eq .ContainerEnv .ContainerEnv" => {
                    "error calling eq: non-comparable type: []string"
                }
                _ => "error calling lt: invalid type for comparison",
            },
        );
    }
}

#[test]
fn collections() {
    check_all(&[
        ("{{len .Name}} {{len .ContainerEnv}} {{len .ContainerLabels}} {{len `é`}}", "5 4 4 2"),
        ("{{index .ContainerArgs 0}} {{index .Name 0}}", "-c 119"),
        ("{{index .ContainerArgs 0 1}}", "99"),
        ("{{index .Name}}", "web-1"),
        (
            "{{slice .Name 1}} {{slice .Name 1 3}} {{slice .Name}} {{slice .Name 5}}",
            "eb-1 eb web-1 ",
        ),
        (
            "{{slice .ContainerEnv 1 2}} {{slice .ContainerEnv 0 1 2}}",
            "[APP_REGION=eu] [APP_ENV=prod]",
        ),
    ]);
    for (source, problem) in [
        ("{{index .ContainerArgs 2}}", "error calling index: reflect: slice index out of range"),
        ("{{index .ContainerArgs 3}}", "error calling index: index out of range: 3"),
        ("{{index .ContainerArgs -1}}", "error calling index: index out of range: -1"),
        ("{{index .Name 5}}", "error calling index: reflect: string index out of range"),
        ("{{index .Name `a`}}", "error calling index: cannot index slice/array with type string"),
        ("{{index .Name nil}}", "error calling index: cannot index slice/array with nil"),
        ("{{index nil 1}}", "error calling index: index of untyped nil"),
        (
            "{{index .ContainerLabels 1}}",
            "error calling index: value has type int; should be string",
        ),
        (
            "{{index .ContainerLabels nil}}",
            "error calling index: value is nil; should be of type string",
        ),
        ("{{index 1 1}}", "error calling index: can't index item of type int"),
        ("{{slice .Name 3 1}}", "error calling slice: invalid slice index: 3 > 1"),
        ("{{slice .Name 1 2 3}}", "error calling slice: cannot 3-index slice a string"),
        ("{{slice .ContainerEnv 1 2 3 4}}", "error calling slice: too many slice indexes: 4"),
        ("{{slice .ContainerLabels 1}}", "can't slice item of type map[string]string"),
        ("{{slice . 1}}", "error calling slice: can't slice item of type *logger.Info"),
        ("{{len 3}}", "error calling len: len of type int"),
        ("{{len nil}}", "error calling len: len of nil pointer"),
        ("{{call nil}}", "error calling call: call of nil"),
        ("{{call .Name}}", "error calling call: non-function of type string"),
    ] {
        check_error(source, problem);
    }
}

#[test]
fn functions_of_docker() {
    check_all(&[
        ("{{json .Name}} {{json .ContainerArgs}}", r#""web-1" ["-c","while true; do date; done"]"#),
        (
            "{{json .ContainerLabels}}",
            r#"{"_hidden":"x","com.example.team":"core","empty":"","tier":"web"}"#,
        ),
        (
            "{{json \"<a&b>\\n\\\"\\x01\\x7f\\u2028\\xff\"}}",
            "\"<a&b>\\n\\\"\\u0001\u{7f}\\u2028\\ufffd\"",
        ),
        (
            "{{json 1}} {{json 1.5}} {{json 1e21}} {{json 1e-7}} {{json 1e20}} {{json nil}} {{json true}}",
            "1 1.5 1e+21 1e-7 100000000000000000000 null true",
        ),
        ("{{json .ContainerCreated}}", "\"2026-01-02T03:04:05Z\""),
        ("{{json (split `` ``)}}", "[]"),
        ("{{split `a,b,` `,` | len}} {{split `` `,` | len}} {{split `aé` ``}}", "3 1 [a é]"),
        ("{{split `a--b` `--`}}", "[a b]"),
        ("{{join nil `,`}}|{{join .ContainerArgs `|`}}", "|-c|while true; do date; done"),
        ("{{title `hello wORLD foo_bar-baz d'x éa`}}", "Hello WORLD Foo_bar-Baz D'X Éa"),
        ("{{lower `ÀB`}} {{upper `straße`}}", "àb STRAßE"),
        ("{{pad `` 2 3}}|{{pad `x` 0 1}}|", "|x |"),
        ("{{truncate .Name 3}} {{truncate .Name 99}} {{truncate .Name 0}}", "web web-1 "),
        ("{{.ImageName | printf `%s` | lower}}", "registry.example.com/team/app:1.2"),
    ]);
    assert_eq!(render("{{truncate `é` 1}}").unwrap(), b"\xc3", "bytes, not characters");
    let all = String::from_utf8(render("{{json .}}").unwrap()).unwrap();
    assert!(
        all.starts_with(r#"{"Config":{"env":"APP_ENV","tag":"t"},"ContainerID":"deadbeef"#),
        "{all}"
    );
    assert!(all.ends_with(r#""LogPath":"","DaemonName":"docker"}"#), "{all}");
    check_error("{{pad `x` -1 0}}", "error calling pad: strings: negative Repeat count");
    check_error(
        "{{truncate `x` -1}}",
        "error calling truncate: runtime error: slice bounds out of range [:-1]",
    );
}

#[test]
fn escapes() {
    check_all(&[
        (r#"{{html "<a href='x'>\"&\x00"}}"#, "&lt;a href=&#39;x&#39;&gt;&#34;&amp;\u{fffd}"),
        ("{{html nil}} {{html 1 2}} {{html `a` 1}}", "&lt;no value&gt; 1 2 a1"),
        (
            r#"{{js "It'd <be> \"nice\" & a=b\\\n é\ufdff"}}"#,
            r#"It\'d \u003Cbe\u003E \"nice\" \u0026 a\u003Db\\\u000A é﷿"#,
        ),
        ("{{js `Yukihiro says \"今日は世界\"`}}", "Yukihiro says \\\"今日は世界\\\""),
        ("{{js `a\u{200b}`}}", "a\\u200B"),
        ("{{\"http://www.example.org/\"|urlquery}}", "http%3A%2F%2Fwww.example.org%2F"),
        ("{{urlquery `a b~é`}}", "a+b~%C3%A9"),
        ("{{html .ContainerLabels}}", "map[_hidden:x com.example.team:core empty: tier:web]"),
    ]);
}
