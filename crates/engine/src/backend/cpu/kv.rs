//! KV pages in ordinary memory, one `Arc` a block.
//!
//! A page that was given out (to a transfer, to another runner) is never written again: the next write to its
//! block works on a copy. So sharing costs nothing until it matters.

use std::sync::Arc;

use half::slice::HalfFloatSliceExt;
use llmd_kernels::attention::{KvBlock, KvBlocks};

use crate::kv_cache::{BlockId, KvLayout, KvPage};

/// The pages of all blocks.
#[derive(Debug)]
pub(super) struct KvStore {
    layout: KvLayout,
    /// By block number; `None` until first written.
    pages: Vec<Option<Arc<KvPage>>>,
}

impl KvStore {
    pub(super) fn new(layout: KvLayout, num_blocks: usize) -> Self {
        Self { layout, pages: vec![None; num_blocks] }
    }

    /// Makes sure that `block` has a page.
    pub(super) fn make_present(&mut self, block: BlockId) -> &mut Arc<KvPage> {
        let layout = &self.layout;
        self.pages[block.index()].get_or_insert_with(|| Arc::new(KvPage::zeroed(layout)))
    }

    /// Makes sure that `block` has a page that nobody else holds.
    pub(super) fn make_writable(&mut self, block: BlockId) {
        Arc::make_mut(self.make_present(block));
    }

    /// Writes keys and values (`[kv_heads][head_dim]`) of the token at `offset` in `block`, which was made
    /// writable.
    pub(super) fn write(
        &mut self,
        block: BlockId,
        layer: usize,
        offset: usize,
        keys: &[f32],
        values: &[f32],
    ) {
        let KvLayout { n_kv_heads, head_dim, block_size, .. } = self.layout;
        let half_layer = self.layout.half_layer_elements();
        let layer_start = self.layout.layer_offset(layer);
        let page = self.pages[block.index()].as_mut().and_then(Arc::get_mut);
        let page =
            page.expect("`make_writable` was called for this block, and nothing is given out in a step");
        for (start, row) in [(layer_start, keys), (layer_start + half_layer, values)] {
            for (head, from) in row.chunks_exact(head_dim).enumerate().take(n_kv_heads) {
                let at = start + (head * block_size + offset) * head_dim;
                match page {
                    KvPage::Bf16(elements) => elements[at..at + head_dim].convert_from_f32_slice(from),
                    KvPage::F32(elements) => elements[at..at + head_dim].copy_from_slice(from),
                }
            }
        }
    }

    /// One layer, for the sequences whose `blocks` these are.
    pub(super) fn layer<'a>(&'a self, layer: usize, blocks: &'a [Vec<BlockId>]) -> LayerView<'a> {
        LayerView { store: self, layer, blocks }
    }

    /// The page of `block`, shared.
    pub(super) fn read(&mut self, block: BlockId) -> Arc<KvPage> {
        Arc::clone(self.make_present(block))
    }

    /// Makes `page` the content of `block`.
    ///
    /// # Panics
    /// When `page` has another layout: peers compare layouts before they exchange pages.
    pub(super) fn replace(&mut self, block: BlockId, page: Arc<KvPage>) {
        assert!(page.fits(&self.layout), "pages of other layouts are refused before they get here");
        self.pages[block.index()] = Some(page);
    }
}

/// See [`KvStore::layer`].
#[derive(Debug)]
pub(super) struct LayerView<'a> {
    store: &'a KvStore,
    layer: usize,
    blocks: &'a [Vec<BlockId>],
}

impl KvBlocks for LayerView<'_> {
    fn block_size(&self) -> usize {
        self.store.layout.block_size
    }

    fn block(&self, sequence: usize, index: usize) -> KvBlock<'_> {
        let layout = &self.store.layout;
        let (start, len) = (layout.layer_offset(self.layer), layout.half_layer_elements());
        let page = self.store.pages[self.blocks[sequence][index].index()].as_deref();
        match page.expect("`make_present` was called for every block of the step") {
            KvPage::Bf16(elements) => {
                let (keys, values) = halves(elements, start, len);
                KvBlock::Bf16 { keys, values }
            }
            KvPage::F32(elements) => {
                let (keys, values) = halves(elements, start, len);
                KvBlock::F32 { keys, values }
            }
        }
    }
}

/// Keys and values of the layer that starts at `start`.
fn halves<T>(elements: &[T], start: usize, len: usize) -> (&[T], &[T]) {
    elements[start..start + 2 * len].split_at(len)
}
