#include "reports/html.h"

namespace plumbline::reports {

std::string_view html_style() {
  return R"css(
:root {
  color-scheme: light dark;
  --page: #fbfbfa; --card: #ffffff; --ink: #1d2126; --quiet: #646c76; --line: #e2e4e7; --fill: #f1f2f4;
  --blue: #2563c9; --orange: #c4570c; --gray: #8a929c;
  --good: #1a7f4b; --bad: #c42b36; --warn: #946200; --good-fill: #e5f4ec; --bad-fill: #fbe9ea; --warn-fill: #fbf1d9;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #15181c; --card: #1c2025; --ink: #e4e7eb; --quiet: #98a1ac; --line: #30363d; --fill: #262b32;
    --blue: #6ea3f7; --orange: #f0954f; --gray: #7d8691;
    --good: #5cc48d; --bad: #f47f86; --warn: #e0b04c; --good-fill: #17332a; --bad-fill: #402126; --warn-fill: #3a3018;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); font: 14px/1.5 system-ui, "Segoe UI", Roboto, sans-serif; }
main { max-width: 1120px; margin: 0 auto; padding: 28px 24px 64px; }
h1 { font-size: 24px; line-height: 1.25; margin: 6px 0 4px; }
h2 { font-size: 17px; margin: 40px 0 4px; }
h3 { font-size: 14px; margin: 22px 0 6px; font-weight: 600; }
p { margin: 4px 0 10px; max-width: 100ch; }
.quiet { color: var(--quiet); font-weight: 400; }
code { font: 12.5px/1.45 ui-monospace, "DejaVu Sans Mono", Menlo, monospace; }
code.copy { display: block; white-space: pre-wrap; overflow-wrap: anywhere; user-select: all; -webkit-user-select: all;
  background: var(--fill); border-radius: 5px; padding: 4px 8px; }
.wide { overflow-x: auto; background: var(--card); border: 1px solid var(--line); border-radius: 8px; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th { text-align: left; font-weight: 600; color: var(--quiet); font-size: 12px; white-space: nowrap; }
th, td { padding: 5px 12px; border-bottom: 1px solid var(--line); vertical-align: top; }
tr:last-child > td, tr:last-child > th { border-bottom: 0; }
tbody th { color: var(--ink); font-size: 14px; }
tbody.group > tr:not(:last-child) > td { border-bottom-color: transparent; }
tbody.group > tr > td, tbody.group > tr > th { padding-top: 2px; padding-bottom: 2px; }
.n { text-align: right; white-space: nowrap; }
.zero { color: var(--quiet); opacity: .55; }
.nowrap { white-space: nowrap; }
.reason { overflow-wrap: anywhere; }
.badge { display: inline-block; border-radius: 999px; padding: 0 9px; font-size: 12px; font-weight: 600; line-height: 20px;
  white-space: nowrap; background: var(--fill); color: var(--quiet); }
.badge.good { background: var(--good-fill); color: var(--good); }
.badge.bad { background: var(--bad-fill); color: var(--bad); }
.badge.warn { background: var(--warn-fill); color: var(--warn); }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(130px, 1fr)); gap: 10px; margin: 18px 0 0; padding: 0;
  list-style: none; }
.tiles li { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: 10px 14px; }
.tiles b { display: block; font-size: 22px; line-height: 1.3; font-variant-numeric: tabular-nums; }
.tiles .good b { color: var(--good); } .tiles .bad b { color: var(--bad); } .tiles .warn b { color: var(--warn); }
.errors { background: var(--bad-fill); color: var(--bad); border-radius: 8px; padding: 10px 14px; margin: 14px 0 0; }
.errors p { margin: 0; }
svg { display: block; }
.strip { width: 200px; height: 22px; }
.strip .inside { fill: var(--blue); } .strip .exact { fill: var(--gray); } .strip .outside { fill: var(--bad); }
.strip .limit { stroke: var(--bad); stroke-width: 1; } .strip .base { stroke: var(--line); stroke-width: 1; }
.plots { display: grid; grid-template-columns: repeat(auto-fill, minmax(300px, 1fr)); gap: 10px; margin: 8px 0 0; }
figure { margin: 0; background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: 8px 12px; }
figcaption { font-size: 13px; font-weight: 600; display: flex; justify-content: space-between; gap: 8px; }
figure svg { width: 100%; height: auto; }
.grid { stroke: var(--line); stroke-width: 1; }
.tick { fill: var(--quiet); font-size: 10px; }
.drift, .quantization, .bound { fill: none; stroke-width: 1.8; stroke-linecap: round; stroke-linejoin: round; }
.drift { stroke: var(--blue); }
.quantization { stroke: var(--orange); stroke-dasharray: 5 4; }
.bound { stroke: var(--gray); stroke-dasharray: 1 4; }
.legend { display: flex; flex-wrap: wrap; gap: 4px 20px; font-size: 13px; color: var(--quiet); }
.legend span { display: inline-flex; align-items: center; gap: 7px; }
.legend svg { width: 30px; height: 8px; }
.share { display: flex; height: 16px; border-radius: 5px; overflow: hidden; gap: 2px; margin: 8px 0; }
.share i { display: block; height: 100%; }
.dot { display: inline-block; width: 10px; height: 10px; border-radius: 3px; margin-right: 7px; }
.s0 { background: #7a8694; } .s1 { background: #3b78d8; } .s2 { background: #7f5fc7; } .s3 { background: #2c9c74; }
.s4 { background: #cf7a26; }
details > summary { cursor: pointer; padding: 4px 0; color: var(--quiet); }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 4px 18px; margin: 8px 0; }
dt { color: var(--quiet); } dd { margin: 0; overflow-wrap: anywhere; }
@media print { code.copy { background: none; padding: 0; } details { display: block; } }
)css";
}

}  // namespace plumbline::reports
