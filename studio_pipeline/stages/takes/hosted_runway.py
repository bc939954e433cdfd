"""The service Runway (its own models, and others' that it offers) through its official client, ``runwayml``.

The key comes from the environment variable ``RUNWAYML_API_SECRET``, the address, where it isn't Runway's own, from
``RUNWAYML_BASE_URL``: a shot list can neither hold a key nor send it anywhere. What a model takes (ratios, lengths,
seeds, negative prompts) is read from the client's own types.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import time
import typing
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlsplit

from studio_pipeline.schema.errors import BackendUnavailable, InputError, StudioError, one_line

__all__ = ["KEY", "URL", "Finished", "ModelRules", "Runway", "available", "is_loopback", "model_rules"]

KEY, URL = "RUNWAYML_API_SECRET", "RUNWAYML_BASE_URL"
POLL_S = 5.0  # between two looks at a task; the service asks for no more often
ATTEMPTS = 6  # at one request, when the service is busy or can't be reached
PAUSE_S = 1.0  # before the second attempt, twice as long before each further one
MOST_PAUSE_S = 60.0
REQUEST_S = 60.0  # for one answer
PROMPT_UNITS = 1000  # UTF-16 code units that a prompt may have
USUAL_SECONDS = (2, 10)  # where the client's types say no more than that it is a number


@dataclass(frozen=True)
class ModelRules:
    """What a model of the service takes."""

    ratios: tuple[str, ...]  # "1280:720", "16:9", "auto_720p"; none: it keeps the picture's shape
    seconds: tuple[int, ...]  # none: any number
    accepts: frozenset[str]  # arguments of the request


@dataclass(frozen=True)
class Finished:
    """A finished task."""

    task: str
    url: str  # of the video; good for hours, and signed: never written anywhere
    credits: float | None  # what it cost


def available() -> str:
    """What is missing for the service's client; empty when nothing is."""
    if importlib.util.find_spec("runwayml") is None:
        return "runwayml not installed; pip install 'studio_pipeline[hosted]'"
    return ""


def model_rules(model: str) -> ModelRules:
    """What ``model`` takes, from the types of the installed client.

    Raises:
        InputError: The client knows no such model.
    """
    from runwayml.types import image_to_video_create_params as types

    known = []
    for kind in typing.get_args(types.ImageToVideoCreateParams):
        hints = typing.get_type_hints(kind, include_extras=True)
        names = _literals(hints["model"])
        if model in names:
            return ModelRules(
                ratios=tuple(str(ratio) for ratio in _literals(hints.get("ratio"))),
                seconds=tuple(value for value in _literals(hints.get("duration")) if isinstance(value, int)),
                accepts=frozenset(hints),
            )
        known += [str(name) for name in names]
    raise InputError(
        f"runway has no image-to-video model {model!r} that the installed client knows",
        where="takes: model",
        do=f"one of: {', '.join(known)}; or pip install -U runwayml",
    )


def _literals(hint: Any) -> tuple[Any, ...]:
    """The values that a type allows, however it is wrapped."""
    if typing.get_origin(hint) is Literal:
        return typing.get_args(hint)
    return tuple(value for part in typing.get_args(hint) for value in _literals(part))


def is_loopback(url: str) -> bool:
    """Whether an address is this machine's own."""
    return urlsplit(url).hostname in ("127.0.0.1", "localhost", "::1")


class Runway:
    """The service, with bounded patience. Nothing that it raises or returns holds the key.

    Raises:
        BackendUnavailable: The client isn't installed, the key isn't in the environment, or the address isn't safe.
    """

    def __init__(self) -> None:
        if missing := available():
            raise BackendUnavailable(f"takes: hosted can't run: {missing}")
        self._key = os.environ.get(KEY, "").strip()
        if not self._key:
            raise BackendUnavailable(
                f"the environment variable {KEY} is not set", where="takes: hosted", do="set it to your Runway key"
            )
        import runwayml

        self._errors = runwayml
        self._client = runwayml.RunwayML(api_key=self._key, max_retries=0, timeout=REQUEST_S)
        self.url = str(self._client.base_url)
        if not (self.url.startswith("https://") or is_loopback(self.url)):
            raise BackendUnavailable(f"{URL} must start with https://, the key would be readable on its way")

    def create(self, request: dict[str, Any]) -> str:
        """Start a task and return its id. Only refusals are tried again: a request may cost once."""
        made = self._patiently(lambda: self._client.image_to_video.create(**request), again=self._was_refused)
        task = getattr(made, "id", None)
        if not (isinstance(task, str) and 0 < len(task) <= 128 and task.isprintable()):
            raise BackendUnavailable("runway answered without the id of a task", where="takes: hosted")
        return task

    def wait(self, task: str, *, timeout_s: float, progress: Callable[[float, str], None]) -> Finished:
        """Wait until a task is done.

        Args:
            task: Its id.
            timeout_s: How long at most; then the task is cancelled, so that it costs no more.
            progress: Called with the share that is done and what the task does.

        Raises:
            InputError: The service refused the picture or the words.
            BackendUnavailable: The task failed, was cancelled, or took too long.
        """
        end = time.monotonic() + timeout_s
        try:
            while True:
                found = self._patiently(lambda: self._client.tasks.retrieve(task), again=self._may_pass)
                status = str(getattr(found, "status", ""))
                if status in ("SUCCEEDED", "FAILED", "CANCELLED"):
                    return self._finished(task, status, found)
                share = getattr(found, "progress", 0.0)
                progress(min(1.0, max(0.0, share)) if isinstance(share, int | float) else 0.0, one_line(status).lower())
                if time.monotonic() + POLL_S > end:
                    break
                time.sleep(POLL_S)
        except BaseException as error:
            if not isinstance(error, StudioError):
                self._cancel(task)
            raise
        self._cancel(task)
        raise BackendUnavailable(
            f"runway's task {task} took longer than {timeout_s:g} s and was cancelled",
            where="takes: hosted",
            do="set timeout_s higher, or try again when the service is less busy",
        )

    def _finished(self, task: str, status: str, found: Any) -> Finished:
        spent = getattr(getattr(found, "cost", None), "credits", None)
        spent = float(spent) if isinstance(spent, int | float) else None
        output = getattr(found, "output", None)
        if status == "SUCCEEDED" and isinstance(output, list) and output and isinstance(output[0], str):
            return Finished(task, output[0], spent)
        cost = f", {spent:g} credits charged" if spent is not None else ""
        code = self.clean(getattr(found, "failure_code", None) or "")
        told = self.clean(getattr(found, "failure", None) or "no reason given")
        if status == "SUCCEEDED":
            told = "it made no file"
        kind = InputError if code.startswith(("SAFETY", "INPUT_PREPROCESSING.SAFETY", "ASSET")) else BackendUnavailable
        raise kind(
            f"runway's task {task} {status.lower()} ({f'{code}: ' if code else ''}{told}{cost})", where="takes: hosted"
        )

    def clean(self, text: object) -> str:
        """One short line of what a service said, without the key, should it be in it."""
        line = one_line(text).replace(self._key, "[key]")
        return line if len(line) <= 300 else line[:300] + " ..."

    def _cancel(self, task: str) -> None:
        with contextlib.suppress(self._errors.RunwayMLError):  # what is being reported already matters more
            self._client.tasks.delete(task)

    def _was_refused(self, error: Exception) -> bool:
        return isinstance(error, self._errors.APIStatusError) and error.status_code in (429, 503)

    def _may_pass(self, error: Exception) -> bool:
        if isinstance(error, self._errors.APIStatusError):
            return error.status_code in (408, 409, 429) or error.status_code >= 500
        return isinstance(error, self._errors.APIConnectionError)

    def _patiently(self, call: Callable[[], Any], *, again: Callable[[Exception], bool]) -> Any:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return call()
            except self._errors.RunwayMLError as error:
                if attempt == ATTEMPTS or not again(error):
                    raise self._told(error, attempt) from None
                time.sleep(_pause(error, attempt))
            except (ValueError, TypeError) as error:  # an answer that is no JSON, or not of this protocol
                raise BackendUnavailable(
                    f"runway's answer can't be read ({self.clean(error)})", where="takes: hosted"
                ) from None
        raise AssertionError

    def _told(self, error: Exception, attempts: int) -> StudioError:
        """The client's error as one line that says what to do."""
        where = "takes: hosted"
        if not isinstance(error, self._errors.APIStatusError):
            tried = f"after {attempts} attempts" if attempts > 1 else type(error).__name__
            return BackendUnavailable(f"runway can't be reached ({tried}: {self.clean(error)})", where=where)
        status, said = error.status_code, self.clean(_message(error))
        if status in (401, 403):
            return BackendUnavailable(f"runway refuses the key ({status}: {said})", where=where, do=f"check {KEY}")
        if status == 429:
            return BackendUnavailable(
                f"runway is busy or the day's limit is reached ({attempts} attempts: {said})", where=where
            )
        if status in (400, 404, 413, 422):
            return InputError(f"runway refuses the request ({status}: {said})", where=where)
        return BackendUnavailable(f"runway failed ({status}, {attempts} attempts: {said})", where=where)


def _message(error: Any) -> str:
    body = error.body
    if isinstance(body, dict):
        said = [str(body[name]) for name in ("error", "message", "issues") if body.get(name)]
        return ": ".join(said) or str(error)
    return str(error)


def _pause(error: Any, attempt: int) -> float:
    """Seconds until the next attempt: what the service asks for, else twice as long each time."""
    asked = getattr(getattr(error, "response", None), "headers", {}).get("retry-after", "")
    try:
        return min(MOST_PAUSE_S, max(0.0, float(asked)))
    except ValueError:
        return min(MOST_PAUSE_S, PAUSE_S * 2.0 ** (attempt - 1))
