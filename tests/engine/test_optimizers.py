"""Optimizers work without torch.compile, and torch is left unchanged."""

import torch
from torch import nn, optim

from exp.engine.optimizers import without_dynamo


def test_building_an_optimizer_leaves_torch_unchanged():
    methods = (optim.Optimizer.add_param_group, optim.Optimizer.state_dict, optim.Optimizer.load_state_dict)
    before = [dict(vars(method.__wrapped__)) for method in methods]
    with without_dynamo():
        optimizer = optim.Adam(nn.Linear(2, 1).parameters())
        optimizer.load_state_dict(optimizer.state_dict())
    assert [dict(vars(method.__wrapped__)) for method in methods] == before


def test_an_optimizer_without_dynamo_saves_and_loads_the_same_state():
    model = nn.Linear(2, 1)
    plain = optim.Adam(model.parameters(), lr=0.1)
    model(torch.ones(3, 2)).sum().backward()
    plain.step()
    with without_dynamo():
        other = optim.Adam(model.parameters(), lr=0.2)
        other.load_state_dict(plain.state_dict())
    torch.testing.assert_close(other.state_dict(), plain.state_dict(), rtol=0, atol=0)
