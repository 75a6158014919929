// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Fields, actions, pipelines, control.

use super::*;

#[test]
fn tags_of_the_vectors() {
    check_all(&[
        ("{{.ID}}", "deadbeefcafe"),
        ("{{.FullID}}", "deadbeefcafe0123456789abcdef0123456789abcdef0123456789abcdef0123"),
        (
            "{{.ImageName}}/{{.Name}}/{{.ID}}",
            "registry.example.com/team/app:1.2/web-1/deadbeefcafe",
        ),
        (
            "{{.ImageFullID}}",
            "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
        ),
        ("{{.ImageID}}", "0123456789ab"),
        ("{{.Command}}", "/bin/sh -c while true; do date; done"),
        ("{{.ContainerName}}", "/web-1"),
        ("{{index .ContainerLabels \"tier\"}}", "web"),
        ("{{ .Name | upper }}", "WEB-1"),
        ("{{ join (split .ImageName \":\") \"_\" }}", "registry.example.com/team/app_1.2"),
        ("{{pad .Name 2 3}}", "  web-1   "),
        ("{{if eq .Name \"web-1\"}}yes{{else}}no{{end}}", "yes"),
        ("{{println .Name}}", "web-1\n"),
        ("app.{{.Name}}", "app.web-1"),
        ("{{.Hostname}}", "cn01"),
    ]);
}

#[test]
fn fields_of_the_container() {
    check_all(&[
        ("", ""),
        ("plain text, with spaces\n", "plain text, with spaces\n"),
        ("{{.DaemonName}}", "docker"),
        ("{{.ContainerID}}", "deadbeefcafe0123456789abcdef0123456789abcdef0123456789abcdef0123"),
        ("{{.ContainerEntrypoint}}|{{.LogPath}}|", "/bin/sh||"),
        ("{{.ContainerArgs}}", "[-c while true; do date; done]"),
        ("{{.ContainerCreated}}", "2026-01-02 03:04:05 +0000 UTC"),
        ("{{.ContainerEnv}}", "[APP_ENV=prod APP_REGION=eu PATH=/bin NOEQ]"),
        ("{{.ContainerLabels}}", "map[_hidden:x com.example.team:core empty: tier:web]"),
        ("{{.Config}}", "map[env:APP_ENV tag:t]"),
        ("{{.Config.env}} {{$.Config.env}} {{(.Config).env}}", "APP_ENV APP_ENV APP_ENV"),
        ("{{.ContainerLabels.tier}}", "web"),
        ("{{.ContainerLabels.nope}}", "<no value>"),
        ("{{.ContainerLabels.nope.deeper}}", "<no value>"),
        ("{{.ContainerLabels._hidden}}", "x"),
        ("{{index .ContainerLabels \"nope\"}}|", "|"),
        ("{{index .ContainerLabels \"com.example.team\"}}", "core"),
        ("{{(.ExtraAttributes nil).APP_ENV}}", "prod"),
        ("{{(.ExtraAttributes nil).PATH}}", "<no value>"),
        ("{{(.ExtraAttributes .ContainerLabels.nope).APP_ENV}}", "prod"),
        ("{{.ExtraAttributes nil}}", "map[APP_ENV:prod]"),
    ]);
    let text = render("{{.}}").unwrap();
    let text = String::from_utf8(text).unwrap();
    assert!(text.starts_with("{map[env:APP_ENV tag:t] deadbeef"), "{text}");
    assert!(
        text.ends_with(" map[_hidden:x com.example.team:core empty: tier:web]  docker}"),
        "{text}"
    );
}

#[test]
fn pipelines_and_parentheses() {
    check_all(&[
        ("{{\"a\" | printf \"%s-%s\" \"b\"}}", "b-a"),
        ("{{.Name | upper | lower | title}}", "Web-1"),
        ("{{.Name | printf}}", "web-1"),
        ("{{(print 1 2) | len}}", "3"),
        ("{{len (split .ImageName \"/\")}}", "3"),
        ("{{printf `%d %d` (1) (2 | print | len)}}", "1 1"),
        ("{{.ID|}}", "deadbeefcafe"),
        ("{{and true 1 `hi` | not}}", "false"),
        ("{{\"}}\"}}{{`{{`}}", "}}{{"),
        ("{{ .ID\n|\n upper\t}}", "DEADBEEFCAFE"),
    ]);
}

#[test]
fn constants() {
    check_all(&[
        ("{{1}} {{-1}} {{+1}} {{0x10}} {{010}} {{0b11}} {{1_000}}", "1 -1 1 16 8 3 1000"),
        ("{{1.5}} {{1e3}} {{1e6}} {{1e-5}} {{.5}} {{-2.0}}", "1.5 1000 1e+06 1e-05 0.5 -2"),
        ("{{123456.0}} {{1234567.0}} {{1e20}}", "123456 1.234567e+06 1e+20"),
        ("{{'a'}} {{'\\n'}} {{'世'}}", "97 10 19990"),
        ("{{true}} {{false}}", "true false"),
        (r#"{{"a\tb\"\x41\u00e9"}}"#, "a\tb\"A\u{e9}"),
        ("{{`raw \\n`}}", "raw \\n"),
        ("{{pad \"x\" 1e0 '\\x01'}}", " x "),
    ]);
}

#[test]
fn comments_and_trim_markers() {
    check_all(&[
        ("a{{/* comment */}}b", "ab"),
        ("a {{- /* comment */ -}} b", "ab"),
        ("a{{/* a\n b */}}\n", "a\n"),
        ("a {{- .Name}} b", "aweb-1 b"),
        ("a {{.Name -}} \n\t b", "a web-1b"),
        ("a {{- .Name -}} b", "aweb-1b"),
        ("{{- 3 -}}", "3"),
        ("{{ 3 }} {{-3}}", "3 -3"),
        ("{{23 -}} < {{- 45}}", "23<45"),
        ("  \n{{- \"x\"}}", "x"),
        ("x{{\"\" -}}   ", "x"),
    ]);
}

#[test]
fn conditions() {
    check_all(&[
        ("{{if .Name}}a{{end}}", "a"),
        ("{{if .LogPath}}a{{else}}b{{end}}", "b"),
        ("{{if .ContainerLabels.nope}}a{{else}}b{{end}}", "b"),
        ("{{if 0}}1{{else if false}}2{{else if .Name}}3{{else}}4{{end}}", "3"),
        ("{{if 0}}1{{else if 0.0}}2{{else}}4{{end}}", "4"),
        ("{{if .ContainerCreated}}a{{end}}{{if .}}b{{end}}", "ab"),
        ("{{if not .LogPath}}a{{end}}", "a"),
        ("{{with .Name}}<{{.}}>{{end}}", "<web-1>"),
        ("{{with .LogPath}}<{{.}}>{{else}}{{.Name}}{{end}}", "web-1"),
        ("{{with .LogPath}}1{{else with .ContainerLabels}}{{.tier}}{{else}}2{{end}}", "web"),
        ("{{with $x := .Name}}{{$x}}{{end}}", "web-1"),
        ("{{if $x := .Name}}{{$x}}{{end}}", "web-1"),
        ("{{with .ContainerLabels}}{{$.Name}}{{.tier}}{{end}}", "web-1web"),
    ]);
}

#[test]
fn loops() {
    check_all(&[
        ("{{range .ContainerArgs}}<{{.}}>{{end}}", "<-c><while true; do date; done>"),
        ("{{range $i, $e := split \"a,b\" \",\"}}{{$i}}={{$e}};{{end}}", "0=a;1=b;"),
        ("{{range $e := split \"a,b\" \",\"}}{{$e}}{{.}};{{end}}", "aa;bb;"),
        (
            "{{range $k, $v := .ContainerLabels}}{{$k}}={{$v}} {{end}}",
            "_hidden=x com.example.team=core empty= tier=web ",
        ),
        ("{{range .ContainerLabels.nope}}a{{else}}none{{end}}", "none"),
        ("{{range slice .ContainerArgs 0 0}}a{{else}}none{{end}}", "none"),
        ("{{range 3}}{{.}}{{end}}{{range 0}}x{{else}}y{{end}}{{range -1}}x{{end}}", "012y"),
        ("{{range $i := 3}}{{$i}}{{end}}", "012"),
        (
            "{{range 5}}{{if eq . 1}}{{continue}}{{end}}{{if eq . 3}}{{break}}{{end}}{{.}}{{end}}",
            "02",
        ),
        ("{{range 2}}{{range 3}}{{if .}}{{break}}{{end}}a{{end}}b{{end}}", "abab"),
        ("{{$n := 0}}{{range $i, $e := .ContainerArgs}}{{$n = $i}}{{end}}{{$n}}", "1"),
        ("{{$e := 0}}{{range $e = .ContainerArgs}}{{end}}{{$e}}", "while true; do date; done"),
        ("{{range .ContainerArgs}}{{$.ID}} {{end}}", "deadbeefcafe deadbeefcafe "),
    ]);
}

#[test]
fn variables() {
    check_all(&[
        ("{{$x := .Name}}{{$x}}-{{$x}}", "web-1-web-1"),
        ("{{$x := 1}}{{if true}}{{$x = 2}}{{end}}{{$x}}", "2"),
        ("{{$x := 1}}{{if true}}{{$x := 2}}{{$x}}{{end}}{{$x}}", "21"),
        ("{{$x := .}}{{$x.Name}} {{$x.ContainerLabels.tier}}", "web-1 web"),
        ("{{$x:=1}}{{$y := $x|print}}{{$y}}", "1"),
        (
            "{{$.Name}} {{$}}",
            &format!("web-1 {}", String::from_utf8(render("{{.}}").unwrap()).unwrap()),
        ),
        ("{{with $x := true}}{{with $x := .}}{{end}}{{$x}}{{end}}", "true"),
    ]);
}
