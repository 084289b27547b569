//! Counters of a sandbox's interfaces.

use std::collections::BTreeMap;

/// Counters of one interface since it was made, as the container sees them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct InterfaceCounters {
    /// Bytes received.
    pub rx_bytes: u64,
    /// Packets received.
    pub rx_packets: u64,
    /// Receive errors.
    pub rx_errors: u64,
    /// Packets dropped on receive.
    pub rx_dropped: u64,
    /// Bytes sent.
    pub tx_bytes: u64,
    /// Packets sent.
    pub tx_packets: u64,
    /// Send errors.
    pub tx_errors: u64,
    /// Packets dropped on send.
    pub tx_dropped: u64,
}

/// Counters by interface name (without `lo`, as Docker) of the network namespace a process lives in.
///
/// # Errors
/// When the process is gone.
pub fn read(pid: u32) -> std::io::Result<BTreeMap<String, InterfaceCounters>> {
    std::fs::read_to_string(format!("/proc/{pid}/net/dev")).map(|text| parse(&text))
}

fn parse(text: &str) -> BTreeMap<String, InterfaceCounters> {
    text.lines().skip(2).filter_map(parse_line).filter(|(name, _)| name != "lo").collect()
}

fn parse_line(line: &str) -> Option<(String, InterfaceCounters)> {
    let (name, counters) = line.split_once(':')?;
    let values: Vec<u64> = counters.split_whitespace().map(|value| value.parse().unwrap_or(0)).collect();
    let at = |index: usize| values.get(index).copied().unwrap_or(0);
    let counters = InterfaceCounters {
        rx_bytes: at(0),
        rx_packets: at(1),
        rx_errors: at(2),
        rx_dropped: at(3),
        tx_bytes: at(8),
        tx_packets: at(9),
        tx_errors: at(10),
        tx_dropped: at(11),
    };
    Some((name.trim().to_owned(), counters))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proc_net_dev_is_read_by_column() {
        let text = "Inter-|   Receive |  Transmit\n face |bytes\n    lo: 1 1 0 0 0 0 0 0 1 1 0 0 0 0 0 0\n  \
                    eth0:    1086      13    1    2    0     0          0         0      866      11    3    4    0     0       0          0\n";
        let counters = parse(text);
        assert_eq!(counters.len(), 1);
        let expected = InterfaceCounters {
            rx_bytes: 1086,
            rx_packets: 13,
            rx_errors: 1,
            rx_dropped: 2,
            tx_bytes: 866,
            tx_packets: 11,
            tx_errors: 3,
            tx_dropped: 4,
        };
        assert_eq!(counters["eth0"], expected);
    }
}
