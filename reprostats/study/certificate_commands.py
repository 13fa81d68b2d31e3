"""The commands ``reprostats certify`` and ``verify``."""

from __future__ import annotations

import argparse
import os
import sys
from functools import partial
from pathlib import Path
from typing import Any

_say = partial(print, flush=True)


def add_commands(commands: Any) -> None:
    """Add the commands to a command line."""
    words = "train a recorded trial again and write a certificate that others can verify"
    certify = commands.add_parser("certify", help=words, description=words)
    certify.add_argument("study", metavar="NAME", help="name of the study, or its folder")
    certify.add_argument("trial", metavar="TRIAL", help="identity of the trial, as in the results")
    certify.add_argument("file", type=Path, metavar="FILE", help="the certificate, FILE.json")
    certify.set_defaults(action=_certify)
    words = "train again what a certificate is of, and compare every step; run it beside the code"
    verify = commands.add_parser("verify", help=words, description=words)
    verify.add_argument("file", type=Path, metavar="FILE", help="the certificate")
    verify.add_argument("--steps", type=int, help="compare so many steps; default: all")
    verify.set_defaults(action=_verify, trouble=2)


def _certify(options: argparse.Namespace) -> None:
    from reprostats.records.files import read_record
    from reprostats.records.record import TrialRecord
    from reprostats.study.catalogue import find_study
    from reprostats.study.certificate import write_certificate
    from reprostats.study.folder import trial_folder
    from reprostats.study.verification import certify, imported_function

    _look_here()
    folder = find_study(options.study)
    record = read_record(trial_folder(folder, options.trial), TrialRecord)
    certificate = certify(imported_function(record.function), folder, options.trial)
    write_certificate(certificate, options.file)
    _say(f"{options.file}: {len(certificate.steps) - 1} steps are certified.")
    if not certificate.portable:
        _say(
            "The training was not in portable arithmetic (deterministic='portable'): only the same "
            "set-up can verify it."
        )


def _verify(options: argparse.Namespace) -> int:
    from reprostats.study.certificate import read_certificate
    from reprostats.study.verification import verify

    _look_here()
    found = verify(read_certificate(options.file), steps=options.steps)
    _say(found)
    return int(not found.verified)


def _look_here() -> None:
    """Let trial functions be imported from the current folder, as ``python -m`` does."""
    here = os.getcwd()  # noqa: PTH109 - an entry of the path is text
    if here not in sys.path:
        sys.path.insert(0, here)
