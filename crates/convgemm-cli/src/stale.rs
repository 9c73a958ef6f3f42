//! Temporary files, and the removal of those whose program was killed before it could.

use std::collections::BTreeSet;
use std::fs::{OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tempfile::{Builder, NamedTempFile};

const PREFIX: &str = ".convgemm-";
const SUFFIX: &str = ".tmp";

/// Younger files may have been made by a program that had no time to lock them yet.
const GRACE: Duration = Duration::from_secs(60);

/// A temporary file in `folder`, locked for as long as it is open: the system takes the lock away from a
/// program that ends in any way, so a file without one belongs to nobody.
///
/// # Errors
/// A folder in which no file can be made.
pub fn temporary(folder: &Path, adjust: impl FnOnce(&mut Builder<'_, '_>)) -> io::Result<NamedTempFile> {
    sweep_once(folder);
    let mut builder = Builder::new();
    builder.prefix(PREFIX).suffix(SUFFIX);
    adjust(&mut builder);
    let file = builder.tempfile_in(folder)?;
    // Where the file system knows no locks, nothing is ever found unlocked and removed.
    let _ = file.as_file().lock();
    Ok(file)
}

/// Once a run, because a folder may hold many results.
fn sweep_once(folder: &Path) {
    static SWEPT: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());
    if SWEPT.lock().unwrap_or_else(PoisonError::into_inner).insert(folder.to_owned()) {
        sweep(folder);
    }
}

/// Removes what can be removed: what stays is no reason not to write a result.
fn sweep(folder: &Path) {
    let Ok(entries) = folder.read_dir() else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let is_ours = name.to_str().is_some_and(|name| name.starts_with(PREFIX) && name.ends_with(SUFFIX));
        if is_ours && is_abandoned(&entry.path()).unwrap_or(false) {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

fn is_abandoned(path: &Path) -> io::Result<bool> {
    let found = path.symlink_metadata()?;
    // Opening a pipe of that name would wait for its reader.
    let is_old = found.modified()?.elapsed().is_ok_and(|age| age >= GRACE);
    if !found.is_file() || !is_old {
        return Ok(false);
    }
    // Network file systems lock only what is open for writing.
    match OpenOptions::new().write(true).open(path)?.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::time::SystemTime;

    #[test]
    fn only_old_temporary_files_that_no_program_holds_are_removed() {
        let folder = tempfile::tempdir().unwrap();
        let make = |name: &str, age: Duration| {
            let file = File::create(folder.path().join(name)).unwrap();
            file.set_modified(SystemTime::now() - age).unwrap();
            file
        };
        let hour = Duration::from_secs(3600);
        let held = make(".convgemm-held.tmp", hour);
        held.lock().unwrap();
        drop(make(".convgemm-dead.tmp", hour));
        drop(make(".convgemm-young.tmp", Duration::ZERO));
        drop(make(".other-dead.tmp", hour));
        drop(make("convgemm.tmp", hour));
        sweep(folder.path());
        let names = || {
            let entries = folder.path().read_dir().unwrap();
            let mut names: Vec<_> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
            names.sort();
            names
        };
        assert_eq!(names(), [".convgemm-held.tmp", ".convgemm-young.tmp", ".other-dead.tmp", "convgemm.tmp"]);
        drop(held);
        sweep(folder.path());
        assert_eq!(names(), [".convgemm-young.tmp", ".other-dead.tmp", "convgemm.tmp"]);
    }

    #[test]
    fn a_temporary_file_is_locked_while_it_is_in_use() {
        let folder = tempfile::tempdir().unwrap();
        let file = temporary(folder.path(), |_| {}).unwrap();
        file.as_file().set_modified(SystemTime::now() - 2 * GRACE).unwrap();
        sweep(folder.path());
        assert!(file.path().exists());
    }
}
