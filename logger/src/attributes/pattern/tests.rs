// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

use super::*;

#[track_caller]
fn check(pattern: &str, matching: &[&str], other: &[&str]) {
    let compiled = Pattern::new(pattern).unwrap_or_else(|error| panic!("{pattern}: {error}"));
    for text in matching {
        assert!(compiled.is_match(text), "{pattern:?} should match {text:?}");
    }
    for text in other {
        assert!(!compiled.is_match(text), "{pattern:?} should not match {text:?}");
    }
}

#[test]
fn patterns_mean_what_they_mean_in_go() {
    check("", &["", "x"], &[]);
    check("^APP_", &["APP_ENV"], &["MYAPP_ENV"]);
    check("app", &["my-app-1"], &["APP"]);
    check("(?i)app", &["APP", "aPp"], &["ap"]);
    check(r"^com\.", &["com.example"], &["comet"]);
    check(r"^\d+$", &["123"], &["١٢٣", "12a"]);
    check(r"^\w+$", &["a_1"], &["é", "a-b"]);
    check(r"^\s$", &[" ", "\t"], &["\u{b}", "\u{a0}"]);
    check(r"^\S$", &["\u{b}", "é", "x"], &[" ", "\n"]);
    check(r"^[^\S]$", &[" "], &["x"]);
    check(r"^[\s\d]+$", &["1 2"], &["x"]);
    check(r"\bapp\b", &["my-app-1"], &["myapp"]);
    check(r"^\Qa.b*\E+$", &["a.b*", "a.b**"], &["axb"]);
    check(r"\Qa.b", &["xa.b"], &["axb"]);
    check(r"^\101\x42\x{43}$", &["ABC"], &["abc"]);
    check(r"^a\Cc$", &["abc", "a\nc"], &["ac"]);
    check("^a{2,3}$", &["aa", "aaa"], &["a", "aaaa"]);
    check("^a{,3}$", &["a{,3}"], &["aaa"]);
    check("^a{x}{$", &["a{x}{"], &[]);
    check(r"^\<a\>\-\/\#$", &["<a>-/#"], &["a"]);
    check("^[a&&b]+$", &["a&b"], &["c"]);
    check("^[~~a+--.]+$", &["~a,-."], &["e", "!"]);
    check("^[]a]$", &["]", "a"], &["b"]);
    check("^[^]a]$", &["b"], &["]", "a"]);
    check("^[[a]+$", &["[a"], &["b"]);
    check("^[[:alpha:][:^alpha:]]$", &["a", "1"], &[]);
    check("^[a-]$", &["a", "-"], &["b"]);
    check("^[-a]$", &["a", "-"], &["b"]);
    check("^(?:a|b)+?$", &["abba"], &["c"]);
    check("(?P<x>a)(?<y>b)", &["ab"], &["a"]);
    check("(?)a", &["a"], &["b"]);
    check("(?-s:^.$)", &["x"], &["\n"]);
    check("# é", &["# é"], &["é"]);
    check(r"^\b{2}a", &["a"], &["-"]);
}

#[test]
fn what_go_refuses_or_we_cannot_do_is_refused() {
    for pattern in [
        "(",
        ")",
        "[",
        "[a",
        "[z-a]",
        "*",
        "a**",
        "a*+",
        "a???",
        "a{2}{3}",
        "a{1001}",
        "a{2,1}",
        r"\",
        r"\1",
        r"\8",
        r"\pL",
        r"\u0041",
        r"\Z",
        r"\é",
        r"\x4",
        r"\x{}",
        r"\x{41",
        r"\x{110000}",
        r"[\b]",
        "(?x)a",
        "(?u)a",
        "(?R)a",
        "(?",
        "(?P<n",
        "(?=a)",
        "(?!a)",
        "(?<=a)",
        "[[:nope:]]",
        "((((a{1000}){1000}){1000}){1000})",
    ] {
        assert!(Pattern::new(pattern).is_err(), "{pattern:?}");
    }
}

#[test]
fn any_text_is_a_pattern_or_an_error() {
    const PIECES: &[&str] = &[
        "a",
        "é",
        "\\",
        "Q",
        "E",
        "[",
        "]",
        "^",
        "-",
        "(",
        ")",
        "?",
        ":",
        "P<",
        "<",
        ">",
        "{",
        "}",
        "1",
        ",",
        "*",
        "+",
        "|",
        "$",
        ".",
        "x",
        "d",
        "s",
        "[:alpha:]",
        "&&",
        "\n",
        "i",
        "C",
        "b",
        "p",
    ];
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for _ in 0..20_000 {
        let mut text = String::new();
        for _ in 0..12 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let len = u64::try_from(PIECES.len()).unwrap();
            text.push_str(PIECES[usize::try_from(state % len).unwrap()]);
        }
        if let Ok(pattern) = Pattern::new(&text) {
            pattern.is_match("a-b1.x");
        }
    }
}
