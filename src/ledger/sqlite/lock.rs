//! The lock beside the database: the file `<database>.lock`, locked by the system for as long as its holder lives. A
//! takeover puts another file in its place: the old holder keeps a lock on a file that nobody finds any more.

use std::fs::{File, TryLockError};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use uuid::Uuid;

use crate::ledger::OpenError;

/// Takes the lock. It is held while the file lives.
///
/// # Errors
/// [`OpenError::Held`] if another process has it; what the file system says.
pub fn take(path: &Path) -> Result<File, OpenError> {
    let beside = beside(path, ".lock");
    loop {
        let file = open(&beside)?;
        match file.try_lock() {
            // Unless it was replaced between the opening and the locking.
            Ok(()) if is_at(&file, &beside) => return Ok(file),
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(OpenError::Held { what: path.display().to_string() }),
            Err(TryLockError::Error(why)) => return Err(unfit(&beside, &why)),
        }
    }
}

/// Takes the lock from whoever has it, by a new file in the place of the old one.
///
/// # Errors
/// What the file system says.
pub fn take_over(path: &Path) -> Result<File, OpenError> {
    let (beside, new) = (beside(path, ".lock"), beside(path, &format!(".lock.{}", Uuid::new_v4().simple())));
    let file = open(&new)?;
    // Nobody else knows this name, so that it can be locked before it is in its place.
    file.try_lock().map_err(|why| unfit(&new, &why.into()))?;
    std::fs::rename(&new, &beside).map_err(|why| unfit(&beside, &why))?;
    Ok(file)
}

fn beside(path: &Path, end: &str) -> PathBuf {
    let mut beside = path.as_os_str().to_owned();
    beside.push(end);
    PathBuf::from(beside)
}

fn open(path: &Path) -> Result<File, OpenError> {
    File::options().create(true).truncate(false).write(true).open(path).map_err(|why| unfit(path, &why))
}

fn is_at(file: &File, path: &Path) -> bool {
    let same =
        |(ours, there): (std::fs::Metadata, std::fs::Metadata)| (ours.dev(), ours.ino()) == (there.dev(), there.ino());
    file.metadata().ok().zip(std::fs::metadata(path).ok()).is_some_and(same)
}

fn unfit(path: &Path, why: &std::io::Error) -> OpenError {
    OpenError::Unfit { why: format!("{}: {why}", path.display()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_has_it_until_it_is_taken_over_or_let_go() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("kiez.db");
        let first = take(&path).expect("free");
        assert!(matches!(take(&path), Err(OpenError::Held { .. })));
        let second = take_over(&path).expect("taken over");
        assert!(matches!(take(&path), Err(OpenError::Held { .. })), "the new file is locked");
        drop(first);
        assert!(matches!(take(&path), Err(OpenError::Held { .. })), "the old one's end frees nothing");
        drop(second);
        take(&path).expect("free again");
        let left: Vec<_> = std::fs::read_dir(folder.path()).expect("a folder").collect();
        assert_eq!(left.len(), 1, "nothing else is left behind: {left:?}");
    }
}
