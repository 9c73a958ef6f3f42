//! Every worker that is built here agrees with the oracle on small cases of every kind, or says that it cannot do them.

use std::path::Path;

use serde_json::Value;

use crate::fakes::{Fakes, PROGRAM, result};

const PEERS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../peers");
/// The first has all that every engine must be able to do: stride, padding, groups and a bias.
const LAYERS: &str =
    "8-4x3x3@11x9s2p1g2b,3-8x3x3@14x10s2b,8x3x3@9,8-16x1x1@7,8x5x5@13g8,6-4x3x2@11x8p1:0d2g2,4-6x3@40d2,2-4x3x3x3@6";
/// Engines that have gradients, by the beginnings of their names.
const WITH_GRADIENTS: [&str; 5] = ["torch", "jax", "candle", "burn", "openblas-gemm"];
/// Names of engines that must be built, where the environment says so; others are skipped if they are not.
const REQUIRED: &str = "CONVGEMM_PEERS_REQUIRED";

#[test]
fn every_built_worker_computes_what_the_oracle_does() {
    let list = std::fs::read(Path::new(PEERS).join("engines.json")).unwrap();
    let list: Value = serde_json::from_slice(&list).unwrap();
    let required = std::env::var(REQUIRED).unwrap_or_default();
    let required: Vec<&str> = required.split(',').filter(|name| !name.is_empty()).collect();
    let (mut built, mut skipped) = (Vec::new(), Vec::new());
    for engine in list["engines"].as_array().unwrap() {
        let name = engine["name"].as_str().unwrap();
        match measured(name) {
            Ok(record) => {
                judge(name, engine["bound"] == true, &record);
                built.push(name);
            }
            Err(reason) => {
                assert!(!required.contains(&name), "{name} is required: {reason}");
                println!("skipped: {reason}");
                skipped.push(name);
            }
        }
    }
    println!("tested: {}; skipped: {}", built.join(", "), skipped.join(", "));
    let missing: Vec<_> = required.iter().filter(|name| !built.contains(name)).collect();
    assert!(missing.is_empty(), "not in the list: {missing:?}");
}

/// The record of all operations on all layers, or why the engine is not built.
fn measured(engine: &str) -> Result<Value, String> {
    let folder = Fakes::new(&[]);
    let mut command = assert_cmd::Command::new(PROGRAM);
    command.args(["compare", "--peers", PEERS, "--engines", engine, "--layer", LAYERS, "--op", "all"]);
    command.args(["--batch", "1,2", "--rounds", "1", "--turn", "1", "-o"]).arg(folder.path("result.json"));
    let output = command.output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    if errors.contains("is not built") {
        return Err(errors);
    }
    assert!(output.status.success(), "{engine}: {errors}");
    Ok(folder.record("result.json"))
}

fn judge(engine: &str, is_bound: bool, record: &Value) {
    let (mut timed, mut unsupported) = (0, 0);
    let has_gradients = WITH_GRADIENTS.iter().any(|name| engine.starts_with(name));
    let cases = record["cases"].as_array().unwrap();
    for (i, case) in cases.iter().enumerate() {
        let (found, id) = (result(record, i, engine), &case["id"]);
        let is_forward = case["op"] == "conv";
        match found["status"].as_str().unwrap() {
            "timed" => timed += 1,
            // A clock that is disturbed while tests run is no fault of the worker's.
            "suspect" => println!("{engine}, {id}: {}", found["note"]),
            "unsupported" => {
                assert!(
                    case["layer"] != cases[0]["layer"] || !(is_forward || has_gradients),
                    "{engine}, {id}: {found}"
                );
                unsupported += 1;
                continue;
            }
            _ => panic!("{engine}, {id}: {found}"),
        }
        assert!(is_forward || has_gradients, "{engine} is said to have no gradients: {id}");
        assert_eq!(found["error_max"].is_null(), is_bound, "{engine}, {id}: {found}");
    }
    assert!(timed > 0, "{engine} can do nothing");
    println!("{engine}: {timed} cases, and {unsupported} that it cannot do");
}
