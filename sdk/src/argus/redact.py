"""Secrets taken out of what leaves the machine: command lines, URLs, settings. Pure.

What counts as a secret: a value whose name says so, a value that looks like a known kind of token, and user names and
passwords in URLs. Rather too much than too little; a plain short number is never a secret.

Every repetition that could begin at many places of a text has a bound: a text of 200 KB takes milliseconds, not minutes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, cast

HIDDEN = "***"

_HARMLESS = re.compile(
    r"tokeniz\w*|keypoints?|keyframes?|keywords?|keyboards?|monkey|bypass|compass|passthrough|passes", re.I
)
_SECRET_NAME = re.compile(r"token|secret|key|pass|pwd|credential|authorization", re.I)
_NUMBER = re.compile(r"[-+]?\d{1,7}(\.\d+)?(e[-+]?\d+)?", re.I)
_WORDS = frozenset({"true", "false", "none", "null", "yes", "no", "on", "off"})
_SHAPES = re.compile(
    r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"
    r"|\beyJ[\w-]{8,2000}\.[\w-]{8,}\.[\w-]*"
    r"|\bhf_[A-Za-z0-9]{16,}"
    r"|\bgh[pousr]_[A-Za-z0-9]{16,}"
    r"|\bgithub_pat_\w{16,}"
    r"|\bglpat-[\w-]{16,}"
    r"|\bsk-[\w-]{16,}"
    r"|\bxox[abeprs]-[\w-]{8,}"
    r"|\bAIza[\w-]{30,}"
    r"|\bak_[A-Za-z0-9]+_[\w-]{8,}"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----.*",
    re.DOTALL,
)
_USERINFO = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]{0,30}://)[^/?#\s'\"]*@")
_QUERY = re.compile(
    r"(?P<name>[?&](?:[\w.-]{0,100}?(?:token|secret|key|pass|signature|sig|credential)[\w.-]{0,100})=)[^&\s#]+", re.I
)
_BEARER = re.compile(r"(?P<word>\b(?:bearer|basic)\s+)\S+", re.I)
_ASSIGNED = re.compile(r"(?P<name>[+~]*-{0,2}[A-Za-z_][\w.\-/@]*)(?P<sep>=|:\s*)(?P<value>.*)", re.DOTALL)


def names_a_secret(name: str) -> bool:
    """Whether a value under this name is to be hidden: `*TOKEN*`, `*SECRET*`, `*KEY*`, `*PASS*` and their kin."""
    return bool(_SECRET_NAME.search(_HARMLESS.sub("", name)))


def text(value: str) -> str:
    """`value` without what looks like a secret in itself."""
    value = _SHAPES.sub(HIDDEN, value)
    value = _USERINFO.sub(rf"\g<scheme>{HIDDEN}@", value)
    value = _QUERY.sub(rf"\g<name>{HIDDEN}", value)
    return _BEARER.sub(rf"\g<word>{HIDDEN}", value)


def command(argv: Sequence[str]) -> list[str]:
    """The command line with `--password X`, `--token=X`, `-pX`, `API_KEY=X` and secrets by their shape hidden."""
    out: list[str] = []
    hide_next = False
    for number, argument in enumerate(argv):
        if hide_next and not (argument.startswith("-") and not is_plain(argument) and len(argument) < 3):
            hide_next = False
            out.append(argument if is_plain(argument) else HIDDEN)
            continue
        hide_next = False
        assigned = _ASSIGNED.fullmatch(argument)
        if assigned and names_a_secret(assigned["name"]) and "://" not in argument.split("=")[0]:
            value = assigned["value"]
            out.append(argument if is_plain(value) else f"{assigned['name']}{assigned['sep']}{HIDDEN}")
        elif number and argument.startswith("-p") and len(argument) > 2:
            out.append(f"-p{HIDDEN}")
        else:
            hide_next = bool(number) and argument.startswith("-") and names_a_secret(argument)
            out.append(text(argument))
    return out


def mapping(values: Mapping[str, Any]) -> dict[str, Any]:
    """Params or settings with the texts under secret names hidden, at every depth. Numbers stay."""
    return {key: _value(key, value) for key, value in values.items()}


def is_plain(value: str) -> bool:
    """A number or a word that no secret consists of."""
    return value == "" or bool(_NUMBER.fullmatch(value)) or value.lower() in _WORDS


def _value(key: str, value: Any) -> Any:
    if isinstance(value, Mapping):
        return mapping({str(name): item for name, item in cast("Mapping[Any, Any]", value).items()})
    if isinstance(value, list):
        return [_value(key, item) for item in cast("list[Any]", value)]
    if isinstance(value, str):
        return HIDDEN if names_a_secret(key) and not is_plain(value) else text(value)
    return value
