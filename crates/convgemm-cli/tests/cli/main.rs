//! The program as a user meets it: arguments in, files and exit codes out.

mod exercises;
mod explain;
mod filter_json;
mod learn;
#[cfg(feature = "linalg")]
mod learn_exact;
mod overwrite;
mod pictures;
mod pictures_many;
#[cfg(all(unix, feature = "linalg"))]
mod printed;
mod refused_arrays;
mod refused_pictures;
mod run;
mod shell;
mod support;
mod worker;
