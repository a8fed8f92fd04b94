# SPDX-License-Identifier: Apache-2.0
"""What the makers of man pages share: text to man(7) source."""

import pathlib
import re


def escape(text):
    """Plain text as roff: nothing in it is taken for a request or an escape."""
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return "\n".join("\\&" + line if line[:1] in (".", "'") else line for line in text.split("\n"))


def title(name, section, version, book):
    return f".\\\" SPDX-License-Identifier: Apache-2.0\n.TH {escape(name.upper())} {section} \"\" \"{version}\" \"{book}\"\n"


def heading(text):
    return f".SH {escape(text.upper())}\n"


def literal(text):
    return ".sp\n.EX\n" + escape(text) + "\n.EE\n"


def paragraphs(text):
    """Paragraphs, separated by blank lines, of running text."""
    return "".join(".PP\n" + escape(" ".join(part.split())) + "\n" for part in text.split("\n\n") if part.strip())


def write(folder, name, section, source):
    path = pathlib.Path(folder) / f"{name}.{section}"
    source = re.sub(r"(\.SH [^\n]*\n)(\.PP|\.sp)\n", r"\1", source)  # a section begins without a gap
    path.write_text(source, encoding="utf-8")
    return path
