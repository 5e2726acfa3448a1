# SPDX-License-Identifier: MIT
"""torchvision's networks as the peers run them."""

import torch
import torchvision

RVM_STAGES = [(0, 2), (2, 4), (4, 7), (7, 17)]  # features after whose last a feature map comes out


class RvmEncoder(torch.nn.Module):
    """RobustVideoMatting's encoder: normalises [0, 1] itself and returns four feature maps."""

    def __init__(self, features):
        super().__init__()
        self.stages = torch.nn.ModuleList(features[begin:end] for begin, end in RVM_STAGES)
        self.register_buffer("mean", torch.tensor([0.485, 0.456, 0.406]).view(-1, 1, 1))
        self.register_buffer("std", torch.tensor([0.229, 0.224, 0.225]).view(-1, 1, 1))

    def forward(self, x):
        x = (x - self.mean) / self.std
        taps = []
        for stage in self.stages:
            x = stage(x)
            taps.append(x)
        return taps


def torchvision_model(net):
    """The whole model, whose state dict has the names that all peers read."""
    models = torchvision.models
    if net == "small":
        return models.mobilenet_v3_small()
    return models.mobilenet_v3_large(dilated=net == "rvm_encoder")


def as_run(net, model):
    """The part of `model` that is timed."""
    return RvmEncoder(model.features) if net == "rvm_encoder" else model


def load(net, models):
    """The network with the weights that prepare.py has written into the folder `models`."""
    model = torchvision_model(net)
    model.load_state_dict(torch.load(models / f"{net}.pth"))
    return as_run(net, model).eval()


def flat(outputs):
    """All outputs in one row, as they stand in the reference files."""
    outputs = [outputs] if isinstance(outputs, torch.Tensor) else outputs
    return torch.cat([output.flatten() for output in outputs])
