//! One connection, as statements see it: each has the client's deadline, and behind a transaction pooler none is prepared
//! under a name, since the next transaction may meet another session, or another client's statement of that name.
//!
//! The driver's own switches don't suffice for that: without a cache it still names its statements, and
//! `persistent(false)` is forgotten by the checked macros.

use std::{io, task::Poll, time::Duration};

use futures::{
    FutureExt, StreamExt,
    future::BoxFuture,
    stream::{self, BoxStream},
};
use sqlx::{
    Connection, Describe, Either, Execute, Executor, PgConnection, Postgres, SqlStr,
    error::BoxDynError,
    pool::PoolConnection,
    postgres::{PgArguments, PgQueryResult, PgRow, PgStatement, PgTypeInfo},
};

use super::{ConnectOptions, Pooling, within};
use crate::Error;

/// A connection to the database that statements go through.
#[derive(Debug)]
pub struct Line {
    link: Link,
    deadline: Duration,
    /// Whether prepared statements may have names, and be kept.
    names: bool,
}

#[derive(Debug)]
enum Link {
    Pooled(PoolConnection<Postgres>),
    Own(PgConnection),
}

impl Line {
    /// A connection of its own, which no pool hands out: closed when it is dropped.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when nobody answers in time, [`Error::Invalid`] for a URL that isn't one.
    pub(crate) async fn connect(url: &str, options: &ConnectOptions) -> Result<Self, Error> {
        let server = options.parse(url)?;
        let connecting = async { Ok(PgConnection::connect_with(&server).await?) };
        Ok(Self::over(Link::Own(within(options.deadline, connecting).await?), options))
    }

    /// A pool's connection.
    pub(super) fn pooled(connection: PoolConnection<Postgres>, options: &ConnectOptions) -> Self {
        Self::over(Link::Pooled(connection), options)
    }

    fn over(link: Link, options: &ConnectOptions) -> Self {
        Self { link, deadline: options.deadline, names: options.pooling == Pooling::Session }
    }

    /// Lets no pool hand this connection out again.
    pub(super) fn close_on_drop(&mut self) {
        if let Link::Pooled(connection) = &mut self.link {
            connection.close_on_drop();
        }
    }

    fn connection(&mut self) -> &mut PgConnection {
        match &mut self.link {
            Link::Pooled(connection) => connection,
            Link::Own(connection) => connection,
        }
    }
}

fn unanswered() -> sqlx::Error {
    sqlx::Error::Io(io::Error::new(io::ErrorKind::TimedOut, "a statement had no answer within the deadline"))
}

impl<'c> Executor<'c> for &'c mut Line {
    type Database = Postgres;

    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e, Result<Either<PgQueryResult, PgRow>, sqlx::Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        let statement = Statement { query, may_have_a_name: self.names };
        let mut expiry = Box::pin(tokio::time::sleep(self.deadline));
        let mut rows = self.connection().fetch_many(statement);
        let rows = stream::poll_fn(move |cx| match rows.poll_next_unpin(cx) {
            Poll::Pending => expiry.poll_unpin(cx).map(|()| Some(Err(unanswered()))),
            polled => polled,
        });
        rows.boxed()
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<Option<PgRow>, sqlx::Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        let statement = Statement { query, may_have_a_name: self.names };
        let answer = tokio::time::timeout(self.deadline, self.connection().fetch_optional(statement));
        answer.map(|answer| answer.unwrap_or_else(|_| Err(unanswered()))).boxed()
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [PgTypeInfo],
    ) -> BoxFuture<'e, Result<PgStatement, sqlx::Error>>
    where
        'c: 'e,
    {
        self.connection().prepare_with(sql, parameters)
    }

    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, Result<Describe<Postgres>, sqlx::Error>>
    where
        'c: 'e,
    {
        self.connection().describe(sql)
    }
}

/// A statement as it is sent.
struct Statement<E> {
    query: E,
    may_have_a_name: bool,
}

impl<'q, E: Execute<'q, Postgres>> Execute<'q, Postgres> for Statement<E> {
    fn sql(self) -> SqlStr {
        self.query.sql()
    }

    fn statement(&self) -> Option<&PgStatement> {
        self.query.statement()
    }

    fn take_arguments(&mut self) -> Result<Option<PgArguments>, BoxDynError> {
        self.query.take_arguments()
    }

    fn persistent(&self) -> bool {
        self.may_have_a_name && self.query.persistent()
    }
}
