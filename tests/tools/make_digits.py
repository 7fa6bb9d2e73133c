"""Write tinytorch/data/files/digits.bin.gz from the copy of the UCI digits that scikit-learn bundles.

Run it from the top of the repository: ``python tests/tools/make_digits.py``. It needs scikit-learn, which the package
does not. The file is gzip data (no name, no time) of 1,797 records: one class byte, then 64 pixel bytes (0..16), in
the original order.
"""

from __future__ import annotations

import gzip
import sys
from pathlib import Path

import numpy as np

TARGET = Path(__file__).parents[2] / "tinytorch" / "data" / "files" / "digits.bin.gz"


def records() -> bytes:
    """Return the records of all digits, uncompressed."""
    from sklearn.datasets import load_digits  # here, so that the tests can import TARGET without scikit-learn

    pixels, labels = load_digits(return_X_y=True)
    table = np.column_stack([labels, pixels])
    if table.shape != (1797, 65) or (table != table.astype(np.uint8)).any() or pixels.max() != 16 or labels.max() != 9:
        raise SystemExit("scikit-learn's digits are not what this script knows")
    return table.astype(np.uint8).tobytes()


def main() -> None:
    """Write the file and say so."""
    data = gzip.compress(records(), compresslevel=9, mtime=0)
    TARGET.write_bytes(data)
    sys.stdout.write(f"{TARGET}: {len(data)} bytes\n")


if __name__ == "__main__":
    main()
