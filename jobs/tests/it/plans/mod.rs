//! The plans of what workers and the api send, on a queue with a million waiting and a million ended jobs: nothing reads a big
//! table row after row, or much more of it than it was asked for, and how it is read is written down in `books/`, a book an
//! area and version of PostgreSQL. `INSTA_UPDATE=always scripts/test -p jobs plans` writes the books anew.

mod coverage;
mod ends;
mod heard;
mod inspection;
mod intake;
mod law;
mod mutants;
mod plan;
mod retries;
mod stage;
mod upkeep;
mod work;
