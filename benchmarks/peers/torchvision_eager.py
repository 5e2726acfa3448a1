# SPDX-License-Identifier: MIT
"""The peers `torchvision eager`: torchvision_eager.py MODELS THREADS nchw|channels_last"""

import sys

import torch

from serve import serve

if __name__ == "__main__":
    serve(lambda network: network,
          torch.channels_last if sys.argv[3] == "channels_last" else torch.contiguous_format)
