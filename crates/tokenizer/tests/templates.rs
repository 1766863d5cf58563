//! Every rendering in `fixtures/templates.json`, made by Jinja2 through transformers, comes out byte for byte.

use llmd_tokenizer::{ChatTemplate, ChatTemplateError, Limits, RenderInput, SpecialTokens};
use serde::Deserialize;
use serde_json::{Map, Value};

#[derive(Deserialize)]
struct Fixture {
    special_tokens: Map<String, Value>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    template: String,
    messages: Vec<Value>,
    #[serde(default)]
    tools: Vec<Value>,
    #[serde(default)]
    documents: Vec<Value>,
    #[serde(default)]
    add_generation_prompt: bool,
    #[serde(default)]
    continue_final_message: bool,
    kwargs: Option<Map<String, Value>>,
    #[serde(flatten)]
    outcome: Outcome,
}

/// What Python did.
#[derive(Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Outcome {
    /// Rendered this text.
    Expected(String),
    /// Called `raise_exception` with this text.
    Raises(String),
    /// Used an undefined value.
    Fails(String),
}

impl Case {
    fn render(&self, special_tokens: &SpecialTokens) -> Result<String, ChatTemplateError> {
        let templates = vec![("default".to_owned(), self.template.clone())];
        let template = ChatTemplate::new(templates, special_tokens.clone(), Limits::default())?;
        template.render(&RenderInput {
            messages: &self.messages,
            tools: &self.tools,
            documents: &self.documents,
            add_generation_prompt: self.add_generation_prompt,
            continue_final_message: self.continue_final_message,
            kwargs: self.kwargs.as_ref(),
        })
    }
}

#[test]
fn renders_what_python_renders() {
    let fixture: Fixture = serde_json::from_str(include_str!("fixtures/templates.json")).unwrap();
    assert!(fixture.cases.len() > 100);
    let pairs =
        fixture.special_tokens.iter().map(|(role, token)| (role.clone(), token.as_str().unwrap().to_owned()));
    let special_tokens = SpecialTokens::new(pairs);
    let mut differences = Vec::new();
    for case in &fixture.cases {
        let ours = case.render(&special_tokens);
        let agrees = match (&case.outcome, &ours) {
            (Outcome::Expected(python), Ok(text)) => python == text,
            (Outcome::Raises(python), Err(ChatTemplateError::Raised(text))) => python == text,
            (Outcome::Fails(_), Err(ChatTemplateError::Render(_))) => true,
            _ => false,
        };
        if !agrees {
            differences.push(format!("{}\n  python {:?}\n  ours   {ours:?}", case.name, case.outcome));
        }
    }
    assert!(differences.is_empty(), "{} differ:\n{}", differences.len(), differences.join("\n"));
}
