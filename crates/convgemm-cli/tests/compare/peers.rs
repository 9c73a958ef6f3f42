//! Every worker that is built here agrees with the oracle on small cases of every kind, or says that it cannot do them.

use std::path::Path;

use crate::fakes::{Fakes, PROGRAM};

const PEERS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../peers");
const LAYERS: &str = "3-8x3x3@14x10s2b,8x3x3@9,8-16x1x1@7,8x5x5@13g8,6-4x3x2@11x8p1:0d2g2,4-6x3@40d2,2-4x3x3x3@6";

#[test]
fn every_built_worker_computes_what_the_oracle_does() {
    let folder = Fakes::new(&[]);
    let list = std::fs::read(Path::new(PEERS).join("engines.json")).unwrap();
    let list: serde_json::Value = serde_json::from_slice(&list).unwrap();
    for engine in list["engines"].as_array().unwrap().iter().map(|engine| engine["name"].as_str().unwrap()) {
        let mut command = assert_cmd::Command::new(PROGRAM);
        command.args(["compare", "--peers", PEERS, "--engines", engine, "--layer", LAYERS, "--op", "all"]);
        command.args(["--rounds", "1", "--turn", "1", "-o"]).arg(folder.path(engine));
        let output = command.output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        if errors.contains("is not built") {
            println!("skipped: {}", errors.trim());
            continue;
        }
        assert!(output.status.success(), "{engine}: {errors}");
        let record = folder.record(engine);
        let mut timed = 0;
        for case in record["cases"].as_array().unwrap() {
            let result = &case["results"][0];
            match result["status"].as_str().unwrap() {
                "timed" => timed += 1,
                // A clock that is disturbed while tests run is no fault of the worker's.
                "unsupported" | "suspect" => println!("{engine}, {}: {}", case["id"], result["note"]),
                _ => panic!("{engine}, {}: {result}", case["id"]),
            }
        }
        assert!(timed > 0, "{engine} can do nothing");
        println!("{engine}: {timed} cases");
    }
}
