//! `convgemm exercises`, its page and its `learn`.

use crate::support::Folder;

#[test]
fn any_start_is_trained_with_the_losses_of_the_chapter() {
    let folder = Folder::new();
    let train = |args: &[&str]| -> serde_json::Value {
        let all = [&["exercises", "learn", "--json", "--init", "[[0.25,-0.5]]"], args].concat();
        serde_json::from_str(&folder.ok(&all)).unwrap()
    };
    let number = |value: &serde_json::Value, decimals: usize| format!("{:.decimals$}", value.as_f64().unwrap());
    let plain = train(&["--rate", "0.03", "--steps", "10"]);
    let losses: Vec<String> = (1..10).step_by(2).map(|i| number(&plain["losses"][i], 6)).collect();
    assert_eq!(losses, ["2.520000", "0.567883", "0.154706", "0.050299", "0.018410"]);
    assert_eq!(plain["losses"].as_array().unwrap().len(), 10);
    assert_eq!(
        (number(&plain["kernel"][0][0], 5), number(&plain["kernel"][0][1], 5)),
        ("0.97937".into(), "-1.00622".into())
    );
    assert!(plain["bias"].is_null());
    let biased = train(&["--rate", "0.01", "--steps", "20", "--bias"]);
    assert_eq!((number(&biased["losses"][19], 6), number(&biased["bias"], 5)), ("0.036461".into(), "0.00107".into()));
}

#[test]
fn training_that_cannot_be_is_refused() {
    let folder = Folder::new();
    let refused = |init: &str, rate: &str, steps: &str, reason: &str| {
        folder.refused(&["exercises", "learn", "--init", init, "--rate", rate, "--steps", steps], reason);
    };
    refused("[[1,2,3]]", "0.1", "5", "the start is 1 × 3");
    refused("[[1,2],[3]]", "0.1", "5", "its rows have 2 and 1 cells");
    refused("[[1,2]]", "-0.1", "5", "a learning rate of -0.1");
    refused("[[1,2]]", "1", "1000", "diverged at step");
    refused("[[1,2]]", "0.1", "five", "--steps");
}

#[cfg(not(feature = "linalg"))]
#[test]
fn a_build_without_linear_algebra_says_what_to_do() {
    Folder::new().refused(&["exercises"], "build with --features openblas,linalg");
}

#[cfg(feature = "linalg")]
mod with_linear_algebra {
    use std::path::Path;
    use std::process::Command;

    use super::*;

    #[test]
    fn every_number_is_printed_with_a_tick() {
        let text = Folder::new().ok(&["exercises"]);
        assert!(text.contains("✓ no bias: loss at step 4: 0.567883\n"), "{text}");
        assert!(!text.contains('✗'), "{text}");
        let ticks = text.matches('✓').count();
        assert!(ticks > 100 && text.ends_with(&format!("{ticks} of {ticks} numbers hold\n")), "{text}");
    }

    #[test]
    fn one_can_be_chosen_and_read_by_a_machine() {
        let folder = Folder::new();
        let items: serde_json::Value =
            serde_json::from_str(&folder.ok(&["exercises", "exercise-1", "--json"])).unwrap();
        assert_eq!(items.as_array().unwrap().len(), 1);
        assert_eq!(items[0]["name"], "exercise-1");
        assert!(items[0]["findings"].as_array().unwrap().iter().all(|finding| finding["holds"] == true));
        folder.refused(&["exercises", "exercise-9"], "there is no 'exercise-9'; there are statement-1");
        folder.refused(&["exercises", "statement-1", "--html", "none/page.html"], "there is no folder none");
    }

    fn found(program: &str) -> bool {
        Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success())
    }

    #[test]
    fn the_page_opens_in_a_browser_without_an_error_and_its_animation_steps() {
        let folder = Folder::new();
        folder.ok(&["exercises", "--html", "page.html"]);
        let page = std::fs::read_to_string(folder.path("page.html")).unwrap();
        assert!(page.contains("Array2::from_shape_fn((height - h + 1, width - w + 1)"), "sources are on the page");
        let Some(chromium) = ["chromium", "chromium-browser", "google-chrome"].into_iter().find(|name| found(name))
        else {
            return println!("skipped: there is no Chromium");
        };
        if !found("node") {
            return println!("skipped: there is no Node");
        }
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser/page.mjs");
        let output = Command::new("node").arg(script).arg(chromium).arg(folder.path("page.html")).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}
