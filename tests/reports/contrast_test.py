"""Text of report pages against what lies behind it: at least 4.5:1 in every theme [WCAG 2.2, 1.4.3]."""
import pathlib
import re
import sys

STYLE = pathlib.Path(__file__).resolve().parents[2] / "reports/page/style.css"
TEXT = {
    "ink": ("page", "card", "fill"),
    "quiet": ("page", "card", "fill"),
    "good": ("good-fill", "card", "page"),
    "bad": ("bad-fill", "card", "page"),
    "warn": ("warn-fill", "card", "page"),
    "c0": ("page", "card", "fill"),  # links
    "page": ("ink",),  # tooltips
}


def luminance(colour):
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(a, b):
    high, low = sorted((luminance(a), luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def themes(style):
    found = []
    for block in re.findall(r":root[^{]*\{([^{}]*)\}", style):
        colours = dict(re.findall(r"--([\w-]+):\s*(#[0-9a-f]{6})", block))
        if "ink" in colours:
            found.append(colours)
    return found


def main():
    style = STYLE.read_text()
    found, poor = themes(style), []
    for colours in found:
        for text, grounds in TEXT.items():
            for ground in grounds:
                ratio = contrast(colours[text], colours[ground])
                if ratio < 4.5:
                    poor.append(f"{text} {colours[text]} on {ground} {colours[ground]}: {ratio:.2f}")
    assert contrast("#ffffff", "#000000") > 20.9 and contrast("#777777", "#ffffff") < 4.5  # it can tell
    assert len(found) == 4, f"{len(found)} themes: expected light, dark twice, print"
    # Text has these colours alone; "gray" is for marks.
    for name in re.findall(r"(?<![\w-])color:\s*var\(--([\w-]+)\)", style):
        if name not in TEXT:
            poor.append(f"text in {name}, which nobody looked at")
    print("\n".join(poor) or f"{len(found)} themes: every text 4.5:1 or more")
    return 1 if poor else 0


if __name__ == "__main__":
    sys.exit(main())
