//! Keyset pages: a cursor is where the last item stood, never an offset.

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::Error;

/// One page of a list.
#[derive(Debug, Clone, Serialize)]
pub struct Page<T> {
    /// The items, newest first unless the list says otherwise.
    pub items: Vec<T>,
    /// Where the next page begins; none on the last.
    pub next_cursor: Option<String>,
}

/// Which page is wanted.
#[derive(Debug, Clone)]
pub struct PageRequest {
    /// Items at most, 1 to 500.
    pub limit: u16,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
}

impl Default for PageRequest {
    fn default() -> Self {
        Self { limit: 50, cursor: None }
    }
}

impl PageRequest {
    /// The limit, checked, plus one: the extra row tells whether there is another page.
    pub(crate) fn fetch(&self) -> Result<i64, Error> {
        if (1..=500).contains(&self.limit) {
            Ok(i64::from(self.limit) + 1)
        } else {
            Err(Error::invalid("limit", "expected 1 to 500"))
        }
    }

    /// The cursor as a time and a tie-breaker.
    pub(crate) fn after<K: std::str::FromStr>(&self) -> Result<Option<(DateTime<Utc>, K)>, Error> {
        let Some(cursor) = &self.cursor else { return Ok(None) };
        let (micros, key) = cursor.split_once('.').ok_or(Error::BadCursor)?;
        let micros = micros.parse().map_err(|_| Error::BadCursor)?;
        let at = DateTime::from_timestamp_micros(micros).ok_or(Error::BadCursor)?;
        Ok(Some((at, key.parse().map_err(|_| Error::BadCursor)?)))
    }

    /// The cursor as a plain key.
    pub(crate) fn after_key(&self) -> Result<Option<i64>, Error> {
        self.cursor.as_deref().map(|cursor| cursor.parse().map_err(|_| Error::BadCursor)).transpose()
    }

    /// Cuts the extra row off and says where the next page begins.
    pub(crate) fn page<T>(&self, mut items: Vec<T>, cursor: impl FnOnce(&T) -> String) -> Page<T> {
        let limit = usize::from(self.limit);
        let more = items.len() > limit;
        items.truncate(limit);
        let next_cursor = if more { items.last().map(cursor) } else { None };
        Page { items, next_cursor }
    }
}

/// A cursor of a list ordered by time and a tie-breaker.
pub(crate) fn cursor_of(at: DateTime<Utc>, key: impl std::fmt::Display) -> String {
    format!("{}.{key}", at.timestamp_micros())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_comes_back_as_it_was_and_others_are_refused() {
        let at = DateTime::from_timestamp_micros(1_795_335_405_123_456).unwrap();
        let request = |cursor: &str| PageRequest { limit: 2, cursor: Some(cursor.to_owned()) };
        assert_eq!(request(&cursor_of(at, 7)).after::<i64>().unwrap(), Some((at, 7)));
        for bad in ["", "x", "1.", ".1", "1.x", "99999999999999999999.1", "1795335405123456"] {
            assert!(matches!(request(bad).after::<i64>(), Err(Error::BadCursor)), "{bad}");
        }
    }

    #[test]
    fn the_last_page_has_no_cursor() {
        let request = PageRequest { limit: 2, cursor: None };
        assert_eq!(request.page(vec![1, 2], ToString::to_string).next_cursor, None);
        let page = request.page(vec![1, 2, 3], ToString::to_string);
        assert_eq!((page.items, page.next_cursor.as_deref()), (vec![1, 2], Some("2")));
    }
}
