//! Text in aligned columns, as Go's tabwriter lays it out: cells end with tabs, and a column is a block of
//! consecutive lines that have a cell there.

/// How columns are spaced.
#[derive(Debug, Clone, Copy)]
pub struct Table {
    /// The least width of a column, padding included.
    pub min_width: usize,
    /// Blanks between columns.
    pub padding: usize,
}

impl Table {
    /// The layout of docker's lists.
    pub const DOCKER: Self = Self { min_width: 10, padding: 3 };
    /// The layout of `docker top`.
    pub const TOP: Self = Self { min_width: 20, padding: 3 };

    /// Lays out lines whose cells are separated by tabs.
    pub fn layout(self, text: &str) -> String {
        let ends_with_newline = text.ends_with('\n');
        let body = text.strip_suffix('\n').unwrap_or(text);
        let lines: Vec<Vec<&str>> = body.split('\n').map(|line| line.split('\t').collect()).collect();
        let mut widths: Vec<Vec<usize>> = lines.iter().map(|line| vec![0; line.len() - 1]).collect();
        self.measure(&lines, &mut widths, 0, 0, lines.len());
        let mut out = String::with_capacity(text.len() * 2);
        for (index, (line, widths)) in lines.iter().zip(&widths).enumerate() {
            if index > 0 {
                out.push('\n');
            }
            for (column, cell) in line.iter().enumerate() {
                out.push_str(cell);
                if let Some(width) = widths.get(column) {
                    let blanks = width.saturating_sub(cell_width(cell));
                    out.extend(std::iter::repeat_n(' ', blanks));
                }
            }
        }
        if ends_with_newline {
            out.push('\n');
        }
        out
    }

    /// Gives every block of consecutive lines with a cell in this column the width of its widest cell.
    fn measure(self, lines: &[Vec<&str>], widths: &mut [Vec<usize>], column: usize, from: usize, to: usize) {
        let has_cell = |index: usize| lines.get(index).is_some_and(|line| column + 1 < line.len());
        let mut index = from;
        while index < to {
            if !has_cell(index) {
                index += 1;
                continue;
            }
            let start = index;
            let mut widest = 0;
            while index < to && has_cell(index) {
                let width =
                    lines.get(index).and_then(|line| line.get(column)).map_or(0, |cell| cell_width(cell));
                widest = widest.max(width + self.padding);
                index += 1;
            }
            for row in widths.iter_mut().take(index).skip(start) {
                if let Some(width) = row.get_mut(column) {
                    *width = widest.max(self.min_width);
                }
            }
            self.measure(lines, widths, column + 1, start, index);
        }
    }
}

fn cell_width(cell: &str) -> usize {
    if cell.is_ascii() { cell.len() } else { cell.chars().count() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_align_in_blocks() {
        let check = |text: &str, expected: &str| assert_eq!(Table::DOCKER.layout(text), expected);
        check("A\tB\nlonger than ten\tx\n", "A                 B\nlonger than ten   x\n");
        check("A\tB\nb\tx", "A         B\nb         x");
        check("no cells\na\tb\n", "no cells\na         b\n");
        check("a\tb\tc\nplain\naaaaaaaaaaaa\tb\n", "a         b         c\nplain\naaaaaaaaaaaa   b\n");
        check("ü\tx\n", "ü         x\n");
        check("", "");
    }
}
