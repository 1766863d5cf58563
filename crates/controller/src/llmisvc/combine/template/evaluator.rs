//! Evaluates the blocks of a template.

use std::borrow::Cow;

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
                names.iter().try_fold(start, |value, name| self.field(value, name))
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

    /// A field by its name in Go: JSON names differ from those only in case.
    fn field(&self, value: Datum<'a>, name: &str) -> Result<Datum<'a>> {
        let is_exported = name.starts_with(|it: char| it.is_uppercase());
        let found = match value {
            Cow::Borrowed(Value::Object(fields)) => {
                find(fields, name, is_exported).map(|key| Cow::Borrowed(&fields[key]))
            }
            Cow::Owned(Value::Object(ref fields)) => {
                find(fields, name, is_exported).map(|key| Cow::Owned(fields[key].clone()))
            }
            Cow::Borrowed(Value::Null) | Cow::Owned(Value::Null) => None,
            _ => return Err(TemplateError::UnknownField(format!("{name} of {}", functions::print(&value)))),
        };
        match found {
            Some(found) => Ok(found),
            None if !is_exported && value.is_object() => Err(TemplateError::MissingKey(name.to_owned())),
            None => functions::method(&value, name).map(Cow::Owned).map_or_else(|| self.absent(name), Ok),
        }
    }

    fn absent(&self, name: &str) -> Result<Datum<'a>> {
        if self.context.fields.contains(&name.to_lowercase()) {
            Ok(Cow::Owned(Value::Null))
        } else {
            Err(TemplateError::UnknownField(name.to_owned()))
        }
    }
}

fn find<'v>(fields: &'v serde_json::Map<String, Value>, name: &str, any_case: bool) -> Option<&'v str> {
    if let Some((key, _)) = fields.get_key_value(name) {
        return Some(key);
    }
    fields.keys().find(|it| any_case && it.eq_ignore_ascii_case(name)).map(String::as_str)
}

/// What `range` goes through: items, values in the order of their keys, or the numbers below one.
fn items_of(value: Datum<'_>) -> Result<Vec<Datum<'_>>> {
    let refused = |value: &Value| TemplateError::Function {
        function: "range".to_owned(),
        message: format!("cannot go through {}", functions::print(value)),
    };
    let sorted = |keys: &mut Vec<&String>| keys.sort_unstable();
    Ok(match value {
        Cow::Borrowed(Value::Array(items)) => items.iter().map(Cow::Borrowed).collect(),
        Cow::Owned(Value::Array(items)) => items.into_iter().map(Cow::Owned).collect(),
        Cow::Borrowed(Value::Object(fields)) => {
            let mut keys: Vec<_> = fields.keys().collect();
            sorted(&mut keys);
            keys.into_iter().map(|it| Cow::Borrowed(&fields[it])).collect()
        }
        Cow::Owned(Value::Object(ref fields)) => {
            let mut keys: Vec<_> = fields.keys().collect();
            sorted(&mut keys);
            keys.into_iter().map(|it| Cow::Owned(fields[it].clone())).collect()
        }
        value => match value.as_i64() {
            Some(count) if count > MAX_STEPS as i64 => {
                return Err(TemplateError::TooLarge("takes too many steps"));
            }
            Some(count) => (0..count).map(|it| Cow::Owned(Value::from(it))).collect(),
            None if value.is_null() => Vec::new(),
            None => return Err(refused(&value)),
        },
    })
}
