//! Error numbers in the words people know from runtimes written in Go, without allocation.

use crate::Errno;

/// The text of an error number.
pub fn text(error: Errno) -> &'static str {
    let number = error.raw_os_error();
    let found = TEXTS.binary_search_by_key(&number, |(number, _)| *number).ok();
    found.and_then(|index| TEXTS.get(index)).map_or("unknown error", |(_, text)| text)
}

/// By number, ascending; Linux numbers shared by all architectures wharf runs on.
const TEXTS: [(i32, &str); 76] = [
    (1, "operation not permitted"),
    (2, "no such file or directory"),
    (3, "no such process"),
    (4, "interrupted system call"),
    (5, "input/output error"),
    (6, "no such device or address"),
    (7, "argument list too long"),
    (8, "exec format error"),
    (9, "bad file descriptor"),
    (10, "no child processes"),
    (11, "resource temporarily unavailable"),
    (12, "cannot allocate memory"),
    (13, "permission denied"),
    (14, "bad address"),
    (15, "block device required"),
    (16, "device or resource busy"),
    (17, "file exists"),
    (18, "invalid cross-device link"),
    (19, "no such device"),
    (20, "not a directory"),
    (21, "is a directory"),
    (22, "invalid argument"),
    (23, "too many open files in system"),
    (24, "too many open files"),
    (25, "inappropriate ioctl for device"),
    (26, "text file busy"),
    (27, "file too large"),
    (28, "no space left on device"),
    (29, "illegal seek"),
    (30, "read-only file system"),
    (31, "too many links"),
    (32, "broken pipe"),
    (33, "numerical argument out of domain"),
    (34, "numerical result out of range"),
    (35, "resource deadlock avoided"),
    (36, "file name too long"),
    (37, "no locks available"),
    (38, "function not implemented"),
    (39, "directory not empty"),
    (40, "too many levels of symbolic links"),
    (61, "no data available"),
    (62, "timer expired"),
    (71, "protocol error"),
    (74, "bad message"),
    (75, "value too large for defined data type"),
    (79, "can not access a needed shared library"),
    (80, "accessing a corrupted shared library"),
    (83, "cannot exec a shared library directly"),
    (84, "invalid or incomplete multibyte or wide character"),
    (87, "too many users"),
    (88, "socket operation on non-socket"),
    (90, "message too long"),
    (92, "protocol not available"),
    (93, "protocol not supported"),
    (95, "operation not supported"),
    (97, "address family not supported by protocol"),
    (98, "address already in use"),
    (99, "cannot assign requested address"),
    (100, "network is down"),
    (101, "network is unreachable"),
    (103, "software caused connection abort"),
    (104, "connection reset by peer"),
    (105, "no buffer space available"),
    (107, "transport endpoint is not connected"),
    (110, "connection timed out"),
    (111, "connection refused"),
    (112, "host is down"),
    (113, "no route to host"),
    (116, "stale file handle"),
    (117, "structure needs cleaning"),
    (121, "remote I/O error"),
    (122, "disk quota exceeded"),
    (123, "no medium found"),
    (124, "wrong medium type"),
    (125, "operation canceled"),
    (126, "required key not available"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_found_by_number() {
        assert!(TEXTS.is_sorted_by_key(|(number, _)| *number));
        for (error, expected) in [
            (Errno::NOENT, "no such file or directory"),
            (Errno::NOEXEC, "exec format error"),
            (Errno::LOOP, "too many levels of symbolic links"),
            (Errno::from_raw_os_error(4000), "unknown error"),
        ] {
            assert_eq!(text(error), expected);
        }
    }
}
