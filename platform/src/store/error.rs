//! What a store can answer instead of a result, by what the loop does about it.

/// Sorted by consequence, not by cause.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// Somebody else was faster: reload and decide again.
    #[error("conflict: {0}")]
    Conflict(String),
    /// Nobody knows whether a commit happened: decide again, which is right in both cases,
    /// when the store is there again. No input is guilty of it.
    #[error("outcome of commit unknown: {0}")]
    Unknown(String),
    /// The store cannot be reached now: wait and try again.
    #[error("store unavailable: {0}")]
    Unavailable(String),
    /// The store will not take this, however often it is tried: find the guilty
    /// input by bisection.
    #[error("store refused: {0}")]
    Refused(String),
}

impl StoreError {
    /// What SQLite's commit has failed with: it may have happened all the same, unless the
    /// store said clearly that it did not. Inbox and idempotency rows tell what was done.
    pub(super) fn of_commit(self) -> Self {
        match self {
            Self::Unavailable(cause) => Self::Unknown(cause),
            other => other,
        }
    }

    /// What connecting to Postgres has failed with: refused if it will fail in the same
    /// way until somebody changes a setting.
    pub(super) fn of_connect(error: sqlx::Error) -> Self {
        let text = error.to_string();
        match &error {
            sqlx::Error::Database(database) => match database.code().as_deref() {
                // invalid_authorization_specification and invalid_password,
                // invalid_catalog_name, insufficient_privilege
                Some("28000" | "28P01" | "3D000" | "42501") => Self::Refused(text),
                Some("53300") => Self::Unavailable(format!("the server has no connection left for us: {text}")),
                _ => error.into(),
            },
            // rustls reports a certificate that it does not trust as data that is invalid.
            sqlx::Error::Io(io) if io.kind() == std::io::ErrorKind::InvalidData => {
                Self::Refused(format!("TLS: {text}"))
            }
            sqlx::Error::Tls(_) | sqlx::Error::Configuration(_) => Self::Refused(text),
            _ => error.into(),
        }
    }

    /// The same, with the place where it happened.
    pub(super) fn at(self, place: &str) -> Self {
        let at = |cause| format!("{place}: {cause}");
        match self {
            Self::Conflict(cause) => Self::Conflict(at(cause)),
            Self::Unknown(cause) => Self::Unknown(at(cause)),
            Self::Unavailable(cause) => Self::Unavailable(at(cause)),
            Self::Refused(cause) => Self::Refused(at(cause)),
        }
    }

    /// Said before any input has had a say: were it a refusal, the innocent would be
    /// parked because a password was changed.
    pub(super) fn not_the_inputs_fault(self) -> Self {
        match self {
            Self::Conflict(cause) | Self::Unknown(cause) | Self::Refused(cause) | Self::Unavailable(cause) => {
                Self::Unavailable(cause)
            }
        }
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        let text = error.to_string();
        match &error {
            sqlx::Error::Database(database) => match database.code().as_deref() {
                Some(code) => by_sqlstate(code, text),
                None => Self::Refused(text),
            },
            sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::Protocol(_) | sqlx::Error::BeginFailed => {
                Self::Unavailable(text)
            }
            _ => Self::Refused(text),
        }
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        let text = error.to_string();
        match error.sqlite_error() {
            Some(failure) => by_result_code(failure.extended_code, text),
            None => Self::Refused(text),
        }
    }
}

/// SQLite's extended result codes; the last byte is the primary one.
fn by_result_code(code: i32, text: String) -> StoreError {
    use rusqlite::ffi;
    match code {
        ffi::SQLITE_CONSTRAINT_PRIMARYKEY
        | ffi::SQLITE_CONSTRAINT_UNIQUE
        | ffi::SQLITE_CONSTRAINT_ROWID
        | ffi::SQLITE_BUSY_SNAPSHOT => return StoreError::Conflict(text),
        _ => {}
    }
    match code & 0xff {
        ffi::SQLITE_BUSY | ffi::SQLITE_LOCKED | ffi::SQLITE_IOERR | ffi::SQLITE_FULL | ffi::SQLITE_CANTOPEN => {
            StoreError::Unavailable(text)
        }
        _ => StoreError::Refused(text),
    }
}

/// Postgres: SQLSTATE (appendix A of its manual).
fn by_sqlstate(code: &str, text: String) -> StoreError {
    match code {
        // serialization_failure, deadlock_detected, unique_violation
        "40001" | "40P01" | "23505" => StoreError::Conflict(text),
        // operator intervention, connection exceptions, insufficient resources
        code if code.len() == 5 && (code.starts_with("57P") || code.starts_with("08") || code.starts_with("53")) => {
            StoreError::Unavailable(text)
        }
        // query_canceled (too slow, or by an administrator), lock_not_available (held too
        // long by another), idle_in_transaction_session_timeout: the server, not the input
        "57014" | "55P03" | "25P03" => StoreError::Unavailable(text),
        // read_only_sql_transaction: a replica after a failover; insufficient_privilege:
        // an administrator's mistake
        "25006" | "42501" => StoreError::Unavailable(text),
        _ => StoreError::Refused(text),
    }
}
