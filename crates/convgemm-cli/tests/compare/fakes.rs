//! A folder with workers that are honest, lie, die or hang: shell scripts around the real one.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Output;

use serde_json::{Value, json};
use tempfile::TempDir;

pub const PROGRAM: &str = env!("CARGO_BIN_EXE_convgemm");

/// A small layer that every fake gets.
pub const LAYER: &str = "4-8x3x3@12";

pub struct Fakes(TempDir);

impl Fakes {
    /// Workers by their names and scripts, in which `$PROGRAM worker` is the honest one.
    pub fn new(workers: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (name, script) in workers {
            let path = folder.path().join(name);
            std::fs::write(&path, format!("#!/bin/sh\nPROGRAM='{PROGRAM}'\n{script}\n")).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        let engines: Vec<Value> =
            workers.iter().map(|(name, _)| json!({"name": name, "command": [format!("./{name}")]})).collect();
        let list = json!({ "engines": engines });
        std::fs::write(folder.path().join("engines.json"), list.to_string()).unwrap();
        Self(folder)
    }

    /// Says of all workers that they are bounds and no engines.
    pub fn make_bounds(&self) {
        let mut list = self.record("engines.json");
        for engine in list["engines"].as_array_mut().unwrap() {
            engine["bound"] = true.into();
        }
        std::fs::write(self.path("engines.json"), list.to_string()).unwrap();
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// `convgemm compare` among these workers.
    pub fn compare(&self, args: &[&str]) -> Output {
        let mut command = assert_cmd::Command::new(PROGRAM);
        command.current_dir(self.0.path()).args(["compare", "--peers", ".", "--turn", "1", "--rounds", "3"]);
        command.args(args).output().unwrap()
    }

    /// The same with a small layer, which must succeed; its result.
    pub fn measured(&self, args: &[&str]) -> Value {
        let output = self.compare(&[args, &["--layer", LAYER, "-o", "result.json"]].concat());
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{errors}");
        self.record("result.json")
    }

    pub fn record(&self, name: &str) -> Value {
        serde_json::from_slice(&std::fs::read(self.path(name)).unwrap()).unwrap()
    }
}

/// An engine's result in a case.
pub fn result<'a>(record: &'a Value, case: usize, engine: &str) -> &'a Value {
    let results = record["cases"][case]["results"].as_array().unwrap();
    results.iter().find(|result| result["engine"] == engine).unwrap_or_else(|| panic!("no {engine} in {record}"))
}

/// Its status and what is noted of it.
pub fn verdict(record: &Value, engine: &str) -> (String, String) {
    let result = result(record, 0, engine);
    let text = |key: &str| result[key].as_str().unwrap_or_default().to_owned();
    (text("status"), text("note"))
}
