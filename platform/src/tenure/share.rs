//! The **fair share**: how many partitions each member holds.
//!
//! All members are sorted in one order (that of their ids, which is roughly the order in
//! which they started); everybody gets the same number, and the first ones one more if
//! it does not come out even. So everybody who sees the same members comes to the same
//! shares; together these are all partitions, and each member may take its own
//! without asking anybody.
//!
//! When a member goes, nobody's share shrinks; when one comes, nobody else's grows. So
//! nothing moves but what must.

/// How many of `partitions` belong to `me`.
pub(super) fn fair(members: &[String], me: &str, partitions: u32) -> usize {
    let partitions = partitions as usize;
    // Who does not see himself sees nobody: he is as good as alone.
    let Some(rank) = members.iter().position(|member| member == me) else { return partitions };
    partitions / members.len() + usize::from(rank < partitions % members.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shares(members: usize, partitions: u32) -> Vec<usize> {
        let members: Vec<String> = (0..members).map(|member| format!("{member:03}")).collect();
        members.iter().map(|me| fair(&members, me, partitions)).collect()
    }

    #[test]
    fn shares_are_equal_but_for_one() {
        assert_eq!(shares(1, 8), [8]);
        assert_eq!(shares(2, 8), [4, 4]);
        assert_eq!(shares(3, 8), [3, 3, 2]);
        assert_eq!(shares(9, 8), [1, 1, 1, 1, 1, 1, 1, 1, 0]);
    }

    #[test]
    fn together_the_shares_are_all_partitions() {
        for partitions in 1..20 {
            for members in 1..30 {
                assert_eq!(shares(members, partitions).iter().sum::<usize>(), partitions as usize);
            }
        }
    }

    #[test]
    fn when_a_member_goes_nobody_gives_anything_back() {
        for partitions in 1..20 {
            for members in 2..20 {
                let before = shares(members, partitions);
                let after = shares(members - 1, partitions);
                for gone in 0..members {
                    let rest = before.iter().enumerate().filter(|(rank, _)| *rank != gone).map(|(_, share)| share);
                    assert!(rest.zip(&after).all(|(before, after)| before <= after), "{members} of {partitions}");
                }
            }
        }
    }

    #[test]
    fn who_does_not_see_himself_takes_what_is_free() {
        assert_eq!(fair(&[], "a", 8), 8);
    }
}
