// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! `print` and `printf`.

use super::*;

#[test]
fn print_puts_spaces_where_go_does() {
    check_all(&[
        ("{{print}}|{{println}}|", "|\n|"),
        ("{{print 1 2 3}} {{print `a` `b`}} {{print `a` 1 2 `b` 3}}", "1 2 3 ab a1 2b3"),
        ("{{println 1 `a` nil}}", "1 a <nil>\n"),
        ("{{print nil .ContainerLabels.nope}}", "<nil> <nil>"),
        (
            "{{print .ContainerArgs .ContainerCreated}}",
            "[-c while true; do date; done] 2026-01-02 03:04:05 +0000 UTC",
        ),
    ]);
    let text = String::from_utf8(render("{{print .}}").unwrap()).unwrap();
    assert!(text.starts_with("&{map["), "{text}");
}

/// `printf` of the words, as in a template.
#[track_caller]
fn check_printf(cases: &[(&str, &str)]) {
    for (words, expected) in cases {
        check(&format!("{{{{printf {words}}}}}"), expected);
    }
}

#[test]
fn texts() {
    check_printf(&[
        ("`%s` `abc`", "abc"),
        ("`%v` `abc`", "abc"),
        ("`%5s|%-5s|%05s|%2s` `abc` `abc` `abc` `abc`", "  abc|abc  |00abc|abc"),
        ("`%.2s|%.0s|%5.1s|%.5s` `é世x` `a` `bc` `d`", "é世||    b|d"),
        ("`%5s|` `é`", "    é|"),
        ("`%q %#q %+q` `a\"b` `a\"b` `é`", "\"a\\\"b\" `a\"b` \"\\u00e9\""),
        ("`%q` \"\\n\\x00\\xff\\u200b\"", r#""\n\x00\xff\u200b""#),
        ("`%8q|%-8q|` `a` `b`", "     \"a\"|\"b\"     |"),
        (
            "`%x %X % x %#x %# x %.1x` `hi` `hi~` `hi` `hi` `hi` `hi`",
            "6869 68697E 68 69 0x6869 0x68 0x69 68",
        ),
        ("`%#v %T` `a` `a`", "\"a\" string"),
        ("`%t` `a`", "%!t(string=a)"),
        ("`%5d` `a`", "%!d(string=    a)"),
    ]);
}

#[test]
fn integers() {
    check_printf(&[
        (
            "`%d %v %5d|%-5d|%05d|%+d|% d|%x|%X|%o|%b` 1 -2 3 3 3 3 3 255 255 8 5",
            "1 -2     3|3    |00003|+3| 3|ff|FF|10|101",
        ),
        ("`%05d|%+05d|%-05d|` -3 3 3", "-0003|+0003|3    |"),
        ("`%#x %#X %#o %O %#b` 255 255 8 8 5", "0xff 0XFF 010 0o10 0b101"),
        ("`%#06x|%.3d|%6.3d|%.0d|` 255 7 7 0", "0x0000ff|007|   007||"),
        ("`%04x` 127", "007f"),
        ("`%c%c` 'a' 0x4e16", "a世"),
        ("`%q %+q %U %#U` 'a' 'é' 'a' 'a'", "'a' '\\u00e9' U+0061 U+0061 'a'"),
        ("`%x` -255", "-ff"),
        (
            "`%v %d %T %#v` (index `a` 0) (index `a` 0) (index `a` 0) (index `a` 0)",
            "97 97 uint8 0x61",
        ),
        ("`%T %T` 0xef 'a'", "int int"),
        ("`%s` 1", "%!s(int=1)"),
        ("`%*d|%-*d|%*d|` 4 1 4 1 -4 1", "   1|1   |1   |"),
        ("`%*d` `a` 1", "%!(BADWIDTH)1"),
        ("`%.*d|%.*d` 2 1 -1 1", "01|%!(BADPREC)1"),
    ]);
}

#[test]
fn floats_and_truth() {
    check_printf(&[
        (
            "`%g %v %f %.2f %e %E %.1e` 3.5 3.5 3.5 3.14159 1500.0 0.5 15.5",
            "3.5 3.5 3.500000 3.14 1.500000e+03 5.000000E-01 1.6e+01",
        ),
        (
            "`%6.2f|%-6.1f|%06.1f|%+.1f|% .1f` 3.14159 1.0 -1.5 1.0 1.0",
            "  3.14|1.0   |-001.5|+1.0| 1.0",
        ),
        (
            "`%g %g %g %.3g %.3g %.3g %G` 1e6 1e-5 100000.0 1234.5 0.00012345 100.0 1e20",
            "1e+06 1e-05 100000 1.23e+03 0.000123 100 1E+20",
        ),
        ("`%T %d` 1.0 1.5", "float64 %!d(float64=1.5)"),
        ("`%t %v %6t|%T` true false true true", "true false   true|bool"),
        ("`%d` true", "%!d(bool=true)"),
    ]);
}

#[test]
fn collections_and_nil() {
    check_printf(&[
        (
            "`%v %s %q` .ContainerArgs .ContainerArgs (split `a,b` `,`)",
            "[-c while true; do date; done] [-c while true; do date; done] [\"a\" \"b\"]",
        ),
        ("`%d` (split `a,b` `,`)", "[%!d(string=a) %!d(string=b)]"),
        ("`%3s|%x` (split `a,b` `,`) (split `a,b` `,`)", "[  a   b]|[61 62]"),
        ("`%#v %T` (split `a,b` `,`) .ContainerArgs", "[]string{\"a\", \"b\"} []string"),
        (
            "`%v %q %T` .Config .Config .Config",
            "map[env:APP_ENV tag:t] map[\"env\":\"APP_ENV\" \"tag\":\"t\"] map[string]string",
        ),
        ("`%#v` .Config", "map[string]string{\"env\":\"APP_ENV\", \"tag\":\"t\"}"),
        ("`%v %s %d %T` nil nil nil nil", "<nil> %!s(<nil>) %!d(<nil>) <nil>"),
        (
            "`%v|%s|%q` .ContainerCreated .ContainerCreated .ContainerCreated",
            "2026-01-02 03:04:05 +0000 UTC|2026-01-02 03:04:05 +0000 UTC|\"2026-01-02 03:04:05 +0000 UTC\"",
        ),
        ("`%T %T` . .ContainerCreated", "*logger.Info time.Time"),
    ]);
    let text = String::from_utf8(render("{{printf `%+v` .}}").unwrap()).unwrap();
    assert!(text.starts_with("&{Config:map[env:APP_ENV tag:t] ContainerID:dead"), "{text}");
}

#[test]
fn formats_that_do_not_fit() {
    check_printf(&[
        ("``", ""),
        ("`100%%`", "100%"),
        ("`%s`", "%!s(MISSING)"),
        ("`%d %s` 1", "1 %!s(MISSING)"),
        ("`a` 1 `b` nil", "a%!(EXTRA int=1, string=b, <nil>)"),
        ("`%`", "%!(NOVERB)"),
        ("`%5`", "%!(NOVERB)"),
        ("`%z` 1", "%!z(int=1)"),
        ("`%é` 1", "%!é(int=1)"),
        ("`%[2]s %[1]s` `a` `b`", "b a"),
        ("`%[2]*[1]d|` 1 4", "   1|"),
        ("`%[3]d` 1", "%!d(BADINDEX)"),
        ("`%[x]d` 1", "%!d(BADINDEX)"),
        ("`%9999999d` 1", "%!(NOVERB)%!(EXTRA int=1)"),
    ]);
}
