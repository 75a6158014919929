// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

//! Tokens to a tree, by recursive descent; the depth is bounded.

use std::sync::Arc;

use super::constant;
use super::constant::Number;
use super::error::Limit;
use super::error::NESTING_MAX;
use super::error::TemplateError;
use super::function::Function;
use super::lex;
use super::lex::Token;
use super::lex::TokenKind;
use super::node::Binding;
use super::node::Branch;
use super::node::Command;
use super::node::Expr;
use super::node::ExprKind;
use super::node::Node;
use super::node::Pipe;

type Parsed<T> = Result<T, TemplateError>;

/// The tree of `source`.
pub(super) fn parse(source: &str) -> Parsed<Vec<Node>> {
    let mut parser = Parser {
        tokens: lex::tokens(source),
        next: 0,
        variables: vec!["$".to_owned()],
        depth: 0,
        ranges: 0,
    };
    let (nodes, end) = parser.list()?;
    match end {
        ListEnd::Eof => Ok(nodes),
        ListEnd::End => Err(parser.problem("unexpected {{end}}")),
        ListEnd::Else => Err(parser.problem("unexpected {{else}}")),
    }
}

struct Parser {
    tokens: Vec<Token>,
    next: usize,
    /// Variables that may be named here.
    variables: Vec<String>,
    depth: usize,
    /// How many `range` this is in.
    ranges: usize,
}

/// What ended a list of nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ListEnd {
    Eof,
    End,
    Else,
}

/// A text or an action, or what ends the list.
enum Item {
    Node(Node),
    End(ListEnd),
}

impl Parser {
    /// The last token is never passed: it is the end, or an error.
    fn token(&mut self) -> Token {
        let token = self.tokens[self.next].clone();
        self.next = (self.next + 1).min(self.tokens.len() - 1);
        token
    }

    fn peek(&self) -> &Token {
        &self.tokens[self.next]
    }

    fn skip_space(&mut self) {
        if self.peek().kind == TokenKind::Space {
            self.next += 1;
        }
    }

    fn token_after_space(&mut self) -> Token {
        self.skip_space();
        self.token()
    }

    fn peek_after_space(&mut self) -> &Token {
        self.skip_space();
        self.peek()
    }

    fn problem(&self, problem: impl Into<String>) -> TemplateError {
        let line = self.tokens[self.next.saturating_sub(1)].line;
        TemplateError::Syntax { line, problem: problem.into() }
    }

    fn unexpected(token: &Token, context: &str) -> TemplateError {
        let what = match token.kind {
            TokenKind::Error => {
                return TemplateError::Syntax { line: token.line, problem: token.text.clone() };
            }
            TokenKind::Eof => "EOF".to_owned(),
            TokenKind::Keyword => format!("<{}>", token.text),
            _ if token.text.chars().count() > 10 => {
                format!("{:?}...", token.text.chars().take(10).collect::<String>())
            }
            _ => format!("{:?}", token.text),
        };
        TemplateError::Syntax {
            line: token.line,
            problem: format!("unexpected {what} in {context}"),
        }
    }

    fn nested<T>(&mut self, inner: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        if self.depth == NESTING_MAX {
            return Err(TemplateError::Limit(Limit::Nesting));
        }
        self.depth += 1;
        let result = inner(self);
        self.depth -= 1;
        result
    }

    fn list(&mut self) -> Parsed<(Vec<Node>, ListEnd)> {
        let mut nodes = Vec::new();
        loop {
            if self.peek_after_space().kind == TokenKind::Eof {
                return Ok((nodes, ListEnd::Eof));
            }
            match self.item()? {
                Item::Node(node) => nodes.push(node),
                Item::End(end) => return Ok((nodes, end)),
            }
        }
    }

    fn item(&mut self) -> Parsed<Item> {
        let token = self.token_after_space();
        match token.kind {
            TokenKind::Text => Ok(Item::Node(Node::Text(token.text))),
            TokenKind::LeftDelim => self.action(),
            _ => Err(Self::unexpected(&token, "input")),
        }
    }

    fn action(&mut self) -> Parsed<Item> {
        if self.peek_after_space().kind != TokenKind::Keyword {
            let pipe = self.pipe("command", TokenKind::RightDelim)?;
            return Ok(Item::Node(Node::Action(pipe)));
        }
        let keyword = self.token().text;
        match keyword.as_str() {
            "if" | "with" | "range" => {
                self.nested(|parser| parser.control(&keyword)).map(Item::Node)
            }
            "end" => self.expect_right_delim("end").map(|()| Item::End(ListEnd::End)),
            "else" => {
                // The rest of `else if` is read as the start of an action.
                let next = self.peek_after_space();
                if next.kind != TokenKind::Keyword || !matches!(next.text.as_str(), "if" | "with") {
                    self.expect_right_delim("else")?;
                }
                Ok(Item::End(ListEnd::Else))
            }
            "break" | "continue" => {
                self.expect_right_delim(&keyword)?;
                if self.ranges == 0 {
                    return Err(self.problem(format!("{{{{{keyword}}}}} outside {{{{range}}}}")));
                }
                Ok(Item::Node(if keyword == "break" { Node::Break } else { Node::Continue }))
            }
            _ => Err(self.problem(format!("{{{{{keyword}}}}} is not supported"))),
        }
    }

    fn expect_right_delim(&mut self, context: &str) -> Parsed<()> {
        let token = self.token_after_space();
        if token.kind == TokenKind::RightDelim {
            Ok(())
        } else {
            Err(Self::unexpected(&token, context))
        }
    }

    /// `if`, `with` or `range` up to its `end`.
    fn control(&mut self, keyword: &str) -> Parsed<Node> {
        let visible = self.variables.len();
        let pipe = self.pipe(keyword, TokenKind::RightDelim)?;
        let in_range = usize::from(keyword == "range");
        self.ranges += in_range;
        let (then, end) = self.list()?;
        self.ranges -= in_range;
        let otherwise = match end {
            ListEnd::End => Vec::new(),
            ListEnd::Eof => return Err(self.unexpected_eof()),
            ListEnd::Else => self.otherwise(keyword)?,
        };
        self.variables.truncate(visible);
        let branch = Branch { pipe, then, otherwise };
        Ok(match keyword {
            "if" => Node::If(branch),
            "with" => Node::With(branch),
            _ => Node::Range(branch),
        })
    }

    fn otherwise(&mut self, keyword: &str) -> Parsed<Vec<Node>> {
        let next = self.peek();
        if next.kind == TokenKind::Keyword && next.text == keyword && keyword != "range" {
            self.token();
            // One `end` ends both.
            return Ok(vec![self.nested(|parser| parser.control(keyword))?]);
        }
        match self.list()? {
            (nodes, ListEnd::End) => Ok(nodes),
            (_, ListEnd::Else) => Err(self.problem("expected end; found {{else}}")),
            (_, ListEnd::Eof) => Err(self.unexpected_eof()),
        }
    }

    fn unexpected_eof(&self) -> TemplateError {
        TemplateError::Syntax { line: self.peek().line, problem: "unexpected EOF".into() }
    }

    fn pipe(&mut self, context: &str, end: TokenKind) -> Parsed<Pipe> {
        let at = self.peek_after_space().at;
        let (sets, binding) = self.sets(context)?;
        let mut commands: Vec<Command> = Vec::new();
        loop {
            let token = self.peek_after_space().clone();
            if token.kind == end {
                self.token();
                break;
            }
            match token.kind {
                TokenKind::Bool
                | TokenKind::Character
                | TokenKind::Dot
                | TokenKind::Field
                | TokenKind::Identifier
                | TokenKind::Number
                | TokenKind::Nil
                | TokenKind::RawString
                | TokenKind::String
                | TokenKind::Variable
                | TokenKind::LeftParen => commands.push(self.command()?),
                _ => return Err(Self::unexpected(&token, context)),
            }
        }
        if commands.is_empty() {
            return Err(self.problem(format!("missing value for {context}")));
        }
        for (at, command) in commands.iter().enumerate().skip(1) {
            if !is_executable(&command.words[0]) {
                let stage = at + 1;
                return Err(
                    self.problem(format!("non executable command in pipeline stage {stage}"))
                );
            }
        }
        Ok(Pipe { at, sets, binding, commands })
    }

    /// `$x :=`, `$x =`, and for `range` `$i, $x :=`; nothing if it is no such thing.
    fn sets(&mut self, context: &str) -> Parsed<(Vec<String>, Binding)> {
        let mut sets = Vec::new();
        while self.peek_after_space().kind == TokenKind::Variable {
            let before = self.next;
            let variable = self.token().text;
            let next = self.peek_after_space().clone();
            let binding = match next.kind {
                TokenKind::Declare => Some(Binding::Declare),
                TokenKind::Assign => Some(Binding::Assign),
                TokenKind::Other if next.text == "," => None,
                _ => {
                    self.next = before;
                    break;
                }
            };
            self.token();
            self.variables.push(variable.clone());
            sets.push(variable);
            if let Some(binding) = binding {
                return Ok((sets, binding));
            }
            if context != "range" || sets.len() > 1 {
                return Err(self.problem(format!("too many declarations in {context}")));
            }
            if self.peek_after_space().kind != TokenKind::Variable {
                return Err(self.problem("range can only initialize variables"));
            }
        }
        Ok((sets, Binding::Declare))
    }

    /// Words up to `|`, which is taken, or to the end of the pipeline, which is not.
    fn command(&mut self) -> Parsed<Command> {
        let at = self.peek_after_space().at;
        let mut words = Vec::new();
        loop {
            self.skip_space();
            if let Some(word) = self.operand()? {
                words.push(word);
            }
            let token = self.peek().clone();
            match token.kind {
                TokenKind::Space => {}
                TokenKind::RightDelim | TokenKind::RightParen => break,
                TokenKind::Pipe => {
                    self.token();
                    break;
                }
                _ => return Err(Self::unexpected(&token, "operand")),
            }
        }
        if words.is_empty() {
            return Err(self.problem("empty command"));
        }
        Ok(Command { at, words })
    }

    /// A term and the fields behind it.
    fn operand(&mut self) -> Parsed<Option<Expr>> {
        let Some(mut term) = self.term()? else { return Ok(None) };
        let at = self.peek().at;
        let mut fields = Vec::new();
        while self.peek().kind == TokenKind::Field {
            fields.push(self.token().text[1..].to_owned());
        }
        if fields.is_empty() {
            return Ok(Some(term));
        }
        match &mut term.kind {
            ExprKind::Field(first) | ExprKind::Variable(_, first) => first.append(&mut fields),
            ExprKind::Pipe(_) | ExprKind::Function(_) => {
                return Ok(Some(Expr { at, kind: ExprKind::Chain(Box::new(term), fields) }));
            }
            _ => {
                let term = term.to_string();
                return Err(self.problem(format!("unexpected . after term {term:?}")));
            }
        }
        Ok(Some(Expr { at, kind: term.kind }))
    }

    fn term(&mut self) -> Parsed<Option<Expr>> {
        let before = self.next;
        let token = self.token();
        let at = token.at;
        let kind =
            match token.kind {
                TokenKind::Error => return Err(Self::unexpected(&token, "")),
                TokenKind::Identifier => {
                    ExprKind::Function(Function::named(&token.text).ok_or_else(|| {
                        self.problem(format!("function {:?} not defined", token.text))
                    })?)
                }
                TokenKind::Dot => ExprKind::Dot,
                TokenKind::Nil => ExprKind::Nil,
                TokenKind::Bool => ExprKind::Bool(token.text == "true"),
                TokenKind::Field => ExprKind::Field(vec![token.text[1..].to_owned()]),
                TokenKind::Variable if self.variables.contains(&token.text) => {
                    ExprKind::Variable(token.text, Vec::new())
                }
                TokenKind::Variable => {
                    return Err(self.problem(format!("undefined variable {:?}", token.text)));
                }
                TokenKind::Number => {
                    ExprKind::Number(Number::parse(&token.text).map_err(|text| self.problem(text))?)
                }
                TokenKind::Character => ExprKind::Number(
                    Number::parse_character(&token.text).map_err(|text| self.problem(text))?,
                ),
                TokenKind::String | TokenKind::RawString => {
                    let text = constant::unquote(&token.text).map_err(|text| self.problem(text))?;
                    ExprKind::String { quoted: token.text, text: Arc::from(text) }
                }
                TokenKind::LeftParen => ExprKind::Pipe(Box::new(self.nested(|parser| {
                    parser.pipe("parenthesized pipeline", TokenKind::RightParen)
                })?)),
                _ => {
                    self.next = before;
                    return Ok(None);
                }
            };
        Ok(Some(Expr { at, kind }))
    }
}

/// Whether it can take the value of the command before it.
fn is_executable(expr: &Expr) -> bool {
    use ExprKind::{Bool, Dot, Nil, Number, String};
    !matches!(expr.kind, Bool(_) | Dot | Nil | Number(_) | String { .. })
}
