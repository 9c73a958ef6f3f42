//! The page: one file with everything in it.

use anyhow::Result;
use minijinja::{AutoEscape, Environment, context};
use serde::Serialize;

use super::answers::{Answered, Line};
use super::chart::escaped;
use super::figures;

#[derive(Serialize)]
struct Section {
    name: &'static str,
    title: &'static str,
    question: Vec<String>,
    code: String,
    file: String,
    findings: Vec<Line>,
    figures: Vec<String>,
    holds: bool,
}

/// The answers as a page that needs nothing else.
///
/// # Errors
/// None is expected.
pub fn render(answers: &[Answered]) -> Result<String> {
    let sections = answers.iter().map(|(item, answer)| {
        Ok(Section {
            name: item.name,
            title: item.title(),
            question: item.question(),
            code: highlighted(&item.code()),
            file: format!("{}.rs", item.name.replace('-', "")),
            findings: answer.findings.iter().map(Line::from).collect(),
            figures: answer.figures.iter().map(figures::html).collect::<Result<_>>()?,
            holds: answer.all_hold(),
        })
    });
    let sections: Vec<Section> = sections.collect::<Result<_>>()?;
    let count = sections.iter().map(|section| section.findings.len()).sum::<usize>();
    let held = sections.iter().flat_map(|section| &section.findings).filter(|line| line.holds).count();
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    environment.add_template("page", include_str!("page.html"))?;
    let page = environment.get_template("page")?;
    Ok(page.render(context! {
        sections, count, held,
        style => include_str!("page.css"),
        script => include_str!("page.js"),
        version => env!("CARGO_PKG_VERSION"),
    })?)
}

/// Source as HTML, comments set apart.
fn highlighted(code: &str) -> String {
    let line = |line: &str| {
        let text = escaped(line);
        if line.trim_start().starts_with("//") { format!("<i>{text}</i>") } else { text }
    };
    code.lines().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use convgemm_exercises::{Answer, ITEMS};

    use super::*;

    #[test]
    fn the_page_shows_the_sources_that_ran_and_loads_nothing() {
        let answers: Vec<Answered> = ITEMS.iter().map(|item| (item, Answer::new())).collect();
        let page = render(&answers).unwrap();
        for item in ITEMS {
            let code: Vec<&str> = item.source.lines().skip_while(|line| line.starts_with("//!")).collect();
            for line in code.iter().filter(|line| !line.trim().is_empty()) {
                assert!(page.contains(&escaped(line)), "{}: {line}", item.name);
            }
        }
        for outside in ["src=\"http", "href=\"http", "@import", "url(http", "fetch("] {
            assert!(!page.contains(outside), "{outside}");
        }
    }

    #[test]
    fn what_does_not_hold_is_seen_and_text_cannot_become_markup() {
        let mut answer = Answer::new();
        answer.holds("<script>", "<b>", "&");
        let page = render(&[(&ITEMS[0], answer)]).unwrap();
        assert!(page.contains("✗") && page.contains("&lt;script&gt;") && !page.contains("<b>"));
        assert!(page.contains("0 of 1"));
    }
}
