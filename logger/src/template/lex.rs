// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Source text to tokens.
//!
//! All at once: the source is at most 64 KiB. What is wrong becomes the last
//! token, so that the parser reports whichever error comes first.

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TokenKind {
    Text,
    LeftDelim,
    RightDelim,
    Space,
    LeftParen,
    RightParen,
    Pipe,
    Assign,
    Declare,
    Identifier,
    Keyword,
    Bool,
    Nil,
    Dot,
    Field,
    Variable,
    Number,
    Character,
    String,
    RawString,
    /// Any other printable ASCII character, as the comma.
    Other,
    Eof,
    /// The text says what is wrong.
    Error,
}

/// A piece of the source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) kind: TokenKind,
    /// Byte of the source it starts at.
    pub(super) at: usize,
    /// Line of the source it starts on, from 1.
    pub(super) line: usize,
    pub(super) text: String,
}

/// White space of an action, which trim markers also take from the text.
const SPACES: [char; 4] = [' ', '\t', '\r', '\n'];
const LEFT: &str = "{{";
const RIGHT: &str = "}}";
/// Length of `- ` and of ` -`.
const TRIM_MARKER: usize = 2;
const KEYWORDS: [&str; 10] =
    ["block", "break", "continue", "define", "else", "end", "if", "range", "template", "with"];

/// The tokens of `source`; the last is [`TokenKind::Eof`] or [`TokenKind::Error`].
pub(super) fn tokens(source: &str) -> Vec<Token> {
    let mut lexer = Lexer { source, start: 0, at: 0, line_at: 0, line: 1, tokens: Vec::new() };
    if let Err(problem) = lexer.run() {
        lexer.emit_text(TokenKind::Error, problem);
    }
    lexer.tokens
}

struct Lexer<'s> {
    source: &'s str,
    /// Where the token that is being read starts.
    start: usize,
    at: usize,
    /// Lines before this byte are counted in `line`.
    line_at: usize,
    line: usize,
    tokens: Vec<Token>,
}

type Lexed<T> = Result<T, String>;

impl<'s> Lexer<'s> {
    fn run(&mut self) -> Lexed<()> {
        while self.text()? {
            self.action()?;
        }
        Ok(())
    }

    fn rest(&self) -> &'s str {
        &self.source[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn bump(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        Some(c)
    }

    fn accept(&mut self, any_of: &str) -> bool {
        let accepted = self.peek().is_some_and(|c| any_of.contains(c));
        if accepted {
            self.bump();
        }
        accepted
    }

    fn accept_run(&mut self, wanted: impl Fn(char) -> bool) {
        while self.peek().is_some_and(&wanted) {
            self.bump();
        }
    }

    fn emit(&mut self, kind: TokenKind) {
        self.emit_text(kind, self.source[self.start..self.at].to_owned());
    }

    fn emit_text(&mut self, kind: TokenKind, text: String) {
        self.line += self.source[self.line_at..self.start].matches('\n').count();
        self.line_at = self.start;
        self.tokens.push(Token { kind, at: self.start, line: self.line, text });
        self.start = self.at;
    }

    /// Text up to an action and the action's start; whether there is one.
    fn text(&mut self) -> Lexed<bool> {
        loop {
            let Some(len) = self.rest().find(LEFT) else {
                self.at = self.source.len();
                if self.at > self.start {
                    self.emit(TokenKind::Text);
                }
                self.emit(TokenKind::Eof);
                return Ok(false);
            };
            let inside = &self.rest()[len + LEFT.len()..];
            let trim = inside.strip_prefix('-').is_some_and(|rest| rest.starts_with(SPACES));
            let text = &self.rest()[..len];
            let text = if trim { text.trim_end_matches(SPACES) } else { text };
            if !text.is_empty() {
                self.at += text.len();
                self.emit(TokenKind::Text);
            }
            self.start += len - text.len();
            self.at = self.start + LEFT.len();
            let marker = if trim { TRIM_MARKER } else { 0 };
            if !self.rest()[marker..].starts_with("/*") {
                self.emit(TokenKind::LeftDelim);
                self.at += marker;
                self.start = self.at;
                return Ok(true);
            }
            self.at += marker;
            self.comment()?;
        }
    }

    fn comment(&mut self) -> Lexed<()> {
        let len = self.rest().find("*/").ok_or("unclosed comment")?;
        self.at += len + "*/".len();
        let marker = self.right_delim().ok_or("comment ends before closing delimiter")?;
        self.skip_right_delim(marker);
        self.start = self.at;
        Ok(())
    }

    /// The length of the trim marker, if the action ends here.
    fn right_delim(&self) -> Option<usize> {
        if self.rest().starts_with(RIGHT) {
            return Some(0);
        }
        let trimmed = self.rest().strip_prefix(SPACES)?.strip_prefix('-')?;
        trimmed.starts_with(RIGHT).then_some(TRIM_MARKER)
    }

    fn skip_right_delim(&mut self, marker: usize) {
        self.at += marker + RIGHT.len();
        if marker > 0 {
            self.accept_run(|c| SPACES.contains(&c));
        }
    }

    /// The inside of an action, its end included.
    fn action(&mut self) -> Lexed<()> {
        let mut parentheses = 0_usize;
        loop {
            self.start = self.at;
            if let Some(marker) = self.right_delim() {
                if parentheses > 0 {
                    return Err("unclosed left paren".into());
                }
                self.start += marker;
                self.at = self.start + RIGHT.len();
                self.emit(TokenKind::RightDelim);
                self.at = self.start - RIGHT.len() - marker;
                self.skip_right_delim(marker);
                self.start = self.at;
                return Ok(());
            }
            let c = self.bump().ok_or("unclosed action")?;
            match c {
                _ if SPACES.contains(&c) => self.space(),
                '(' => {
                    parentheses += 1;
                    self.emit(TokenKind::LeftParen);
                }
                ')' => {
                    parentheses = parentheses
                        .checked_sub(1)
                        .ok_or_else(|| format!("unexpected right paren {}", named(Some(c))))?;
                    self.emit(TokenKind::RightParen);
                }
                _ => self.item(c)?,
            }
        }
    }

    /// More white space; what a trim marker needs is left.
    fn space(&mut self) {
        loop {
            if self.source[self.at - 1..].starts_with(SPACES) && self.trim_follows() {
                self.at -= 1;
                break;
            }
            if !self.peek().is_some_and(|c| SPACES.contains(&c)) {
                break;
            }
            self.bump();
        }
        if self.at > self.start {
            self.emit(TokenKind::Space);
        }
    }

    fn trim_follows(&self) -> bool {
        self.rest().strip_prefix('-').is_some_and(|rest| rest.starts_with(RIGHT))
    }

    fn item(&mut self, first: char) -> Lexed<()> {
        match first {
            '=' => self.emit(TokenKind::Assign),
            ':' => {
                if self.bump() != Some('=') {
                    return Err("expected :=".into());
                }
                self.emit(TokenKind::Declare);
            }
            '|' => self.emit(TokenKind::Pipe),
            '"' => self.quoted('"', TokenKind::String, "unterminated quoted string")?,
            '\'' => self.quoted('\'', TokenKind::Character, "unterminated character constant")?,
            '`' => {
                let len = self.rest().find('`').ok_or("unterminated raw quoted string")?;
                self.at += len + 1;
                self.emit(TokenKind::RawString);
            }
            '$' => self.name(TokenKind::Variable)?,
            '.' if !self.peek().is_some_and(|c| c.is_ascii_digit()) => {
                let alone = self.at_terminator();
                self.name(if alone { TokenKind::Dot } else { TokenKind::Field })?;
            }
            '.' | '+' | '-' | '0'..='9' => {
                self.at = self.start;
                self.number()?;
            }
            _ if is_alphanumeric(first) => self.name(TokenKind::Identifier)?,
            ' '..='~' => self.emit(TokenKind::Other),
            _ => return Err(format!("unrecognized character in action: {}", named(Some(first)))),
        }
        Ok(())
    }

    fn quoted(&mut self, end: char, kind: TokenKind, unterminated: &str) -> Lexed<()> {
        loop {
            let mut c = self.bump();
            if c == Some(end) {
                break;
            }
            if c == Some('\\') {
                c = self.bump();
            }
            if matches!(c, None | Some('\n')) {
                return Err(unterminated.into());
            }
        }
        self.emit(kind);
        Ok(())
    }

    /// A word; its first character, `.` or `$` or a letter, has been read.
    fn name(&mut self, kind: TokenKind) -> Lexed<()> {
        self.accept_run(is_alphanumeric);
        if !self.at_terminator() {
            return Err(format!("bad character {}", named(self.peek())));
        }
        let word = &self.source[self.start..self.at];
        self.emit(match (kind, word) {
            (TokenKind::Identifier, "true" | "false") => TokenKind::Bool,
            (TokenKind::Identifier, "nil") => TokenKind::Nil,
            (TokenKind::Identifier, _) if KEYWORDS.contains(&word) => TokenKind::Keyword,
            _ => kind,
        });
        Ok(())
    }

    /// Whether a name may end here: catches `$x+2`.
    fn at_terminator(&self) -> bool {
        match self.peek() {
            None => true,
            Some(c) => SPACES.contains(&c) || ".,|:)(}".contains(c),
        }
    }

    fn number(&mut self) -> Lexed<()> {
        let complete = self.scan_number();
        if !complete {
            self.bump();
        }
        let imaginary = self.source[..self.at].ends_with('i');
        let text = &self.source[self.start..self.at];
        if !complete {
            return Err(format!("bad number syntax: {text:?}"));
        }
        if imaginary || self.peek().is_some_and(|c| c == '+' || c == '-') {
            return Err(format!("complex number {text:?} is not supported"));
        }
        self.emit(TokenKind::Number);
        Ok(())
    }

    /// What looks like a number; whether it ends where a number may end.
    fn scan_number(&mut self) -> bool {
        self.accept("+-");
        let zero = self.accept("0");
        if zero && self.accept("xX") {
            self.accept_run(|c| c.is_ascii_hexdigit() || c == '_');
        } else if zero && self.accept("oObB") {
            self.accept_run(is_digit);
        } else {
            self.accept_run(is_digit);
            if self.accept(".") {
                self.accept_run(is_digit);
            }
            if self.accept("eE") {
                self.accept("+-");
                self.accept_run(is_digit);
            }
        }
        self.accept("i");
        !self.peek().is_some_and(is_alphanumeric)
    }
}

fn is_digit(c: char) -> bool {
    c.is_ascii_digit() || c == '_'
}

fn is_alphanumeric(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}

/// A character as Go names it in messages: `U+002B '+'`.
fn named(c: Option<char>) -> String {
    c.map_or_else(|| "end of template".into(), |c| format!("U+{:04X} {c:?}", u32::from(c)))
}
