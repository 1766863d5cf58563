//! Row-major f32 matrices: activations.

use crate::simd::LANES;

/// A matrix that owns its memory. Rows start an odd number of cache lines apart, so that the rows of a tile never
/// fall into the same cache set.
#[derive(Debug, Clone)]
pub struct Matrix {
    data: Vec<f32>,
    cols: usize,
    stride: usize,
}

impl Matrix {
    /// Zeros.
    #[must_use]
    pub fn zeroed(rows: usize, cols: usize) -> Self {
        let stride = (cols.div_ceil(LANES) | 1) * LANES;
        Self { data: vec![0.0; rows * stride], cols, stride }
    }

    /// Columns.
    #[must_use]
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// The first `rows` rows.
    ///
    /// # Panics
    /// When there are fewer.
    #[must_use]
    pub fn rows(&self, rows: usize) -> Rows<'_> {
        Rows::new(&self.data[..rows * self.stride], rows, self.cols, self.stride)
    }

    /// The first `rows` rows, to write.
    ///
    /// # Panics
    /// When there are fewer.
    #[must_use]
    pub fn rows_mut(&mut self, rows: usize) -> RowsMut<'_> {
        RowsMut::new(&mut self.data[..rows * self.stride], rows, self.cols, self.stride)
    }
}

/// A view of `rows` rows of `cols` elements, `stride` elements apart.
#[derive(Debug, Clone, Copy)]
pub struct Rows<'a> {
    data: &'a [f32],
    rows: usize,
    cols: usize,
    stride: usize,
}

impl<'a> Rows<'a> {
    /// A view of `data`.
    ///
    /// # Panics
    /// When `data` does not hold that many rows.
    #[must_use]
    pub fn new(data: &'a [f32], rows: usize, cols: usize, stride: usize) -> Self {
        check(data.len(), rows, cols, stride);
        Self { data, rows, cols, stride }
    }

    /// Number of rows.
    #[must_use]
    pub fn n_rows(&self) -> usize {
        self.rows
    }

    /// Elements of a row.
    #[must_use]
    pub fn n_cols(&self) -> usize {
        self.cols
    }

    /// One row.
    ///
    /// # Panics
    /// When there is no such row.
    #[must_use]
    pub fn row(&self, row: usize) -> &'a [f32] {
        assert!(row < self.rows, "row {row} of {}", self.rows);
        &self.data[row * self.stride..][..self.cols]
    }

    /// The same rows without their columns from `cols` on.
    ///
    /// # Panics
    /// When there are fewer columns.
    #[must_use]
    pub fn first_cols(self, cols: usize) -> Self {
        assert!(cols <= self.cols, "{cols} of {} columns", self.cols);
        Self { cols, ..self }
    }
}

/// A view like [`Rows`], to write.
#[derive(Debug)]
pub struct RowsMut<'a> {
    pub(crate) data: &'a mut [f32],
    pub(crate) rows: usize,
    pub(crate) cols: usize,
    pub(crate) stride: usize,
}

impl<'a> RowsMut<'a> {
    /// A view of `data`.
    ///
    /// # Panics
    /// When `data` does not hold that many rows.
    #[must_use]
    pub fn new(data: &'a mut [f32], rows: usize, cols: usize, stride: usize) -> Self {
        check(data.len(), rows, cols, stride);
        Self { data, rows, cols, stride }
    }

    /// Number of rows.
    #[must_use]
    pub fn n_rows(&self) -> usize {
        self.rows
    }

    /// One row, to write.
    ///
    /// # Panics
    /// When there is no such row.
    #[must_use]
    pub fn row_mut(&mut self, row: usize) -> &mut [f32] {
        assert!(row < self.rows, "row {row} of {}", self.rows);
        &mut self.data[row * self.stride..][..self.cols]
    }
}

/// All rows lie inside the data.
fn check(len: usize, rows: usize, cols: usize, stride: usize) {
    let needed = if rows == 0 { 0 } else { (rows - 1) * stride + cols };
    assert!(cols <= stride && needed <= len, "{rows} rows of {cols} (stride {stride}) in {len} elements");
}

impl RowsMut<'_> {
    /// Calls `task(row index, row)` for each row on the compute threads, `rows_per_task` at a time.
    pub(crate) fn for_each(
        self,
        pool: &mut crate::Pool,
        rows_per_task: usize,
        task: impl Fn(usize, &mut [f32]) + Sync,
    ) {
        let Self { data, rows, cols, stride } = self;
        let len = data.len().min(rows * stride);
        pool.run_pieces(&mut data[..len], rows_per_task * stride, |piece_idx, piece, _| {
            for (offset, row) in piece.chunks_mut(stride).enumerate() {
                task(piece_idx * rows_per_task + offset, &mut row[..cols]);
            }
        });
    }
}
