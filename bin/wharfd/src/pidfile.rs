//! The pid file: refuses a second engine on the same one, forgives what a crash left behind.

use std::io;
use std::path::{Path, PathBuf};

/// A written pid file; removed when dropped.
#[derive(Debug)]
pub(crate) struct PidFile {
    path: PathBuf,
}

impl PidFile {
    /// Writes our number.
    ///
    /// # Errors
    /// With dockerd's words, when the process named in the file runs, or the file can't be written.
    pub(crate) fn create(path: &Path) -> Result<Self, String> {
        if let Some(pid) = running(path) {
            return Err(format!(
                "failed to start daemon, ensure docker is not running or delete {}: process with PID {pid} is still running",
                path.display()
            ));
        }
        let write = || -> io::Result<()> {
            if let Some(parent) = path.parent() {
                std::fs::create_dir_all(parent)?;
            }
            std::fs::write(path, std::process::id().to_string())
        };
        write().map_err(|error| format!("failed to start daemon: write {}: {error}", path.display()))?;
        Ok(Self { path: path.to_owned() })
    }
}

/// The number in the file, if that process is another than this one and lives.
fn running(path: &Path) -> Option<u32> {
    let pid: u32 = std::fs::read_to_string(path).ok()?.trim().parse().ok()?;
    if pid == std::process::id() {
        return None;
    }
    let state = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // A zombie waits for its parent and serves nobody.
    let zombie = state.rsplit_once(')').is_some_and(|(_, rest)| rest.trim_start().starts_with('Z'));
    (!zombie).then_some(pid)
}

impl Drop for PidFile {
    fn drop(&mut self) {
        let ours =
            std::fs::read_to_string(&self.path).is_ok_and(|text| text == std::process::id().to_string());
        if ours {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn living_processes_are_respected_and_dead_ones_forgotten() {
        let path = std::env::temp_dir().join(format!("wharfd-pid-{}", std::process::id()));
        std::fs::write(&path, "1").unwrap();
        assert!(PidFile::create(&path).unwrap_err().ends_with("process with PID 1 is still running"));
        for stale in ["4194999", "nonsense", ""] {
            std::fs::write(&path, stale).unwrap();
            let file = PidFile::create(&path).unwrap();
            assert_eq!(std::fs::read_to_string(&path).unwrap(), std::process::id().to_string());
            drop(file);
            assert!(!path.exists());
        }
    }
}
