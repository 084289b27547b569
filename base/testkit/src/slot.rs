//! A number from 0 to 199 that no other running test holds: it decides names and addresses.

use std::fs::{File, OpenOptions};
use std::path::Path;

/// A held number; given back when dropped or when the process dies, whatever way.
#[derive(Debug)]
pub struct Slot {
    number: u8,
    _lock: File,
}

const DIRECTORY: &str = "/run/wharf-test-slots";
const COUNT: u8 = 200;

/// The second number of slot 0's addresses.
pub(crate) const FIRST_RANGE: u8 = 40;

impl Slot {
    /// Takes the first free number.
    pub fn take() -> Self {
        std::fs::create_dir_all(DIRECTORY).expect("make the folder of slots");
        for number in 0..COUNT {
            let path = Path::new(DIRECTORY).join(number.to_string());
            let file =
                OpenOptions::new().create(true).truncate(false).write(true).open(path).expect("open a slot");
            if rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive).is_ok() {
                return Self { number, _lock: file };
            }
        }
        panic!("all {COUNT} test slots are taken");
    }

    /// The number.
    pub fn number(&self) -> u8 {
        self.number
    }

    /// The bridge of an engine in this slot; short enough for an interface name.
    pub fn bridge(&self) -> String {
        format!("wtest{}", self.number)
    }

    /// Address and prefix of that bridge, a range of its own as large as Docker's.
    pub fn bridge_address(&self) -> String {
        format!("10.{}.0.1/16", u16::from(FIRST_RANGE) + u16::from(self.number))
    }

    /// The cgroup all containers of that engine are under.
    pub fn cgroup_parent(&self) -> String {
        format!("/wharf-test-{}", self.number)
    }
}
