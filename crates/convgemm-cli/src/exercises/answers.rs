//! The answers as text and as JSON.

use anyhow::{Result, anyhow, bail};
use convgemm_exercises::{Answer, Finding, ITEMS, Item};
use serde::Serialize;

/// Characters of a value that a line of the terminal has room for.
const WIDEST: usize = 100;

/// An item and what running it gave.
pub type Answered = (&'static Item, Answer);

/// Runs the items of these names, or all.
pub fn run(names: &[String]) -> Result<Vec<Answered>> {
    let mut items = vec![];
    for name in names {
        let Some(item) = Item::find(name) else {
            let known: Vec<&str> = ITEMS.iter().map(|item| item.name).collect();
            bail!("there is no '{name}'; there are {}", known.join(", "));
        };
        items.push(item);
    }
    if items.is_empty() {
        items.extend(ITEMS);
    }
    let run = |item: &'static Item| Ok((item, item.answer().map_err(|error| anyhow!("{}: {error}", item.name))?));
    items.into_iter().map(run).collect()
}

/// What is printed.
pub fn text(answers: &[Answered]) -> String {
    let mut text = String::new();
    for (item, answer) in answers {
        text += &format!("{} ({})\n", item.title(), item.name);
        for finding in &answer.findings {
            let mark = if finding.holds { '✓' } else { '✗' };
            text += &format!("  {mark} {}: {}\n", finding.what, cut(&finding.found));
            if !finding.holds {
                text += &format!("      expected {}\n", cut(&finding.expected));
            }
        }
    }
    let findings = || answers.iter().flat_map(|(_, answer)| &answer.findings);
    let (held, all) = (findings().filter(|finding| finding.holds).count(), findings().count());
    text + &format!("{held} of {all} numbers hold\n")
}

fn cut(value: &str) -> String {
    match value.char_indices().nth(WIDEST) {
        Some((end, _)) => format!("{} …", &value[..end]),
        None => value.to_owned(),
    }
}

#[derive(Serialize)]
pub struct Summary {
    name: &'static str,
    title: &'static str,
    findings: Vec<Line>,
}

/// A finding as it is written out.
#[derive(Serialize)]
pub struct Line {
    what: String,
    found: String,
    expected: String,
    pub holds: bool,
}

impl From<&Finding> for Line {
    fn from(finding: &Finding) -> Self {
        let Finding { what, found, expected, holds } = finding.clone();
        Self { what, found, expected, holds }
    }
}

/// What is printed as JSON.
pub fn summary(answers: &[Answered]) -> Vec<Summary> {
    let one = |(item, answer): &Answered| Summary {
        name: item.name,
        title: item.title(),
        findings: answer.findings.iter().map(Line::from).collect(),
    };
    answers.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_that_does_not_hold_is_marked_with_what_it_should_be() {
        let mut answer = Answer::new();
        answer.digits("half", 0.5, "0.5");
        answer.digits("loss", 0.25, "0.24");
        let text = text(&[(&ITEMS[0], answer)]);
        assert!(text.contains("✓ half: 0.5\n  ✗ loss: 0.25\n      expected 0.24\n1 of 2 numbers hold"), "{text}");
    }
}
