//! `convgemm kernels`: the named kernels with their numbers.

use anyhow::Result;
use clap::Args;
use serde::Serialize;

use crate::kernels::NAMED;
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
            let entries: Vec<Entry> = NAMED
                .iter()
                .map(|named| {
                    let sample = named.sample();
                    let cells = sample.cells.rows().into_iter().map(|row| row.to_vec()).collect();
                    Entry { name: named.usage(), about: named.about, example: sample.name, cells }
                })
                .collect();
            return print_json(&entries);
        }
        let mut text = String::new();
        for named in NAMED {
            let sample = named.sample();
            let size = lengths(sample.cells.shape());
            let example = if named.parameter.is_some() { format!("; {} is", sample.name) } else { ",".to_owned() };
            text += &format!("{}: {}{example} {size}\n", named.usage(), named.about);
            text += &matrix(sample.cells.view(), 2);
        }
        print(&text)
    }
}
