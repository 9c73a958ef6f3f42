//! `convgemm compare` with workers that are honest, lie, die and hang.

#![cfg(unix)]

mod fakes;
mod peers;

use std::time::{Duration, Instant};

use fakes::{Fakes, result, verdict};

const HONEST: &str = r#"exec "$PROGRAM" worker "$@""#;
/// Computes with data of its own in place of those that it was given.
const WRONG: &str = r#"sed -u 's/,"files":{[^}]*}//' | "$PROGRAM" worker "$@""#;
/// Says that each run took a nanosecond, after a rest.
const LIAR: &str = r#"while read -r line; do
  case "$line" in *'"time"'*) sleep 0.2;; esac
  echo "$line"
done | "$PROGRAM" worker "$@" | sed -u 's/[0-9.e-]*[0-9]\([],]\)/1e-9\1/g; /seconds/!s/1e-9/1/g'"#;
/// Dies when it is asked to run.
const MORTAL: &str = r#"while read -r line; do
  case "$line" in *'"time"'*) echo 'out of breath' >&2; exit 3;; esac
  echo "$line"
done | "$PROGRAM" worker "$@""#;
/// Does not answer when it is asked to run.
const HANGER: &str = r#"while read -r line; do
  case "$line" in *'"time"'*) sleep 8; touch survived;; esac
  echo "$line"
done | "$PROGRAM" worker "$@""#;
const BABBLER: &str = r#"while read -r line; do echo 'no JSON at all'; done"#;
const REFUSER: &str = r#"while read -r line; do
  case "$line" in
    *hello*) echo '{"engine":"refuser","version":"1","isa":"none","threads":1,"features":[]}';;
    *) echo '{"error":"unsupported: convolutions"}';;
  esac
done"#;

#[test]
fn honest_workers_are_verified_and_timed_with_all_their_samples() {
    let record = Fakes::new(&[("honest", HONEST)]).measured(&["--engines", "convgemm,honest"]);
    assert_eq!(record["complete"], true);
    for engine in ["convgemm", "honest"] {
        let found = result(&record, 0, engine);
        assert_eq!(found["status"], "timed", "{found}");
        assert!(found["error_max"].as_f64().unwrap() < 1e-5);
        let rounds = |kind: &str| found[kind].as_array().map_or(0, Vec::len);
        // Three are asked for: at least so many, at most twice as many of so small a layer, and three more of
        // engines that are close to each other, or in place of disturbed ones.
        assert!((3..=9).contains(&(rounds("rounds_ns") + rounds("disturbed_ns"))), "{found}");
        let time = |kind: &str| found[kind].as_f64().unwrap();
        assert!(time("min_ns") <= time("time_ns") && time("time_ns") <= time("median_ns"), "{found}");
    }
    assert!(record["probes"].as_array().unwrap().len() >= 2 && record["probes"][0]["copy_gb_per_second"].is_f64());
    assert!(record["machine"]["cpu"].is_string() && record["engines"][1]["hello"]["version"].is_string());
}

#[test]
fn a_worker_that_lies_about_its_result_is_caught_and_not_timed() {
    let record = Fakes::new(&[("wrong", WRONG)]).measured(&["--engines", "convgemm,wrong"]);
    let (status, note) = verdict(&record, "wrong");
    assert_eq!(status, "wrong", "{note}");
    assert!(note.contains("to the oracle"), "{note}");
    assert!(result(&record, 0, "wrong")["median_ns"].is_null());
    assert_eq!(verdict(&record, "convgemm").0, "timed");
}

#[test]
fn a_bound_is_timed_whatever_it_computes_and_is_no_peer() {
    let fakes = Fakes::new(&[("wrong", WRONG)]);
    fakes.make_bounds();
    let record = fakes.measured(&["--engines", "convgemm,wrong"]);
    assert_eq!(verdict(&record, "wrong").0, "timed");
    assert!(result(&record, 0, "wrong")["error_max"].is_null() && result(&record, 0, "wrong")["median_ns"].is_f64());
    assert_eq!((&record["engines"][1]["is_peer"], &record["engines"][1]["is_bound"]), (&false.into(), &true.into()));
    let table = String::from_utf8(fakes.compare(&["--show", "result.json", "--format", "markdown"]).stdout).unwrap();
    assert!(table.contains("| wrong (bound) |") && !table.contains("Geometric mean"), "{table}");
}

#[test]
fn a_worker_that_lies_about_its_time_is_caught() {
    let record = Fakes::new(&[("liar", LIAR)]).measured(&["--engines", "convgemm,liar"]);
    let (status, note) = verdict(&record, "liar");
    assert_eq!(status, "suspect", "{note}");
    assert!(note.contains("it told of"), "{note}");
}

#[test]
fn a_worker_that_dies_is_reported_and_the_rest_go_on() {
    let record = Fakes::new(&[("mortal", MORTAL), ("honest", HONEST)]).measured(&["--engines", "all"]);
    let (status, note) = verdict(&record, "mortal");
    assert_eq!(status, "failed");
    assert!(note.contains("died") && note.contains("out of breath"), "{note}");
    assert_eq!(verdict(&record, "honest").0, "timed");
    assert!(record["engines"][1]["note"].as_str().unwrap().contains("died"));
}

#[test]
fn a_worker_that_hangs_is_ended_with_what_it_started_and_the_rest_go_on() {
    let start = Instant::now();
    let fakes = Fakes::new(&[("hanger", HANGER), ("honest", HONEST)]);
    let record = fakes.measured(&["--engines", "all", "--timeout", "2"]);
    let (status, note) = verdict(&record, "hanger");
    assert_eq!((status.as_str(), note.as_str()), ("failed", "no answer within 2s"));
    assert_eq!(verdict(&record, "honest").0, "timed");
    assert!(start.elapsed() < Duration::from_secs(60));
    // With what it had started: nobody is left to write.
    std::thread::sleep(Duration::from_secs(12).saturating_sub(start.elapsed()));
    assert!(!fakes.path("survived").exists());
}

#[test]
fn nonsense_is_a_failure_and_a_refusal_is_unsupported() {
    let record = Fakes::new(&[("babbler", BABBLER), ("refuser", REFUSER)]).measured(&["--engines", "all"]);
    let (status, note) = verdict(&record, "babbler");
    assert_eq!(status, "failed");
    assert!(note.contains("not an answer"), "{note}");
    assert_eq!(verdict(&record, "refuser"), ("unsupported".into(), "convolutions".into()));
    assert_eq!(verdict(&record, "convgemm").0, "timed");
}

#[test]
fn a_comparison_is_resumed_where_it_was_left_and_only_with_the_same_settings() {
    let fakes = Fakes::new(&[("honest", HONEST)]);
    let first = fakes.measured(&["--engines", "convgemm,honest"]);
    let both = ["--engines", "convgemm,honest", "--layer", fakes::LAYER, "--layer", "4x1x1@9", "-o", "result.json"];
    let output = fakes.compare(&[&both[..], &["--resume"]].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let second = fakes.record("result.json");
    assert_eq!(second["cases"][0], first["cases"][0]);
    assert_eq!(second["cases"].as_array().unwrap().len(), 2);
    let output = fakes.compare(&[&both[..], &["--resume", "--seed", "8"]].concat());
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("other settings"));
}

#[test]
fn a_result_is_shown_in_every_format_and_held_against_itself() {
    let fakes = Fakes::new(&[("honest", HONEST)]);
    fakes.measured(&["--engines", "convgemm,honest"]);
    let shown = |args: &[&str]| String::from_utf8(fakes.compare(args).stdout).unwrap();
    let table = shown(&["--show", "result.json"]);
    assert!(table.contains("best peer") && table.contains("% peak") && table.contains("Geometric mean"), "{table}");
    assert!(shown(&["--show", "result.json", "--format", "markdown"]).starts_with("### own, conv, batch 1, 1 thread"));
    assert!(shown(&["--show", "result.json", "--format", "overview"]).contains("| honest "));
    let csv = shown(&["--show", "result.json", "--format", "csv"]);
    assert_eq!(csv.lines().count(), 3, "{csv}");
    let diff = shown(&["--diff", "result.json", "result.json"]);
    assert!(diff.starts_with("0 changed beyond noise, 2 did not."), "{diff}");
}

#[test]
fn ctrl_c_keeps_what_was_measured() {
    // An engine that never finishes its second case.
    let stuck = HANGER.replace(r#"*'"time"'*)"#, r#"*'[4,4,1,1]'*)"#);
    let fakes = Fakes::new(&[("stuck", &stuck)]);
    let mut command = std::process::Command::new(fakes::PROGRAM);
    command.current_dir(fakes.path("")).args(["compare", "--peers", ".", "--turn", "1", "--rounds", "3"]);
    command.args(["--engines", "convgemm,stuck", "--layer", "4-8x3x3@12,4x1x1@9", "-o", "result.json"]);
    let mut child = command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn().unwrap();
    let start = Instant::now();
    while !fakes.path("result.json").exists() {
        assert!(start.elapsed() < Duration::from_secs(60), "the first case is not written");
        std::thread::sleep(Duration::from_millis(20));
    }
    let killed = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(killed.success() && child.wait().unwrap().success());
    let record = fakes.record("result.json");
    assert_eq!((record["complete"].as_bool(), record["cases"].as_array().unwrap().len()), (Some(false), 1));
    assert_eq!(verdict(&record, "stuck").0, "timed");
}
