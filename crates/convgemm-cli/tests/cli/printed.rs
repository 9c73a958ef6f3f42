//! The commands that the README and the help print: each must run as it stands there.

use std::path::Path;
use std::process::Command;

use ndarray::{Array1, Array2, Array3, Array4};

use crate::support::{Folder, PHOTOGRAPH, PROGRAM, noise};

const README: &str = include_str!("../../../../README.md");

/// Marks a line of the README that a test has no time for.
const SLOW: &str = "(takes minutes)";

/// Lines of the README's shell blocks that call the program.
fn lines_of_the_readme() -> Vec<&'static str> {
    let blocks = README.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let lines = blocks.flat_map(str::lines);
    let calls = |line: &str| line.split_whitespace().any(|word| word == "convgemm");
    lines.filter(|line| calls(line.split(" # ").next().unwrap()) && !line.contains(SLOW)).collect()
}

/// Runs `line` in a shell that finds the program.
#[track_caller]
fn run(folder: &Folder, line: &str) {
    let programs = Path::new(PROGRAM).parent().unwrap();
    let path = std::env::var("PATH").unwrap();
    let mut shell = Command::new("sh");
    shell.args(["-c", line]).current_dir(folder.path(".")).env("HOME", folder.path("."));
    let output = shell.env("PATH", format!("{}:{path}", programs.display())).output().unwrap();
    assert!(output.status.success(), "{line}\n{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn every_command_of_the_readme_runs_in_a_clone() {
    let folder = Folder::new();
    let clone = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap();
    for name in ["assets", "docs", "peers"] {
        std::os::unix::fs::symlink(clone.join(name), folder.path(name)).unwrap();
    }
    let lines = lines_of_the_readme();
    for command in ["filter", "kernels", "learn", "run", "explain", "exercises", "worker", "compare"] {
        assert!(lines.iter().any(|line| line.contains(&format!("convgemm {command}"))), "{command}");
    }
    lines.iter().for_each(|line| run(&folder, line));
    let result = folder.load_npy::<f32>("y.npy");
    assert_eq!(result.iter().copied().collect::<Vec<_>>(), [19.0, 25.0, 37.0, 43.0], "as assets/README.md says");
}

#[test]
fn every_example_of_the_help_runs() {
    let folder = Folder::new();
    std::fs::copy(PHOTOGRAPH, folder.path("photo.jpg")).unwrap();
    std::fs::create_dir_all(folder.path(".local/share/bash-completion/completions")).unwrap();
    // Without `compare`, whose examples take minutes, and `man`, which hands its page to a program that may be missing.
    for command in ["filter", "learn", "explain", "run", "exercises", "completions"] {
        prepare(&folder, command);
        let help = folder.ok(&["help", command]);
        let examples = help.split_once("Example").map_or("", |(_, examples)| examples);
        let lines: Vec<&str> = examples.lines().skip(1).collect();
        assert!(!lines.is_empty(), "{command} has no examples");
        for line in lines {
            assert!(line.starts_with("  convgemm "), "'{line}' is not a whole line of a shell");
            run(&folder, line);
        }
    }
}

/// The files that the examples of a command take as given.
fn prepare(folder: &Folder, command: &str) {
    match command {
        "learn" => {
            folder.save_npy("x.npy", &Array2::from_shape_vec((40, 40), noise(1600, 1)).unwrap());
            folder.save_npy("y.npy", &Array2::<f64>::zeros((36, 36)));
        }
        "run" => {
            folder.save_npy("x.npy", &Array4::<f32>::ones((1, 3, 8, 8)));
            folder.save_npy("w.npy", &Array4::<f32>::ones((2, 3, 3, 3)));
            folder.save_npy("b.npy", &Array1::<f32>::ones(2));
            folder.save_npy("g.npy", &Array4::<f32>::ones((1, 2, 6, 6)));
            folder.save_npy("columns.npy", &Array3::<f32>::ones((1, 27, 64)));
        }
        _ => {}
    }
}
