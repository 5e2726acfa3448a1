# SPDX-License-Identifier: MIT
"""The peers `torch.jit`: torch_jit.py MODELS THREADS freeze|optimize_for_inference

Freezing alone folds the batch norms. The optimised graph works in oneDNN's own layouts, so that it
gets the pictures in NCHW: in channels_last it took as long. On LibTorch 1.13 with AVX-512 its
output is wrong after a hard-swish of channels that are no multiple of 16, where oneDNN pads them: a
mere Conv2d(3, 72, 3), Hardswish, Conv2d shows it. peers.md marks it.
"""

import sys

import torch

from serve import serve


def frozen(network):
    return torch.jit.freeze(torch.jit.script(network))


def optimized(network):
    return torch.jit.optimize_for_inference(frozen(network))


if __name__ == "__main__":
    if sys.argv[3] == "freeze":
        serve(frozen, torch.channels_last)
    else:
        serve(optimized)
