//! Users and groups of a user namespace: what a number inside is outside.

/// The ranges of a user namespace.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IdMap {
    /// Of users.
    pub users: Vec<IdRange>,
    /// Of groups.
    pub groups: Vec<IdRange>,
}

/// Numbers that follow one another on both sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdRange {
    /// The first one inside.
    pub inside: u32,
    /// The first one outside.
    pub outside: u32,
    /// How many.
    pub size: u32,
}

/// What the kernel shows for a number that has no other side.
const NOBODY: u32 = 65_534;

impl IdMap {
    /// User and group outside of ones inside; none when there is no such one.
    pub fn outside(&self, user: u32, group: u32) -> Option<(u32, u32)> {
        let find = |ranges: &[IdRange], id: u32| {
            ranges.iter().find_map(|range| shift(id, range.inside, range.outside, range.size))
        };
        Some((find(&self.users, user)?, find(&self.groups, group)?))
    }

    /// User and group inside of ones outside.
    pub fn inside(&self, user: u32, group: u32) -> (u32, u32) {
        let find = |ranges: &[IdRange], id: u32| {
            let found = ranges.iter().find_map(|range| shift(id, range.outside, range.inside, range.size));
            found.unwrap_or(NOBODY)
        };
        (find(&self.users, user), find(&self.groups, group))
    }
}

fn shift(id: u32, from: u32, to: u32, size: u32) -> Option<u32> {
    let place = id.checked_sub(from).filter(|place| *place < size)?;
    to.checked_add(place)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_go_both_ways() {
        let range = |inside, outside, size| IdRange { inside, outside, size };
        let map = IdMap {
            users: vec![range(0, 1000, 1), range(1, 100_000, 65_535)],
            groups: vec![range(0, 200_000, 65_536)],
        };
        for (inside, outside) in [((0, 0), (1000, 200_000)), ((1, 7), (100_000, 200_007))] {
            assert_eq!(map.outside(inside.0, inside.1), Some(outside));
            assert_eq!(map.inside(outside.0, outside.1), inside);
        }
        assert_eq!(map.outside(65_536, 0), None);
        assert_eq!(map.outside(0, u32::MAX), None);
        assert_eq!(map.inside(0, 0), (NOBODY, NOBODY));
    }
}
