//! Where experiments are run, and what they share.

use std::any::{Any, TypeId};
use std::cell::RefCell;
use std::collections::HashMap;
use std::path::Path;
use std::rc::Rc;

use anyhow::Result;
use candle_core::Device;
use speechlens_report::interrupt::Interrupt;

use super::Arguments;

/// What the experiments of a run share: how it is run, and what one of them has made that others ask for, such as a trained network.
pub struct Lab<'a> {
    /// How the run was asked for.
    pub arguments: &'a Arguments,
    /// Where the run's files go.
    pub folder: &'a Path,
    /// Where to compute.
    pub device: &'a Device,
    /// Whether the run is to stop.
    pub interrupt: Interrupt,
    made: RefCell<HashMap<TypeId, Rc<dyn Any>>>,
}

impl<'a> Lab<'a> {
    /// A run in which nothing has been made yet.
    pub(crate) fn new(
        arguments: &'a Arguments,
        folder: &'a Path,
        device: &'a Device,
        interrupt: Interrupt,
    ) -> Self {
        Lab {
            arguments,
            folder,
            device,
            interrupt,
            made: RefCell::default(),
        }
    }

    /// The one `T` of this run, made by `make` when it is first asked for.
    ///
    /// # Errors
    /// Those of `make`.
    pub fn once<T: 'static>(&self, make: impl FnOnce(&Self) -> Result<T>) -> Result<Rc<T>> {
        let found = self.made.borrow().get(&TypeId::of::<T>()).cloned();
        if let Some(made) = found.and_then(|made| made.downcast().ok()) {
            return Ok(made);
        }
        let made = Rc::new(make(self)?);
        self.made
            .borrow_mut()
            .insert(TypeId::of::<T>(), made.clone());
        Ok(made)
    }
}
