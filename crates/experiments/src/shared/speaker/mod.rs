//! The speaker network (thesis 4.2, 4.4): ResNet34 tells speakers apart by mel filterbanks.

pub mod data;
pub mod training;

use std::rc::Rc;

use anyhow::Result;

use super::Lab;
use data::{Data, Setting};
use training::Trained;

/// The speaker network and its data.
pub struct Trial {
    pub setting: Setting,
    pub data: Data,
    pub trained: Trained,
}

impl Trial {
    /// That of the run: its data are prepared and it is trained when first asked for.
    ///
    /// # Errors
    /// If the data cannot be used, or training fails.
    pub fn of(lab: &Lab) -> Result<Rc<Self>> {
        lab.once(Trial::new)
    }

    fn new(lab: &Lab) -> Result<Self> {
        let setting = Setting::new(lab.arguments);
        let data = Data::prepare(lab.arguments, &setting, lab.folder)?;
        let trained = training::train(lab, &setting, &data)?;
        Ok(Trial {
            setting,
            data,
            trained,
        })
    }
}
