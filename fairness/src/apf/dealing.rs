//! How well shuffle sharding keeps flows apart.

/// The most random bits a dealing may need: a server refuses a level that needs more.
pub const MAX_ENTROPY_BITS: u32 = 60;

/// The random bits that dealing a hand takes: one draw out of all queues for each card.
///
/// At most [`MAX_ENTROPY_BITS`] pass the server's validation.
pub fn entropy_bits(queues: u32, hand: u32) -> u32 {
    let bits = f64::from(queues.max(1)).log2() * f64::from(hand);
    // Exact powers of two come out exact; the largest product is below 2^38.
    bits.ceil() as u32
}

/// The chance, 0 to 1, that the hands of some heavy flows hold every queue of a quiet flow's hand.
///
/// Then the quiet flow waits behind a heavy one whichever queue it is put into. Hands are dealt evenly and
/// independently. Source: the Markov chain of KEP-1040, over how many queues of the quiet hand are still free; a heavy
/// hand takes a hypergeometric number of them. Costs `heavy` x `hand`^2 steps.
pub fn covered(queues: u32, hand: u32, heavy: u32) -> f64 {
    let hand = hand.min(queues);
    // `free[i]`: the chance that i queues of the quiet hand are in no heavy hand so far.
    let mut free: Vec<f64> = (0..=hand).map(|left| if left == hand { 1.0 } else { 0.0 }).collect();
    let hands = choose(queues, hand);
    for _ in 0..heavy {
        free = (0..=hand)
            .map(|left| {
                let after = |(before, chance): (u32, &f64)| {
                    let taken = before.saturating_sub(left);
                    let ways = choose(before, taken)
                        * choose(queues.saturating_sub(before), hand.saturating_sub(taken));
                    chance * ways / hands
                };
                (0..=hand).zip(&free).filter(|(before, _)| *before >= left).map(after).sum()
            })
            .collect();
    }
    free.first().copied().unwrap_or(0.0)
}

/// In how many ways some can be chosen out of all.
fn choose(all: u32, some: u32) -> f64 {
    if some > all {
        return 0.0;
    }
    (0..some).fold(1.0, |ways, done| {
        ways * f64::from(all.saturating_sub(done)) / f64::from(done.saturating_add(1))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dealing_needs_one_draw_a_card() {
        for (queues, hand, bits) in [(128, 6, 42), (64, 6, 36), (512, 6, 54), (1024, 6, 60), (9, 3, 10)] {
            assert_eq!(entropy_bits(queues, hand), bits);
        }
        assert_eq!((entropy_bits(1, 1), entropy_bits(0, 1)), (0, 0));
        assert!(entropy_bits(1025, 6) > MAX_ENTROPY_BITS);
    }

    #[test]
    fn the_chances_are_those_of_the_published_table() {
        let table = [
            (64, [1.3e-8, 7.5e-4, 0.24, 0.99]),
            (128, [1.8e-10, 1.6e-5, 0.022, 0.75]),
            (256, [2.7e-12, 3.0e-7, 0.0009, 0.23]),
            (512, [4.1e-14, 5.0e-9, 0.00002, 0.022]),
            (1024, [6.3e-16, 8e-11, 5e-7, 0.0009]),
        ];
        for (queues, chances) in table {
            for (heavy, expected) in [1, 4, 16, 64].into_iter().zip(chances) {
                let got = covered(queues, 6, heavy);
                assert!((got / expected - 1.0).abs() < 0.15, "{queues} queues, {heavy} heavy: {got}");
            }
        }
    }

    #[test]
    fn no_heavy_flow_covers_nothing_and_one_queue_is_always_covered() {
        assert_eq!((covered(64, 6, 0), covered(1, 1, 1), covered(4, 9, 1)), (0.0, 1.0, 1.0));
    }
}
