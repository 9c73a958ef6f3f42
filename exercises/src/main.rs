//! Runs one statement or exercise by its name, or all.

#![forbid(unsafe_code)]

use std::process::ExitCode;

use convgemm_exercises::{ITEMS, Item};

fn main() -> ExitCode {
    let names: Vec<String> = std::env::args().skip(1).collect();
    let mut chosen = vec![];
    for name in &names {
        let Some(item) = Item::find(name) else {
            let known: Vec<&str> = ITEMS.iter().map(|item| item.name).collect();
            eprintln!("error: there is no '{name}'; there are {}", known.join(", "));
            return ExitCode::from(2);
        };
        chosen.push(item);
    }
    if chosen.is_empty() {
        chosen.extend(ITEMS);
    }
    let mut all_hold = true;
    for item in chosen {
        println!("{}", item.title());
        match item.answer() {
            Ok(answer) => {
                for finding in &answer.findings {
                    let mark = if finding.holds { '✓' } else { '✗' };
                    println!("  {mark} {}: {}", finding.what, finding.found);
                    if !finding.holds {
                        println!("      expected {}", finding.expected);
                    }
                }
                all_hold &= answer.all_hold();
            }
            Err(error) => {
                println!("  ✗ {error}");
                all_hold = false;
            }
        }
    }
    ExitCode::from(u8::from(!all_hold))
}
