"""The locale by which a graph writes texts in small letters."""

from __future__ import annotations

from onnx import ModelProto, helper

PORTABLE = "C.UTF-8"
"""Every Debian, Ubuntu and Fedora has it, also their smallest images, with the letters of all scripts."""

_DEFAULTS = ("", "en_US.UTF-8")
"""What skl2onnx and ONNX Runtime take if nobody names a locale; most containers do not have it."""


def give_portable_locale(model: ModelProto) -> None:
    """Have a graph name a locale that is there wherever it serves, unless somebody chose another one."""
    for node in model.graph.node:
        if node.op_type == "StringNormalizer":
            chosen = "".join(each.s.decode() for each in node.attribute if each.name == "locale")
            if chosen in _DEFAULTS:
                kept = [each for each in node.attribute if each.name != "locale"]
                del node.attribute[:]
                node.attribute.extend([*kept, helper.make_attribute("locale", PORTABLE)])
