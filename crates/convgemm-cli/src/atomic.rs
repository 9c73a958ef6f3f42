//! Files that appear whole or not at all.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use tempfile::NamedTempFile;

use crate::stale;

/// A file to be written: opened before the work starts, so that a place that cannot be written is known
/// early, and moved over its name when all of it is there.
pub struct Output {
    target: Target,
    path: PathBuf,
}

enum Target {
    /// Beside the file that it will replace, because a move within a folder is atomic.
    Replace { temporary: NamedTempFile, path: PathBuf },
    /// A device or a pipe, which must not be replaced by a file.
    Stream(File),
}

impl Output {
    /// # Errors
    /// A folder that does not exist, a place that may not be written, the name of a folder.
    pub fn create(path: &Path) -> Result<Self> {
        let target = Self::open(path).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(Self { target, path: path.to_owned() })
    }

    fn open(path: &Path) -> Result<Target> {
        if path.as_os_str().is_empty() {
            bail!("the name is empty");
        }
        let existing = match fs::metadata(path) {
            Ok(found) if found.is_dir() => bail!("it is a folder"),
            Ok(found) if !found.is_file() => {
                return Ok(Target::Stream(OpenOptions::new().write(true).open(path).map_err(plain)?));
            }
            Ok(found) => Some(found),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(plain(error)),
        };
        let mut path = path.to_owned();
        if existing.is_some() {
            // A move would replace a file that may not be written, and a link instead of what it names.
            OpenOptions::new().write(true).open(&path).map_err(plain)?;
            path = path.canonicalize().map_err(plain)?;
        }
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        if !folder.is_dir() {
            bail!("there is no folder {}", folder.display());
        }
        let permissions = existing.map(|found| found.permissions()).or_else(new_file_permissions);
        let temporary = stale::temporary(folder, |builder| {
            if let Some(permissions) = permissions {
                builder.permissions(permissions);
            }
        });
        let temporary = temporary.map_err(plain)?;
        Ok(Target::Replace { temporary, path })
    }

    /// Lets `produce` write the content, then puts the file in its place.
    ///
    /// # Errors
    /// Those of `produce`, and of the file system; the old file is then still as it was.
    pub fn write(self, produce: impl FnOnce(&mut dyn Write) -> Result<()>) -> Result<()> {
        let fill = |file: &File| -> Result<()> {
            let mut writer = BufWriter::with_capacity(1 << 16, file);
            produce(&mut writer)?;
            writer.flush().map_err(plain)
        };
        let done = match self.target {
            Target::Stream(file) => fill(&file),
            Target::Replace { temporary, path } => fill(temporary.as_file())
                .and_then(|()| temporary.persist(path).map(|_| ()).map_err(|failed| plain(failed.error))),
        };
        done.with_context(|| format!("cannot write {}", self.path.display()))
    }
}

/// What a new file gets from the system: all may read and write, less what the user's mask takes away.
/// Temporary files are for their owner only by default.
#[cfg(unix)]
fn new_file_permissions() -> Option<fs::Permissions> {
    use std::os::unix::fs::PermissionsExt;
    Some(fs::Permissions::from_mode(0o666))
}

#[cfg(not(unix))]
fn new_file_permissions() -> Option<fs::Permissions> {
    None
}

/// The error without the temporary file's name, which means nothing to the user.
fn plain(error: io::Error) -> anyhow::Error {
    match error.raw_os_error() {
        Some(code) => io::Error::from_raw_os_error(code).into(),
        None => anyhow::anyhow!("{}", error.kind()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_fails_half_way_leaves_the_old_one_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kept.txt");
        fs::write(&path, "old").unwrap();
        let failed = Output::create(&path).unwrap().write(|writer| {
            writer.write_all(b"half")?;
            bail!("the producer gave up")
        });
        assert!(format!("{:#}", failed.unwrap_err()).ends_with("the producer gave up"));
        assert_eq!(fs::read_to_string(&path).unwrap(), "old");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "the temporary file is gone");
    }

    #[test]
    fn a_finished_file_replaces_the_old_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new.txt");
        for content in ["first", "second"] {
            let output = Output::create(&path).unwrap();
            output.write(|writer| Ok(writer.write_all(content.as_bytes())?)).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), content);
        }
    }

    #[cfg(unix)]
    #[test]
    fn permissions_are_those_of_any_new_file_and_of_the_file_replaced() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let write = |path: &Path| Output::create(path).unwrap().write(|w| Ok(w.write_all(b"x")?)).unwrap();
        let (ours, plain) = (folder.path().join("ours"), folder.path().join("plain"));
        write(&ours);
        fs::write(&plain, "x").unwrap();
        assert_eq!(mode(&ours), mode(&plain));
        fs::set_permissions(&ours, fs::Permissions::from_mode(0o640)).unwrap();
        write(&ours);
        assert_eq!(mode(&ours), 0o640);
    }

    #[cfg(unix)]
    #[test]
    fn a_link_stays_a_link_and_a_device_stays_a_device() {
        let folder = tempfile::tempdir().unwrap();
        let (real, link) = (folder.path().join("real"), folder.path().join("link"));
        fs::write(&real, "old").unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        Output::create(&link).unwrap().write(|w| Ok(w.write_all(b"new")?)).unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read_to_string(&real).unwrap(), "new");

        let null = Output::create(Path::new("/dev/null")).unwrap();
        assert!(matches!(null.target, Target::Stream(_)));
    }
}
