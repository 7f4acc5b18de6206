"""How the page of a context looks, in light and in dark."""

from __future__ import annotations

COLOURS = 10
"""Sources that have a colour of their own; hues far apart come first."""
_HUES = (212, 28, 145, 330, 265, 52, 182, 0, 95, 300)

STYLE = (
    """
:root{--page:#fbfbfa;--ink:#1d2023;--soft:#5c646c;--line:#d9dcdf;--card:#ffffff;--grey:#eceeef;
--greyer:#b9bfc5;--tint:72% 91%;--solid:62% 46%;--focus:#1b5fd0}
@media (prefers-color-scheme:dark){:root{--page:#16181b;--ink:#e4e6e8;--soft:#9aa3ab;
--line:#343a40;--card:#212529;--grey:#24282c;--greyer:#565e66;--tint:38% 20%;--solid:55% 58%;
--focus:#7fb0ff}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:76rem;padding:1.5rem 1.25rem 14rem;background:var(--page);
color:var(--ink);font:15px/1.5 system-ui,sans-serif}
h1{font-size:1.4rem;margin:0 0 .25rem;overflow-wrap:anywhere}
h2{font-size:1.1rem;margin:2rem 0 .5rem;padding-top:1rem;border-top:1px solid var(--line)}
h3{font-size:.85rem;margin:1rem 0 .25rem;color:var(--soft);font-weight:600}
p{margin:.25rem 0 .5rem}
header p,section>p,small{color:var(--soft)}
a{color:inherit}
:focus-visible{outline:2px solid var(--focus);outline-offset:1px}
h1,td,.fact span,.legend a{unicode-bidi:plaintext}
.bar{display:block;width:100%;height:14px;background:var(--grey);border-radius:3px}
td .bar{min-width:12rem;height:10px}
rect{stroke:var(--page);stroke-width:1;vector-effect:non-scaling-stroke}
.fine rect{stroke:none}
.legend,summary{margin:.5rem 0;font-size:.87rem;color:var(--soft)}
.legend{list-style:none;padding:0;display:flex;flex-wrap:wrap;gap:.2rem 1.2rem}
summary{cursor:pointer;width:max-content}
.legend li{overflow-wrap:anywhere}
.legend a{color:var(--ink)}
.legend i{display:inline-block;width:.8rem;height:.8rem;margin-right:.4rem;border-radius:2px;
vertical-align:-.08rem;background:hsl(var(--hue) var(--solid))}
.legend i.ours,.legend i.spare{background:var(--greyer)}
.legend i.plain{background:var(--soft)}
.legend i.held{background:none;border:1px solid var(--soft)}
rect{fill:hsl(var(--hue) var(--solid))}
rect.ours{fill:var(--greyer)}
rect.plain{fill:var(--soft)}
rect.held,.fine rect.held{fill:none;stroke:var(--soft)}
rect.spare{fill:none;stroke:none}
.message{border:1px solid var(--line);border-radius:6px;padding:.7rem .8rem;background:var(--card);
font:13.5px/1.65 ui-monospace,monospace;white-space:pre-wrap;overflow-wrap:anywhere;tab-size:4}
.segment{unicode-bidi:plaintext;border-radius:3px;background:hsl(var(--hue) var(--tint));
box-shadow:inset 0 -1px hsl(var(--hue) var(--solid)/.6);
-webkit-box-decoration-break:clone;box-decoration-break:clone}
.segment.ours{background:none;box-shadow:none;color:var(--soft)}
.segment.plain{background:var(--grey);box-shadow:inset 0 -1px var(--soft)}
.segment:empty::after{content:"(no text)";color:var(--soft)}
.segment[data-number]::before{content:attr(data-number);margin-inline-end:.35rem;padding:0 .3rem;
border:1px solid hsl(var(--hue) var(--solid));border-radius:3px;font-size:.8em}
.segment:hover,.segment:focus,.segment:target{outline:2px solid var(--focus);outline-offset:0}
.carried{display:block;width:max-content;max-width:100%;margin:.3rem 0;padding:0 .4rem;
border:1px dashed var(--greyer);border-radius:3px;color:var(--soft)}
.unseen{font-size:.75em;padding:0 .2em;border:1px solid currentColor;border-radius:3px}
.card{display:none;position:fixed;z-index:1;left:0;right:0;bottom:0;max-height:13rem;
overflow:auto;padding:.8rem 1.25rem;background:var(--card);color:var(--ink);
border-top:2px solid var(--focus);font:14px/1.45 system-ui,sans-serif;white-space:normal;
gap:0 1.5rem;grid-template-columns:repeat(auto-fit,minmax(min(20rem,100%),1fr));
box-shadow:0 -4px 16px rgb(0 0 0/.18)}
.segment:focus+.card{display:grid}
.segment:hover+.card{display:grid;z-index:2;pointer-events:none}
.fact{display:grid;grid-template-columns:5rem 1fr;gap:.5rem;
overflow-wrap:anywhere}
.fact b{color:var(--soft);font-weight:500}
.wide{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-size:.87rem}
th,td{padding:.3rem .9rem .3rem 0;text-align:left;vertical-align:top;
border-bottom:1px solid var(--line);overflow-wrap:break-word}
td:first-child{min-width:11rem;overflow-wrap:anywhere}
th{color:var(--soft);font-weight:500;white-space:nowrap}
td.number,th.number{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
td:first-child b{white-space:nowrap}
td:last-child,th:last-child{padding-right:0}
@media print{.card{display:none!important}body{padding-bottom:1rem}}
"""
    + "".join(f".c{number}{{--hue:{hue}}}\n" for number, hue in enumerate(_HUES))
).strip()
