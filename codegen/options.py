"""What `compile` is given. The output folder remembers it, so that verify and simulate need only the folder."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from driftc.codegen.choices import BUDGET, SHARE, UPLOADS
from driftc.codegen.class_names import check_class_names
from driftc.codegen.errors import UsageError

TYPES: dict[str, type | tuple[type, ...]] = {  # others: str
    "float_io": bool,
    "keep_constant": bool,
    "ram": int,
    "learn_ram": int,
    "flash_for_speed": int,
    "overhead": (int, float),
    "upload_budget": int,
    "upload_share": (int, float),
    "class_names": tuple,
}
CORES = (
    *("cortex-m0plus", "cortex-m3", "cortex-m4", "cortex-m7", "cortex-m33", "cortex-m55", "cortex-m85"),
    *("rv32imc", "xtensa-lx6", "xtensa-lx7"),
)


@dataclass(frozen=True)
class Options:
    """Options that decide the C (`name`, `match`, `float_io`, `planner`, `ram`, `learn_ram`, `minimize`, `overhead`,
    `feed`, `board` by its RAMs, `flash_for_speed`, `updatable`, `upload` and what begins so) and those that measuring
    uses."""

    name: str | None = None  # C prefix; None takes the model file's
    board: str | None = None  # a file name in boards/; None checks nothing for fit
    core: str | None = None  # None takes the board's, else cortex-m4
    match: str = "tflm"  # whose rounding: tflm or litert
    float_io: bool = False  # also wrap quantising the input and dequantising the output
    planner: str = "optimal"  # how buffers are placed: optimal (OR-Tools) or greedy
    cc: str | None = None  # gcc, clang, zig or a path
    optimize: str = "2"  # 2, 3 or s
    ram: int | None = None  # bytes that the arena may have; None takes the board's
    learn_ram: int | None = None  # bytes that the arena may have for a step of learning; None: as many as it takes
    minimize: str = "instructions"  # within ram; or ram, within overhead
    overhead: float = 25.0  # percent more cycles than untiled, estimated, where ram is minimized
    flash_for_speed: int = 0  # bytes that constants may grow by where kernels with larger ones are faster
    feed: str | None = None  # rows: the input arrives row by row
    keep_constant: bool = False  # also compute channels that are the same for every input
    class_names: tuple[str, ...] | None = None  # of the output's values, in their order
    updatable: str | None = None  # layers whose parameters a server's packets change: all, or names
    upload: str | None = None  # how samples are chosen that are worth sending: entropy or random
    upload_budget: int = BUDGET  # of them in a round, at most
    upload_share: float = SHARE  # of all samples, for random
    upload_copy: str | None = None  # caller: who keeps a copy of the input, which is overwritten

    def __post_init__(self) -> None:
        for field in fields(self):
            key, value = field.name, getattr(self, field.name)
            right = isinstance(value, TYPES.get(key, str)) and isinstance(value, bool) == (TYPES.get(key) is bool)
            if not right and (value is not None or field.default is not None):
                raise UsageError(f"option {key}: a {type(value).__name__} is of the wrong type")
        if self.match not in ("tflm", "litert"):
            raise UsageError(f"match '{self.match}' is unknown; tflm and litert are the references")
        if self.planner not in ("optimal", "greedy"):
            raise UsageError(f"planner '{self.planner}' is unknown; optimal and greedy are")
        if self.ram is not None and not 1 <= self.ram < 1 << 40:
            raise UsageError(f"ram {self.ram}: needs to be 1 byte or more, and below 2^40")
        if self.learn_ram is not None and not 1 <= self.learn_ram < 1 << 40:
            raise UsageError(f"learn_ram {self.learn_ram}: needs to be 1 byte or more, and below 2^40")
        if not 0 <= self.flash_for_speed < 1 << 40:
            raise UsageError(f"flash_for_speed {self.flash_for_speed}: needs to be 0 bytes or more, and below 2^40")
        if self.minimize not in ("instructions", "ram"):
            raise UsageError(f"minimize '{self.minimize}' is unknown; instructions and ram are")
        if self.feed not in (None, "rows"):
            raise UsageError(f"feed '{self.feed}' is unknown; rows is what an input can be fed by")
        if self.feed is not None and self.float_io:
            raise UsageError("--feed rows takes int8 rows: it does not go with --float-io, which wraps a whole input")
        if not 0 <= self.overhead < 1e9:
            raise UsageError(f"overhead {self.overhead}: needs to be 0 percent or more, and below 10^9")
        if self.optimize not in ("2", "3", "s"):
            raise UsageError(f"-O {self.optimize} is unknown; 2, 3 and s are")
        self._check_upload()
        check_class_names(self.class_names or ())
        if self.core is not None and self.core not in CORES:
            raise UsageError(f"core '{self.core}' is unknown; driftc knows {', '.join(CORES)}")

    def _check_upload(self) -> None:
        if self.upload is None:
            if (self.upload_budget, self.upload_share, self.upload_copy) != (BUDGET, SHARE, None):
                raise UsageError("--upload-budget, --upload-share and --upload-copy belong to --upload")
            return
        if self.upload not in UPLOADS:
            raise UsageError(f"upload '{self.upload}' is unknown; {' and '.join(UPLOADS)} choose samples")
        if self.upload_copy not in (None, "caller"):
            raise UsageError(f"upload_copy '{self.upload_copy}' is unknown; caller is who can keep a copy")
        if not 1 <= self.upload_budget < 1 << 31:
            raise UsageError(f"upload_budget {self.upload_budget}: needs to be 1 sample a round or more, below 2^31")
        if not 0 < self.upload_share <= 1:
            raise UsageError(f"upload_share {self.upload_share}: needs to be above 0, and at most 1")
        if self.upload == "entropy" and self.upload_share != SHARE:
            raise UsageError("--upload-share belongs to --upload random: by entropy it is what the samples are")
        if self.feed is not None:
            raise UsageError(
                "--upload does not go with --feed rows: the input is never whole, so that it could be sent"
            )

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Options:
        known: dict[str, Any] = {key: data[key] for key in cls.__dataclass_fields__ if key in data}
        if isinstance(known.get("class_names"), list):
            known["class_names"] = tuple(known["class_names"])
        return cls(**known)

    def overridden(self, **changes: Any) -> Options:
        """With every change that is not None."""
        return replace(self, **{key: value for key, value in changes.items() if value is not None})
