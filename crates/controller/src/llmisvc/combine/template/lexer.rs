//! Splits a template into text and the tokens of its actions.

use std::iter::Peekable;
use std::str::CharIndices;

use serde_json::{Number, Value};

use super::{Result, TemplateError};

/// Text between actions, or an action.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Piece {
    Text(String),
    Action(Vec<Token>),
}

/// A token of an action.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    /// `.`
    Dot,
    /// `$`
    Root,
    /// `.Name`; `joined` when it follows the token before without space, as in `.A.B` or `(x).B`.
    Field {
        name: String,
        joined: bool,
    },
    /// A keyword or function.
    Word(String),
    Literal(Value),
    Open,
    Close,
    Pipe,
}

/// Splits the template. Trim markers are applied and comments left out.
///
/// # Errors
/// On an action or literal without end and on characters that mean nothing.
pub(super) fn lex(text: &str) -> Result<Vec<Piece>> {
    let mut pieces = Vec::new();
    let mut rest = text;
    let mut trim_next = false;
    while let Some(start) = rest.find("{{") {
        let before = trim_start_if(trim_next, &rest[..start]);
        let body = &rest[start + 2..];
        let trims_before = body.strip_prefix('-').is_some_and(|it| it.starts_with(char::is_whitespace));
        push_text(&mut pieces, if trims_before { before.trim_end_matches(' ') } else { before });
        let body = if trims_before { &body[1..] } else { body };
        let end = action_end(body).ok_or_else(|| TemplateError::Syntax("{{ without }}".to_owned()))?;
        let inner = &body[..end];
        let trimmed = inner.strip_suffix('-').filter(|it| it.ends_with(char::is_whitespace));
        trim_next = trimmed.is_some();
        let inner = trimmed.unwrap_or(inner);
        if !is_comment(inner) {
            pieces.push(Piece::Action(tokens(inner)?));
        }
        rest = &body[end + 2..];
    }
    push_text(&mut pieces, trim_start_if(trim_next, rest));
    Ok(pieces)
}

fn push_text(pieces: &mut Vec<Piece>, text: &str) {
    if !text.is_empty() {
        pieces.push(Piece::Text(text.to_owned()));
    }
}

fn trim_start_if(trim: bool, text: &str) -> &str {
    if trim { text.trim_start_matches(' ') } else { text }
}

fn is_comment(inner: &str) -> bool {
    let inner = inner.trim();
    inner.starts_with("/*") && inner.ends_with("*/") && inner.len() >= 4
}

/// Where the closing braces are that are not part of a literal or comment.
fn action_end(body: &str) -> Option<usize> {
    if body.trim_start().starts_with("/*") {
        let comment = body.find("*/")?;
        return body[comment..].find("}}").map(|it| comment + it);
    }
    let mut quote = None;
    let mut escaped = false;
    for (index, character) in body.char_indices() {
        match quote {
            Some(_) if escaped => escaped = false,
            Some('"' | '\'') if character == '\\' => escaped = true,
            Some(it) if it == character => quote = None,
            Some(_) => {}
            None if matches!(character, '"' | '`' | '\'') => quote = Some(character),
            None if body[index..].starts_with("}}") => return Some(index),
            None => {}
        }
    }
    None
}

fn tokens(inner: &str) -> Result<Vec<Token>> {
    let mut tokens = Vec::new();
    let mut characters = inner.char_indices().peekable();
    let mut after_space = true;
    while let Some(&(start, character)) = characters.peek() {
        let spaced = std::mem::take(&mut after_space);
        match character {
            it if it.is_whitespace() => {
                characters.next();
                after_space = true;
            }
            '(' => tokens.push(single(&mut characters, Token::Open)),
            ')' => tokens.push(single(&mut characters, Token::Close)),
            '|' => tokens.push(single(&mut characters, Token::Pipe)),
            '$' => {
                characters.next();
                if !word(inner, &mut characters).is_empty() {
                    return Err(TemplateError::NotSupported("variables".to_owned()));
                }
                tokens.push(Token::Root);
            }
            '.' => {
                characters.next();
                let name = word(inner, &mut characters).to_owned();
                tokens.push(if name.is_empty() {
                    Token::Dot
                } else {
                    Token::Field { name, joined: !spaced }
                });
            }
            '`' => tokens.push(Token::Literal(Value::String(raw_text(inner, &mut characters)?))),
            '"' => tokens.push(Token::Literal(Value::String(quoted_text(&mut characters)?))),
            it if it.is_ascii_digit() || matches!(it, '-' | '+') => {
                tokens.push(Token::Literal(Value::Number(number(inner, &mut characters)?)));
            }
            it if is_word(it) => tokens.push(keyword(word(inner, &mut characters))),
            ':' | '=' | ',' => return Err(TemplateError::NotSupported("variables".to_owned())),
            _ => {
                let rest = &inner[start..];
                return Err(TemplateError::Syntax(format!(
                    "unexpected {character:?} at {:?}",
                    shorten(rest)
                )));
            }
        }
    }
    Ok(tokens)
}

type Characters<'a> = Peekable<CharIndices<'a>>;

fn single(characters: &mut Characters<'_>, token: Token) -> Token {
    characters.next();
    token
}

fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

fn take_while<'a>(text: &'a str, characters: &mut Characters<'_>, accept: impl Fn(char) -> bool) -> &'a str {
    let start = characters.peek().map_or(text.len(), |&(it, _)| it);
    while characters.next_if(|&(_, it)| accept(it)).is_some() {}
    &text[start..characters.peek().map_or(text.len(), |&(it, _)| it)]
}

fn word<'a>(text: &'a str, characters: &mut Characters<'_>) -> &'a str {
    take_while(text, characters, is_word)
}

fn keyword(word: &str) -> Token {
    match word {
        "true" => Token::Literal(Value::Bool(true)),
        "false" => Token::Literal(Value::Bool(false)),
        "nil" => Token::Literal(Value::Null),
        _ => Token::Word(word.to_owned()),
    }
}

fn raw_text(text: &str, characters: &mut Characters<'_>) -> Result<String> {
    characters.next();
    let inner = take_while(text, characters, |it| it != '`').to_owned();
    characters.next().map(|_| inner).ok_or_else(unterminated)
}

/// A text in double quotes, with the escapes that Go and JSON share.
fn quoted_text(characters: &mut Characters<'_>) -> Result<String> {
    characters.next();
    let mut text = String::new();
    loop {
        let (_, character) = characters.next().ok_or_else(unterminated)?;
        match character {
            '"' => return Ok(text),
            '\\' => text.push(match characters.next().ok_or_else(unterminated)?.1 {
                'n' => '\n',
                't' => '\t',
                'r' => '\r',
                it @ ('"' | '\\') => it,
                it => return Err(TemplateError::NotSupported(format!("escape \\{it}"))),
            }),
            it => text.push(it),
        }
    }
}

fn unterminated() -> TemplateError {
    TemplateError::Syntax("text without closing quote".to_owned())
}

fn number(text: &str, characters: &mut Characters<'_>) -> Result<Number> {
    let digits =
        take_while(text, characters, |it| it.is_ascii_alphanumeric() || matches!(it, '-' | '+' | '.'));
    let whole = digits.parse::<i64>().ok().map(Number::from);
    whole
        .or_else(|| digits.parse::<f64>().ok().and_then(Number::from_f64))
        .ok_or_else(|| TemplateError::Syntax(format!("bad number {:?}", shorten(digits))))
}

/// The start of a text, for messages.
pub(super) fn shorten(text: &str) -> &str {
    &text[..text.floor_char_boundary(40)]
}
