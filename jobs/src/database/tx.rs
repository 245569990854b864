//! A transaction that never gives a connection back in an unknown state. Whatever ends it but a commit closes its
//! connection: an error, an early return, and above all a future dropped in the middle of a query, whose answer nobody
//! would wait for. The server ends such a transaction with its connection.

use std::ops::{Deref, DerefMut};

use sqlx::AssertSqlSafe;

use super::{Line, Scope};
use crate::Error;

/// A transaction under one of our roles.
#[derive(Debug)]
pub struct Tx {
    line: Line,
    scope: Option<Scope>,
    committed: bool,
}

impl Tx {
    /// Opens one with `statement`, which begins it and takes on its role, that of `scope` if it has one, in one round trip.
    pub(super) async fn open(line: Line, statement: String, scope: Option<Scope>) -> Result<Self, Error> {
        // Made before the first statement, so that a cancelled begin closes its connection too.
        let mut tx = Self { line, scope, committed: false };
        sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut *tx).await?;
        Ok(tx)
    }

    /// What it may see of the control plane; nothing to speak of as maintenance or over a station's data.
    pub(crate) fn scope(&self) -> Option<Scope> {
        self.scope
    }

    /// Takes on another role.
    pub(super) async fn turn(&mut self, statement: String, scope: Option<Scope>) -> Result<(), Error> {
        sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut **self).await?;
        self.scope = scope;
        Ok(())
    }

    /// Commits, and gives the connection back.
    ///
    /// # Errors
    /// When the server didn't say that it is committed: it may be or not.
    pub async fn commit(mut self) -> Result<(), Error> {
        sqlx::raw_sql("commit").execute(&mut *self).await?;
        self.committed = true;
        Ok(())
    }
}

impl Deref for Tx {
    type Target = Line;

    fn deref(&self) -> &Line {
        &self.line
    }
}

impl DerefMut for Tx {
    fn deref_mut(&mut self) -> &mut Line {
        &mut self.line
    }
}

impl Drop for Tx {
    fn drop(&mut self) {
        if !self.committed {
            self.line.close_on_drop();
        }
    }
}
