//! A runner without a model, and a KV connector without a network, for tests of everything around them.
//!
//! The runner's "KV" of a token is a digest of the whole text before it, read back from the pages it wrote, and
//! its logits are a function of those digests. So a wrong block table, a wrong position, a stale page or a page
//! of another text changes the answer, as it would with a real model, and usually from the next token on.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use llmd_api::kv_transfer::KvTransferParams;
use llmd_kv::hash::BlockHash;
use parking_lot::Mutex;

use crate::kv_cache::{BlockId, KvDtype, KvLayout, KvPage};
use crate::kv_transfer::{KvConnector, LeaseId, Offer, Pull, PullError, Pulled, TransferEvent};
use crate::request::SequenceId;
use crate::runner::{Logits, Runner, RunnerError};
use crate::step::{LogitRows, SequenceStep, StepPlan};

/// Tokens the fake model knows.
pub const VOCAB_SIZE: usize = 40;
/// A prompt with this token makes its step fail.
pub const FAIL_TOKEN: u32 = 1000;
/// A prompt with this token makes its step panic.
pub const PANIC_TOKEN: u32 = 1001;

/// Four numbers of 16 bits, each exact in an f32.
const HEAD_DIM: usize = 4;

/// Geometry of the fake model's cache.
#[must_use]
pub fn fake_layout(block_size: usize) -> KvLayout {
    KvLayout { n_layers: 1, n_kv_heads: 1, head_dim: HEAD_DIM, block_size, dtype: KvDtype::F32 }
}

fn mix(a: u64, b: u64) -> u64 {
    // Steele, Lea, Flood: SplitMix64.
    let mut z = (a ^ b.rotate_left(32)).wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Digest of everything up to a position; the KV of a token is `mix(digest before, token)`.
#[derive(Debug, Clone, Copy, Default)]
struct Digest {
    value: u64,
    n_tokens: u64,
}

impl Digest {
    fn kv_of(self, token: u32) -> u64 {
        mix(self.value, u64::from(token))
    }

    fn push_kv(&mut self, kv: u64) {
        self.n_tokens += 1;
        self.value = mix(self.value ^ kv, self.n_tokens);
    }

    fn logits(self) -> Vec<f32> {
        let logit = |token: u64| f32::from((mix(self.value, token) >> 48) as u16) / 8192.0 - 4.0;
        (0..VOCAB_SIZE as u64).map(logit).collect()
    }
}

/// The fake model's logits after `tokens`, computed without any cache.
#[must_use]
pub fn fake_logits(tokens: &[u32]) -> Vec<f32> {
    let mut digest = Digest::default();
    for &token in tokens {
        digest.push_kv(digest.kv_of(token));
    }
    digest.logits()
}

/// Pages of all blocks of `prompt`, as a prefill engine would have them.
#[must_use]
pub fn fake_pages(prompt: &[u32], block_size: usize) -> Vec<Arc<KvPage>> {
    let n_blocks = prompt.len().div_ceil(block_size);
    let mut runner = FakeRunner::new(block_size, n_blocks + 1);
    let blocks: Vec<BlockId> = (1..=u32::try_from(n_blocks).unwrap()).map(BlockId).collect();
    let step = SequenceStep {
        id: SequenceId(0),
        tokens: prompt.to_vec(),
        start: 0,
        blocks: blocks.clone(),
        logits: LogitRows::None,
    };
    runner.step(&StepPlan { sequences: vec![step] }, &mut Logits::default()).unwrap();
    blocks.into_iter().map(|id| runner.read_block(id)).collect()
}

/// See the module's text.
#[derive(Debug)]
pub struct FakeRunner {
    layout: KvLayout,
    pages: Vec<Arc<KvPage>>,
}

impl FakeRunner {
    /// A runner with `n_blocks` blocks, the null block included.
    #[must_use]
    pub fn new(block_size: usize, n_blocks: usize) -> Self {
        let layout = fake_layout(block_size);
        let page = Arc::new(KvPage::zeroed(&layout));
        Self { layout, pages: vec![page; n_blocks] }
    }

    fn read(&self, blocks: &[BlockId], position: usize) -> u64 {
        let block_size = self.layout.block_size;
        let KvPage::F32(page) = &*self.pages[blocks[position / block_size].index()] else {
            panic!("fake pages are f32")
        };
        let words = &page[position % block_size * HEAD_DIM..][..HEAD_DIM];
        words.iter().fold(0, |kv, &word| kv << 16 | word as u64)
    }

    fn write(&mut self, blocks: &[BlockId], position: usize, kv: u64) {
        let block_size = self.layout.block_size;
        let page = Arc::make_mut(&mut self.pages[blocks[position / block_size].index()]);
        let KvPage::F32(page) = page else { panic!("fake pages are f32") };
        let words = &mut page[position % block_size * HEAD_DIM..][..HEAD_DIM];
        for (word, shift) in words.iter_mut().zip([48, 32, 16, 0]) {
            *word = f32::from((kv >> shift) as u16);
        }
    }

    /// What a runner may rely on.
    fn check(&self, plan: &StepPlan) {
        let block_size = self.layout.block_size;
        let mut ids = HashSet::new();
        let mut users: HashMap<BlockId, usize> = HashMap::new();
        for step in &plan.sequences {
            assert!(ids.insert(step.id), "a sequence appears twice");
            assert!(!step.tokens.is_empty(), "nothing to compute");
            let end = step.start as usize + step.tokens.len();
            assert_eq!(step.blocks.len(), end.div_ceil(block_size), "blocks cover the positions");
            for id in &step.blocks {
                assert!((1..self.pages.len()).contains(&id.index()), "block {} is not usable", id.0);
                *users.entry(*id).or_default() += 1;
            }
        }
        for step in &plan.sequences {
            let written = &step.blocks[step.start as usize / block_size..];
            assert!(written.iter().all(|id| users[id] == 1), "a shared block is written");
        }
    }
}

impl Runner for FakeRunner {
    fn kv_layout(&self) -> &KvLayout {
        &self.layout
    }

    fn vocab_size(&self) -> usize {
        VOCAB_SIZE
    }

    fn step(&mut self, plan: &StepPlan, logits: &mut Logits) -> Result<(), RunnerError> {
        self.check(plan);
        logits.vocab_size = VOCAB_SIZE;
        logits.values.clear();
        for SequenceStep { tokens, start, blocks, logits: rows, .. } in &plan.sequences {
            assert!(!tokens.contains(&PANIC_TOKEN), "panic as asked");
            if tokens.contains(&FAIL_TOKEN) {
                return Err(RunnerError::Device("failure as asked".to_owned()));
            }
            let mut digest = Digest::default();
            for position in 0..*start as usize {
                digest.push_kv(self.read(blocks, position));
            }
            for (at, &token) in tokens.iter().enumerate() {
                let kv = digest.kv_of(token);
                self.write(blocks, *start as usize + at, kv);
                digest.push_kv(kv);
                let is_wanted = match rows {
                    LogitRows::None => false,
                    LogitRows::Last => at + 1 == tokens.len(),
                    LogitRows::All => true,
                };
                if is_wanted {
                    logits.values.extend(digest.logits());
                }
            }
        }
        Ok(())
    }

    fn read_block(&mut self, block: BlockId) -> Arc<KvPage> {
        Arc::clone(&self.pages[block.index()])
    }

    fn write_block(&mut self, block: BlockId, page: Arc<KvPage>) {
        self.pages[block.index()] = page;
    }
}

/// What becomes of a pull. Stands in `remote_cap` of the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// All pages arrive.
    Arrives,
    /// An error is reported later.
    Fails,
    /// The pull is refused at once.
    Refused,
    /// A page is missing.
    Short,
}

impl Fate {
    const NAMED: [(Self, &str); 4] = [
        (Self::Arrives, "arrives"),
        (Self::Fails, "fails"),
        (Self::Refused, "refused"),
        (Self::Short, "short"),
    ];

    /// Parameters of a request whose pull ends like this.
    #[must_use]
    pub fn params(self) -> KvTransferParams {
        let name = Self::NAMED.iter().find(|(fate, _)| *fate == self).map(|(_, name)| (*name).to_owned());
        KvTransferParams { do_remote_prefill: true, remote_cap: name, ..KvTransferParams::default() }
    }

    fn of(params: &KvTransferParams) -> Self {
        let name = params.remote_cap.as_deref();
        Self::NAMED.iter().find(|(_, it)| Some(*it) == name).map_or(Self::Arrives, |(fate, _)| *fate)
    }
}

/// What all connectors of a test share: pages by content, and what happened.
#[derive(Debug, Default)]
pub struct Wire {
    /// Every page ever offered.
    pub pages: HashMap<BlockHash, Arc<KvPage>>,
    /// Leases that have not ended.
    pub leases: Vec<LeaseId>,
    /// Events that a test delivers when it likes.
    pub events: Vec<TransferEvent>,
    /// Sequences whose lease is being kept alive.
    pub kept_alive: HashSet<SequenceId>,
    /// Pulls that were started.
    pub n_pulls: usize,
    n_leases: u64,
}

/// A connector over a [`Wire`].
#[derive(Debug, Clone, Default)]
pub struct FakeConnector(pub Arc<Mutex<Wire>>);

impl KvConnector for FakeConnector {
    fn offer(&mut self, offer: Offer) -> (LeaseId, KvTransferParams) {
        let mut wire = self.0.lock();
        wire.pages.extend(offer.blocks.into_iter().map(|it| (it.hash, it.page)));
        wire.n_leases += 1;
        let lease = LeaseId(wire.n_leases);
        wire.leases.push(lease);
        (lease, KvTransferParams { remote_num_tokens: Some(offer.n_tokens), ..Fate::Arrives.params() })
    }

    fn keep_alive(&mut self, id: SequenceId, _params: &KvTransferParams) {
        assert!(self.0.lock().kept_alive.insert(id), "kept alive once");
    }

    fn pull(&mut self, pull: Pull) -> Result<(), PullError> {
        let mut wire = self.0.lock();
        assert!(wire.kept_alive.remove(&pull.id), "a pull follows keep_alive");
        wire.n_pulls += 1;
        let fate = Fate::of(&pull.params);
        if fate == Fate::Refused {
            return Err(PullError::Foreign);
        }
        let wanted = &pull.hashes[pull.first_block..];
        let pages: Option<Vec<_>> = wanted.iter().map(|hash| wire.pages.get(hash).cloned()).collect();
        let result = match (fate, pages) {
            (Fate::Fails, _) => Err(PullError::Connection),
            (_, None) => Err(PullError::Content),
            (Fate::Short, Some(mut pages)) => {
                pages.pop();
                Ok(Pulled { pages, elapsed: Duration::ZERO })
            }
            (Fate::Arrives | Fate::Refused, Some(pages)) => Ok(Pulled { pages, elapsed: Duration::ZERO }),
        };
        wire.events.push(TransferEvent::PullEnded { id: pull.id, result });
        Ok(())
    }

    fn cancel(&mut self, id: SequenceId) {
        self.0.lock().kept_alive.remove(&id);
    }

    fn release(&mut self, id: SequenceId) {
        assert!(self.0.lock().kept_alive.remove(&id), "a release follows keep_alive");
    }
}
