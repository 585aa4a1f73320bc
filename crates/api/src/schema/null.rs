//! Where `null` is no value.

use schemars::Schema;
use serde_json::{Value, json};

/// Takes `null` out of what a field may be: absent means the default, and `null` is refused.
pub(crate) fn not_null(schema: &mut Schema) {
    let Some(object) = schema.as_object_mut() else { return };
    let null = json!({"type": "null"});
    if let Some(Value::Array(mut choices)) = object.remove("anyOf") {
        choices.retain(|choice| *choice != null);
        match choices.pop() {
            Some(Value::Object(only)) if choices.is_empty() => object.extend(only),
            last => {
                choices.extend(last);
                object.insert("anyOf".to_owned(), Value::Array(choices));
            }
        }
    }
    if let Some(Value::Array(types)) = object.get_mut("type") {
        types.retain(|name| name != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            object.insert("type".to_owned(), only);
        }
    }
}
