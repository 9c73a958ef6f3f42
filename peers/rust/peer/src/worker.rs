//! The program around an engine.

use std::io::{Write, stdin, stdout};

use anyhow::{Context, Result, bail};
use convgemm_protocol::{Engine, Hello, Prepare, Prepared, isa, serve};

use crate::{Case, Ready};

/// An engine.
pub struct Peer {
    /// As in engines.json.
    pub name: &'static str,
    /// What is measured.
    pub version: String,
    /// How it was built and set.
    pub features: Vec<String>,
    /// Makes a case ready for a number of threads.
    pub prepare: fn(Case, usize) -> Result<Ready>,
}

/// Serves the engine that `make` makes for a number of threads, which `--threads` says. Rayon's pool has as many.
///
/// # Errors
/// Wrong arguments, and streams that fail.
pub fn run(make: impl FnOnce(usize) -> Peer + Send) -> Result<()> {
    let threads = threads(std::env::args().skip(1))?;
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
    pool.install(|| {
        let mut worker = Worker { peer: make(threads), threads };
        serve(&mut worker, &mut stdin().lock(), |answer| {
            let mut out = stdout().lock();
            Ok(out.write_all(answer).and_then(|()| out.flush())?)
        })
    })
}

fn threads(mut arguments: impl Iterator<Item = String>) -> Result<usize> {
    match (arguments.next().as_deref(), arguments.next(), arguments.next()) {
        (None, ..) => Ok(1),
        (Some("--threads"), Some(n), None) => {
            let n = n.parse::<std::num::NonZeroUsize>().with_context(|| format!("'{n}' is no number of threads"))?;
            Ok(n.get())
        }
        _ => bail!("the only option is --threads N"),
    }
}

struct Worker {
    peer: Peer,
    threads: usize,
}

impl Engine for Worker {
    fn hello(&self) -> Hello {
        Hello {
            engine: self.peer.name.to_owned(),
            version: self.peer.version.clone(),
            isa: isa().to_owned(),
            threads: self.threads,
            features: self.peer.features.clone(),
        }
    }

    fn prepare(&mut self, asked: &Prepare) -> Result<Box<dyn Prepared>> {
        let ready = (self.peer.prepare)(Case::new(asked)?, self.threads)?;
        Ok(ready.into_prepared())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_threads_is_the_only_option() {
        let found = |arguments: &[&str]| threads(arguments.iter().map(|&word| word.to_owned()));
        assert_eq!(found(&["--threads", "3"]).unwrap(), 3);
        assert_eq!(found(&[]).unwrap(), 1);
        for wrong in [&["--threads", "0"][..], &["--threads"], &["3"], &["--threads", "1", "2"]] {
            assert!(found(wrong).is_err(), "{wrong:?}");
        }
    }
}
