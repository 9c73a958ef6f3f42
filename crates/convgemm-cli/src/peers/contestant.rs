//! An engine through a whole comparison: started when it is needed, started again after it died, given up after
//! it died too often.

use std::path::{Path, PathBuf};
use std::time::Duration;

use convgemm_protocol::{Answer, Hello, Request};

use super::interrupt::Interrupt;
use super::record::EngineRecord;
use super::registry::Spec;
use super::worker::{Failure, Worker};

/// An engine that died or hung so often is not started again.
const MOST_DEATHS: usize = 3;

pub struct Contestant {
    pub spec: Spec,
    threads: usize,
    /// For every answer.
    limit: Duration,
    interrupt: Interrupt,
    log: PathBuf,
    worker: Option<Worker>,
    hello: Option<Hello>,
    deaths: usize,
    last_death: Option<String>,
}

impl Contestant {
    pub fn new(spec: Spec, threads: usize, limit: Duration, interrupt: Interrupt, folder: &Path) -> Self {
        let log = folder.join(format!("{}.log", spec.label.replace('/', "_")));
        Self { spec, threads, limit, interrupt, log, worker: None, hello: None, deaths: 0, last_death: None }
    }

    /// Asks the worker, which is started if there is none.
    ///
    /// # Errors
    /// Whatever is no answer; a worker that does not live on is ended.
    pub fn ask(&mut self, request: &Request) -> Result<Answer, Failure> {
        self.start()?;
        let Some(worker) = &mut self.worker else { return Err(Failure::Died("not started".into())) };
        let answer = worker.ask(request, self.limit, &self.interrupt);
        answer.inspect_err(|failure| self.note(failure))
    }

    /// How long the worker was kept from computing since it was started.
    pub fn waited(&self) -> Duration {
        self.worker.as_ref().map_or(Duration::ZERO, Worker::waited)
    }

    /// Lets the worker do nothing at all until it is asked again.
    pub fn sleep(&mut self) {
        if let Some(worker) = &mut self.worker {
            worker.sleep();
        }
    }

    /// Starts the worker if there is none, and asks who it is.
    ///
    /// # Errors
    /// A worker that does not start, or died too often before.
    pub fn start(&mut self) -> Result<(), Failure> {
        if self.worker.is_some() {
            return Ok(());
        }
        if self.deaths >= MOST_DEATHS {
            return Err(Failure::Died(format!("{MOST_DEATHS} times, and was given up")));
        }
        let started = Worker::start(&self.spec, self.threads, &self.log);
        let mut worker = started.map_err(|error| Failure::Died(format!("{error:#}"))).inspect_err(|f| self.note(f))?;
        let answer = worker.ask(&Request::Hello {}, self.limit, &self.interrupt);
        let hello = match answer {
            Ok(Answer::Hello(hello)) => Ok(hello),
            Ok(other) => Err(Failure::Garbled(format!("{other:?} to hello"))),
            Err(failure) => Err(failure),
        };
        self.hello = Some(hello.inspect_err(|failure| self.note(failure))?);
        self.worker = Some(worker);
        Ok(())
    }

    fn note(&mut self, failure: &Failure) {
        if !failure.is_alive() {
            self.worker = None;
            if *failure != Failure::Interrupted {
                self.deaths += 1;
                self.last_death = Some(failure.to_string());
            }
        }
    }

    /// What is recorded of it.
    pub fn record(&self) -> EngineRecord {
        let other_threads = self.hello.as_ref().map(|hello| hello.threads).filter(|&threads| threads != self.threads);
        let note = match (&self.last_death, other_threads) {
            (Some(death), _) => Some(death.clone()),
            (None, Some(threads)) => Some(format!("computes with {threads} threads, not {}", self.threads)),
            (None, None) => None,
        };
        EngineRecord {
            label: self.spec.label.clone(),
            is_peer: self.spec.is_peer(),
            is_bound: self.spec.entry.bound,
            hello: self.hello.clone(),
            note,
        }
    }
}
