//! SQLite: one file, one writer, a few readers.
//!
//! SQLite is no server but a library: a statement is a function call of some microseconds,
//! and only a commit waits, for the disk. Where the call is made is the caller's choice:
//!
//! * [`Place::Here`]: on the thread that asks. For a service loop, which has a thread of its
//!   own (`runtime/stage.rs`); its commit holds up nobody else.
//! * [`Place::Aside`]: on one of tokio's blocking threads, and back. For everybody who shares
//!   his thread: a read may go over a whole table. Going there and back costs more than a
//!   small statement does, and that is why a loop does not.
//!
//! Whoever asks from its own thread can also have a statement over a set run row by row, which is
//! the quicker way here (`sqlite/by_row.rs`).
//!
//! The writer is one connection for durable and for lazy transactions: what one connection
//! has written, another has to read again from the file, and its whole cache with it.

mod bind;
mod by_row;
mod connected;
mod pool;
mod session;

use std::path::Path;
use std::sync::Arc;

use super::{Row, Sql, StoreError};
use pool::{Pool, Role};

pub(super) use session::Session;

/// Where statements run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// On the thread that asks.
    Here,
    /// On a thread for what may take its time.
    Aside,
}

/// What a transaction is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Its commit returns when the disk has it.
    Durable,
    /// Its commit survives the process, and not a power cut.
    Lazy,
    /// It sees one moment and changes nothing.
    Snapshot,
}

/// One SQLite file.
#[derive(Debug)]
pub(super) struct Sqlite {
    writer: Arc<Pool>,
    readers: Arc<Pool>,
}

impl Sqlite {
    /// # Errors
    /// The file cannot be opened, or is no database.
    pub(super) fn open(path: &Path) -> Result<Self, StoreError> {
        let (writer, readers) = (Pool::new(path, Role::Writer), Pool::new(path, Role::Reader));
        // At once, so that a file that cannot be used is told now.
        writer.open_one()?;
        Ok(Self { writer, readers })
    }

    /// # Errors
    /// It is closed, or all readers are busy.
    pub(super) async fn begin(&self, purpose: Purpose, place: Place) -> Result<Session, StoreError> {
        let pool = if purpose == Purpose::Snapshot { &self.readers } else { &self.writer };
        Session::begin(pool.take().await?, place, purpose).await
    }

    /// Reads outside a transaction.
    ///
    /// # Errors
    /// As [`begin`](Self::begin), or as SQLite answers.
    pub(super) async fn read<T: Row>(&self, sql: Sql, json: String, place: Place) -> Result<Vec<T>, StoreError> {
        Session::new(self.readers.take().await?, place).fetch(sql, json).await
    }

    /// Closes all connections, after what is under way.
    pub(super) async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}
