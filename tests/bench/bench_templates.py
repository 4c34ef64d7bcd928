"""How long a template can keep a processor before it is ended: the dearest that the language allows, each once.

python -m tests.bench.bench_templates
"""

import json
import sys
import time

from libs.common.domain.channels import Channel
from libs.common.domain.templates import Variant
from libs.common.templates.rendering import CannotRender, render

BIG = "x" * 60_000
VALUES = {
    "a": "b",
    "big": BIG,
    "bigger": BIG + "y",
    "euros": "€" * 7_000,
    "ligatures": "ﬃ" * 20_000,  # three letters each, when they are capitals
    "lots": [1] * 1_000,
    "more": [1] * 1_000,
    "order": {"id": 7},
    "sigmas": "aΣ" * 30_000,
}
MOST = "{% for x in range(1000) %}" + "{% set q = order.id ~ a|upper %}" * 6 + "{% endfor %}done"
SOURCES = {
    "nested loops": "{% for x in lots %}{% for y in more %}{{ y }}{% endfor %}{% endfor %}",
    "comparisons": "{% for x in lots %}{% if big == bigger %}x{% endif %}{% endfor %}",
    "joined texts": "{% for x in lots %}{% set q = big ~ big %}{% endfor %}",
    "addresses": "{% for x in lots %}{% set q = euros|urlencode %}{% endfor %}",
    "capitals": "{% for x in lots %}{% set q = ligatures|upper %}{% endfor %}",
    "titles": "{% for x in lots %}{% set q = big|title %}{% endfor %}",
    "small letters": "{% for x in lots %}{% set q = sigmas|lower %}{% endfor %}",
    "just allowed": MOST,
}
VARIANTS = {name: Variant(channel=Channel.SMS, text=source) for name, source in SOURCES.items()} | {
    "just allowed, thrice": Variant(channel=Channel.EMAIL, subject=MOST, text=MOST, html=MOST)
}


def main() -> int:
    """Print one JSON line for each: processor milliseconds of the first rendering, compiling included."""
    for name, variant in VARIANTS.items():
        begun, ended = time.thread_time(), False
        try:
            render(variant, variant.channel, VALUES)
        except CannotRender:
            ended = True
        sys.stdout.write(
            json.dumps({"template": name, "ended": ended, "ms": round((time.thread_time() - begun) * 1e3, 1)})
        )
        sys.stdout.write("\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
