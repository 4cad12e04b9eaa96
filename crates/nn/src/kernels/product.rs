//! Matrix products, through the `gemm` crate with the widest vectors that the processor has.

use candle_core::WithDType;

/// A matrix in row order, or its transpose.
#[derive(Clone, Copy)]
pub(crate) struct Matrix<'a, T> {
    values: &'a [T],
    rows: usize,
    columns: usize,
    transposed: bool,
}

impl<'a, T> Matrix<'a, T> {
    pub(crate) fn new(values: &'a [T], rows: usize, columns: usize) -> Self {
        assert_eq!(values.len(), rows * columns);
        Matrix {
            values,
            rows,
            columns,
            transposed: false,
        }
    }

    pub(crate) fn t(self) -> Self {
        Matrix {
            rows: self.columns,
            columns: self.rows,
            transposed: !self.transposed,
            ..self
        }
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    pub(crate) fn columns(&self) -> usize {
        self.columns
    }

    /// Steps from a row, and from a column, to the next.
    fn steps(&self) -> (isize, isize) {
        match self.transposed {
            false => (self.columns as isize, 1),
            true => (1, self.rows as isize),
        }
    }
}

/// Who computes a product.
#[derive(Clone, Copy)]
pub(crate) enum Threads {
    /// This thread alone: the caller has spread its work already.
    One,
    /// All of rayon's.
    All,
}

/// `into = a · b`, or `into += a · b`.
pub(crate) fn multiply<T: WithDType>(
    threads: Threads,
    into: &mut [T],
    add: bool,
    a: Matrix<T>,
    b: Matrix<T>,
) {
    assert_eq!(a.columns, b.rows);
    assert_eq!(into.len(), a.rows * b.columns);
    let ((a_row, a_column), (b_row, b_column)) = (a.steps(), b.steps());
    // SAFETY: the three slices hold rows × columns values each (asserted when a matrix is made, and above), which the steps
    // do not leave; `into` is borrowed mutably, so it overlaps neither of the others.
    unsafe {
        gemm::gemm(
            a.rows,
            b.columns,
            a.columns,
            into.as_mut_ptr(),
            1,
            b.columns as isize,
            add,
            a.values.as_ptr(),
            a_column,
            a_row,
            b.values.as_ptr(),
            b_column,
            b_row,
            T::one(),
            T::one(),
            false,
            false,
            false,
            match threads {
                Threads::One => gemm::Parallelism::None,
                Threads::All => gemm::Parallelism::Rayon(rayon::current_num_threads()),
            },
        );
    }
}
