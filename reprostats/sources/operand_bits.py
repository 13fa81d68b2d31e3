"""The accuracy of products in portable arithmetic."""

from __future__ import annotations

from reprostats.errors import NotAvailableError
from reprostats.sources._base import Integer, Level

_MOST = "most"


class OperandBits(Integer):
    """Bits that portable arithmetic keeps of the operands of products.

    See ``operand_bits`` of `reprostats.portable`. TensorFloat-32 has 11 and float32 has 24.
    """

    name = "operand_bits"
    kind = "flag"
    meaning = (
        "bits that portable arithmetic keeps of what it multiplies; 'most': as many as one exact "
        "product allows"
    )
    default = _MOST
    minimum = 2
    maximum = 53
    word = _MOST
    level_description = "an integer from 2 to 53, or 'most'"

    def apply(self, level: Level) -> None:
        """Set the accuracy of the portable arithmetic that is in effect.

        Raises
        ------
        NotAvailableError
            If none is.
        """
        if level == _MOST:
            return
        from reprostats.portable_arithmetic.mode import current_mode

        mode = current_mode()
        if mode is None:
            raise NotAvailableError(
                f"source 'operand_bits' is {level}, but counts in portable arithmetic alone; fix "
                "deterministic='portable' too."
            )
        mode.operand_bits = int(level)
