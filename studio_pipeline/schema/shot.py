"""One shot as a TD writes it: who, what, when, from where, and how each stage is set."""

from __future__ import annotations

import re
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, model_validator

from studio_pipeline.schema.errors import InputError, one_line
from studio_pipeline.schema.files import check_path

__all__ = [
    "CODE_PATTERN",
    "MAX_FRAMES",
    "CameraKey",
    "CameraSpec",
    "CharacterRef",
    "Shot",
    "frame_rate",
    "resolve_path",
]

CODE_PATTERN = r"[A-Za-z0-9][A-Za-z0-9_-]*"
MAX_FRAMES = 2000
MAX_PIXELS = 4096

MAX_FRAME_NUMBER = 9_999_999
_code = re.compile(CODE_PATTERN)
_RATE = re.compile(r"[0-9]{1,9}(\.[0-9]{0,20})?|[0-9]{1,9}/[0-9]{1,9}")


def _check_code(value: str) -> str:
    if not _code.fullmatch(value) or len(value) > 64:
        raise ValueError(f"must match {CODE_PATTERN} and have at most 64 characters")
    return value


def _to_text(value: Any) -> Any:
    # A YAML reader makes the number 10 of `shot: 0010`; codes are text, so say so instead of guessing.
    if isinstance(value, int | float) and not isinstance(value, bool):
        raise ValueError(f"is read by YAML as the number {value}: put the code in quotes")
    return value


def frame_rate(value: Any) -> Fraction:
    """Frames a second as people write them: 24, 23.976 or 24000/1001.

    Raises:
        ValueError: It is written otherwise, or lies outside 1 to 240.
    """
    text = str(value).strip()
    if not _RATE.fullmatch(text):  # `Fraction` takes "1e999999999" too, and never comes back
        raise ValueError('expected a number or a fraction such as 24 or "24000/1001"')
    try:
        fps = Fraction(text).limit_denominator(1001)
    except ZeroDivisionError:
        raise ValueError('expected a number or a fraction such as 24 or "24000/1001"') from None
    if not 1 <= fps <= 240:
        raise ValueError("must lie between 1 and 240")
    return fps


Code = Annotated[str, BeforeValidator(_to_text), AfterValidator(_check_code)]
Fps = Annotated[Fraction, BeforeValidator(frame_rate), PlainSerializer(str)]
Vector = tuple[float, float, float]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class CharacterRef(_Model):
    """Which character: a name in the asset library or a file, its height and its seed."""

    file: str  # a name in the asset library until resolved, then an absolute path
    height_m: float | None = Field(default=None, gt=0.0, le=1000.0)
    seed: int = Field(default=0, ge=0, lt=2**31)


class _View(_Model):
    eye: Vector
    target: Vector
    up: Vector = (0.0, 1.0, 0.0)
    fov_y_deg: float | None = Field(default=None, gt=0.5, lt=170.0)
    focal_mm: float | None = Field(default=None, gt=0.0)

    @model_validator(mode="after")
    def _looks_somewhere(self) -> _View:
        view = [t - e for t, e in zip(self.target, self.eye, strict=True)]
        cross = [
            view[1] * self.up[2] - view[2] * self.up[1],
            view[2] * self.up[0] - view[0] * self.up[2],
            view[0] * self.up[1] - view[1] * self.up[0],
        ]
        if sum(c * c for c in cross) < 1e-12:
            raise ValueError("eye, target and up must not lie on one line")
        if self.fov_y_deg is not None and self.focal_mm is not None:
            raise ValueError("give fov_y_deg or focal_mm, not both")
        return self


class CameraKey(_View):
    """The camera at one frame number; frames between keys are interpolated."""

    frame: int


class CameraSpec(_Model):
    """The shot's camera: one fixed view, or views keyed over frame numbers.

    Metres; ``sensor_mm`` is the sensor's height, used with ``focal_mm``.
    """

    eye: Vector | None = None
    target: Vector | None = None
    up: Vector = (0.0, 1.0, 0.0)
    fov_y_deg: float | None = Field(default=None, gt=0.5, lt=170.0)
    focal_mm: float | None = Field(default=None, gt=0.0)
    sensor_mm: float = Field(default=24.0, gt=0.0)
    keys: tuple[CameraKey, ...] = ()

    @model_validator(mode="after")
    def _fixed_or_keyed(self) -> CameraSpec:
        if self.keys:
            if self.eye or self.target or self.fov_y_deg or self.focal_mm:
                raise ValueError("a keyed camera has its eye, target and lens in keys only")
            frames = [key.frame for key in self.keys]
            if sorted(set(frames)) != frames:
                raise ValueError("keys must have increasing frame numbers")
        elif self.eye is None or self.target is None:
            raise ValueError("needs eye and target, or keys")
        else:
            _View(eye=self.eye, target=self.target, up=self.up, fov_y_deg=self.fov_y_deg, focal_mm=self.focal_mm)
        return self

    def views(self) -> tuple[CameraKey, ...]:
        """The camera as keys; a fixed camera is one key at frame 0."""
        if self.keys:
            return self.keys
        assert self.eye is not None and self.target is not None
        return (
            CameraKey(
                frame=0, eye=self.eye, target=self.target, up=self.up, fov_y_deg=self.fov_y_deg, focal_mm=self.focal_mm
            ),
        )


def _one_character(value: Any) -> Any:
    if isinstance(value, str):
        return {"file": value}
    return value


def _frame_range(value: Any) -> Any:
    if isinstance(value, list | tuple) and len(value) == 2 and all(type(v) is int for v in value):
        if value[1] < value[0]:
            raise ValueError(f"the last frame {value[1]} comes before the first {value[0]}")
        if value[1] - value[0] + 1 > MAX_FRAMES:
            raise ValueError(f"a shot has at most {MAX_FRAMES} frames, this one has {value[1] - value[0] + 1}")
        if value[1] > MAX_FRAME_NUMBER:
            raise ValueError(f"frame numbers go up to {MAX_FRAME_NUMBER}")
        return value
    raise ValueError("expected [first, last], two frame numbers, both included")


def _picture_size(value: Any) -> Any:
    if isinstance(value, list | tuple) and len(value) == 2 and all(type(v) is int for v in value):
        if not all(16 <= v <= MAX_PIXELS and v % 2 == 0 for v in value):
            raise ValueError(f"width and height must be even and between 16 and {MAX_PIXELS}")
        return value
    raise ValueError("expected [width, height] in pixels")


class Shot(_Model):
    """One entry of a shot list."""

    show: Code
    sequence: Code
    shot: Code
    character: Annotated[CharacterRef, BeforeValidator(_one_character)] | None = None
    cast: tuple[Any, ...] = ()
    kind: Literal["mesh"] = "mesh"
    brief: str = Field(default="", max_length=4000)
    directives: dict[str, str] = Field(default_factory=dict)
    reference: str | None = None
    fps: Fps = Fraction(24)
    frames: Annotated[tuple[int, int], BeforeValidator(_frame_range)] = (1001, 1024)
    handles: int = Field(default=0, ge=0, le=200)
    resolution: Annotated[tuple[int, int], BeforeValidator(_picture_size)] = (256, 256)
    camera: CameraSpec | None = None
    seed: int = Field(default=0, ge=0, lt=2**31)
    priority: int = Field(default=0, ge=-100, le=100)
    code_policy: Literal["source", "version"] = "source"
    stages: dict[str, dict[str, Any]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _one_character_only(self) -> Shot:
        if len(self.cast) > 1:
            raise ValueError(f"cast names {len(self.cast)} characters: a shot has one today, give it as 'character'")
        if self.cast:
            raise ValueError("cast is reserved for several characters: give the one as 'character'")
        if self.character is None:
            raise ValueError("field 'character' is missing: a name in the asset library or a path")
        if self.frames[0] - self.handles < 0:
            raise ValueError("the frames with their handles begin before frame 0")
        return self

    @property
    def id(self) -> str:
        """``show_sequence_shot``: the partition key and the name of every delivered file."""
        return f"{self.show}_{self.sequence}_{self.shot}"

    @property
    def first_frame(self) -> int:
        """Frame number of index 0: the first frame less the handles."""
        return self.frames[0] - self.handles

    @property
    def frame_count(self) -> int:
        """Number of frames T, handles included."""
        return self.frames[1] - self.frames[0] + 1 + 2 * self.handles

    def frame_numbers(self) -> range:
        """The frame numbers of all indices."""
        return range(self.first_frame, self.first_frame + self.frame_count)


def resolve_path(value: str, folder: Path) -> Path:
    """An absolute path for a file named in a shot list that lies in ``folder``.

    Raises:
        InputError: The system knows no such path: it is too long, links to itself, or nobody may look at it.
    """
    try:
        path = Path(value).expanduser()
        path = path if path.is_absolute() else folder / path
        check_path(path)
        return path.resolve()
    except (OSError, RuntimeError, ValueError) as error:
        what = getattr(error, "strerror", None) or one_line(error)[:120]
        raise InputError(f"can't be opened ({what})", where=value[:120], do="check the path") from None
