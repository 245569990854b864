//! Asks a port whether a Postgres server is there that takes logins: the first message of the protocol and the first byte
//! of the answer. No password is sent and no session is opened.

use std::io;
use std::net::Ipv4Addr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long one question may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// Whether the server on this loopback port asks for a password now. While it starts or recovers it answers with an error.
pub(super) async fn takes_logins(port: u16) -> bool {
    matches!(timeout(PATIENCE, first_answer(port)).await, Ok(Ok(b'R')))
}

async fn first_answer(port: u16) -> io::Result<u8> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
    stream.write_all(&startup_message("postgres", "postgres")).await?;
    let kind = stream.read_u8().await?;
    // Read to the message's end: hanging up in the middle of it would be a line in the server's log.
    let rest = u64::from(stream.read_u32().await?.saturating_sub(4));
    tokio::io::copy(&mut (&mut stream).take(rest), &mut tokio::io::sink()).await?;
    Ok(kind)
}

/// `StartupMessage`: its length, version 3.0, then name and value pairs that end in an empty name.
fn startup_message(user: &str, database: &str) -> Vec<u8> {
    let mut body = 0x0003_0000_u32.to_be_bytes().to_vec();
    for word in ["user", user, "database", database] {
        body.extend_from_slice(word.as_bytes());
        body.push(0);
    }
    body.push(0);
    let length = u32::try_from(body.len() + 4).expect("invariant: two short names");
    [length.to_be_bytes().as_slice(), &body].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_counts_its_own_length() {
        let message = startup_message("u", "d");
        assert_eq!(message, b"\0\0\0\x1b\0\x03\0\0user\0u\0database\0d\0\0");
    }

    #[tokio::test]
    async fn a_closed_port_takes_no_logins() {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        assert!(!takes_logins(port).await);
    }
}
