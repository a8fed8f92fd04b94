# SPDX-License-Identifier: Apache-2.0
"""Partition values of random column values, by every transform, against pyiceberg's."""

import datetime
import decimal
import os
import pathlib
import random
import subprocess
import sys
import uuid

from pyiceberg import transforms
from pyiceberg.types import (
    DateType,
    DecimalType,
    IntegerType,
    LongType,
    StringType,
    TimestampType,
    TimestamptzType,
    TimeType,
    UUIDType,
)

PROGRAM = pathlib.Path(os.environ["VDE_BUILD_DIR"]) / "tests" / "interop_transforms"
EPOCH = datetime.datetime(1970, 1, 1)
SEED = 20261120
PER_CASE = 300


def number(bits):
    def make(rng):
        limit = 1 << rng.randrange(1, bits)
        return rng.randrange(-limit, limit)
    return make


def date(rng):
    return rng.randrange(-719162, 2932896)  # years 1 to 9999


def timestamp(rng):
    return date(rng) * 86_400_000_000 + rng.randrange(86_400_000_000)


def text(rng):
    # No tabs, line ends or surrogates, and at least one character: "" is null.
    ranges = [(0x20, 0x7E), (0xA1, 0x7FF), (0x800, 0xD7FF), (0x10000, 0x10FFFF)]
    return "".join(chr(rng.randint(*rng.choice(ranges))) for _ in range(rng.randint(1, 12)))


def money(rng):
    return decimal.Decimal(number(60)(rng)).scaleb(-3)


def spell_timestamp(us, zone=""):
    return (EPOCH + datetime.timedelta(microseconds=us)).isoformat(timespec="microseconds") + zone


def spell_date(days):
    return (EPOCH + datetime.timedelta(days=days)).date().isoformat()


def spell_time(us):
    return (EPOCH + datetime.timedelta(microseconds=us)).time().isoformat(timespec="microseconds")


# DDL, pyiceberg's type, a random value as pyiceberg takes it, its text
SOURCES = {
    "INT": (IntegerType(), number(31), str),
    "BIGINT": (LongType(), number(62), str),
    "DECIMAL(38,3)": (DecimalType(38, 3), money, lambda v: f"{v:f}"),
    "DATE": (DateType(), date, spell_date),
    "TIME": (TimeType(), lambda rng: rng.randrange(86_400_000_000), spell_time),
    "TIMESTAMP_NTZ": (TimestampType(), timestamp, spell_timestamp),
    "TIMESTAMP": (TimestamptzType(), timestamp, lambda v: spell_timestamp(v, "Z")),
    "STRING": (StringType(), text, str),
    "UUID": (UUIDType(), lambda rng: uuid.UUID(int=rng.getrandbits(128)), str),
}
DATES, CLOCKS = ["DATE", "TIMESTAMP_NTZ", "TIMESTAMP"], ["TIMESTAMP_NTZ", "TIMESTAMP"]
CASES = [
    (transforms.YearTransform, DATES), (transforms.MonthTransform, DATES), (transforms.DayTransform, DATES),
    (transforms.HourTransform, CLOCKS), (transforms.IdentityTransform, ["INT", "BIGINT", "DATE", "STRING", "UUID"]),
    (transforms.VoidTransform, ["INT", "STRING", "TIMESTAMP"]),
    (lambda: transforms.BucketTransform(16), list(SOURCES)),
    (lambda: transforms.BucketTransform(2147483647), list(SOURCES)),
    (lambda: transforms.TruncateTransform(7), ["INT", "BIGINT", "DECIMAL(38,3)", "STRING"]),
    (lambda: transforms.TruncateTransform(1), ["INT", "BIGINT", "DECIMAL(38,3)", "STRING"]),
]


def spell_result(transform, ddl, value):
    if value is None:
        return "null"
    if isinstance(transform, transforms.DayTransform):
        return spell_date(value)
    if isinstance(transform, (transforms.IdentityTransform, transforms.TruncateTransform)):
        return SOURCES[ddl][2](value)
    return str(value)


def main():
    rng = random.Random(SEED)
    lines, expected = [], []
    for make, sources in CASES:
        transform = make()
        for ddl in sources:
            kind, draw, spell = SOURCES[ddl]
            apply = transform.transform(kind)
            for _ in range(PER_CASE):
                value = draw(rng)
                lines.append(f"{transform}\t{ddl}\t{spell(value)}")
                expected.append(spell_result(transform, ddl, apply(value)))
    done = subprocess.run([PROGRAM], input="\n".join(lines) + "\n", capture_output=True, text=True, check=True)
    found = done.stdout.removesuffix("\n").split("\n")
    assert len(found) == len(lines), (len(found), len(lines))
    wrong = [(line, a, b) for line, a, b in zip(lines, found, expected) if a != b]
    for line, a, b in wrong[:20]:
        print(f"{line!r}: {a!r}, pyiceberg has {b!r}", file=sys.stderr)
    print(f"{len(lines)} values, {len(wrong)} differ (seed {SEED})")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
