//! An engine's process: asked a question, it answers, refuses, dies or hangs. While others work it is stopped,
//! because threads that wait by spinning would take their time.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use convgemm_protocol::{Answer, Request};

use super::interrupt::Interrupt;
use super::registry::Spec;
use super::waiting;

/// Longest answer that is read: a line without end must not take all memory.
const LONGEST_ANSWER: u64 = 16 << 20;
/// How often the user's wish to stop is looked at.
const TICK: Duration = Duration::from_millis(50);
/// Environment variables that set the number of threads of common libraries.
const THREAD_VARIABLES: [&str; 4] = ["OMP_NUM_THREADS", "RAYON_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"];

/// What makes the C library's allocator ask for huge pages, as this program's does: large arrays then miss the TLB less often.
/// (PyTorch's own setting for it, THP_MEM_ALLOC_ENABLE, makes it up to three times slower: it asks anew with each output.)
const MEMORY_VARIABLES: [(&str, &str); 1] = [("GLIBC_TUNABLES", "glibc.malloc.hugetlb=1")];

/// A running worker. Dropped, it is ended.
pub struct Worker {
    child: Child,
    requests: ChildStdin,
    answers: Receiver<Vec<u8>>,
    log: PathBuf,
    is_stopped: bool,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Failure {
    /// The worker lives and says why not.
    #[error("{0}")]
    Refused(String),
    #[error("died: {0}")]
    Died(String),
    #[error("no answer within {0:?}")]
    Hung(Duration),
    #[error("not an answer: {0}")]
    Garbled(String),
    /// The user wants to stop.
    #[error("interrupted")]
    Interrupted,
}

impl Failure {
    /// Whether the worker can be asked again.
    pub fn is_alive(&self) -> bool {
        matches!(self, Self::Refused(_))
    }
}

impl Worker {
    /// Starts an engine, with its standard error in `log`.
    ///
    /// # Errors
    /// A program that cannot be started.
    pub fn start(spec: &Spec, threads: usize, log: &Path) -> Result<Self> {
        let mut command = Command::new(&spec.program);
        command
            .args(spec.arguments(threads))
            .current_dir(&spec.folder)
            .envs(THREAD_VARIABLES.map(|name| (name, threads.to_string())))
            .envs(MEMORY_VARIABLES)
            .envs(&spec.entry.environment)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(File::create(log)?);
        // Ctrl-C is for us, who then end the workers.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut child = command.spawn().with_context(|| format!("cannot start {}", spec.program.display()))?;
        let requests = child.stdin.take().context("no standard input")?;
        let stdout = child.stdout.take().context("no standard output")?;
        Ok(Self { child, requests, answers: lines(stdout), log: log.to_owned(), is_stopped: false })
    }

    /// Asks and waits for the answer.
    ///
    /// # Errors
    /// Whatever is no answer.
    pub fn ask(&mut self, request: &Request, limit: Duration, interrupt: &Interrupt) -> Result<Answer, Failure> {
        self.wake();
        let mut line = serde_json::to_vec(request).map_err(|error| Failure::Refused(error.to_string()))?;
        line.push(b'\n');
        if self.requests.write_all(&line).and_then(|()| self.requests.flush()).is_err() {
            return Err(self.death());
        }
        let start = Instant::now();
        let answer = loop {
            match self.answers.recv_timeout(TICK) {
                Ok(answer) => break answer,
                Err(RecvTimeoutError::Disconnected) => return Err(self.death()),
                Err(RecvTimeoutError::Timeout) if interrupt.is_set() => return Err(Failure::Interrupted),
                Err(RecvTimeoutError::Timeout) if start.elapsed() > limit => return Err(Failure::Hung(limit)),
                Err(RecvTimeoutError::Timeout) => {}
            }
        };
        match serde_json::from_slice(&answer) {
            Ok(Answer::Error { error }) => Err(Failure::Refused(error)),
            Ok(answer) => Ok(answer),
            Err(_) => Err(Failure::Garbled(String::from_utf8_lossy(&answer[..answer.len().min(200)]).into_owned())),
        }
    }

    /// How long it was kept from computing since it was started.
    pub fn waited(&self) -> Duration {
        waiting::waited(self.child.id())
    }

    /// Stops the process until it is asked again.
    pub fn sleep(&mut self) {
        self.is_stopped = signal(&self.child, Signal::Stop);
    }

    fn wake(&mut self) {
        if std::mem::take(&mut self.is_stopped) {
            signal(&self.child, Signal::Continue);
        }
    }

    /// Ends the process and those that it started.
    fn end(&mut self) {
        signal(&self.child, Signal::Kill);
        let _ = self.child.kill();
    }

    /// How it ended, and its last words.
    fn death(&mut self) -> Failure {
        self.end();
        let status = self.child.wait().map_or_else(|error| error.to_string(), |status| status.to_string());
        let log = std::fs::read(&self.log).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let last = log.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it said nothing");
        Failure::Died(format!("{status}; {}", last.trim()))
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.end();
        let _ = self.child.wait();
    }
}

/// The lines that a worker writes, read by a thread of their own so that waiting for them can end.
fn lines(stdout: ChildStdout) -> Receiver<Vec<u8>> {
    let (sender, receiver) = sync_channel(1);
    std::thread::spawn(move || {
        let mut reader = BufReader::new(stdout);
        loop {
            let mut line = Vec::new();
            match reader.by_ref().take(LONGEST_ANSWER).read_until(b'\n', &mut line) {
                Ok(0) | Err(_) => return,
                Ok(_) if sender.send(line).is_err() => return,
                Ok(_) => {}
            }
        }
    });
    receiver
}

enum Signal {
    Stop,
    Continue,
    Kill,
}

/// Whether the signal was sent.
#[cfg(unix)]
fn signal(child: &Child, signal: Signal) -> bool {
    let signal = match signal {
        Signal::Stop => rustix::process::Signal::STOP,
        Signal::Continue => rustix::process::Signal::CONT,
        Signal::Kill => rustix::process::Signal::KILL,
    };
    let id = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw);
    id.is_some_and(|id| rustix::process::kill_process_group(id, signal).is_ok())
}

/// Elsewhere idle workers wait for their standard input, which costs nothing unless they spin.
#[cfg(not(unix))]
fn signal(_: &Child, _: Signal) -> bool {
    false
}
