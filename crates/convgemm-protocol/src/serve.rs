//! The worker's side: requests read, answers written, cases kept.

use std::collections::HashMap;
use std::io::BufRead;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, anyhow, ensure};

use crate::{Answer, Hello, Prepare, Request};

/// What an engine offers. An error that begins with `unsupported` says that it cannot do a case, any other that
/// it failed.
pub trait Engine {
    /// Who it is.
    fn hello(&self) -> Hello;

    /// Makes a case ready.
    ///
    /// # Errors
    /// An impossible case, one that the engine cannot do, or data that does not fit it.
    fn prepare(&mut self, asked: &Prepare) -> Result<Box<dyn Prepared>>;
}

/// A case made ready.
pub trait Prepared {
    /// What will run.
    fn algorithm(&self) -> String;

    /// Scratch memory of all threads, as far as the engine tells.
    fn workspace_bytes(&self) -> usize {
        0
    }

    /// Memory of the packed weights, as far as the engine tells.
    fn packed_bytes(&self) -> usize {
        0
    }

    /// Computes the result once. This is what is timed.
    ///
    /// # Errors
    /// Whatever the engine says.
    fn run(&mut self) -> Result<()>;

    /// Writes what the last run computed as a NumPy file, and tells its shape.
    ///
    /// # Errors
    /// What the file system says.
    fn save(&mut self, file: &Path) -> Result<Vec<usize>>;
}

/// Answers requests, a line each, until one is `quit` or there are no more.
///
/// # Errors
/// Reading or writing that fails. Requests that cannot be served are answered with an error.
pub fn serve(
    engine: &mut impl Engine,
    requests: &mut impl BufRead,
    mut write: impl FnMut(&[u8]) -> Result<()>,
) -> Result<()> {
    let mut worker = Worker { engine, cases: HashMap::new() };
    let mut line = Vec::new();
    while requests.read_until(b'\n', &mut line)? > 0 {
        // An engine's mistake must cost one case and not the whole comparison.
        let answer = catch_unwind(AssertUnwindSafe(|| worker.answer(&line)))
            .unwrap_or_else(|_| Err(anyhow!("internal error: the case panicked")));
        let answer = answer.unwrap_or_else(|error| Answer::Error { error: format!("{error:#}") });
        let mut text = serde_json::to_vec(&answer)?;
        text.push(b'\n');
        write(&text)?;
        if matches!(answer, Answer::Quit { .. }) {
            break;
        }
        line.clear();
    }
    Ok(())
}

struct Worker<'a, E> {
    engine: &'a mut E,
    cases: HashMap<String, Case>,
}

struct Case {
    prepared: Box<dyn Prepared>,
    is_warm: bool,
}

impl Case {
    /// Runs once if that has not been done: the result is there, memory is mapped and caches are warm.
    fn warm(&mut self) -> Result<&mut dyn Prepared> {
        if !self.is_warm {
            self.prepared.run()?;
            self.is_warm = true;
        }
        Ok(self.prepared.as_mut())
    }
}

impl<E: Engine> Worker<'_, E> {
    fn answer(&mut self, line: &[u8]) -> Result<Answer> {
        let request: Request = serde_json::from_slice(line).context("not a request")?;
        match request {
            Request::Hello {} => Ok(Answer::Hello(self.engine.hello())),
            Request::Prepare(asked) => self.prepare(*asked),
            Request::Time { case, runs } => {
                ensure!(runs > 0, "runs is 0, it must be at least 1");
                let prepared = self.case(&case)?.warm()?;
                let mut seconds = Vec::new();
                for _ in 0..runs {
                    let start = Instant::now();
                    prepared.run()?;
                    seconds.push(start.elapsed().as_secs_f64());
                }
                Ok(Answer::Timed { case, seconds })
            }
            Request::Save { case, file } => {
                let shape = self.case(&case)?.warm()?.save(&file)?;
                Ok(Answer::Saved { case, shape })
            }
            Request::Drop { case } => {
                self.cases.remove(&case).with_context(|| no_case(&case))?;
                Ok(Answer::Dropped { case, dropped: true })
            }
            Request::Quit {} => Ok(Answer::Quit { quit: true }),
        }
    }

    fn case(&mut self, case: &str) -> Result<&mut Case> {
        self.cases.get_mut(case).with_context(|| no_case(case))
    }

    fn prepare(&mut self, asked: Prepare) -> Result<Answer> {
        // Forgotten first: it must not be measured in place of a new one that failed.
        self.cases.remove(&asked.case);
        let prepared = self.engine.prepare(&asked)?;
        let answer = Answer::Prepared {
            case: asked.case.clone(),
            algorithm: prepared.algorithm(),
            workspace_bytes: prepared.workspace_bytes(),
            packed_bytes: prepared.packed_bytes(),
        };
        self.cases.insert(asked.case, Case { prepared, is_warm: false });
        Ok(answer)
    }
}

fn no_case(case: &str) -> String {
    format!("there is no case '{case}'")
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    /// An engine that counts its runs and panics at the third.
    struct Counter;

    impl Engine for Counter {
        fn hello(&self) -> Hello {
            let text = || "counter".to_owned();
            Hello { engine: text(), version: text(), isa: text(), threads: 1, features: vec![] }
        }

        fn prepare(&mut self, asked: &Prepare) -> Result<Box<dyn Prepared>> {
            ensure!(!asked.bias, "unsupported: bias");
            Ok(Box::new(Runs(0)))
        }
    }

    struct Runs(usize);

    impl Prepared for Runs {
        fn algorithm(&self) -> String {
            "counting".into()
        }

        fn run(&mut self) -> Result<()> {
            self.0 += 1;
            assert!(self.0 < 3, "a mistake in an engine");
            Ok(())
        }

        fn save(&mut self, _: &Path) -> Result<Vec<usize>> {
            Ok(vec![self.0])
        }
    }

    fn answers(requests: &str) -> Vec<Value> {
        let mut answers = Vec::new();
        let write = |line: &[u8]| {
            answers.push(serde_json::from_slice(line)?);
            Ok(())
        };
        serve(&mut Counter, &mut requests.as_bytes(), write).unwrap();
        answers
    }

    #[test]
    fn a_case_is_warmed_once_and_runs_as_often_as_asked() {
        let found = answers(
            r#"{"do":"prepare","case":"a","input":[1,1,3],"weight":[1,1,3]}
            {"do":"save","case":"a","file":"y"}
            {"do":"time","case":"a","runs":1}
            {"do":"save","case":"a","file":"y"}"#,
        );
        assert_eq!(found[0]["algorithm"], "counting");
        assert_eq!((&found[1]["shape"][0], &found[3]["shape"][0]), (&1.into(), &2.into()));
        assert_eq!(found[2]["seconds"].as_array().unwrap().len(), 1);
    }

    #[test]
    fn panics_refusals_and_nonsense_are_answers_and_quit_is_the_last() {
        let found = answers(
            r#"{"do":"prepare","case":"a","input":[1,1,3],"weight":[1,1,3]}
            {"do":"time","case":"a","runs":9}
            {"do":"prepare","case":"a","input":[1,1,3],"weight":[1,1,3],"bias":true}
            {"do":"time","case":"a","runs":1}
            nonsense
            {"do":"quit"}
            {"do":"hello"}"#,
        );
        let errors: Vec<&str> = found.iter().filter_map(|answer| answer["error"].as_str()).collect();
        assert_eq!(errors[..3], ["internal error: the case panicked", "unsupported: bias", "there is no case 'a'"]);
        assert!(errors[3].starts_with("not a request"), "{}", errors[3]);
        assert_eq!((found.len(), &found[5]["quit"]), (6, &true.into()));
    }
}
