//! The one character that JSON has and Postgres hasn't. Who takes a value from outside refuses it or replaces it, or one
//! such value fails the whole statement that it is in.

use serde_json::Value;

/// Whether a text or key anywhere in `value` has a NUL character.
pub(crate) fn is_in(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(items) => items.iter().any(is_in),
        Value::Object(fields) => fields.iter().any(|(key, field)| key.contains('\0') || is_in(field)),
        _ => false,
    }
}

/// `value` with U+FFFD in place of each NUL.
pub(crate) fn replaced(value: &Value) -> Value {
    let clean = |text: &str| text.replace('\0', "\u{fffd}");
    match value {
        Value::String(text) => Value::String(clean(text)),
        Value::Array(items) => items.iter().map(replaced).collect(),
        Value::Object(fields) => {
            Value::Object(fields.iter().map(|(key, field)| (clean(key), replaced(field))).collect())
        }
        _ => value.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn it_is_found_and_replaced_at_any_depth_and_in_keys() {
        for (strange, plain) in [
            (json!("a\0"), json!("a\u{fffd}")),
            (json!([1, { "k": ["\0"] }]), json!([1, { "k": ["\u{fffd}"] }])),
            (json!({ "k\0": null }), json!({ "k\u{fffd}": null })),
        ] {
            assert!(is_in(&strange) && !is_in(&plain));
            assert_eq!(replaced(&strange), plain);
        }
        assert_eq!(replaced(&json!({ "k": r"\u0000" })), json!({ "k": r"\u0000" }));
    }
}
