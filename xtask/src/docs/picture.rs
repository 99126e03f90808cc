//! docs/top.svg: a frame of `memcg-trace top`, from a run in a VM.

use std::fmt::Write as _;

use anyhow::{Result, ensure};

use super::case::{Case, vm};
use crate::vm::Cgroup;

/// Three services of which one in three runs leaves a file in memory, recorded and shown.
const SCRIPT: &str = r#"
mkdir $root/system.slice
echo +memory >$root/cgroup.subtree_control
echo +memory >$root/system.slice/cgroup.subtree_control
memcg-trace trace --grace 5s --record /tmp/run >/dev/null 2>/tmp/said &
trace=$!
until grep -q tracing /tmp/said; do sleep 1; done
for run in $(seq 1 30); do
    for service in export report mail; do
        cgroup=$root/system.slice/$service@$run.service
        mkdir $cgroup
        file=/dev/null
        case $service$((run % 3)) in
            export0) file=/dev/shm/export-$run.csv ;;
            report0) file=/var/tmp/report-$run.pdf ;;
        esac
        mkdir -p /dev/shm /var/tmp
        sh -c "echo 0 >$cgroup/cgroup.procs; exec dd if=/dev/zero of=$file bs=64k count=$run status=none"
        rmdir $cgroup
    done
    usleep 300000
done
sleep 8
kill $trace
wait $trace
memcg-trace top --replay /tmp/run --color always --size 112x30"#;

pub const CASE: Case = vm("", "memcg-trace top", ("6.12", Cgroup::V2, ""), SCRIPT);

/// Of a cell, and where its text stands in it; px.
const CELL: (f64, f64) = (8.4, 18.0);
const BASELINE: f64 = 13.0;
const MARGIN: f64 = 10.0;

/// How a run of text looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Look {
    bold: bool,
    dim: bool,
    reversed: bool,
    /// 1: red, 2: green, 3: yellow, 6: cyan.
    color: Option<u8>,
}

/// An image of a text with escape sequences (SGR), as a terminal shows it.
pub fn svg(title: &str, text: &str) -> Result<String> {
    let lines: Vec<&str> = text.lines().collect();
    ensure!(!lines.is_empty(), "{title} printed nothing");
    let runs: Vec<Vec<(Look, String)>> = lines.iter().map(|line| runs(line)).collect();
    let columns =
        |line: &Vec<(Look, String)>| line.iter().map(|(_, text)| text.chars().count()).sum::<usize>();
    let widest = runs.iter().map(columns).max().unwrap_or_default();
    let (width, height) = (widest as f64 * CELL.0 + 2.0 * MARGIN, lines.len() as f64 * CELL.1 + 2.0 * MARGIN);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" role=\"img\">\n\
         <title>{title}</title>\n<style>\n\
         text {{ font: 14px ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace; fill: #d0d0d0; white-space: pre }}\n\
         .b {{ font-weight: bold }} .d {{ fill: #8a8a8a }} .r {{ fill: #1c1c1c }}\n\
         .c1 {{ fill: #ff6b68 }} .c2 {{ fill: #6bc46d }} .c3 {{ fill: #d7b94c }} .c6 {{ fill: #56b6c2 }}\n\
         </style>\n<rect width=\"100%\" height=\"100%\" rx=\"6\" fill=\"#1c1c1c\"/>\n"
    );
    for (line, runs) in runs.iter().enumerate() {
        let top = MARGIN + line as f64 * CELL.1;
        let mut column = 0;
        for (look, text) in runs {
            let (x, count) = (MARGIN + column as f64 * CELL.0, text.chars().count());
            column += count;
            let length = count as f64 * CELL.0;
            if look.reversed {
                let height = CELL.1;
                writeln!(
                    svg,
                    "<rect x=\"{x:.1}\" y=\"{top:.0}\" width=\"{length:.1}\" height=\"{height:.0}\" fill=\"#d0d0d0\"/>"
                )?;
            }
            if text.trim().is_empty() {
                continue;
            }
            let (class, y, text) = (look.class(), top + BASELINE, escaped(text));
            writeln!(svg, "<text x=\"{x:.1}\" y=\"{y:.0}\" textLength=\"{length:.1}\"{class}>{text}</text>")?;
        }
    }
    Ok(svg + "</svg>\n")
}

/// Texts of a line that look the same.
fn runs(line: &str) -> Vec<(Look, String)> {
    let mut look = Look::default();
    let mut runs = Vec::new();
    let mut pieces = line.split("\x1b[");
    runs.extend(pieces.next().filter(|piece| !piece.is_empty()).map(|piece| (look, piece.to_owned())));
    for piece in pieces {
        let (code, text) = piece.split_once('m').unwrap_or((piece, ""));
        look = look.with(code);
        if !text.is_empty() {
            runs.push((look, text.to_owned()));
        }
    }
    runs
}

impl Look {
    fn with(self, code: &str) -> Self {
        match code {
            "1" => Self { bold: true, ..self },
            "2" => Self { dim: true, ..self },
            "7" => Self { reversed: true, ..self },
            "31" | "32" | "33" | "36" => Self { color: code[1..].parse().ok(), ..self },
            _ => Self::default(),
        }
    }

    fn class(self) -> String {
        let color = self.color.map(|color| format!("c{color}"));
        let names = [(self.bold, "b"), (self.dim, "d"), (self.reversed, "r")];
        let names = names.into_iter().filter(|(is, _)| *is).map(|(_, name)| name.to_owned());
        match names.chain(color).collect::<Vec<_>>().join(" ") {
            none if none.is_empty() => none,
            names => format!(" class=\"{names}\""),
        }
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_of_a_line() {
        let bold = Look { bold: true, ..Look::default() };
        let red = Look { color: Some(1), ..bold };
        let runs = runs("a\x1b[1mb <\x1b[31mc\x1b[0md");
        let plain = Look::default();
        assert_eq!(runs, [(plain, "a".into()), (bold, "b <".into()), (red, "c".into()), (plain, "d".into())]);
        let svg = svg("a title", "a\x1b[7mb <\x1b[0m").expect("a text");
        assert!(svg.contains(">b &lt;</text>") && svg.contains("class=\"r\""), "{svg}");
    }
}
