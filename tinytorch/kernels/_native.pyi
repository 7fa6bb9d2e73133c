from collections.abc import Sequence

from tinytorch.kernels.native import Array, OpDescription

kernel_names: tuple[str, ...]
isa_names: tuple[str, ...]
best_isa: int
openmp: int
digest: str
compiler: str
training_digest: str

def train(
    kind: str,
    dims: tuple[int, ...],
    scalars: tuple[float, ...],
    arrays: tuple[Array | None, ...],
    threads: int,
    isa: int,
    /,
) -> None: ...

class Program:
    def __new__(
        cls, ops: Sequence[OpDescription], slots: Sequence[int], batch: int, threads: int, isa: int, /
    ) -> Program: ...
    def run(self, x: Array, out: Array, /) -> None: ...
    def time_ops(self, x: Array, out: Array, repeats: int, /) -> list[float]: ...
    @property
    def nbytes(self) -> int: ...
    @property
    def threads(self) -> int: ...
