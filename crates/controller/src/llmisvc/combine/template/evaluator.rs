//! Evaluates the blocks of a template.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::Value;

use super::functions;
use super::parser::{Block, Command, Operand, Pipeline};
use super::{Context, MAX_BYTES, MAX_STEPS, Result, TemplateError};

/// A value of the context or one that was computed.
pub(super) type Datum<'a> = Cow<'a, Value>;

/// The text that the blocks make.
///
/// # Errors
/// When a field or key does not exist, a function refuses its arguments, or a limit is exceeded.
pub(super) fn evaluate(blocks: &[Block], context: &Context) -> Result<String> {
    let mut evaluator = Evaluator { context, output: String::new(), steps: 0 };
    evaluator.blocks(blocks, &Cow::Borrowed(&context.root))?;
    Ok(evaluator.output)
}

struct Evaluator<'a> {
    context: &'a Context,
    output: String,
    steps: usize,
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
                let items = items_of(self.pipeline(items, dot)?.into_owned())?;
                self.count(items.len())?;
                if items.is_empty() {
                    return self.blocks(otherwise, dot);
                }
                items.into_iter().try_for_each(|it| self.blocks(body, &Cow::Owned(it)))
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
            Operand::Dot => Ok(dot.clone()),
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
        functions::call(name, values)
    }

    fn field(&self, value: &Datum<'a>, name: &str) -> Result<Datum<'a>> {
        let found = match value {
            Cow::Borrowed(value) => entry(value, name)?.map(Cow::Borrowed),
            Cow::Owned(value) => entry(value, name)?.cloned().map(Cow::Owned),
        };
        let found = found.or_else(|| functions::method(value, name).map(Cow::Owned));
        found.map_or_else(|| self.absent(name), Ok)
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
        other => return Err(TemplateError::UnknownField(format!("{name} of {}", functions::print(other)))),
    };
    if found.is_none() && !is_field {
        return Err(TemplateError::MissingKey(name.to_owned()));
    }
    Ok(found)
}

/// What `range` goes through: items, values in the order of their keys, or the numbers below one.
fn items_of(value: Value) -> Result<Vec<Value>> {
    match value {
        Value::Null => Ok(Vec::new()),
        Value::Array(items) => Ok(items),
        Value::Object(fields) => Ok(fields.into_iter().collect::<BTreeMap<_, _>>().into_values().collect()),
        value => match value.as_i64() {
            Some(count) if count > MAX_STEPS as i64 => Err(TemplateError::TooLarge("takes too many steps")),
            Some(count) => Ok((0..count).map(Value::from).collect()),
            None => Err(TemplateError::Function {
                function: "range".to_owned(),
                message: format!("cannot go through {}", functions::print(&value)),
            }),
        },
    }
}
