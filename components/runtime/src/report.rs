//! What a new process tells its maker, one message per packet, without allocation on the telling side.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use linux::{Errno, SysResult};

use crate::step::Step;

/// The longest subject of a failure that is told.
const SUBJECT: usize = 256;

/// Bytes of a packet: kind, step, error number, index, then the subject.
const PACKET: usize = 10 + SUBJECT;

/// One message.
#[derive(Debug)]
pub(crate) enum Message {
    /// The process in between has made the container's process: its id and a pidfd.
    Process(i32, OwnedFd),
    /// The mounts are there; the caller's hooks may run.
    Mounted,
    /// The terminal's master end.
    Terminal(OwnedFd),
    /// The system call filter's listener.
    Listener(OwnedFd),
    /// Waiting at the gate.
    Ready,
    /// A step failed.
    Failed(Failure),
    /// The other side has closed: executed or ended.
    Closed,
}

/// A step that failed in a new process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// What was being done.
    pub(crate) step: Step,
    /// Why not.
    pub(crate) errno: Errno,
    /// Which one of several of its kind.
    pub(crate) index: u32,
    /// To what; cut to a few hundred bytes.
    pub(crate) subject: String,
}

const PROCESS: u8 = 1;
const MOUNTED: u8 = 2;
const TERMINAL: u8 = 3;
const LISTENER: u8 = 4;
const READY: u8 = 5;
const FAILED: u8 = 6;

/// A failure on the telling side: borrows what it is about.
#[derive(Clone, Copy)]
pub(crate) struct Fault<'a> {
    pub(crate) step: Step,
    pub(crate) errno: Errno,
    pub(crate) index: usize,
    pub(crate) subject: &'a [u8],
}

/// The result of a step in a new process.
pub(crate) type StepResult<'a, T = ()> = Result<T, Fault<'a>>;

/// Says at which step a system call failed.
pub(crate) trait At<T> {
    /// At a step.
    fn at(self, step: Step) -> StepResult<'static, T>;
    /// At a step, about something.
    fn about(self, step: Step, subject: &[u8]) -> StepResult<'_, T>;
}

impl<T> At<T> for SysResult<T> {
    fn at(self, step: Step) -> StepResult<'static, T> {
        self.map_err(|errno| Fault { step, errno, index: 0, subject: b"" })
    }

    fn about(self, step: Step, subject: &[u8]) -> StepResult<'_, T> {
        self.map_err(|errno| Fault { step, errno, index: 0, subject })
    }
}

/// The telling end.
pub(crate) struct Teller<'a>(pub(crate) BorrowedFd<'a>);

impl Teller<'_> {
    /// Tells that the container's process was made.
    pub(crate) fn process(&self, pid: i32, pidfd: BorrowedFd<'_>) -> SysResult<()> {
        let mut packet = [0; 10];
        packet[0] = PROCESS;
        packet[2..6].copy_from_slice(&pid.to_ne_bytes());
        linux::descriptor::send(self.0, &packet, &[pidfd]).map(drop)
    }

    /// Tells that the mounts are there.
    pub(crate) fn mounted(&self) -> SysResult<()> {
        self.plain(MOUNTED, &[])
    }

    /// Hands the terminal's master end over.
    pub(crate) fn terminal(&self, master: BorrowedFd<'_>) -> SysResult<()> {
        self.plain(TERMINAL, &[master])
    }

    /// Hands the filter's listener over.
    pub(crate) fn listener(&self, listener: BorrowedFd<'_>) -> SysResult<()> {
        self.plain(LISTENER, &[listener])
    }

    /// Tells that the process waits at the gate.
    pub(crate) fn ready(&self) -> SysResult<()> {
        self.plain(READY, &[])
    }

    /// Tells a failure.
    pub(crate) fn fault(&self, fault: Fault<'_>) {
        let mut packet = [0; PACKET];
        packet[0] = FAILED;
        packet[1] = fault.step as u8;
        packet[2..6].copy_from_slice(&fault.errno.raw_os_error().to_ne_bytes());
        packet[6..10].copy_from_slice(&u32::try_from(fault.index).unwrap_or(u32::MAX).to_ne_bytes());
        let length = fault.subject.len().min(SUBJECT);
        packet[10..10 + length].copy_from_slice(&fault.subject[..length]);
        let _ = linux::descriptor::send(self.0, &packet[..10 + length], &[]);
    }

    /// Waits for the maker's word to go on; EPIPE when it has gone.
    pub(crate) fn wait(&self) -> SysResult<()> {
        let mut byte = [0];
        match linux::descriptor::receive(self.0, &mut byte, drop)? {
            0 => Err(Errno::PIPE),
            _ => Ok(()),
        }
    }

    fn plain(&self, kind: u8, descriptors: &[BorrowedFd<'_>]) -> SysResult<()> {
        let mut packet = [0; 10];
        packet[0] = kind;
        linux::descriptor::send(self.0, &packet, descriptors).map(drop)
    }
}

/// Receives one message. Packets of an unknown form count as a failure of the channel.
pub(crate) fn receive(channel: impl AsFd) -> SysResult<Message> {
    let mut packet = [0; PACKET];
    let mut descriptor = None;
    let length = linux::descriptor::receive(channel, &mut packet, |fd| descriptor = Some(fd))?;
    if length == 0 {
        return Ok(Message::Closed);
    }
    let packet = packet.get(..length).ok_or(Errno::PROTO)?;
    let number = |at: usize| -> SysResult<i32> {
        let bytes = packet.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).ok_or(Errno::PROTO)?;
        Ok(i32::from_ne_bytes(bytes))
    };
    Ok(match (packet.first().copied(), descriptor) {
        (Some(PROCESS), Some(pidfd)) => Message::Process(number(2)?, pidfd),
        (Some(MOUNTED), None) => Message::Mounted,
        (Some(TERMINAL), Some(master)) => Message::Terminal(master),
        (Some(LISTENER), Some(listener)) => Message::Listener(listener),
        (Some(READY), None) => Message::Ready,
        (Some(FAILED), None) => Message::Failed(Failure {
            step: Step::from_number(packet.get(1).copied().unwrap_or_default()),
            errno: Errno::from_raw_os_error(number(2)?.clamp(1, 4095)),
            index: u32::from_ne_bytes(number(6)?.to_ne_bytes()),
            subject: String::from_utf8_lossy(packet.get(10..).unwrap_or_default()).into_owned(),
        }),
        _ => return Err(Errno::PROTO),
    })
}

/// Both ends of a channel: the maker's and the new process's.
pub(crate) fn channel() -> SysResult<(OwnedFd, OwnedFd)> {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
    socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
}

/// The maker's word to go on.
pub(crate) fn proceed(channel: impl AsFd) -> SysResult<()> {
    linux::descriptor::send(channel, &[1], &[]).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_travel() {
        let (ours, theirs) = channel().unwrap();
        let subject = [b'x'; 1000];
        Teller(theirs.as_fd()).fault(Fault {
            step: Step::Mount,
            errno: Errno::NOENT,
            index: 7,
            subject: &subject,
        });
        let Message::Failed(failure) = receive(&ours).unwrap() else { panic!("no failure") };
        assert_eq!((failure.step, failure.errno, failure.index), (Step::Mount, Errno::NOENT, 7));
        assert_eq!(failure.subject.len(), SUBJECT);
        drop(theirs);
        assert!(matches!(receive(&ours), Ok(Message::Closed)));
    }

    #[test]
    fn nonsense_is_a_protocol_error() {
        let (ours, theirs) = channel().unwrap();
        for packet in
            [&[0][..], &[255; 5], &[PROCESS; 10], &[TERMINAL], &[FAILED, 1, 2], &[7; 266], &[MOUNTED; 1][..0]]
        {
            if packet.is_empty() {
                continue;
            }
            linux::descriptor::send(&theirs, packet, &[]).unwrap();
            assert_eq!(receive(&ours).unwrap_err(), Errno::PROTO, "{packet:?}");
        }
        // Longer than any packet, as an attacker inside the new process could send.
        linux::descriptor::send(&theirs, &[READY; 60_000], &[]).unwrap();
        assert!(matches!(receive(&ours), Ok(Message::Ready)));
    }

    #[test]
    fn random_packets_never_panic() {
        let (ours, theirs) = channel().unwrap();
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut random = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        for _ in 0..20_000 {
            let length = usize::try_from(random() % 300).unwrap() + 1;
            let mut packet: Vec<u8> = (0..length).map(|_| random().to_le_bytes()[3]).collect();
            packet[0] = random().to_le_bytes()[2] % 9;
            linux::descriptor::send(&theirs, &packet, &[]).unwrap();
            let _ = receive(&ours);
        }
    }
}
