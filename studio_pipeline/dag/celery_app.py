"""The farm's Celery application: two durable queues, one kind of message, nothing acknowledged before it is done.

A message says which step of which run is wanted, and nothing else: no code, no addresses, no passwords. Whoever can
write to the broker can ask for steps of runs that exist; what they do is decided by the worker's own definitions.
There is no result backend: a step's events are in Dagster's event log, which is in PostgreSQL anyway (Celery's own
table of results there holds pickles, and ``rpc://`` forgets what it holds when the broker restarts).
"""

from __future__ import annotations

import os
from functools import cache
from importlib.util import find_spec
from typing import Any

from celery import Celery
from kombu import Exchange, Queue

from studio_pipeline.schema.errors import InputError

__all__ = ["BROKER", "QUEUES", "STEP_TASK", "broker_url", "celery_app", "message_priority", "queue_named"]

BROKER = "STUDIO_BROKER_URL"
QUEUES = ("cpu", "gpu")
STEP_TASK = "studio.step"

_REDIS = ("redis", "sentinel")
_LEVELS = 10  # RabbitMQ's priorities, 0 to 10
_LONGEST_STEP = 24 * 3600  # [s] Redis delivers again what wasn't acknowledged by then, done or not


def broker_url() -> str:
    """The broker's address, user and password, from the environment only.

    Raises:
        InputError: It isn't there.
    """
    url = os.environ.get(BROKER, "")
    if "://" not in url:
        # What is there isn't repeated: it may hold a password.
        raise InputError("the farm's broker isn't named", where=BROKER, do="set it to amqp://user:password@host:5672//")
    if url.startswith(_REDIS) and find_spec("redis") is None:
        raise InputError(
            "a broker on Redis needs a package that isn't here (redis)", where=BROKER, do="pip install redis"
        )
    return url


def queue_named(name: str) -> Queue:
    """One of the farm's queues as every client must declare it: alike, or RabbitMQ refuses.

    Raises:
        InputError: There is none of that name.
    """
    if name not in QUEUES:
        raise InputError(f"there is no queue {name!r}", do=f"one of: {', '.join(QUEUES)}")
    exchange = Exchange("studio", type="direct", durable=True)
    return Queue(name, exchange, routing_key=name, durable=True, queue_arguments={"x-max-priority": _LEVELS})


@cache
def celery_app() -> Celery:
    """The application with the farm's settings; the same for those who ask for steps and for those who make them."""
    app = Celery("studio", set_as_current=False)
    app.conf.update(_settings(broker_url()))
    return app


def _settings(broker: str) -> dict[str, Any]:
    transport: dict[str, Any] = {"confirm_publish": True}  # a message that the broker didn't keep is sent again
    if broker.startswith(_REDIS):
        transport = {"visibility_timeout": _LONGEST_STEP, "priority_steps": list(range(_LEVELS))}
    return {
        "broker_url": broker,
        "broker_transport_options": transport,
        "broker_heartbeat": 30,
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,  # a broker that is being restarted is waited for
        "task_publish_retry_policy": {
            "max_retries": 100,
            "interval_start": 0.5,
            "interval_step": 0.5,
            "interval_max": 5.0,
        },
        "task_serializer": "json",
        "accept_content": ["json"],
        "task_ignore_result": True,
        "task_store_errors_even_if_ignored": False,
        "task_queues": [queue_named(name) for name in QUEUES],
        "task_default_queue": QUEUES[0],
        "task_create_missing_queues": False,
        "task_default_delivery_mode": "persistent",
        "task_acks_late": True,
        "task_reject_on_worker_lost": True,
        "worker_prefetch_multiplier": 1,
        "worker_concurrency": 1,
        # The store's lease tells that a step is being made; it isn't stopped because the broker went away.
        "worker_cancel_long_running_tasks_on_connection_loss": False,
        "worker_enable_remote_control": False,
        "worker_hijack_root_logger": False,
        "worker_redirect_stdouts": False,
    }


def message_priority(given: int) -> int:
    """A run's priority (0 is ordinary, more is sooner) as the broker counts: RabbitMQ from 0 up, Redis from 9 down."""
    level = max(0, min(_LEVELS - 1, 5 + given))
    return _LEVELS - 1 - level if os.environ.get(BROKER, "").startswith(_REDIS) else level
