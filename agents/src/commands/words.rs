//! A text in words: blanks separate, double quotes hold together, `key=value` is a pair. Typographic quotes, which chat
//! programs put in by themselves, count as quotes.

/// One word of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Word {
    /// Anything without a `=` outside quotes.
    Plain(String),
    /// `key=value`, `key="some value"` or `"key=some value"`.
    Pair(String, String),
}

impl Word {
    pub(super) fn plain(&self) -> Option<&str> {
        match self {
            Self::Plain(word) => Some(word),
            Self::Pair(..) => None,
        }
    }
}

/// The words; the error says what is wrong with the quotes.
pub(super) fn split(text: &str) -> Result<Vec<Word>, &'static str> {
    let (mut words, mut word, mut in_quotes, mut begun) = (Vec::new(), String::new(), false, false);
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '"' | '“' | '”' => (in_quotes, begun) = (!in_quotes, true),
            '\\' if in_quotes => word.extend(letters.next()),
            blank if blank.is_whitespace() && !in_quotes => {
                if std::mem::take(&mut begun) {
                    words.push(classified(std::mem::take(&mut word)));
                }
            }
            other => {
                word.push(other);
                begun = true;
            }
        }
    }
    if in_quotes {
        return Err("a quote is not closed");
    }
    if begun {
        words.push(classified(word));
    }
    Ok(words)
}

fn classified(word: String) -> Word {
    let pair = word.split_once('=').filter(|(name, _)| {
        !name.is_empty() && name.bytes().all(|letter| letter.is_ascii_alphanumeric() || matches!(letter, b'_' | b'-'))
    });
    match pair {
        Some((name, value)) => Word::Pair(name.to_ascii_lowercase(), value.to_owned()),
        None => Word::Plain(word),
    }
}
