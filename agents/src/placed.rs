//! Where in a text file a mistake stands. The YAML reader knows the place of what it refuses itself; for a mistake
//! found afterwards (a reference to a later step) the place is found again by the words that lead to it.

use std::{collections::BTreeMap, fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer,
    de::{Error as _, MapAccess, Visitor},
};

/// A line and column, both counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) line: usize,
    pub(crate) column: usize,
}

/// The place the YAML reader reports, or the start of the text for an error without one.
pub(crate) fn of_yaml(error: &serde_yaml_ng::Error) -> Place {
    error.location().map_or(Place { line: 1, column: 1 }, |at| Place { line: at.line(), column: at.column() })
}

/// The YAML reader's message without the place, which callers report apart.
pub(crate) fn message_of_yaml(error: &serde_yaml_ng::Error) -> String {
    let text = error.to_string();
    match error.location() {
        Some(at) => text.replace(&format!(" at line {} column {}", at.line(), at.column()), ""),
        None => text,
    }
}

/// Follows `trail` through the text: each entry is the start of a line (indentation, a list dash and quotes
/// aside), searched below the one before. Ends at the last entry that was found.
pub(crate) fn follow(text: &str, trail: &[&str]) -> Place {
    let mut place = Place { line: 1, column: 1 };
    let mut from = 0;
    for wanted in trail {
        let Some((index, column)) = text.lines().enumerate().skip(from).find_map(|(index, line)| {
            let start = line.trim_start().trim_start_matches("- ");
            let bare = start.replace(['"', '\''], "");
            bare.starts_with(wanted).then(|| (index, line.len() - start.len() + 1))
        }) else {
            break;
        };
        place = Place { line: index + 1, column };
        from = index;
    }
    place
}

/// Reads a map whose repeated keys are errors; by itself the later one would win in silence.
pub(crate) fn unique<'de, D: Deserializer<'de>, V: Deserialize<'de>>(from: D) -> Result<BTreeMap<String, V>, D::Error> {
    struct Unique<V>(PhantomData<V>);

    impl<'de, V: Deserialize<'de>> Visitor<'de> for Unique<V> {
        type Value = BTreeMap<String, V>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a map by name")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut entries = BTreeMap::new();
            while let Some(name) = map.next_key::<String>()? {
                let value = map.next_value()?;
                if entries.contains_key(&name) {
                    return Err(A::Error::custom(format!("{name:?} is there twice")));
                }
                entries.insert(name, value);
            }
            Ok(entries)
        }
    }

    from.deserialize_map(Unique(PhantomData))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trail_is_followed_downwards() {
        let text = "a:\n  - id: one\nb:\n  - id: \"one\"\n    use: x\n";
        assert_eq!(follow(text, &["b:", "id: one", "use:"]), Place { line: 5, column: 5 });
        assert_eq!(follow(text, &["b:", "nowhere"]), Place { line: 3, column: 1 });
    }
}
