//! Chat texts to commands. A text that doesn't address the agent is nobody's command; one that does always gets an
//! answer, if only that it wasn't understood. Pure: whether a playbook exists or may run is the caller's to check.

mod help;
mod words;

use std::collections::BTreeMap;

pub use help::help_text;

use crate::{Role, playbooks::Catalogue};
use words::{Word, split};

/// How the agent is addressed.
const MENTION: &str = "@agent";

/// What a message asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Run a playbook, named or meant by one of its phrases.
    Run {
        /// Its name; as typed after `run`, so it may not exist.
        playbook: String,
        /// The parameters, by name, as typed.
        given: BTreeMap<String, String>,
    },
    /// List what can be run.
    Help,
    /// How the station is doing.
    Status,
    /// The command was recognised and can't be taken as it is written.
    Unclear {
        /// What followed the mention.
        said: String,
        /// What would be right.
        why: String,
    },
    /// Anything else.
    Unknown {
        /// What followed the mention.
        said: String,
    },
}

/// The command in a message; none when it doesn't address the agent. Phrases are those of playbooks that `role` may
/// run.
#[must_use]
pub fn parse(text: &str, catalogue: &Catalogue, role: Role) -> Option<Command> {
    let said = after_mention(text)?.trim();
    let words = match split(said) {
        Ok(words) => words,
        Err(why) => {
            return Some(Command::Unclear { said: said.to_owned(), why: why.to_owned() });
        }
    };
    let verb = words.first().and_then(Word::plain).map(str::to_lowercase);
    Some(match (verb.as_deref(), &words[..]) {
        (None, []) => Command::Help,
        (Some("help"), [_]) => Command::Help,
        (Some("status"), [_]) => Command::Status,
        (Some("run"), [_]) => unclear(said, "say which playbook: run <playbook> key=value"),
        (Some("run"), [_, Word::Plain(playbook), rest @ ..]) => run(said, playbook, rest),
        _ => by_phrase(said, &words, catalogue, role).unwrap_or_else(|| Command::Unknown { said: said.to_owned() }),
    })
}

fn unclear(said: &str, why: &str) -> Command {
    Command::Unclear { said: said.to_owned(), why: why.to_owned() }
}

/// What follows the first mention that stands alone (`me@agent.org` is none).
fn after_mention(text: &str) -> Option<&str> {
    let lower = text.to_ascii_lowercase();
    lower.match_indices(MENTION).find_map(|(at, _)| {
        let rest = &text[at + MENTION.len()..];
        let alone_before = text[..at].chars().next_back().is_none_or(char::is_whitespace);
        let alone_after = rest.chars().next().is_none_or(|next| next.is_whitespace() || matches!(next, ':' | ','));
        (alone_before && alone_after).then(|| rest.trim_start_matches([':', ',']))
    })
}

fn run(said: &str, playbook: &str, rest: &[Word]) -> Command {
    let mut given = BTreeMap::new();
    for word in rest {
        match word {
            Word::Pair(name, value) => {
                if given.insert(name.clone(), value.clone()).is_some() {
                    return unclear(said, &format!("{name} is given twice"));
                }
            }
            Word::Plain(word) => return unclear(said, &format!("{word:?} is not key=value")),
        }
    }
    Command::Run { playbook: playbook.to_owned(), given }
}

/// The playbook one of whose phrases is in the text, word by word; the longest phrase wins, then the first by name.
/// Pairs anywhere in the text are parameters.
fn by_phrase(said: &str, words: &[Word], catalogue: &Catalogue, role: Role) -> Option<Command> {
    let plain: Vec<String> = words.iter().filter_map(Word::plain).map(bare).filter(|word| !word.is_empty()).collect();
    let (_, playbook) = catalogue
        .for_role(role)
        .flat_map(|playbook| playbook.triggers.chat.iter().map(move |phrase| (phrase, playbook)))
        .filter_map(|(phrase, playbook)| {
            let phrase: Vec<String> = phrase.split_whitespace().map(bare).collect();
            plain.windows(phrase.len()).any(|window| window == phrase).then_some((phrase.len(), playbook))
        })
        .min_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.name.cmp(&b.1.name)))?;
    let pairs: Vec<Word> = words.iter().filter(|word| word.plain().is_none()).cloned().collect();
    Some(run(said, &playbook.name, &pairs))
}

/// A word without the punctuation around it, in small letters.
fn bare(word: &str) -> String {
    word.trim_matches(|letter: char| !letter.is_alphanumeric()).to_lowercase()
}

#[cfg(test)]
mod tests;
