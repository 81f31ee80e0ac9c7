"""The style of the published Data Docs: the few Bootstrap classes Great Expectations' pages lean on."""

STYLE = """
:root { --ink: #1f2328; --faint: #656d76; --line: #d8dee4; --paper: #fff;
  --tint: #f6f8fa; --good: #1a7f37; --bad: #cf222e;
  --doubt: #9a6700; --link: #0969da; color-scheme: light dark; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --faint: #9198a1; --line: #3d444d; --paper: #0d1117;
  --tint: #151b23; --good: #3fb950; --bad: #f85149; --doubt: #d29922; --link: #4493f8; } }
* { box-sizing: border-box; }
body { margin: 0; font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); }
main { max-width: 1200px; margin: 2rem auto; padding: 0 1rem; }
a { color: var(--link); text-decoration: none; } a:hover { text-decoration: underline; }
h1, h4, h5, h6, .h6 { font-weight: 600; margin: 0.4rem 0; } h1 { font-size: 1.6rem; } h4 { font-size: 1.2rem; }
h5 { font-size: 1.05rem; } h6, .h6 { font-size: 0.95rem; } small, .lead { color: var(--faint); }
.navbar { padding: 0 2rem; border-bottom: 1px solid var(--line); background: var(--tint); }
.navbar .d-flex { display: flex; gap: 1rem; align-items: center; border: 0; padding: 0.8rem 0; }
.navbar-brand a { font-weight: 600; white-space: nowrap; }
.breadcrumb { display: flex; list-style: none; margin: 0; padding: 0; }
.breadcrumb li + li::before { content: "/"; padding: 0 0.5rem; color: var(--faint); }
.container-fluid { padding: 0.5rem 2rem; } .row { display: flex; flex-wrap: wrap; gap: 0 1.5rem; }
.row > .col-lg-2 { flex: 0 0 13rem; } .row > .col-lg-10 { flex: 1 1 0; min-width: 40rem; } .col-12 { flex: 0 0 100%; }
.col-6 { flex: 1 1 45%; } .sticky > .card.mb-3 { display: none; } .card-header { color: var(--faint); }
.sticky ul { list-style: none; margin: 0; padding: 0; } .sticky li { padding: 0.1rem 0; }
.sticky nav { background: none; border: 0; padding: 0; }
.alert { padding: 0.5rem 1rem; background: var(--tint); border: 1px solid var(--line); border-radius: 6px; }
.collapse { display: none; } .collapse:target { display: block; }
table { border-collapse: collapse; } .table { width: 100%; margin: 0.5rem 0; }
th, td { text-align: left; vertical-align: top; padding: 0.35rem 0.8rem 0.35rem 0;
  border-bottom: 1px solid var(--line); }
.table .table { width: auto; font-size: 0.9rem; } td p { margin: 0.2rem 0; }
.index td:nth-child(n + 3) { white-space: nowrap; }
.text-success { color: var(--good); } .text-danger { color: var(--bad); } .text-warning { color: var(--doubt); }
i.fas { font-style: normal; font-weight: 700; }
.fa-check-circle::before { content: "✓"; } .fa-times::before { content: "✗"; }
.fa-exclamation-triangle::before { content: "!"; } .ge-section { clear: both; margin-bottom: 1rem; }
.table, .table tr, .table td, .table th { background: none; color: inherit; }
.table-responsive, .show-scrollbars, .card-body { overflow-x: auto; } .small, .table-sm { font-size: 0.85rem; }
.head { padding: 0.5rem 2rem 0; } .head h1 { margin: 0.8rem 0; }
.missed { margin: 0.6rem 0; padding: 0.5rem 0.9rem; background: var(--tint); border-left: 4px solid var(--bad);
  border-radius: 4px; overflow-wrap: anywhere; } .missed.warning { border-color: var(--doubt); }
.row > .col-lg-2 > .mb-4, td table { display: none; }
@media (max-width: 900px) {
  .row > .col-lg-2 { display: none; } .row > .col-lg-10 { min-width: 0; flex: 1 1 100%; max-width: 100%; }
  .container-fluid, .head, .navbar { padding-left: 1rem; padding-right: 1rem; }
  .ge-section.container-fluid { padding: 0; } .ge-section .row { display: block; }
  .breadcrumb { display: none; } .col-6 { flex-wrap: wrap; }
  .table .table { width: 100%; } td { overflow-wrap: anywhere; }
  .index thead { display: none; } .index, .index tbody, .index tr { display: block; }
  .index tr { padding: 0.8rem 0; border-bottom: 1px solid var(--line); }
  .index td { display: inline-block; border: 0; padding: 0.25rem 1rem 0.25rem 0; }
  .index td:nth-child(-n + 2) { display: block; padding-right: 0; } .index td.none { display: none; }
  .index td[data-suite]::before { content: attr(data-suite) " "; color: var(--faint); font-size: 0.85rem; }
}
.badge { font-size: 0.85rem; padding: 0.1rem 0.4rem; border: 1px solid var(--line); border-radius: 6px; }
"""
