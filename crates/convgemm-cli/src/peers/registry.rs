//! Which engines there are and how their workers are started.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use convgemm::Algorithm;
use convgemm_protocol::{Layout, Prepare};
use serde::Deserialize;

/// The engine that is ours.
pub const OURS: &str = "convgemm";
/// Environment variable that names another Python interpreter for the engines that need one.
const PYTHON_VARIABLE: &str = "CONVGEMM_PEERS_PYTHON";
/// Where the interpreter is otherwise.
const PYTHON: &str = "python/.venv/bin/python";

/// How an engine's worker is started.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    pub name: String,
    /// Program and arguments, relative to the folder of the list; `--threads N` is added. The program `{python}` is
    /// the interpreter of [`PYTHON_VARIABLE`], or that of the virtual environment which `make peers` makes.
    pub command: Vec<String>,
    /// The Python module without which it is not built.
    #[serde(default)]
    pub python: Option<String>,
    /// What it shall do in place of NCHW.
    #[serde(default)]
    pub layout: Option<Layout>,
    /// A bound and no engine that computes convolutions: timed, but neither verified nor among those of which the
    /// best is taken.
    #[serde(default)]
    pub bound: bool,
    /// Set in its environment.
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct List {
    engines: Vec<Entry>,
}

/// An engine that takes part, perhaps with options of its own.
#[derive(Debug, Clone)]
pub struct Spec {
    /// Unique among those that take part.
    pub label: String,
    pub entry: Entry,
    /// Of the program, absolute.
    pub program: PathBuf,
    /// In which it runs.
    pub folder: PathBuf,
    overrides: Vec<(String, String)>,
}

/// The engines of a folder and our own.
pub struct Registry {
    folder: PathBuf,
    entries: Vec<Entry>,
}

impl Registry {
    /// Reads `engines.json` of a folder; without one there is only our own engine.
    ///
    /// # Errors
    /// A list that cannot be read.
    pub fn read(folder: &Path) -> Result<Self> {
        let file = folder.join("engines.json");
        let mut entries = vec![Entry {
            name: OURS.to_owned(),
            command: vec![program_name(), "worker".to_owned()],
            python: None,
            layout: None,
            bound: false,
            environment: BTreeMap::new(),
        }];
        if file.exists() {
            let text = std::fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
            let list: List = serde_json::from_slice(&text).with_context(|| format!("{} is no list", file.display()))?;
            entries.extend(list.engines);
        }
        for entry in &entries {
            ensure!(!entry.command.is_empty(), "{}: the command of '{}' is empty", file.display(), entry.name);
        }
        // Without the folder there is only our own engine, which runs anywhere.
        let folder = if folder.is_dir() { folder } else { Path::new(".") };
        Ok(Self { folder: std::path::absolute(folder)?, entries })
    }

    /// Those that are asked for, in that order, and the names of those left out because they are not built.
    /// `all` is every engine that is built; a name may have options: `convgemm:algorithm=im2col`, and is one engine for each
    /// of our algorithms with `algorithm=all`.
    ///
    /// # Errors
    /// A name that is unknown, or an engine asked for by name that is not built.
    pub fn select(&self, asked: &[String]) -> Result<(Vec<Spec>, Vec<String>)> {
        let (mut specs, mut absent) = (Vec::<Spec>::new(), Vec::new());
        for text in asked {
            if text == "all" {
                for entry in &self.entries {
                    let spec = self.spec(entry, Vec::new());
                    if spec.is_built() { specs.push(spec) } else { absent.push(entry.name.clone()) }
                }
                continue;
            }
            let mut words = text.split(':');
            let name = words.next().unwrap_or_default();
            let entry = self.entries.iter().find(|entry| entry.name == name);
            let entry = entry.with_context(|| format!("there is no engine '{name}'; {}", self.names()))?;
            for overrides in each_algorithm(words.map(option).collect::<Result<_>>()?) {
                let spec = self.spec(entry, overrides);
                ensure!(spec.is_built(), "{name} is not built for {}; try make peers", spec.program.display());
                specs.push(spec);
            }
        }
        number_doubles(&mut specs);
        ensure!(!specs.is_empty(), "no engine takes part");
        Ok((specs, absent))
    }

    fn spec(&self, entry: &Entry, overrides: Vec<(String, String)>) -> Spec {
        let program = match entry.command[0].as_str() {
            "{python}" => std::env::var(PYTHON_VARIABLE).unwrap_or_else(|_| PYTHON.to_owned()),
            program if program.contains('/') => program.to_owned(),
            program => find_program(program),
        };
        let program = self.folder.join(program);
        let label = [entry.name.clone()].into_iter().chain(overrides.iter().map(|(_, value)| value.clone()));
        let label = label.collect::<Vec<_>>().join(":");
        Spec { label, entry: entry.clone(), program, folder: self.folder.clone(), overrides }
    }

    fn names(&self) -> String {
        let names: Vec<&str> = self.entries.iter().map(|entry| entry.name.as_str()).collect();
        format!("there are {}", names.join(", "))
    }
}

impl Spec {
    /// Whether the program is there, and the Python module that it needs.
    pub fn is_built(&self) -> bool {
        let Some(module) = &self.entry.python else { return self.program.is_file() };
        let has = format!("import importlib.util, sys; sys.exit(importlib.util.find_spec('{module}') is None)");
        self.program.is_file()
            && std::process::Command::new(&self.program)
                .args(["-c", &has])
                .status()
                .is_ok_and(|status| status.success())
    }

    /// Arguments of the program.
    pub fn arguments(&self, threads: usize) -> Vec<OsString> {
        let given = self.entry.command[1..].iter().map(OsString::from);
        given.chain(["--threads".into(), threads.to_string().into()]).collect()
    }

    /// Puts the engine's own options into a request.
    ///
    /// # Errors
    /// An option with a value that it cannot have.
    pub fn apply(&self, request: &mut Prepare) -> Result<()> {
        if let Some(layout) = self.entry.layout {
            request.layout = layout;
        }
        for (key, value) in &self.overrides {
            match key.as_str() {
                "algorithm" => request.algorithm.clone_from(value),
                "numerics" => request.numerics.clone_from(value),
                "backend" => request.backend.clone_from(value),
                _ => {
                    request.layout = serde_json::from_value(value.as_str().into()).context("layout is nchw or nhwc")?
                }
            }
        }
        Ok(())
    }

    /// Whether it is an engine other than ours, and no bound.
    pub fn is_peer(&self) -> bool {
        self.entry.name != OURS && !self.entry.bound
    }
}

fn option(text: &str) -> Result<(String, String)> {
    match text.split_once('=') {
        Some((key @ ("algorithm" | "numerics" | "backend" | "layout"), value)) => {
            Ok((key.to_owned(), value.to_owned()))
        }
        _ => bail!("'{text}' is no option of an engine; algorithm=, numerics=, backend= and layout= are"),
    }
}

/// The options of an engine, once for each algorithm where they ask for all.
fn each_algorithm(overrides: Vec<(String, String)>) -> Vec<Vec<(String, String)>> {
    let Some(at) = overrides.iter().position(|(key, value)| key == "algorithm" && value == "all") else {
        return vec![overrides];
    };
    let named = Algorithm::ALL.into_iter().filter(|&algorithm| algorithm != Algorithm::Auto);
    let with = |algorithm: Algorithm| {
        let mut overrides = overrides.clone();
        algorithm.name().clone_into(&mut overrides[at].1);
        overrides
    };
    named.map(with).collect()
}

/// An engine entered twice is told apart by a number.
fn number_doubles(specs: &mut [Spec]) {
    for i in (0..specs.len()).rev() {
        let before = specs[..i].iter().filter(|other| other.label == specs[i].label).count();
        if before > 0 {
            specs[i].label = format!("{}#{}", specs[i].label, before + 1);
        }
    }
}

fn program_name() -> String {
    std::env::current_exe().map_or_else(|_| OURS.to_owned(), |path| path.to_string_lossy().into_owned())
}

/// The place of a program that is named without its folder.
fn find_program(name: &str) -> String {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file());
    found.map_or_else(|| name.to_owned(), |file| file.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn registry(list: &str) -> (tempfile::TempDir, Registry) {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("engines.json"), list).unwrap();
        let registry = Registry::read(folder.path()).unwrap();
        (folder, registry)
    }

    const LIST: &str = r#"{"engines":[
        {"name":"shell","command":["/bin/sh","worker.sh"],"layout":"nhwc"},
        {"name":"absent","command":["bin/absent"]}]}"#;

    fn labels(specs: &[Spec]) -> Vec<&str> {
        specs.iter().map(|spec| spec.label.as_str()).collect()
    }

    #[test]
    fn all_are_those_that_are_built_and_the_others_are_named() {
        let (_folder, registry) = registry(LIST);
        let (specs, absent) = registry.select(&["all".into()]).unwrap();
        assert_eq!((labels(&specs), absent), (vec![OURS, "shell"], vec!["absent".to_owned()]));
    }

    #[test]
    fn an_engine_asked_for_by_name_must_exist_and_be_built() {
        let (_folder, registry) = registry(LIST);
        let error = |name: &str| registry.select(&[name.into()]).unwrap_err().to_string();
        assert!(error("absent").contains("absent is not built"));
        assert_eq!(error("torch"), "there is no engine 'torch'; there are convgemm, shell, absent");
        assert!(error("convgemm:speed=9").contains("'speed=9' is no option"));
    }

    #[test]
    fn an_engine_may_be_entered_twice_and_with_options() {
        let (_folder, registry) = registry(LIST);
        let asked = ["convgemm", "convgemm:algorithm=im2col:numerics=strict", "convgemm"].map(String::from);
        let (specs, _) = registry.select(&asked).unwrap();
        assert_eq!(labels(&specs), ["convgemm", "convgemm:im2col:strict", "convgemm#2"]);
        let mut request: Prepare = serde_json::from_str(r#"{"case":"a","input":[1,1,3],"weight":[1,1,3]}"#).unwrap();
        specs[1].apply(&mut request).unwrap();
        assert_eq!((request.algorithm.as_str(), request.numerics.as_str()), ("im2col", "strict"));
    }

    #[test]
    fn all_algorithms_are_an_engine_each() {
        let (_folder, registry) = registry(LIST);
        let (specs, _) =
            registry.select(&["convgemm".into(), "convgemm:algorithm=all:numerics=strict".into()]).unwrap();
        assert_eq!(specs.len(), Algorithm::ALL.len());
        assert_eq!(labels(&specs)[1..3], ["convgemm:direct:strict", "convgemm:im2col:strict"]);
        assert!(!labels(&specs).contains(&"convgemm:auto:strict"));
    }

    #[test]
    fn an_engine_of_the_list_may_have_a_layout_of_its_own() {
        let (_folder, registry) = registry(LIST);
        let (specs, _) = registry.select(&["shell".into()]).unwrap();
        let mut request: Prepare = serde_json::from_str(r#"{"case":"a","input":[1,1,3],"weight":[1,1,3]}"#).unwrap();
        specs[0].apply(&mut request).unwrap();
        assert_eq!(request.layout, Layout::Nhwc);
        assert_eq!(specs[0].arguments(2), ["worker.sh", "--threads", "2"]);
    }
}
