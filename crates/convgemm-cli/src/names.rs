//! `convgemm kernels`: the named kernels with their numbers.

use anyhow::Result;
use clap::Args;
use convgemm::stencil::{NAMED, named as kernel};
use serde::Serialize;

use crate::output::{lengths, matrix, print, print_json};

/// List the named kernels with their numbers
#[derive(Debug, Args)]
pub struct KernelsArgs {
    /// Print as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Entry {
    name: String,
    about: &'static str,
    example: String,
    cells: Vec<Vec<f64>>,
}

impl KernelsArgs {
    /// # Errors
    /// Standard output that cannot be written.
    pub fn run(self) -> Result<()> {
        if self.json {
            let entries: Result<Vec<Entry>> = NAMED
                .iter()
                .map(|named| {
                    let cells = kernel(&named.sample())?.rows().into_iter().map(|row| row.to_vec()).collect();
                    Ok(Entry { name: named.usage(), about: named.about, example: named.sample(), cells })
                })
                .collect();
            return print_json(&entries?);
        }
        let mut text = String::new();
        for named in NAMED {
            let cells = kernel(&named.sample())?;
            let size = lengths(cells.shape());
            let example = if named.parameter.is_some() { format!("; {} is", named.sample()) } else { ",".to_owned() };
            text += &format!("{}: {}{example} {size}\n", named.usage(), named.about);
            text += &matrix(cells.view(), 2);
        }
        print(&text)
    }
}
