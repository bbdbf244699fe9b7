//! The token that lets a call onto the gRPC port.
//!
//! Who has it is believed whatever identity it names, so it is for the shop's own
//! people and machines. `orderly up` makes one and keeps it in the data folder, where
//! only the owner can read it, and the command line finds it there.

use std::fs::{self, File, Permissions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

/// The file in the data folder.
pub(crate) const FILE: &str = "grpc-token";
/// Fewer characters could be guessed.
const SHORTEST: usize = 16;
/// More do not belong into a header.
const LONGEST: usize = 256;

/// What a call's token is compared with; not the token itself.
pub(crate) struct Token {
    digest: [u8; 32],
}

/// Where people find the token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Whereabouts {
    /// They gave it themselves.
    Given,
    /// In this file.
    Kept(PathBuf),
    /// Nowhere: it was made, and nobody was told.
    Nowhere,
}

impl Token {
    /// The token that was given; else the one in `folder`, made if it is missing; else
    /// one that nobody knows, with which nobody gets in.
    ///
    /// # Errors
    /// It is no token, or the file cannot be read or written.
    pub(crate) fn of_the_shop(given: Option<&str>, folder: Option<&Path>) -> anyhow::Result<(Self, Whereabouts)> {
        if let Some(given) = given {
            check(given).context("--grpc-token")?;
            return Ok((Self::of(given), Whereabouts::Given));
        }
        let Some(folder) = folder else {
            return Ok((Self::of(&fresh()), Whereabouts::Nowhere));
        };
        let file = folder.join(FILE);
        let token = match read(folder)? {
            Some(token) => token,
            None => keep(&file, fresh()).with_context(|| format!("{} cannot be written", file.display()))?,
        };
        Ok((Self::of(&token), Whereabouts::Kept(file)))
    }

    fn of(token: &str) -> Self {
        Self { digest: Sha256::digest(token).into() }
    }

    /// Whether an `authorization` header carries this token. Takes as long for every
    /// wrong one: what is compared are hashes, and all of each.
    pub(crate) fn admits(&self, authorization: &str) -> bool {
        let Some((scheme, token)) = authorization.split_once(' ') else { return false };
        let digest: [u8; 32] = Sha256::digest(token.trim()).into();
        let differences = digest.iter().zip(&self.digest).fold(0, |differences, (a, b)| differences | (a ^ b));
        scheme.eq_ignore_ascii_case("bearer") && differences == 0
    }
}

/// The token in a data folder; `None` if there is none yet.
///
/// # Errors
/// The file cannot be read, or holds something else.
pub(crate) fn read(folder: &Path) -> anyhow::Result<Option<String>> {
    let file = folder.join(FILE);
    let token = match fs::read_to_string(&file) {
        Ok(text) => text.trim().to_owned(),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("{} cannot be read", file.display())),
    };
    check(&token)
        .with_context(|| format!("{}; remove the file, and the next start makes a new one", file.display()))?;
    Ok(Some(token))
}

fn check(token: &str) -> anyhow::Result<()> {
    if !(SHORTEST..=LONGEST).contains(&token.len()) || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        bail!("a token is {SHORTEST} to {LONGEST} visible ASCII characters without spaces");
    }
    Ok(())
}

/// 244 random bits.
fn fresh() -> String {
    format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple())
}

/// Writes the token where only the owner can read it.
///
/// # On crash
/// The file is there whole or not at all: it is written beside its place and then moved.
fn keep(file: &Path, token: String) -> std::io::Result<String> {
    let beside = file.with_extension("new");
    let mut new = File::options().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
    // The mode above is only for a file that is made; this one may have been left over.
    new.set_permissions(Permissions::from_mode(0o600))?;
    writeln!(new, "{token}")?;
    new.sync_all()?;
    fs::rename(&beside, file)?;
    Ok(token)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_token_is_made_once_and_is_the_owner_s_alone() {
        let folder = tempfile::tempdir().unwrap();
        let (first, whereabouts) = Token::of_the_shop(None, Some(folder.path())).unwrap();
        let file = folder.path().join(FILE);
        assert_eq!(whereabouts, Whereabouts::Kept(file.clone()));
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let token = read(folder.path()).unwrap().unwrap();
        let (second, _) = Token::of_the_shop(None, Some(folder.path())).unwrap();
        for shop in [first, second] {
            assert!(shop.admits(&format!("Bearer {token}")) && shop.admits(&format!("bearer {token}")));
        }
    }

    #[test]
    fn only_the_whole_token_admits() {
        let (shop, whereabouts) = Token::of_the_shop(Some("0123456789abcdef"), None).unwrap();
        assert_eq!(whereabouts, Whereabouts::Given);
        assert!(shop.admits("Bearer 0123456789abcdef"));
        for wrong in ["", "Bearer", "Bearer ", "0123456789abcdef", "Basic 0123456789abcdef", "Bearer 0123456789abcde"] {
            assert!(!shop.admits(wrong), "{wrong}");
        }
    }

    #[test]
    fn without_a_folder_a_token_is_made_that_nobody_knows() {
        let (shop, whereabouts) = Token::of_the_shop(None, None).unwrap();
        assert_eq!(whereabouts, Whereabouts::Nowhere);
        assert!(!shop.admits("Bearer "));
    }

    #[test]
    fn what_is_no_token_is_refused_with_its_place() {
        let long = "x".repeat(LONGEST + 1);
        for wrong in ["", "short", "sixteen letters!", "sixteen-letters\u{e9}", &long] {
            let refused = Token::of_the_shop(Some(wrong), None).err().unwrap();
            assert!(format!("{refused:#}").contains("--grpc-token"), "{refused:#}");
        }
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(FILE), "\n").unwrap();
        let refused = Token::of_the_shop(None, Some(folder.path())).err().unwrap();
        assert!(format!("{refused:#}").contains(FILE), "{refused:#}");
    }
}
