//! `cargo xtask metrics`: the figures STYLE.md sets targets for.

use crate::Outcome;
use crate::source::{self, SourceFile};

/// Prints each figure beside its target.
pub(crate) fn run() -> Outcome {
    let files = source::files();
    let product: Vec<&SourceFile> =
        files.iter().filter(|file| !file.is_test && !file.path.starts_with("xtask")).collect();
    let mut lengths: Vec<usize> =
        product.iter().flat_map(|file| file.functions()).map(|function| function.length).collect();
    lengths.sort_unstable();
    let at = |share: usize| lengths.get(lengths.len() * share / 100).copied().unwrap_or(0);
    let code: usize = product.iter().map(|file| count(&file.lines[..file.code_end], is_code)).sum();
    let comments: usize = product.iter().map(|file| count(&file.lines[..file.code_end], is_comment)).sum();
    let inline_tests: usize = product.iter().map(|file| count(&file.lines[file.code_end..], is_code)).sum();
    let test_files: usize =
        files.iter().filter(|file| file.is_test).map(|file| count(&file.lines, is_code)).sum();
    let panics: usize = product
        .iter()
        .map(|file| {
            count(&file.lines[..file.code_end], |line| {
                line.contains(".unwrap()") || line.contains(".expect(")
            })
        })
        .sum();
    println!("code lines (product, without tests)   {code}");
    println!("functions                             {}", lengths.len());
    println!("function length, median               {:<8} target <= 10", at(50));
    println!("function length, nine in ten          {:<8} target <= 35", at(90));
    println!(
        "functions above 60 lines              {:<8} target 0",
        lengths.iter().filter(|length| **length > 60).count()
    );
    println!(
        "code in files of at most 300 lines    {:<8} target >= 50 %",
        format!("{} %", small_share(&product))
    );
    println!("comments / code                       {:<8} target 0.15-0.25", ratio(comments, code));
    println!("unwrap and expect per 1000 lines      {:<8} target <= 2", ratio(panics * 1000, code));
    println!(
        "tests / code                          {:<8} target >= 0.9",
        ratio(inline_tests + test_files, code)
    );
    longest(&product);
    Ok(())
}

fn longest(files: &[&SourceFile]) {
    let mut all: Vec<(usize, String)> = files
        .iter()
        .flat_map(|file| {
            file.functions().into_iter().map(|function| {
                (function.length, format!("{}:{} {}", file.path.display(), function.line, function.name))
            })
        })
        .collect();
    all.sort_by(|left, right| right.cmp(left));
    println!("longest functions:");
    for (length, place) in all.iter().take(10) {
        println!("  {length:>4}  {place}");
    }
}

fn small_share(files: &[&SourceFile]) -> usize {
    let total: usize = files.iter().map(|file| file.code_end).sum();
    let small: usize = files.iter().map(|file| file.code_end).filter(|lines| *lines <= 300).sum();
    small * 100 / total.max(1)
}

fn count(lines: &[String], test: impl Fn(&str) -> bool) -> usize {
    lines.iter().filter(|line| test(line.trim())).count()
}

fn is_comment(line: &str) -> bool {
    line.starts_with("//")
}

fn is_code(line: &str) -> bool {
    !line.is_empty() && !is_comment(line)
}

#[expect(clippy::cast_precision_loss, reason = "counts of lines, shown with two digits")]
fn ratio(part: usize, whole: usize) -> String {
    format!("{:.2}", part as f64 / whole.max(1) as f64)
}
