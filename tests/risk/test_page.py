"""The page of a report: whole, readable, and every number in it is one of the report."""

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from scvcell.risk import RiskReport
from scvcell.risk._columns import COLUMNS
from scvcell.risk._page import plain, shown
from scvcell.risk._svg import LIMIT, Drawing

VOID = {"meta", "link", "br", "img", "input"}


class Reader(HTMLParser):
    """Numbers of a page with their places, and all other words outside figures, styles and code."""

    def __init__(self, text):
        super().__init__()
        self.open, self.numbers, self.words, self.tags = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID and tag not in ("path", "use"):
            self.open.append((tag, dict(attrs)))

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open[-1][0] == tag, f"{self.open[-1]} is closed by {tag}"
        self.open.pop()

    def handle_data(self, data):
        names = [tag for tag, _ in self.open]
        if not data.strip() or {"svg", "style", "title"} & set(names):
            return
        place = self.open[-1][1]
        if "data-table" in place:
            self.numbers.append((place["data-table"], place.get("data-row"), place["data-column"], data))
        else:
            self.words.append(data)


@pytest.fixture(scope="module")
def report(made_report):
    facts = {"split": {"keys": {"target": "perturbation", "separator": "+", "context": {"column": "cell_type"}}}}
    return made_report(options=facts)


@pytest.fixture(scope="module")
def page(report):
    return report.to_html()


@pytest.fixture(scope="module")
def red(made_report):
    facts = {"keys": {"target": "perturbation", "schedule": {"of": {"context": "cell_type"}}}}
    return made_report(verdict="red", options=facts)


@pytest.fixture(scope="module")
def red_page(red):
    return red.to_html()


@pytest.fixture
def few(report):
    """A report of one axis without curves, whose page is made quickly."""
    names = ("rows", "summary", "calibration", "breakdown")
    tables = {name: getattr(report, name).query("axis == 'modality'") for name in names}
    return replace(report, **tables, curves=report.curves.iloc[:0])


@pytest.fixture(scope="module")
def read(page):
    return Reader(page)


def value_of(text):
    """A number as the page shows it, and half a unit of its last place."""
    plain = text.replace("\N{MINUS SIGN}", "-").replace(",", "").replace("\N{NO-BREAK SPACE}", "")
    share = plain.endswith("%")
    digits, _, power = plain.rstrip("%").partition("e")
    unit = 10.0 ** (int(power or 0) - len(digits.partition(".")[2]))
    scale = 0.01 if share else 1.0
    return float(digits) * 10.0 ** int(power or 0) * scale, 0.5000001 * unit * scale


def check(numbers, report):
    """Compare numbers of a page with the report as its JSON has it."""
    again = RiskReport.from_json(report.to_json())
    for table, row, column, text in numbers:
        true = again.alpha[column] if table == "alpha" else getattr(again, table)[column].iloc[int(row)]
        found, half = value_of(text)
        assert abs(found - float(true)) <= half, (table, row, column, text, true)


def test_every_number_is_one_of_the_json(read, report):
    check(read.numbers, report)
    seen = {(table, column) for table, _, column, _ in read.numbers}
    for table in ("total", "calibration", "groups"):
        numeric = set(getattr(report, table).select_dtypes("number"))
        assert {(table, column) for column in numeric} <= seen, table
    assert {("summary", c) for c in ("scaled", "scaled_lower", "scaled_upper", "value", "baseline")} <= seen
    shown_rows = {int(row) for table, row, _, _ in read.numbers if table == "summary"}
    assert shown_rows == set(np.flatnonzero(report.summary["value"].notna()))


def test_a_wrong_number_would_be_found(page, report):
    wrong = re.sub(r'(data-table="total" data-row="0" data-column="risk">)0\.52', r"\g<1>0.54", page, count=1)
    assert wrong != page
    with pytest.raises(AssertionError):
        check(Reader(wrong).numbers, report)


def test_no_number_stands_anywhere_else(read, report):
    """Numbers in words come from texts of the report: names, notes, cards."""
    texts = json.dumps(json.loads(report.to_json()))
    for words in read.words:
        for number in re.findall(r"\d[\d,.]*\d|\d", words.replace("0.1.0", "")):
            assert number.replace(",", "") in texts, words


def test_it_is_one_file_and_small(page, read):
    assert len(page.encode()) <= 1_500_000
    assert "http" not in page
    assert "<script" not in page
    assert not [tag for tag, _ in read.tags if tag in ("script", "iframe", "img", "object", "embed")]
    (icon,) = [attrs for tag, attrs in read.tags if tag == "link"]
    assert icon["href"] == "data:,"
    assert not re.findall(r"url\((?!#)", page), "no font or image is loaded"
    assert not read.open, "every element is closed"


def test_a_large_report_is_still_small(report, monkeypatch):
    """Ten times as many scores, and as many figures as a page has of four axes, each of 50 kB."""
    drawing = Drawing("<svg>" + " " * 50_000 + "</svg>", "words")
    monkeypatch.setattr("scvcell.risk._page.figures", lambda report: ([], [drawing] * 4, [drawing] * 4 * LIMIT))
    summary = pd.concat([report.summary.assign(readout=report.summary["readout"] + f" {i}") for i in range(10)])
    rows = pd.concat([report.rows.assign(value=np.nan, note="failed: no memory")] * 40)
    long = {name: pd.concat([getattr(report, name)] * 60) for name in ("groups", "calibration", "breakdown")}
    text = replace(report, summary=summary, rows=rows, **long).to_html()
    assert len(text.encode()) <= 1_500_000
    assert 0 < text.count("failed: no memory") < 100
    assert text.count("are in the JSON of the report") == 4, "the list of each of these tables ends"


def test_headings_and_tables_can_be_heard(read):
    levels = [int(tag[1]) for tag, _ in read.tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    tags = [tag for tag, _ in read.tags]
    assert tags.count("table") == tags.count("caption") > 5
    heads = [attrs for tag, attrs in read.tags if tag == "th"]
    assert all(attrs["scope"] in ("col", "row") for attrs in heads)
    figures = [attrs for tag, attrs in read.tags if tag == "figure"]
    assert len(figures) == 6
    assert all(attrs["role"] == "img" and attrs["aria-label"] for attrs in figures)
    targets = {attrs["id"] for _, attrs in read.tags if "id" in attrs}
    links = {attrs["href"][1:] for tag, attrs in read.tags if tag == "a"}
    assert links <= targets
    assert dict(read.tags)["html"]["lang"] == "en"


def test_verdicts_come_first_and_the_worst_before_the_others(page):
    order = [page.index(words) for words in ("Hidden assay", "New combination", "Another cell type", 'id="curves"')]
    assert order == sorted(order)
    parts = ("curves", "calibration", "leakage", "baselines", "groups", "cards", "repeat")
    places = [page.index(f'<section id="{part}"') for part in parts]
    assert places == sorted(places)


def test_r_is_words_while_the_audit_is_red(red, red_page):
    read = Reader(red_page)
    text = " ".join(read.words)
    assert "R is not given" in text
    assert "the audit of leakage is red" in text
    assert "The audit found a leak." in text
    mine = [number for number in read.numbers if number[:2] == ("total", "0")]
    assert mine == [], "scvcell is row 0"
    assert [number for number in read.numbers if number[:2] == ("total", "1")], "the check is not about the others"
    brief = Reader(red._repr_html_())
    assert "R is not given" in " ".join(brief.words)
    assert not [number for number in brief.numbers if number[0] == "total"]


def test_what_failed_and_what_cannot_tell_are_listed(read):
    text = " ".join(read.words)
    assert text.count("failed: LinAlgError: Singular matrix") >= 2, "in the table of scores and in the list"
    assert "pathway, pearson, axis perturbation" in text
    assert "the replicate is not better than the baseline" in text
    assert "effect, slope, axis" not in text, "what is no score is not looked at for that"


def test_claims(read):
    text = " ".join(" ".join(read.words).split())
    assert "may say another cell type no cell of the type was seen." in text
    assert "may not say unseen donor all donors were seen." in text
    assert text.count("unseen") == 1, "nowhere but where it says what may be claimed"


EVIL = "<script>alert(1)</script>"


def test_what_users_name_is_escaped(few):
    def bad(frame):
        frame = frame.copy()
        for column in frame.columns:
            if column not in ("better", "verdict", "flag", "of") and not pd.api.types.is_numeric_dtype(frame[column]):
                frame[column] = [v if v in ("replicate", "") else f"{EVIL}{v}" for v in frame[column]]
        return frame

    evil = {name: bad(getattr(few, name)) for name in COLUMNS}
    facts = {EVIL: EVIL, "list": [EVIL], "deep": {EVIL: [EVIL]}}
    cards = {"data": facts, "model": {f"{EVIL}scvcell": EVIL}, "run": facts}
    other = replace(few, **evil, words={EVIL: f"allowed: {EVIL}"}, alpha={EVIL: 1.0}, cards=cards)
    for text in (other.to_html(), other._repr_html_()):
        assert "<script" not in text
        assert "&lt;script&gt;" in text
        assert not Reader(text).open


def test_an_empty_report_is_a_page():
    empty = RiskReport(**{name: pd.DataFrame(columns=columns) for name, columns in COLUMNS.items()})
    text = Reader(empty.to_html()).words
    assert "No predictor was scored on any axis." in " ".join(text)
    assert "R was not computed." in " ".join(Reader(empty._repr_html_()).words)


def test_a_report_that_was_read_again_has_the_same_page(report, few, tmp_path):
    assert RiskReport.from_json(report.to_json()).to_json() == report.to_json()
    again = RiskReport.from_json(few.to_json())
    page = few.to_html(tmp_path / "r.html")
    # facts are sorted in JSON
    assert replace(again, cards=few.cards, alpha=few.alpha, words=few.words).to_html() == page
    assert (tmp_path / "r.html").read_text(encoding="utf-8") == page


def test_brief_has_the_verdicts_and_numbers_of_the_report(report):
    text = report._repr_html_()
    read = Reader(text)
    check(read.numbers, report)
    assert len(read.numbers) == 3 + 3
    assert len(text) < 6000
    assert "two thirds of the way" in text


@pytest.mark.parametrize(
    ("value", "kind", "text"),
    [
        (0.123, "score", "0.12"),
        (-0.0012, "scaled", "0.00"),
        (-1.7, "scaled", "\N{MINUS SIGN}1.70"),
        (0.0012, "score", "0.0012"),
        (0.034, "score", "0.034"),
        (3e-7, "score", "3.0e\N{MINUS SIGN}07"),
        (1234.5, "score", "1,234"),
        (12345, "count", "12,345"),
        (3.0, "whole", "3"),
        (0.31, "whole", "0.31"),
        (0.905, "share", "90\N{NO-BREAK SPACE}%"),
    ],
)
def test_numbers_as_people_read_them(value, kind, text):
    assert shown(value, kind) == text


def test_facts_of_cards():
    assert plain([1, "a", 2.5, True]) == "1, a, 2.5, true"
    assert plain({"n": 20_000}) == "<dl><dt>n</dt><dd>20,000</dd></dl>"
    cells = [f"cell<{i}>" for i in range(12_000)]
    assert plain(cells) == "cell&lt;0&gt;, " + ", ".join(f"cell&lt;{i}&gt;" for i in range(1, 5)) + (
        " and more, 12,000 in all; they are in the JSON of the report"
    )
    assert plain(cells[:40]).count("cell") == 40
    assert plain([{"fold": i} for i in range(50)]).count("<dd>") == 50


@pytest.mark.parametrize("width", [390, 1440])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_in_a_browser(chromium, page, red_page, tmp_path, width, scheme):
    height = {390: 844, 1440: 900}[width]
    path = tmp_path / "report.html"
    path.write_text(red_page if scheme == "dark" else page, encoding="utf-8")
    chromium.open(path, width, height, scheme)
    requests = [each["request"]["url"] for each in chromium.of("Network.requestWillBeSent")]
    assert [url for url in requests if not url.startswith("data:")] == [path.as_uri()], "the page itself, no more"
    assert chromium.of("Log.entryAdded", "Runtime.exceptionThrown", "Runtime.consoleAPICalled") == []
    whole, window = chromium.tell("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
    assert whole <= window <= width, "no sideways scroll"
    end = chromium.tell("document.querySelector('.verdict').getBoundingClientRect().bottom")
    assert end <= height, "the worst axis stands within the first screen"
    assert chromium.tell("document.querySelector('#r').getBoundingClientRect().bottom") <= height
    assert chromium.tell(CONTRAST) == []
    back = chromium.tell("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", back)[:3])) < 200) == (scheme == "dark")


def test_readable_without_scripts(chromium, page, tmp_path):
    path = tmp_path / "report.html"
    path.write_text(page, encoding="utf-8")
    chromium.open(path, 390, 844, scripts=False)
    root = chromium("DOM.getDocument", depth=0)["root"]["nodeId"]
    found = chromium("DOM.querySelectorAll", nodeId=root, selector=".verdict .say")["nodeIds"]
    assert len(found) == 3
    for node in found:
        box = chromium("DOM.getBoxModel", nodeId=node)["model"]
        assert box["height"] > 20
        assert box["width"] > 200


CONTRAST = """
(() => {
  const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
  const paint = (under, colour) => {
    canvas.fillStyle = under; canvas.fillRect(0, 0, 1, 1);
    canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3);
  };
  const light = c => c.map(v => v / 255).map(v => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0);
  const bad = [];
  for (const e of document.querySelectorAll('body *')) {
    const own = [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim());
    if (!own || e.closest('svg, [aria-hidden]') || !e.getClientRects().length) continue;
    const chain = [];
    for (let at = e; at; at = at.parentElement) chain.unshift(getComputedStyle(at).backgroundColor);
    let under = 'white';
    for (const colour of chain) under = `rgb(${paint(under, colour)})`;
    const front = paint(under, getComputedStyle(e).color), back = paint(under, 'transparent');
    const [a, b] = [light(front), light(back)].sort((x, y) => y - x);
    if ((a + .05) / (b + .05) < 4.5) bad.push(`${e.tagName} ${e.className} ${(a + .05) / (b + .05)}`);
  }
  return bad;
})()
"""
"""Texts whose contrast to what they stand on is below 4.5 to 1."""
