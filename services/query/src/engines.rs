//! Stores for this crate's tests, on both engines: a SQLite file, and a database of
//! its own on a Postgres that the tests start themselves.

use platform::store::Db;
use tempfile::TempDir;

use crate::SPEC;
use crate::servers;

/// Which engine a test runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Engine {
    Sqlite,
    Postgres,
}

impl Engine {
    /// A fresh store, brought forward; a file is gone with the folder.
    pub(crate) async fn store(self) -> (Option<TempDir>, Db) {
        let (folder, db) = self.empty_store().await;
        db.migrate(SPEC.migrations).await.expect("migrates");
        (folder, db)
    }

    /// A fresh store without tables.
    pub(crate) async fn empty_store(self) -> (Option<TempDir>, Db) {
        match self {
            Self::Sqlite => {
                let folder = tempfile::tempdir().expect("a folder");
                let db = Db::open_sqlite(&folder.path().join("query.db")).await.expect("a store");
                (Some(folder), db)
            }
            Self::Postgres => {
                let server = servers::postgres().await.expect("Postgres");
                let url = server.fresh_database().await.expect("a database");
                (None, Db::connect_postgres(&url).await.expect("a store"))
            }
        }
    }
}

/// Makes each of these functions a test on either engine.
macro_rules! on_both_engines {
    ($($name:ident)+) => {
        mod on_sqlite {
            $(#[tokio::test] async fn $name() { super::$name($crate::engines::Engine::Sqlite).await; })+
        }
        mod on_postgres {
            $(#[tokio::test] async fn $name() { super::$name($crate::engines::Engine::Postgres).await; })+
        }
    };
}
pub(crate) use on_both_engines;
