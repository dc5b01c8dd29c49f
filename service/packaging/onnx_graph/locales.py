"""Sets the locale by which a graph writes texts in small letters."""

from __future__ import annotations

from onnx import ModelProto, helper

PORTABLE = "C.UTF-8"
"""A locale for the letters of all scripts. Debian, Ubuntu and Fedora have it, and so do their smallest images."""

_DEFAULTS = ("", "en_US.UTF-8")
"""The default locales of skl2onnx and ONNX Runtime. Most containers do not have en_US.UTF-8."""


def give_portable_locale(model: ModelProto) -> None:
    """Replace a default locale in a graph by `PORTABLE`. A locale that somebody chose stays."""
    for node in model.graph.node:
        if node.op_type == "StringNormalizer":
            chosen = "".join(each.s.decode() for each in node.attribute if each.name == "locale")
            if chosen in _DEFAULTS:
                kept = [each for each in node.attribute if each.name != "locale"]
                del node.attribute[:]
                node.attribute.extend([*kept, helper.make_attribute("locale", PORTABLE)])
