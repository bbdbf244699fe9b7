//! The data folder: made at the first start, locked while a shop runs in it.

use std::fs::{DirBuilder, File, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

/// A locked data folder. The lock ends with the process, however it ends.
pub(crate) struct DataDir {
    path: PathBuf,
    /// Holds the lock as long as it is open.
    _lock: File,
}

impl DataDir {
    /// Makes the folder if it is missing, and locks it.
    ///
    /// # Errors
    /// It cannot be made, or another shop holds it: then the message says who.
    pub(crate) fn lock(path: &Path) -> anyhow::Result<Self> {
        // Accounts and orders are nobody else's business.
        DirBuilder::new().recursive(true).mode(0o700).create(path).with_context(|| {
            format!("the data folder {} cannot be made; choose another with --data-dir", path.display())
        })?;
        let file = path.join("orderly.lock");
        let mut lock = File::options()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(&file)
            .with_context(|| format!("the data folder {} cannot be written to", path.display()))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                // What cannot be read is told without the number.
                let _ = lock.read_to_string(&mut holder);
                bail!(
                    "the data folder {} is in use by another orderly (process {}); stop that one, or choose another \
                     folder with --data-dir",
                    path.display(),
                    holder.trim()
                );
            }
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("{} cannot be locked", file.display()));
            }
        }
        lock.set_len(0)?;
        lock.rewind()?;
        writeln!(lock, "{}", std::process::id())?;
        lock.flush()?;
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_second_shop_is_told_who_holds_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/data");
        let first = DataDir::lock(&path).unwrap();
        let refused = DataDir::lock(&path).err().unwrap().to_string();
        assert!(refused.contains(&std::process::id().to_string()), "{refused}");
        drop(first);
        assert!(DataDir::lock(&path).is_ok());
    }
}
