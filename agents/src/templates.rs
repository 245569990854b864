//! Templates and conditions over a run's context. Strict: what isn't there is an error, never an empty text. Bounded:
//! a template has fuel. The filters turn SI into what is said on the radio; a missing value is said to be unknown.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use minijinja::{Environment, ErrorKind, UndefinedBehavior, value::Serde};
use serde_json::Value;

/// Steps of the template engine; a long list of tracks takes some ten thousand.
const FUEL: u64 = 2_000_000;

/// A template that can't be compiled or rendered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message} (line {line} of the template)")]
pub(crate) struct TemplateError {
    pub(crate) line: usize,
    pub(crate) message: String,
}

impl From<minijinja::Error> for TemplateError {
    fn from(error: minijinja::Error) -> Self {
        let message = match error.detail() {
            Some(detail) => format!("{}: {detail}", error.kind()),
            None => error.kind().to_string(),
        };
        Self { line: error.line().unwrap_or(1), message }
    }
}

/// Text with its placeholders filled in.
pub(crate) fn text(template: &str, context: &Value) -> Result<String, TemplateError> {
    let environment = environment();
    Ok(environment.template_from_str(template)?.render(minijinja::Value::from(Serde(context)))?)
}

/// As [`text`], but a template that is one placeholder and nothing else keeps the type of its value.
pub(crate) fn value(template: &str, context: &Value) -> Result<Value, TemplateError> {
    let Some(expression) = lone_placeholder(template) else {
        return text(template, context).map(Value::String);
    };
    let environment = environment();
    let value = evaluated(&environment, expression, context)?;
    serde_json::to_value(&value)
        .map_err(|error| TemplateError { line: 1, message: format!("not a plain value: {error}") })
}

/// Whether a condition holds.
pub(crate) fn holds(condition: &str, context: &Value) -> Result<bool, TemplateError> {
    Ok(evaluated(&environment(), condition, context)?.is_true())
}

/// What a template looks up in its context, dotted as far as it is written (`steps.collect.events`).
pub(crate) fn references(template: &str) -> Result<BTreeSet<String>, TemplateError> {
    let environment = environment();
    let mut names: BTreeSet<String> =
        environment.template_from_str(template)?.undeclared_variables(true).into_iter().collect();
    names.retain(|name| !is_function(&environment, name));
    Ok(names)
}

/// What a condition looks up in its context.
pub(crate) fn references_of_condition(condition: &str) -> Result<BTreeSet<String>, TemplateError> {
    let environment = environment();
    let mut names: BTreeSet<String> =
        environment.compile_expression(condition)?.undeclared_variables(true).into_iter().collect();
    names.retain(|name| !is_function(&environment, name));
    Ok(names)
}

fn is_function(environment: &Environment<'_>, name: &str) -> bool {
    environment.globals().any(|(global, _)| global == name)
}

fn evaluated(
    environment: &Environment<'_>,
    expression: &str,
    context: &Value,
) -> Result<minijinja::Value, TemplateError> {
    let value =
        environment.compile_expression_owned(expression.to_owned())?.eval(minijinja::Value::from(Serde(context)))?;
    if value.is_undefined() {
        return Err(TemplateError { line: 1, message: format!("{expression} is not there") });
    }
    Ok(value)
}

/// The inside of `{{ … }}` when that is all there is.
fn lone_placeholder(template: &str) -> Option<&str> {
    let inside = template.trim().strip_prefix("{{")?.strip_suffix("}}")?;
    let plain = !inside.contains("{{") && !inside.contains("}}") && !inside.starts_with(['-', '+']);
    (plain && !inside.ends_with('-')).then(|| inside.trim())
}

fn environment<'source>() -> Environment<'source> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_fuel(Some(FUEL));
    environment.set_recursion_limit(50);
    environment.add_filter("feet", |metres: Option<f64>| rounded(metres, 0.3048, "ft"));
    environment.add_filter("knots", |speed: Option<f64>| rounded(speed, 0.514_444, "kn"));
    environment.add_filter("feet_per_minute", |climb: Option<f64>| rounded(climb, 0.005_08, "ft/min"));
    environment.add_filter("course", |degrees: Option<f64>| {
        degrees.map_or_else(|| "unknown".into(), |degrees| format!("{:03.0}", degrees.rem_euclid(360.0).floor()))
    });
    environment.add_filter("zulu", zulu);
    environment.add_filter("degrees", |value: Option<f64>| {
        value.map_or_else(|| "unknown".into(), |value| format!("{value:.3}"))
    });
    environment
}

fn rounded(value: Option<f64>, unit_size: f64, unit: &str) -> String {
    value.map_or_else(|| "unknown".into(), |value| format!("{:.0} {unit}", (value / unit_size).round() + 0.0))
}

/// A time as `0823Z`.
fn zulu(at: &str) -> Result<String, minijinja::Error> {
    let at: DateTime<Utc> =
        at.parse().map_err(|_| minijinja::Error::new(ErrorKind::InvalidOperation, format!("{at:?} is not a time")))?;
    Ok(at.format("%H%MZ").to_string())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_not_there_is_an_error() {
        let context = json!({"steps": {"collect": {"events": 3}}});
        assert_eq!(text("{{ steps.collect.events }} events", &context), Ok("3 events".into()));
        assert!(text("{{ steps.collect.evnets }}", &context).is_err());
        assert!(value("{{ steps.collect.evnets }}", &context).is_err());
        assert!(holds("steps.correlate", &context).is_err());
    }

    #[test]
    fn a_lone_placeholder_keeps_its_type() {
        let context = json!({"list": [1, 2], "name": "x"});
        assert_eq!(value("{{ list }}", &context), Ok(json!([1, 2])));
        assert_eq!(value(" {{ list | length }} ", &context), Ok(json!(2)));
        assert_eq!(value("{{ name }}{{ name }}", &context), Ok(json!("xx")));
    }

    #[test]
    fn references_are_dotted_and_without_loop_variables() {
        let found =
            references("{% for t in steps.a.tracks %}{{ t.id }}{{ params.n }}{% endfor %}{{ range(3) }}").unwrap();
        assert_eq!(found.into_iter().collect::<Vec<_>>(), ["params.n", "steps.a.tracks"]);
    }

    #[test]
    fn an_endless_template_runs_out_of_fuel() {
        let template = "{% for a in range(9999) %}{% for b in range(9999) %}.{% endfor %}{% endfor %}";
        assert!(text(template, &json!({})).is_err());
    }

    #[test]
    fn values_are_said_as_on_the_radio() {
        let context =
            json!({"alt": 10668.0, "speed": 0.0, "nothing": null, "at": "2026-11-22T08:23:59Z", "course": 359.9});
        let said = text(
            "{{ alt | feet }} {{ speed | knots }} {{ nothing | knots }} {{ at | zulu }} {{ course | course }}",
            &context,
        );
        assert_eq!(said, Ok("35000 ft 0 kn unknown 0823Z 359".into()));
    }
}
