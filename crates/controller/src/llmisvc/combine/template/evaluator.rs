//! Evaluates the blocks of a template.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::Value;

use super::functions;
use super::parser::{Block, Command, Operand, Pipeline};
use super::{Context, MAX_BYTES, MAX_COPIED, MAX_STEPS, Result, TemplateError};

/// A value of the context or one that was computed.
pub(super) type Datum<'a> = Cow<'a, Value>;

/// The text that the blocks make.
///
/// # Errors
/// When a field or key does not exist, a function refuses its arguments, or a limit is exceeded.
pub(super) fn evaluate(blocks: &[Block], context: &Context) -> Result<String> {
    let mut evaluator = Evaluator { context, output: String::new(), steps: 0, copied: 0 };
    evaluator.blocks(blocks, &Cow::Borrowed(&context.root))?;
    Ok(evaluator.output)
}

struct Evaluator<'a> {
    context: &'a Context,
    output: String,
    steps: usize,
    /// Bytes of the values that were read as a whole, which every copy and every computed value is made of.
    copied: usize,
}

impl<'a> Evaluator<'a> {
    fn blocks(&mut self, blocks: &'a [Block], dot: &Datum<'a>) -> Result<()> {
        blocks.iter().try_for_each(|it| self.block(it, dot))
    }

    fn block(&mut self, block: &'a Block, dot: &Datum<'a>) -> Result<()> {
        match block {
            Block::Text(text) => self.print(text),
            Block::Print(pipeline) => {
                let value = self.pipeline(pipeline, dot)?;
                self.charge(&value)?;
                self.print(&functions::print(&value))
            }
            Block::If { branches, otherwise } => {
                for (condition, body) in branches {
                    if functions::is_true(&*self.pipeline(condition, dot)?) {
                        return self.blocks(body, dot);
                    }
                }
                self.blocks(otherwise, dot)
            }
            Block::With { dot: inner, body, otherwise } => {
                let inner = self.pipeline(inner, dot)?;
                if functions::is_true(&inner) {
                    self.blocks(body, &inner)
                } else {
                    self.blocks(otherwise, dot)
                }
            }
            Block::Range { items, body, otherwise } => {
                let items = items_of(self.pipeline(items, dot)?)?;
                self.count(items.len())?;
                if items.is_empty() {
                    return self.blocks(otherwise, dot);
                }
                items.iter().try_for_each(|it| self.blocks(body, it))
            }
        }
    }

    fn print(&mut self, text: &str) -> Result<()> {
        self.output.push_str(text);
        if self.output.len() > MAX_BYTES {
            Err(TemplateError::TooLarge("makes more than 1 MiB"))
        } else {
            Ok(())
        }
    }

    fn count(&mut self, steps: usize) -> Result<()> {
        self.steps += steps;
        if self.steps > MAX_STEPS { Err(TemplateError::TooLarge("takes too many steps")) } else { Ok(()) }
    }

    /// Counts the bytes of a value that is about to be copied or read as a whole.
    fn charge(&mut self, value: &Value) -> Result<()> {
        self.copied += size(value, MAX_COPIED - self.copied);
        if self.copied < MAX_COPIED { Ok(()) } else { Err(TemplateError::TooLarge("copies more than 4 MiB")) }
    }

    fn pipeline(&mut self, pipeline: &'a Pipeline, dot: &Datum<'a>) -> Result<Datum<'a>> {
        self.count(1)?;
        let mut last = None;
        for command in pipeline {
            last = Some(self.command(command, dot, last)?);
        }
        Ok(last.unwrap_or_default())
    }

    fn command(
        &mut self,
        command: &'a Command,
        dot: &Datum<'a>,
        last: Option<Datum<'a>>,
    ) -> Result<Datum<'a>> {
        match &command.first {
            Operand::Function(name) => self.call(name, &command.arguments, dot, last),
            operand => self.operand(operand, dot),
        }
    }

    fn operand(&mut self, operand: &'a Operand, dot: &Datum<'a>) -> Result<Datum<'a>> {
        match operand {
            Operand::Dot => {
                if let Cow::Owned(value) = dot {
                    self.charge(value)?;
                }
                Ok(dot.clone())
            }
            Operand::Root => Ok(Cow::Borrowed(&self.context.root)),
            Operand::Literal(value) => Ok(Cow::Borrowed(value)),
            Operand::Function(name) => self.call(name, &[], dot, None),
            Operand::Pipeline(pipeline) => self.pipeline(pipeline, dot),
            Operand::Field(operand, names) => {
                let start = self.operand(operand, dot)?;
                names.iter().try_fold(start, |value, name| self.field(&value, name))
            }
        }
    }

    /// `and` and `or` look at no more arguments than they need.
    fn call(
        &mut self,
        name: &str,
        arguments: &'a [Operand],
        dot: &Datum<'a>,
        last: Option<Datum<'a>>,
    ) -> Result<Datum<'a>> {
        let decides = |value: &Value| match name {
            "and" => !functions::is_true(value),
            "or" => functions::is_true(value),
            _ => false,
        };
        let mut values = Vec::with_capacity(arguments.len() + 1);
        for argument in arguments {
            let value = self.operand(argument, dot)?;
            if decides(&value) {
                return Ok(value);
            }
            values.push(value);
        }
        values.extend(last);
        if functions::reads_all(name) {
            values.iter().try_for_each(|it| self.charge(it))?;
        }
        functions::call(name, values)
    }

    fn field(&mut self, value: &Datum<'a>, name: &str) -> Result<Datum<'a>> {
        let found = match value {
            Cow::Borrowed(value) => entry(value, name)?.map(Cow::Borrowed),
            Cow::Owned(value) => entry(value, name)?.cloned().map(Cow::Owned),
        };
        if let Some(found) = found {
            return Ok(found);
        }
        if functions::is_method(name) {
            self.charge(value)?;
        }
        functions::method(value, name).map(Cow::Owned).map_or_else(|| self.absent(name), Ok)
    }

    fn absent(&self, name: &str) -> Result<Datum<'a>> {
        if self.context.fields.contains(&name.to_lowercase()) {
            Ok(Cow::Owned(Value::Null))
        } else {
            Err(TemplateError::UnknownField(name.to_owned()))
        }
    }
}

/// A field by its name in Go: JSON names differ from those only in case. Other names are keys of maps.
fn entry<'v>(value: &'v Value, name: &str) -> Result<Option<&'v Value>> {
    let is_field = name.starts_with(char::is_uppercase);
    let found = match value {
        Value::Object(fields) => fields.get(name).or_else(|| {
            fields.iter().find(|(key, _)| is_field && key.eq_ignore_ascii_case(name)).map(|(_, it)| it)
        }),
        Value::Null => None,
        other => return Err(TemplateError::UnknownField(format!("{name} of {}", functions::shown(other)))),
    };
    if found.is_none() && !is_field {
        return Err(TemplateError::MissingKey(name.to_owned()));
    }
    Ok(found)
}

/// What `range` goes through: items, values in the order of their keys, or the numbers below one.
fn items_of(value: Datum<'_>) -> Result<Vec<Datum<'_>>> {
    let numbers = |value: &Value| match value.as_i64() {
        Some(count) if count > MAX_STEPS as i64 => Err(TemplateError::TooLarge("takes too many steps")),
        Some(count) => Ok((0..count).map(|it| Cow::Owned(it.into())).collect()),
        None => Err(TemplateError::Function {
            function: "range".to_owned(),
            message: format!("cannot go through {}", functions::shown(value)),
        }),
    };
    Ok(match value {
        Cow::Borrowed(Value::Array(items)) => items.iter().map(Cow::Borrowed).collect(),
        Cow::Borrowed(Value::Object(fields)) => by_key(fields.iter()).map(Cow::Borrowed).collect(),
        Cow::Owned(Value::Array(items)) => items.into_iter().map(Cow::Owned).collect(),
        Cow::Owned(Value::Object(fields)) => by_key(fields.into_iter()).map(Cow::Owned).collect(),
        value if value.is_null() => Vec::new(),
        value => return numbers(&value),
    })
}

fn by_key<K: Ord, V>(fields: impl Iterator<Item = (K, V)>) -> impl Iterator<Item = V> {
    fields.collect::<BTreeMap<_, _>>().into_values()
}

/// Bytes that a copy of the value takes, counted up to `limit`.
pub(super) fn size(value: &Value, limit: usize) -> usize {
    fn sum<'v>(values: impl Iterator<Item = (&'v str, &'v Value)>, limit: usize) -> usize {
        let mut total = size_of::<Value>();
        for (key, value) in values {
            if total >= limit {
                break;
            }
            total += key.len();
            total += size(value, limit.saturating_sub(total));
        }
        total.min(limit)
    }
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => size_of::<Value>().min(limit),
        Value::String(text) => (size_of::<Value>() + text.len()).min(limit),
        Value::Array(items) => sum(items.iter().map(|it| ("", it)), limit),
        Value::Object(fields) => sum(fields.iter().map(|(key, it)| (key.as_str(), it)), limit),
    }
}
