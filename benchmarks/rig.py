"""What training the rig's networks costs on one core: characters drawn, and characters learnt from, a second.

::

    OMP_NUM_THREADS=1 python benchmarks/rig.py

Processor time, so that figures hold beside other work. Learning is told as it is trained (bfloat16, memory kept), and
beside it with torch's own attention for bfloat16 and with memory given back, as ratios to that in the same run.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import torch

from studio_pipeline.models.rig import layers
from studio_pipeline.models.rig.skeleton import SkeletonConfig, SkeletonNet
from studio_pipeline.training.memory import keep_memory
from studio_pipeline.training.rig.batches import Batch, collate, view
from studio_pipeline.training.rig.losses import token_loss, vote_loss
from studio_pipeline.training.rig_data import PLANS, draw_example


def step_seconds(batch: Batch, steps: int, *, mixed: bool = True) -> float:
    """Processor seconds of one step of the skeleton network, the median of some."""
    torch.manual_seed(0)
    net = SkeletonNet(SkeletonConfig(plans=PLANS))
    optimiser = torch.optim.AdamW(net.parameters())
    spent = []
    for _ in range(steps):
        began = time.process_time()
        with torch.autocast("cpu", torch.bfloat16, enabled=mixed):
            logits, seen = net(batch.points, batch.normals, batch.tokens, batch.slots)
        optimiser.zero_grad(set_to_none=True)
        (token_loss(logits, batch.tokens, blur=0.8)[0] + vote_loss(seen, batch.goals)).backward()
        optimiser.step()
        spent.append(time.process_time() - began)
    return float(np.median(spent[1:]))


def attention_seconds(attend, repeats: int) -> float:
    """Processor seconds of one attention of the decoder on its own tokens, forward and backward, the least of some."""
    spent = []
    for _ in range(repeats):
        query, keys, values = (torch.randn(16, 4, 112, 48, dtype=torch.bfloat16, requires_grad=True) for _ in range(3))
        began = time.process_time()
        attend(query, keys, values).sum().backward()
        spent.append(time.process_time() - began)
    return min(spent)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=6)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    began = time.process_time()
    examples = [draw_example(rng, count=1024) for _ in range(48)]
    print(f"drawn, 1024 points: {48 / (time.process_time() - began):.0f} characters a second")
    views = [view(example, rng, count=1024) for example in examples[:16]]
    batch = collate(views, PLANS, longest=512)
    given_back = step_seconds(batch, arguments.steps)
    keep_memory()
    kept, full = step_seconds(batch, arguments.steps), step_seconds(batch, arguments.steps, mixed=False)
    print(
        f"learnt from: {16 / kept:.1f} characters a second; memory given back {given_back / kept:.2f} times the time,"
    )
    print(f"float32 {full / kept:.2f} times")
    ours = attention_seconds(lambda q, k, v: layers._attend(q, k, v, causal=True), 5)
    torchs = attention_seconds(
        lambda q, k, v: torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True), 5
    )
    print(f"attention in bfloat16: torch's own {torchs / ours:.1f} times the time")


if __name__ == "__main__":
    main()
