//! Same request, same bits: alone, in company, in chunks, after its blocks moved to another runner.

use std::sync::OnceLock;

use llmd_engine::kv_cache::{BlockId, KvDtype};
use llmd_engine::runner::{ModelRunner, Runner};
use llmd_engine::step::LogitRows;
use llmd_kernels::Isa;
use parking_lot::Mutex;
use proptest::prelude::*;

use super::{Sequence, llmd_tiny, load, options, run};

/// Vocabulary of the demo model.
const VOCAB: u32 = 2048;

/// Runners that the cases share: one to compute alone, two for everything else.
fn runners() -> &'static Mutex<[ModelRunner; 3]> {
    static RUNNERS: OnceLock<Mutex<[ModelRunner; 3]>> = OnceLock::new();
    RUNNERS.get_or_init(|| {
        let alone = super::RunnerOptions { threads: Some(1), ..options(KvDtype::Bf16) };
        Mutex::new([alone, options(KvDtype::Bf16), options(KvDtype::Bf16)].map(|it| load(&llmd_tiny(), it)))
    })
}

/// Bits of a row of logits.
fn bits(row: &[f32]) -> Vec<u32> {
    row.iter().map(|it| it.to_bits()).collect()
}

/// Logits of the last prompt token and of each token of `continuation`, computed alone and in one piece.
fn alone(runner: &mut ModelRunner, prompt: &[u32], continuation: &[u32]) -> Vec<Vec<u32>> {
    let mut sequence = Sequence::new(prompt, 1);
    sequence.tokens.extend_from_slice(continuation);
    let mut rows = vec![bits(run(runner, vec![sequence.step(prompt.len(), LogitRows::Last)]).row(0))];
    for _ in continuation {
        rows.push(bits(run(runner, vec![sequence.step(1, LogitRows::Last)]).row(0)));
    }
    rows
}

fn prompts(lens: &[usize], seed: u32) -> Vec<Vec<u32>> {
    lens.iter()
        .enumerate()
        .map(|(i, &len)| {
            (0..len as u32).map(|j| (seed + 977 * i as u32 + 31 * j * j + 7 * j) % VOCAB).collect()
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 6, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn bits_do_not_depend_on_company_chunks_or_origin(
        lens in prop::collection::vec(1_usize..90, 16),
        chunk in 1_usize..60,
        seed in 0..VOCAB,
        moved_blocks in 0_u32..4,
    ) {
        let mut runners = runners().lock();
        let [lone, crowded, receiver] = &mut *runners;
        let prompts = prompts(&lens, seed);
        let continuation = [5, 900, 17];
        let expected: Vec<_> = prompts.iter().map(|it| alone(lone, it, &continuation)).collect();

        // All sixteen at once, each in chunks, so prompts of unequal length mix with decoding.
        let mut sequences: Vec<_> = prompts
            .iter()
            .zip(0..)
            .map(|(prompt, i)| {
                let mut sequence = Sequence::new(prompt, 1 + 8 * i);
                sequence.tokens.extend(continuation);
                sequence
            })
            .collect();
        let mut seen = vec![Vec::new(); sequences.len()];
        while sequences.iter().any(|it| it.computed < it.tokens.len()) {
            let (mut steps, mut rows) = (Vec::new(), Vec::new());
            for (i, sequence) in sequences.iter_mut().enumerate() {
                let prompt_left = lens[i].saturating_sub(sequence.computed);
                let n = prompt_left.min(chunk).max(1);
                if sequence.computed < sequence.tokens.len() {
                    let ends = sequence.computed + n >= lens[i];
                    steps.push(sequence.step(n, if ends { LogitRows::Last } else { LogitRows::None }));
                    rows.extend(ends.then_some(i));
                }
            }
            let logits = run(crowded, steps);
            for (row, &i) in rows.iter().enumerate() {
                seen[i].push(bits(logits.row(row)));
            }
        }
        prop_assert!(seen == expected, "in a batch of 16, chunks of {chunk}");

        // The first sequence's leading full blocks move to another runner, which computes the rest.
        let moved = moved_blocks.min((lens[0] as u32 - 1) / 16);
        let mut sequence = Sequence::new(&prompts[0], 40);
        sequence.tokens.extend(continuation);
        for block in 0..moved {
            let page = crowded.read_block(BlockId(1 + block));
            receiver.write_block(BlockId(40 + block), page);
        }
        sequence.computed = 16 * moved as usize;
        let rest = lens[0] - sequence.computed;
        let mut continued = vec![bits(run(receiver, vec![sequence.step(rest, LogitRows::Last)]).row(0))];
        for _ in continuation {
            continued.push(bits(run(receiver, vec![sequence.step(1, LogitRows::Last)]).row(0)));
        }
        prop_assert!(continued == expected[0], "after {moved} blocks moved");
    }
}

#[test]
fn every_instruction_set_gives_the_same_bits() {
    let prompts = prompts(&[37], 3);
    let mut expected = None;
    for isa in Isa::ALL {
        if !isa.is_available() {
            eprintln!("skipped: no {isa} here");
            continue;
        }
        let mut runner =
            load(&llmd_tiny(), super::RunnerOptions { isa: Some(isa), ..options(KvDtype::Bf16) });
        let rows = alone(&mut runner, &prompts[0], &[4, 8]);
        assert!(*expected.get_or_insert_with(|| rows.clone()) == rows, "{isa}");
    }
}

#[test]
fn a_page_that_was_read_never_changes() {
    let mut runner = load(&llmd_tiny(), options(KvDtype::Bf16));
    let prompts = prompts(&[16, 16], 9);
    run(&mut runner, vec![Sequence::new(&prompts[0], 1).step(16, LogitRows::None)]);
    let page = runner.read_block(BlockId(1));
    let before = page.bytes().to_vec();
    run(&mut runner, vec![Sequence::new(&prompts[1], 1).step(16, LogitRows::None)]);
    assert!(page.bytes() == before);
    assert!(runner.read_block(BlockId(1)).bytes() != before);
}
