//! Turns the pieces of a template into blocks.

use serde_json::Value;

use super::functions;
use super::lexer::{Piece, Token, shorten};
use super::{MAX_DEPTH, Result, TemplateError};

/// A part of a template.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Block {
    Text(String),
    /// Prints a value.
    Print(Pipeline),
    /// The body of the first condition that holds, or the last body.
    If {
        branches: Vec<(Pipeline, Vec<Self>)>,
        otherwise: Vec<Self>,
    },
    /// The body with another dot, unless that is empty.
    With {
        dot: Pipeline,
        body: Vec<Self>,
        otherwise: Vec<Self>,
    },
    /// The body once for each item.
    Range {
        items: Pipeline,
        body: Vec<Self>,
        otherwise: Vec<Self>,
    },
}

/// Commands of which each gets the outcome of the one before as its last argument.
pub(super) type Pipeline = Vec<Command>;

/// A value, or a function and its arguments.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Command {
    pub first: Operand,
    pub arguments: Vec<Operand>,
}

/// Something that has a value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Operand {
    Dot,
    Root,
    Literal(Value),
    /// A function by its name, which exists.
    Function(String),
    Pipeline(Pipeline),
    /// A field of a field … of an operand.
    Field(Box<Self>, Vec<String>),
}

/// Parses a whole template.
///
/// # Errors
/// On wrong syntax, unknown functions and anything that is not supported.
pub(super) fn parse(pieces: Vec<Piece>) -> Result<Vec<Block>> {
    let mut parser = Parser { pieces: pieces.into_iter() };
    let (blocks, end) = parser.blocks(0)?;
    match end {
        End::Template => Ok(blocks),
        End::Closed | End::Else(_) => Err(syntax("end or else without if, with or range")),
    }
}

fn syntax(message: &str) -> TemplateError {
    TemplateError::Syntax(message.to_owned())
}

/// What closed a list of blocks.
enum End {
    Template,
    Closed,
    /// With the tokens after `else`.
    Else(Vec<Token>),
}

struct Parser {
    pieces: std::vec::IntoIter<Piece>,
}

impl Parser {
    fn blocks(&mut self, depth: usize) -> Result<(Vec<Block>, End)> {
        if depth > MAX_DEPTH {
            return Err(TemplateError::TooLarge("is nested too deeply"));
        }
        let mut blocks = Vec::new();
        while let Some(piece) = self.pieces.next() {
            let tokens = match piece {
                Piece::Text(text) => {
                    blocks.push(Block::Text(text));
                    continue;
                }
                Piece::Action(tokens) => tokens,
            };
            let keyword = match tokens.first() {
                Some(Token::Word(it)) => it.as_str(),
                _ => "",
            };
            match keyword {
                "if" => blocks.push(self.condition(&tokens[1..], depth)?),
                "with" | "range" => blocks.push(self.scope(keyword == "range", &tokens[1..], depth)?),
                "else" => return Ok((blocks, End::Else(tokens[1..].to_vec()))),
                "end" if tokens.len() == 1 => return Ok((blocks, End::Closed)),
                "define" | "template" | "block" | "break" | "continue" => {
                    return Err(TemplateError::NotSupported(keyword.to_owned()));
                }
                _ => blocks.push(Block::Print(pipeline(&tokens)?)),
            }
        }
        Ok((blocks, End::Template))
    }

    fn condition(&mut self, tokens: &[Token], depth: usize) -> Result<Block> {
        let mut branches = Vec::new();
        let mut condition = pipeline(tokens)?;
        loop {
            let (body, end) = self.blocks(depth + 1)?;
            branches.push((condition, body));
            match end {
                End::Closed => return Ok(Block::If { branches, otherwise: Vec::new() }),
                End::Else(tokens) if tokens.is_empty() => {
                    return Ok(Block::If { branches, otherwise: self.last_body(depth)? });
                }
                End::Else(tokens) if tokens[0] == Token::Word("if".to_owned()) => {
                    condition = pipeline(&tokens[1..])?;
                }
                End::Else(_) => return Err(syntax("only if may follow else")),
                End::Template => return Err(syntax("if without end")),
            }
        }
    }

    fn scope(&mut self, is_range: bool, tokens: &[Token], depth: usize) -> Result<Block> {
        let value = pipeline(tokens)?;
        let (body, end) = self.blocks(depth + 1)?;
        let otherwise = match end {
            End::Closed => Vec::new(),
            End::Else(tokens) if tokens.is_empty() => self.last_body(depth)?,
            End::Else(_) => return Err(TemplateError::NotSupported("else with a condition here".to_owned())),
            End::Template => return Err(syntax("with or range without end")),
        };
        Ok(if is_range {
            Block::Range { items: value, body, otherwise }
        } else {
            Block::With { dot: value, body, otherwise }
        })
    }

    fn last_body(&mut self, depth: usize) -> Result<Vec<Block>> {
        match self.blocks(depth + 1)? {
            (body, End::Closed) => Ok(body),
            _ => Err(syntax("else without end")),
        }
    }
}

fn pipeline(tokens: &[Token]) -> Result<Pipeline> {
    let mut tokens = tokens.iter().peekable();
    let pipeline = commands(&mut tokens, 0)?;
    tokens.next().map_or(Ok(pipeline), |_| Err(syntax(") without (")))
}

type Tokens<'a> = std::iter::Peekable<std::slice::Iter<'a, Token>>;

/// Commands up to the end or a closing parenthesis, which is left.
fn commands(tokens: &mut Tokens<'_>, depth: usize) -> Result<Pipeline> {
    if depth > MAX_DEPTH {
        return Err(TemplateError::TooLarge("is nested too deeply"));
    }
    let mut commands = vec![command(tokens, depth)?];
    while tokens.next_if_eq(&&Token::Pipe).is_some() {
        let next = command(tokens, depth)?;
        if !matches!(next.first, Operand::Function(_)) {
            return Err(syntax("only functions may follow |"));
        }
        commands.push(next);
    }
    Ok(commands)
}

fn command(tokens: &mut Tokens<'_>, depth: usize) -> Result<Command> {
    let mut operands = Vec::new();
    while tokens.peek().is_some_and(|it| !matches!(it, Token::Pipe | Token::Close)) {
        operands.push(operand(tokens, depth)?);
    }
    let mut operands = operands.into_iter();
    let first = operands.next().ok_or_else(|| syntax("empty action"))?;
    let arguments: Vec<_> = operands.collect();
    if !arguments.is_empty() && !matches!(first, Operand::Function(_)) {
        return Err(syntax("only functions take arguments"));
    }
    Ok(Command { first, arguments })
}

fn operand(tokens: &mut Tokens<'_>, depth: usize) -> Result<Operand> {
    let (operand, mut fields) = match tokens.next() {
        Some(Token::Dot) => (Operand::Dot, Vec::new()),
        Some(Token::Root) => (Operand::Root, Vec::new()),
        Some(Token::Field { name, .. }) => (Operand::Dot, vec![name.clone()]),
        Some(Token::Literal(value)) => (Operand::Literal(value.clone()), Vec::new()),
        Some(Token::Word(name)) => (function(name)?, Vec::new()),
        Some(Token::Open) => {
            let inner = commands(tokens, depth + 1)?;
            tokens.next_if_eq(&&Token::Close).ok_or_else(|| syntax("( without )"))?;
            (Operand::Pipeline(inner), Vec::new())
        }
        Some(Token::Close | Token::Pipe) | None => return Err(syntax("a value is missing")),
    };
    while let Some(Token::Field { name, .. }) =
        tokens.next_if(|it| matches!(it, Token::Field { joined: true, .. }))
    {
        fields.push(name.clone());
    }
    Ok(if fields.is_empty() { operand } else { Operand::Field(Box::new(operand), fields) })
}

fn function(name: &str) -> Result<Operand> {
    if functions::NAMES.contains(&name) {
        return Ok(Operand::Function(name.to_owned()));
    }
    let name = shorten(name).to_owned();
    Err(TemplateError::UnknownFunction { name, known: functions::NAMES.to_vec() })
}
