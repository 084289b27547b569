//! A command on a pseudo terminal, so that tests can sit where a person sits.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::process::{Child, Command};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::pty::OpenptFlags;

/// A running command and the other side of its terminal.
#[derive(Debug)]
pub struct Terminal {
    child: Child,
    keyboard: File,
    screen: Arc<Mutex<String>>,
}

impl Terminal {
    /// Starts the command with a new terminal of 24 rows and 80 columns as its standard streams.
    pub fn spawn(command: &mut Command) -> Self {
        let master = rustix::pty::openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)
            .expect("open a terminal");
        rustix::pty::grantpt(&master).expect("grant the terminal");
        rustix::pty::unlockpt(&master).expect("unlock the terminal");
        let name = rustix::pty::ptsname(&master, Vec::new()).expect("name the terminal");
        let open = || -> OwnedFd {
            rustix::fs::open(
                name.as_c_str(),
                rustix::fs::OFlags::RDWR | rustix::fs::OFlags::NOCTTY,
                rustix::fs::Mode::empty(),
            )
            .expect("open the terminal's other side")
        };
        let size = rustix::termios::Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };
        rustix::termios::tcsetwinsize(&master, size).expect("size the terminal");
        let child = command
            .stdin(open())
            .stdout(open())
            .stderr(open())
            .spawn()
            .expect("start a command on a terminal");
        let keyboard = File::from(master);
        let screen = Arc::new(Mutex::new(String::new()));
        let (mut reader, seen) = (keyboard.try_clone().expect("share the terminal"), Arc::clone(&screen));
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count) = reader.read(&mut buffer) {
                if count == 0 {
                    break;
                }
                seen.lock().expect("the screen").push_str(&String::from_utf8_lossy(&buffer[..count]));
            }
        });
        Self { child, keyboard, screen }
    }

    /// Types text.
    pub fn type_text(&mut self, text: &str) {
        self.keyboard.write_all(text.as_bytes()).expect("type");
    }

    /// Changes the window's size.
    pub fn resize(&self, rows: u16, columns: u16) {
        let size = rustix::termios::Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        rustix::termios::tcsetwinsize(&self.keyboard, size).expect("resize the terminal");
        // The kernel tells the foreground process group of a controlling terminal; this command has none, so we do.
        crate::engine::signal(self.child.id(), rustix::process::Signal::WINCH);
    }

    /// Everything printed so far.
    pub fn screen(&self) -> String {
        self.screen.lock().expect("the screen").clone()
    }

    /// Waits until the text has been printed.
    #[track_caller]
    pub fn wait_for(&self, text: &str) {
        let deadline = Instant::now() + crate::patience(20);
        while !self.screen().contains(text) {
            assert!(Instant::now() < deadline, "{text:?} was not printed, but: {:?}", self.screen());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits for the command's end and returns its exit code.
    #[track_caller]
    pub fn exit_code(&mut self) -> i32 {
        let deadline = Instant::now() + crate::patience(20);
        loop {
            if let Some(status) = self.child.try_wait().expect("look at the command") {
                std::thread::sleep(Duration::from_millis(20));
                return status.code().unwrap_or(-1);
            }
            assert!(Instant::now() < deadline, "the command did not end: {:?}", self.screen());
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
