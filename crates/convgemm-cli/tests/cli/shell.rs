//! The program in a shell: help, completions, manual pages and pipes.

use std::process::{Command, Stdio};

#[cfg(unix)]
use ndarray::Array4;

#[cfg(unix)]
use crate::support::noisy_gray;
use crate::support::{Folder, PROGRAM};

#[test]
fn completions_for_every_shell_know_the_commands() {
    let folder = Folder::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = folder.ok(&["completions", shell]);
        for word in ["convgemm", "filter", "explain", "border"] {
            assert!(script.contains(word), "{word} is not in the completions for {shell}");
        }
    }
    folder.refused(&["completions", "tcsh"], "[possible values: bash, elvish, fish, powershell, zsh]");
}

#[test]
fn manual_pages_are_there_for_the_whole_and_each_command() {
    let folder = Folder::new();
    let page = folder.ok(&["man"]);
    assert!(page.contains(".TH convgemm 1") && page.contains(".SH SYNOPSIS") && page.contains("worker"), "{page}");
    for command in ["filter", "kernels", "run", "explain", "worker", "completions", "man"] {
        let page = folder.ok(&["man", command]);
        assert!(page.contains(&format!(".TH convgemm-{command} 1")), "{page}");
    }
    folder.refused(&["man", "woman"], "there is no command 'woman'");
}

#[test]
fn help_and_version_are_no_errors() {
    let folder = Folder::new();
    assert!(folder.ok(&["--help"]).contains("Usage: convgemm <COMMAND>"));
    assert!(folder.ok(&["filter", "--help"]).contains("cut off (--clip), unless"));
    assert_eq!(folder.ok(&["--version"]), concat!("convgemm ", env!("CARGO_PKG_VERSION"), "\n"));
}

#[test]
fn without_a_command_the_help_is_shown_as_an_error() {
    let output = Folder::new().output::<&str>(&[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("Usage: convgemm <COMMAND>"));
    Folder::new().refused(&["paint"], "unrecognized subcommand 'paint'");
}

#[cfg(unix)]
#[test]
fn what_is_said_of_a_result_on_standard_output_goes_to_standard_error() {
    let folder = Folder::new();
    folder.save_gray("x.png", &noisy_gray(6, 7, 1));
    folder.save_npy("x.npy", &Array4::<f32>::ones((1, 1, 3, 3)));
    let filter = ["filter", "x.png", "-k", "box:3", "-o"];
    let run = ["run", "--input", "x.npy", "--weight", "x.npy", "-o"];
    for (command, file, said) in [(&filter[..], "y.png", "by "), (&run, "y.npy", "f32 [1, 1, 1, 1]")] {
        folder.ok(&[command, &[file]].concat());
        let expected = std::fs::read(folder.path(file)).unwrap();
        for name in ["/dev/stdout", "/dev/fd/1"] {
            for (more, said) in [(&[][..], said), (&["--json"], "\"seconds\":")] {
                let output = folder.output(&[command, &[name], more].concat());
                assert_eq!((output.status.code(), &output.stdout), (Some(0), &expected), "{command:?} {name}");
                let line = String::from_utf8(output.stderr).unwrap();
                assert!(line.contains(said) && line.lines().count() == 1, "{line}");
            }
        }
    }
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    for args in [
        &["kernels"][..],
        &["kernels", "--json"],
        &["explain", "--input", "1,1,3,3", "--weight", "1,1,2,2", "--matrix"],
        &["completions", "bash"],
        &["man"],
        &["--help"],
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = Command::new(PROGRAM).args(args).stdout(writer).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{args:?}");
        assert_eq!(output.status.code(), Some(0), "{args:?}");
    }
}

#[test]
fn a_worker_whose_coordinator_goes_away_ends_quietly() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let (requests, mut coordinator) = std::io::pipe().unwrap();
    let mut command = Command::new(PROGRAM);
    command.arg("worker").stdin(requests).stdout(writer).stderr(Stdio::piped());
    let worker = command.spawn().unwrap();
    drop(command);
    std::io::Write::write_all(&mut coordinator, b"{\"do\":\"hello\"}\n").unwrap();
    // Its requests stay open: it is the closed answers that end it.
    let output = worker.wait_with_output().unwrap();
    drop(coordinator);
    assert_eq!((output.status.code(), output.stderr), (Some(0), Vec::new()));
}
