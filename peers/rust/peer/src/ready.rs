//! A case made ready by an engine.

use std::path::Path;

use anyhow::{Context, Result};
use convgemm_protocol::Prepared;
use ndarray::{ArrayD, IxDyn};

/// A function that computes the case, and what it computed last.
pub struct Ready(Box<dyn Prepared>);

impl Ready {
    /// `run` computes a result of the engine's own type and is given back the one before, to write over or to drop;
    /// `values` reads it in the order of the axes of `shape`.
    pub fn new<T: 'static>(
        algorithm: impl Into<String>,
        shape: Vec<usize>,
        run: impl FnMut(Option<T>) -> Result<T> + 'static,
        values: impl Fn(&T) -> Result<Vec<f32>> + 'static,
    ) -> Self {
        Self(Box::new(Remembering { algorithm: algorithm.into(), shape, last: None, run, values }))
    }

    pub(crate) fn into_prepared(self) -> Box<dyn Prepared> {
        self.0
    }
}

struct Remembering<T, R, V> {
    algorithm: String,
    shape: Vec<usize>,
    last: Option<T>,
    run: R,
    values: V,
}

impl<T, R, V> Prepared for Remembering<T, R, V>
where
    R: FnMut(Option<T>) -> Result<T>,
    V: Fn(&T) -> Result<Vec<f32>>,
{
    fn algorithm(&self) -> String {
        self.algorithm.clone()
    }

    fn run(&mut self) -> Result<()> {
        let last = self.last.take();
        self.last = Some((self.run)(last)?);
        Ok(())
    }

    fn save(&mut self, file: &Path) -> Result<Vec<usize>> {
        let values = (self.values)(self.last.as_ref().context("nothing was computed")?)?;
        let array = ArrayD::from_shape_vec(IxDyn(&self.shape), values)?;
        ndarray_npy::write_npy(file, &array).with_context(|| format!("cannot write {}", file.display()))?;
        Ok(self.shape.clone())
    }
}
