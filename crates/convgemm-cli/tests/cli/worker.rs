//! Conversations with `convgemm worker`.

use ndarray::{Array, ArrayD, IxDyn};
use serde_json::{Value, json};

use crate::support::{Folder, noise};

impl Folder {
    /// Sends lines, and parses as many answers.
    #[track_caller]
    fn conversation(&self, threads: &str, requests: &[Value]) -> Vec<Value> {
        let lines: String = requests.iter().map(|request| format!("{request}\n")).collect();
        self.lines(threads, lines.into_bytes())
    }

    #[track_caller]
    fn lines(&self, threads: &str, lines: Vec<u8>) -> Vec<Value> {
        let output = self.command(&["worker", "--threads", threads]).write_stdin(lines).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn random(&self, name: &str, shape: &[usize], seed: u64) {
        let cells = noise(shape.iter().product(), seed);
        self.save_npy(name, &Array::from_shape_vec(IxDyn(shape), cells).unwrap());
    }
}

fn small(case: &str) -> Value {
    json!({"do": "prepare", "case": case, "input": [2, 3, 9, 8], "weight": [4, 3, 3, 3], "padding": [[1, 1], [1, 1]]})
}

fn with(mut request: Value, fields: Value) -> Value {
    for (name, value) in fields.as_object().unwrap() {
        request[name] = value.clone();
    }
    request
}

#[test]
fn a_conversation_from_hello_to_quit() {
    let folder = Folder::new();
    let answers = folder.conversation(
        "1",
        &[
            json!({"do": "hello"}),
            small("a"),
            json!({"do": "time", "case": "a", "runs": 5}),
            json!({"do": "save", "case": "a", "file": "y.npy"}),
            json!({"do": "drop", "case": "a"}),
            json!({"do": "time", "case": "a", "runs": 1}),
            json!({"do": "quit"}),
            json!({"do": "hello"}),
        ],
    );
    assert_eq!(answers.len(), 7, "nothing is answered after quit");
    assert_eq!(answers[0]["engine"], "convgemm");
    assert_eq!(answers[0]["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(answers[0]["threads"], 1);
    let has_openblas = answers[0]["features"].as_array().unwrap().contains(&json!("openblas"));
    assert_eq!(has_openblas, cfg!(feature = "openblas"));
    assert!(answers[0]["isa"].is_string());
    assert_eq!(answers[1]["case"], "a");
    assert!(answers[1]["algorithm"].is_string() && answers[1]["workspace_bytes"].is_u64());
    let (weights, packed) = (4 * 4 * 3 * 9, answers[1]["packed_bytes"].as_u64().unwrap());
    assert!(
        (weights..=weights + 64).contains(&packed),
        "weights, and perhaps what a kernel reads beyond them: {packed}"
    );
    let seconds = answers[2]["seconds"].as_array().unwrap();
    assert_eq!(seconds.len(), 5);
    assert!(seconds.iter().all(|time| time.as_f64() > Some(0.0)));
    assert_eq!(answers[3], json!({"case": "a", "shape": [2, 4, 9, 8]}));
    assert_eq!(folder.load_npy::<f32>("y.npy").shape(), [2, 4, 9, 8]);
    assert_eq!(answers[4], json!({"case": "a", "dropped": true}));
    assert_eq!(answers[5], json!({"error": "there is no case 'a'"}));
    assert_eq!(answers[6], json!({"quit": true}));
}

#[test]
fn garbage_is_answered_with_an_error_a_line_and_the_worker_lives_on() {
    let folder = Folder::new();
    folder.random("small.npy", &[1, 3, 9, 8], 1);
    let garbage: Vec<Vec<u8>> = vec![
        b"".into(),
        b"no json".into(),
        b"[]".into(),
        b"null".into(),
        b"{\"do\":\"hello\"".into(),
        b"{\"do\":\"hello\"} {\"do\":\"hello\"}".into(),
        b"\xFF\xFE\x00".into(),
        [b"[".repeat(10_000), b"]".repeat(10_000)].concat(),
        json!({}).to_string().into(),
        json!({"do": "sing"}).to_string().into(),
        json!({"do": "time", "case": "a"}).to_string().into(),
        json!({"do": "time", "case": "a", "runs": -1}).to_string().into(),
        json!({"do": "time", "case": "a", "runs": 0}).to_string().into(),
        json!({"do": "time", "case": "none", "runs": 1}).to_string().into(),
        json!({"do": "save", "case": "a", "file": "nowhere/y.npy"}).to_string().into(),
        json!({"do": "save", "case": "none", "file": "y.npy"}).to_string().into(),
        json!({"do": "drop", "case": "none"}).to_string().into(),
        json!({"do": "prepare", "case": "b"}).to_string().into(),
    ];
    let wrong_cases = [
        json!({"strides": [1, 1]}),
        json!({"op": "pool"}),
        json!({"dtype": "f16"}),
        json!({"layout": "chwn"}),
        json!({"algorithm": "magic"}),
        json!({"algorithm": "pointwise"}),
        json!({"numerics": "sloppy"}),
        json!({"backend": "magic"}),
        json!({"pad_mode": "mirror"}),
        json!({"activation": "tanh"}),
        json!({"stride": [0, 1]}),
        json!({"stride": [1, 1, 1]}),
        json!({"stride": []}),
        json!({"groups": 0}),
        json!({"input": [2, 3]}),
        json!({"input": [2, 4, 9, 8]}),
        json!({"input": [2, 3, 9, 8, 1, 1]}),
        json!({"weight": []}),
        json!({"weight": [4, 3, 3]}),
        json!({"input": [-1, 3, 9, 8]}),
        json!({"input": [1, 3, 1000000, 1000000]}),
        json!({"input": [1, 3, 4294967296_u64, 4294967296_u64]}),
        json!({"padding": "around"}),
        json!({"padding": [1, 1]}),
        json!({"padding": [[6, 6], [6, 6]], "input": [1, 3, 4, 4], "pad_mode": "reflect"}),
        json!({"files": {"input": "missing.npy"}}),
        json!({"files": {"input": "small.npy"}}),
        json!({"files": {"input": "small.npy"}, "input": [1, 3, 9, 8]}),
        json!({"files": {"picture": "small.npy"}}),
    ];
    let mut lines = format!("{}\n", small("a")).into_bytes();
    let count = garbage.len() + wrong_cases.len();
    let wrong = wrong_cases.iter().map(|fields| with(small("b"), fields.clone()).to_string().into_bytes());
    let sent: Vec<Vec<u8>> = garbage.into_iter().chain(wrong).collect();
    for line in &sent {
        lines.extend(line);
        lines.push(b'\n');
    }
    lines.extend(br#"{"do":"time","case":"a","runs":2}"#);
    let answers = folder.lines("2", lines);
    assert_eq!(answers.len(), count + 2);
    for (answer, line) in answers[1..=count].iter().zip(&sent) {
        let error = answer["error"].as_str().unwrap_or_else(|| panic!("{answer} to {}", String::from_utf8_lossy(line)));
        assert!(!error.contains("internal error"), "{error}");
    }
    assert_eq!(answers[count + 1]["seconds"].as_array().map(Vec::len), Some(2), "the last line needs no newline");
}

#[test]
fn a_case_that_fails_to_be_prepared_again_is_gone() {
    let answers = Folder::new().conversation(
        "1",
        &[small("a"), with(small("a"), json!({"groups": 2})), json!({"do": "time", "case": "a", "runs": 1})],
    );
    assert!(answers[1]["error"].is_string());
    assert_eq!(answers[2], json!({"error": "there is no case 'a'"}));
}

#[test]
fn every_operation_on_files_gives_what_run_gives() {
    let folder = Folder::new();
    folder.random("x.npy", &[2, 4, 9, 8], 1);
    folder.random("w.npy", &[4, 2, 3, 2], 2);
    folder.random("b.npy", &[4], 3);
    folder.random("g.npy", &[2, 4, 5, 4], 4);
    let options = json!({
        "do": "prepare", "case": "a", "input": [2, 4, 9, 8], "weight": [4, 2, 3, 2], "stride": [2, 2],
        "padding": [[1, 1], [0, 1]], "groups": 2, "dtype": "f64",
        "files": {"input": "x.npy", "weight": "w.npy", "grad_output": "g.npy"}
    });
    let shared = ["--stride", "2", "--padding", "1,0:1", "--groups", "2"];
    let (x, w, g) = (["--input", "x.npy"], ["--weight", "w.npy"], ["--grad-output", "g.npy"]);
    let bias = json!({"bias": true, "activation": "relu"});
    for (op, more, args) in [
        ("conv", json!({}), [&x[..], &w].concat()),
        ("conv", bias.clone(), [&x[..], &w, &["--bias", "b.npy", "--activation", "relu"]].concat()),
        ("conv_transpose", json!({"output_padding": [1, 0]}), [&x[..], &w, &["--output-padding", "1,0"]].concat()),
        ("input_grad", json!({}), [&x[..], &w, &g].concat()),
        ("input_grad", json!({"bias": true}), [&x[..], &w, &g].concat()),
        ("weight_grad", json!({}), [&x[..], &w, &g].concat()),
    ] {
        let mut request = with(with(options.clone(), json!({"op": op})), more.clone());
        if more == bias {
            request["files"]["bias"] = json!("b.npy");
        }
        let save = json!({"do": "save", "case": "a", "file": "worker.npy"});
        let answers = folder.conversation("1", &[request, save]);
        let name = op.replace('_', "-");
        folder.ok(&[&["run", "--op", &name, "-o", "run.npy"], &args[..], &shared].concat());
        let expected = folder.load_npy::<f64>("run.npy");
        assert_eq!(answers[1]["shape"], json!(expected.shape()), "{op}: {answers:?}");
        assert_eq!(folder.load_npy::<f64>("worker.npy"), expected, "{op}");
    }
}

fn saved(folder: &Folder, threads: &str, request: Value) -> ArrayD<f32> {
    let answers = folder.conversation(threads, &[request, json!({"do": "save", "case": "a", "file": "y.npy"})]);
    assert!(answers[1]["shape"].is_array(), "{answers:?}");
    folder.load_npy("y.npy")
}

#[test]
fn seeded_data_is_the_same_whatever_the_threads_and_other_with_another_seed() {
    let folder = Folder::new();
    let request = with(small("a"), json!({"input": [3, 16, 20, 20], "weight": [16, 16, 3, 3], "seed": 7}));
    let one = saved(&folder, "1", request.clone());
    assert_eq!(one, saved(&folder, "3", request.clone()), "the same bits");
    assert_ne!(one, saved(&folder, "1", with(request, json!({"seed": 8}))));
    let std = one.std(0.0);
    assert!((0.9..2.0).contains(&std), "outputs have the size of inputs: {std}");
}

#[test]
fn layouts_algorithms_and_numbers_of_axes_agree() {
    let folder = Folder::new();
    let request = small("a");
    let expected = saved(&folder, "1", request.clone());
    for fields in [
        json!({"layout": "nhwc"}),
        json!({"layout": "nhwc", "algorithm": "im2col"}),
        json!({"algorithm": "direct"}),
        json!({"algorithm": "im2col", "numerics": "strict", "backend": "gemm"}),
        json!({"algorithm": "im2col-tiled", "workspace_bytes": 20_000}),
        json!({"padding": "same"}),
    ] {
        let found = saved(&folder, "2", with(request.clone(), fields.clone()));
        let difference = (&found - &expected).mapv(f32::abs).fold(0.0_f32, |a, &b| a.max(b));
        assert!(difference < 1e-5, "{fields}: {difference}");
    }
    for (op, input, weight, shape) in [
        ("conv", vec![2, 3, 9], vec![4, 3, 3], vec![2, 4, 7]),
        ("conv_transpose", vec![2, 3, 9], vec![3, 4, 3], vec![2, 4, 11]),
        ("input_grad", vec![1, 2, 4, 4, 4], vec![3, 2, 2, 2, 2], vec![1, 2, 4, 4, 4]),
        ("weight_grad", vec![1, 2, 4, 4, 4], vec![3, 2, 2, 2, 2], vec![3, 2, 2, 2, 2]),
        ("conv", vec![0, 3, 9], vec![4, 3, 3], vec![0, 4, 7]),
    ] {
        let request =
            json!({"do": "prepare", "case": "a", "op": op, "input": input, "weight": weight, "layout": "nhwc"});
        assert_eq!(saved(&folder, "1", request).shape(), shape, "{op}");
    }
}

#[test]
fn only_the_workspace_of_im2col_grows_with_the_picture() {
    let folder = Folder::new();
    let case = |algorithm: &str, side: usize| {
        let fields = json!({"input": [1, 16, side, side], "weight": [16, 16, 3, 3], "algorithm": algorithm});
        let answers = folder.conversation("2", &[with(small("a"), fields)]);
        assert_eq!(answers[0]["algorithm"], algorithm);
        answers[0]["workspace_bytes"].as_u64().unwrap()
    };
    assert!(case("im2col", 128) >= 16 * 9 * 128 * 128 * 4);
    assert!(case("im2col-tiled", 128) <= 2 * (2 << 20));
    assert!(case("im2col-tiled", 256) <= 2 * (2 << 20));
}
